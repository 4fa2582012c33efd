//! What is repeated of the service's words, and what never is.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where its setting is not as expected"
)]

use prost::Message;
use prost_types::Any;

use super::*;
use crate::proto::google::rpc;
use crate::symptom::{Evidence, Symptom, SymptomKind};

fn any(name: &str, message: &impl Message) -> Any {
    let type_url = format!("type.googleapis.com/google.rpc.{name}");
    Any { type_url, value: message.encode_to_vec() }
}

fn with(code: Code, details: Vec<Any>) -> String {
    let packed = rpc::Status { details, ..Default::default() }.encode_to_vec();
    let status = Status::with_details(code, "m", packed.into());
    advice(&status).expect("an error").to_string()
}

#[test]
fn no_error_needs_no_advice() {
    assert_eq!(advice(&Status::new(Code::Ok, "")), None);
}

#[test]
fn each_code_has_a_cause_and_a_remedy_of_its_own() {
    let codes = (1..=16).map(Code::from_i32);
    let texts: Vec<String> = codes.map(|code| with(code, vec![])).collect();
    for (at, text) in texts.iter().enumerate() {
        assert!(text.contains("why: ") && text.contains("to do: "), "{text}");
        assert!(!texts[..at].contains(text), "{text}");
    }
}

#[test]
fn a_key_in_the_services_words_is_hidden() {
    let key = "AIzaSyA1234567890abcdefghijklmnopqrstuv";
    let metadata = [("consumer".to_owned(), format!("api_key:{key}"))].into();
    let info =
        rpc::ErrorInfo { reason: "CONSUMER_SUSPENDED".into(), metadata, ..Default::default() };
    let debug = rpc::DebugInfo { detail: format!("Invalid API key: {key}"), ..Default::default() };
    let text =
        with(Code::PermissionDenied, vec![any("ErrorInfo", &info), any("DebugInfo", &debug)]);
    assert!(!text.contains(key) && text.contains("api_key:(key hidden)"), "{text}");
    let status = Status::permission_denied(format!("Consumer 'api_key:{key}' has been suspended."));
    assert!(!advice(&status).expect("an error").to_string().contains(key));
}

#[test]
fn words_of_the_service_stay_on_their_line_and_end_somewhere() {
    let status = Status::internal(format!("a\nb\u{1b}[31m{}", "\u{e9}".repeat(5000)));
    let advice = advice(&status).expect("an error");
    assert!(!advice.happened().contains(['\n', '\u{1b}']) && advice.happened().len() < 2200);
}

#[test]
fn a_size_that_is_refused_is_laid_to_whoever_set_the_limit() {
    let page = Evidence::new().with_status(http::StatusCode::PAYLOAD_TOO_LARGE);
    let of = |kind| Error::from(Symptom::new(kind, "host a:443").with_evidence(page.clone()));
    for (status, speaker, text) in [
        (
            Status::from(of(SymptomKind::NotGrpc)),
            Speaker::Network,
            "an intermediary, not the bridge",
        ),
        (
            Status::from(of(SymptomKind::ForeignError)),
            Speaker::Network,
            "an intermediary, not the bridge",
        ),
        (
            crate::call::frame::too_large(2, 1).into(),
            Speaker::Client,
            "the limit is the bridge's own",
        ),
        (
            Status::invalid_argument("Request payload size exceeds the limit: 20971520 bytes."),
            Speaker::Service,
            "the limit is the service's",
        ),
    ] {
        let advice = advice(&status).expect("an error");
        assert_eq!(advice.speaker(), speaker, "{advice}");
        assert!(advice.to_string().contains(text), "{advice}");
    }
}

#[test]
fn a_refusal_by_v1_names_the_version() {
    let status = Status::invalid_argument("Unknown name \"systemInstruction\": Cannot find field.");
    let of = |version: &str| {
        let method =
            format!("/google.ai.generativelanguage.{version}.GenerativeService/GenerateContent");
        advice_for(&status, &method).expect("an error").to_string()
    };
    assert!(of("v1").contains("version v1,") && !of("v1beta").contains("version v1,"));
}

#[test]
fn a_stream_is_advised_where_the_method_has_one_and_is_none() {
    let status = Status::deadline_exceeded("late");
    let of = |method: &str| {
        let method = format!("/google.ai.generativelanguage.v1beta.{method}");
        advice_for(&status, &method).expect("an error").to_string()
    };
    let advised = of("GenerativeService/GenerateContent");
    assert!(advised.contains("StreamGenerateContent") && !advised.contains("(true)"), "{advised}");
    let others = ["GenerativeService/StreamGenerateContent", "ModelService/ListModels"];
    for text in others.map(of).into_iter().chain([advice(&status).expect("an error").to_string()]) {
        assert!(!text.contains("stream"), "{text}");
    }
    let refused = advice_for(&Status::unavailable("overloaded"), "/a.B/GenerateContent");
    assert!(!refused.expect("an error").to_string().contains("stream"));
}

#[test]
fn a_detail_of_another_kind_is_mentioned() {
    let unknown = Any { type_url: "type.googleapis.com/nobody.knows.This".into(), value: vec![] };
    assert!(with(Code::Internal, vec![unknown]).contains("nobody.knows.This"));
}
