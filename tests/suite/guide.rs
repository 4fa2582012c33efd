//! Each row of the troubleshooting guide, and each exception of the Python SDK: what happens here.

use std::io;

use genai_bridge::emulator::{Emulator, Fault, Reply as Answer};
use genai_bridge::gemini::parameters::{Limits, check};
use genai_bridge::gemini::reply::{Reply as _, ReplyError, collect_reply};
use genai_bridge::gemini::{Speaker, advice, advice_for};
use genai_bridge::v1beta::candidate::FinishReason;
use genai_bridge::v1beta::generate_content_response::PromptFeedback;
use genai_bridge::v1beta::generate_content_response::prompt_feedback::BlockReason;
use genai_bridge::v1beta::{GenerateContentResponse, GenerationConfig};
use genai_bridge::{
    ActiveTransport, Credentials, Error, ErrorKind, RetryPolicy, Transport, rpc, v1,
};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::setting::{BOTH, GENERATE, STREAM, answer, behind, client, direct, question, through};

const V1: &str = "/google.ai.generativelanguage.v1.GenerativeService/GenerateContent";

/// A row of the guide or an exception, what the service answers, and what the advice must say.
type Row = (&'static str, Code, &'static str, Vec<Any>, &'static [&'static str]);

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    vec![
        ("400 INVALID_ARGUMENT, malformed", Code::InvalidArgument, "bad", vec![field("contents[0].parts", "is empty")], &["400", "field `contents[0].parts`: is empty", "missing field", "ai.google.dev/api"]),
        ("400 INVALID_ARGUMENT, newer feature", Code::InvalidArgument, "bad", vec![field("", "Unknown name \"tools\"")], &["Unknown name \"tools\"", "newer version of the API"]),
        ("400 INVALID_ARGUMENT, parameters", Code::InvalidArgument, "bad", vec![], &["candidate_count is 1 to 8", "temperature and top_p are 0.0 to 1.0", "output_token_limit"]),
        ("400 FAILED_PRECONDITION, free tier", Code::FailedPrecondition, "User location is not supported", vec![], &["400", "free tier is not available", "enable billing"]),
        ("403 PERMISSION_DENIED, rights", Code::PermissionDenied, "no", vec![], &["403", "lacks the rights", "check that the key"]),
        ("403 PERMISSION_DENIED, tuned model", Code::PermissionDenied, "no", vec![], &["tuned model", "proper authentication"]),
        ("403 SERVICE_DISABLED", Code::PermissionDenied, "no", vec![reason("SERVICE_DISABLED", &[("service", "gl")]), help("https://console.test/enable")], &["SERVICE_DISABLED", "service: gl", "not enabled", "see https://console.test/enable"]),
        ("404 NOT_FOUND, file", Code::NotFound, "no such file", vec![resource("files/a")], &["404", "files/a", "image, audio or video", "upload expired files again"]),
        ("404 NOT_FOUND, version", Code::NotFound, "models/x is not found for API version v1", vec![], &["models/x", "ListModels", "version of the API"]),
        ("429 RESOURCE_EXHAUSTED", Code::ResourceExhausted, "slow down", vec![quota("PerMinute", "gl/requests", 15, "gemini-x"), retry(48)], &["429", "quota PerMinute", "gl/requests", "limit 15", "model: gemini-x", "wait 48 s", "retry automatically", "more quota"]),
        ("500 INTERNAL", Code::Internal, "oh", vec![], &["500", "context is too long", "shorten the prompt", "another model", "wait", "report"]),
        ("503 UNAVAILABLE", Code::Unavailable, "overloaded", vec![], &["503", "overloaded", "another model", "wait"]),
        ("504 DEADLINE_EXCEEDED", Code::DeadlineExceeded, "late", vec![], &["504", "prompt", "too large", "longer timeout"]),
        ("PermissionDenied", Code::PermissionDenied, "no", vec![reason("IAM_PERMISSION_DENIED", &[("permission", "p")])], &["permission: p", "lack the permission"]),
        ("ResourceExhausted", Code::ResourceExhausted, "m", vec![], &["rate limit", "RESOURCE_EXHAUSTED"]),
        ("AlreadyExists", Code::AlreadyExists, "m", vec![], &["409", "id is taken", "tuned model", "another id"]),
        ("InvalidArgument, payload", Code::InvalidArgument, "Request payload size exceeds the limit: 20971520 bytes.", vec![], &["20971520", "limit is the service's", "Files API"]),
        ("InvalidArgument, key", Code::InvalidArgument, "API key not valid.", vec![reason("API_KEY_INVALID", &[])], &["API_KEY_INVALID", "the API key is wrong", "new one"]),
    ]
}

fn any(name: &str, message: &impl Message) -> Any {
    let type_url = format!("type.googleapis.com/google.rpc.{name}");
    Any { type_url, value: message.encode_to_vec() }
}

fn field(field: &str, description: &str) -> Any {
    let violation = rpc::bad_request::FieldViolation {
        field: field.into(),
        description: description.into(),
        ..Default::default()
    };
    any("BadRequest", &rpc::BadRequest { field_violations: vec![violation] })
}

fn reason(reason: &str, metadata: &[(&str, &str)]) -> Any {
    let metadata = metadata.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let info = rpc::ErrorInfo {
        reason: reason.into(),
        metadata: metadata.collect(),
        ..Default::default()
    };
    any("ErrorInfo", &info)
}

fn quota(id: &str, metric: &str, value: i64, model: &str) -> Any {
    let violation = rpc::quota_failure::Violation {
        quota_id: id.into(),
        quota_metric: metric.into(),
        quota_value: value,
        quota_dimensions: [("model".to_owned(), model.to_owned())].into(),
        ..Default::default()
    };
    any("QuotaFailure", &rpc::QuotaFailure { violations: vec![violation] })
}

fn retry(seconds: i64) -> Any {
    let retry_delay = Some(prost_types::Duration { seconds, nanos: 0 });
    any("RetryInfo", &rpc::RetryInfo { retry_delay })
}

fn resource(name: &str) -> Any {
    any("ResourceInfo", &rpc::ResourceInfo { resource_name: name.into(), ..Default::default() })
}

fn help(url: &str) -> Any {
    let link = rpc::help::Link { url: url.into(), ..Default::default() };
    any("Help", &rpc::Help { links: vec![link] })
}

#[tokio::test]
async fn each_row_gets_the_same_advice_over_grpc_and_rest() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (name, code, message, details, words) in rows() {
        let packed = rpc::Status { code: code.into(), message: message.into(), details };
        let status = Status::with_details(code, message, packed.encode_to_vec().into());
        emulator.on(GENERATE, Answer::error(status));
        let mut given = Vec::new();
        for transport in BOTH {
            let builder = direct(&emulator).transport(transport).retry(RetryPolicy::none());
            let status = client(builder).generate_content(question("?")).await.expect_err(name);
            assert_eq!((status.code(), Error::of(&status).is_none()), (code, true), "{name}");
            let advice = advice(&status).expect("an error");
            assert_eq!(advice.speaker(), Speaker::Service, "{name}");
            for word in words {
                assert!(advice.to_string().contains(word), "{name}: no `{word}` in {advice}");
            }
            given.push(advice);
        }
        assert_eq!(given[0], given[1], "{name}");
    }
}

#[tokio::test]
async fn a_field_that_v1_does_not_know_names_the_version_on_both_transports() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(
        V1,
        Answer::error(Status::invalid_argument("Unknown name \"tools\": Cannot find field.")),
    );
    for transport in BOTH {
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        let mut client = v1::generative_service_client::GenerativeServiceClient::new(bridge);
        let request = v1::GenerateContentRequest { model: "models/a".into(), ..Default::default() };
        let status = client.generate_content(request).await.expect_err("refused");
        let advice = advice_for(&status, V1).expect("an error").to_string();
        assert!(advice.contains("version v1,") && advice.contains("v1beta"), "{advice}");
    }
}

/// Both as one call and as a stream.
async fn replies(emulator: &Emulator, transport: Transport) -> [GenerateContentResponse; 2] {
    let mut client = client(direct(emulator).transport(transport));
    let one = client.generate_content(question("?")).await.expect("a reply").into_inner();
    let stream = client.stream_generate_content(question("?")).await.expect("a stream");
    [one, collect_reply(stream.into_inner()).await.expect("a reply")]
}

#[tokio::test]
async fn blocked_prompt_exception_is_prompt_blocked_with_its_reason() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (reason, words) in [
        (BlockReason::Safety, "safety"),
        (BlockReason::Other, "terms of service"),
        (BlockReason::Blocklist, "blocklist"),
        (BlockReason::ProhibitedContent, "prohibited"),
    ] {
        let feedback = PromptFeedback { block_reason: reason.into(), ..Default::default() };
        let reply =
            GenerateContentResponse { prompt_feedback: Some(feedback), ..Default::default() };
        emulator.on(GENERATE, Answer::message(&reply));
        emulator.on(STREAM, Answer::message(&reply));
        for transport in BOTH {
            for reply in replies(&emulator, transport).await {
                let error = reply.text().expect_err("blocked");
                let ReplyError::PromptBlocked { reason: found, .. } = &error else {
                    panic!("{error}")
                };
                assert_eq!(found.known(), Some(reason));
                assert!(error.advice().contains(words), "{error}: {}", error.advice());
            }
        }
    }
}

#[tokio::test]
async fn stop_candidate_exception_is_candidate_stopped_with_its_remedy() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (reason, words) in [
        (FinishReason::Safety, "safety"),
        (FinishReason::Recitation, "more unique, or raise the temperature"),
        (FinishReason::MaxTokens, "max_output_tokens"),
        (FinishReason::Language, "language that the model supports"),
        (FinishReason::Other, "terms of service"),
    ] {
        let mut reply = answer("half");
        reply.candidates[0].finish_reason = reason.into();
        emulator.on(GENERATE, Answer::message(&reply));
        emulator.on(STREAM, Answer::messages([chunk("first "), reply]));
        for transport in BOTH {
            for (reply, text) in
                replies(&emulator, transport).await.iter().zip(["half", "first half"])
            {
                let error = reply.text().expect_err("stopped");
                let ReplyError::CandidateStopped { finish_reason, .. } = &error else {
                    panic!("{error}")
                };
                assert_eq!((finish_reason.known(), error.text()), (Some(reason), text));
                assert!(error.advice().contains(words), "{error}: {}", error.advice());
            }
        }
    }
}

#[tokio::test]
async fn broken_response_error_is_a_broken_reply_that_keeps_what_had_come() {
    let emulator = Emulator::start().await.expect("an emulator");
    let chunks = [chunk("one "), chunk("two")];
    emulator.on(STREAM, Answer::messages(chunks).then_error(Status::internal("oh")));
    for transport in BOTH {
        let mut client = client(direct(&emulator).transport(transport));
        let stream = client.stream_generate_content(question("?")).await.expect("a stream");
        let broken = collect_reply(stream.into_inner()).await.expect_err("it breaks");
        assert_eq!(broken.so_far().text_so_far(), "one two");
        assert_eq!((broken.status().code(), broken.status().message()), (Code::Internal, "oh"));
        assert!(Error::of(broken.status()).is_none(), "the service said it");
    }
    let (emulator, proxy) = behind(Fault::ResetAfterMessage).await;
    let mut client = client(through(&emulator, &proxy).transport(Transport::Grpc));
    let stream = client.stream_generate_content(question("?")).await.expect("a stream");
    let (so_far, status) =
        collect_reply(stream.into_inner()).await.expect_err("it breaks").into_parts();
    assert_eq!(so_far.text_so_far(), "The sky ");
    assert_eq!(advice(&status).expect("an error").speaker(), Speaker::Network);
}

/// A stream that ends well within a reply: over REST something cut its events, over gRPC the
/// service did.
#[tokio::test]
async fn incomplete_iteration_error_is_a_stream_that_never_says_why_it_ends() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Answer::message(&chunk("half")));
    for messages in [vec![], vec![chunk("one "), chunk("two")]] {
        let text = if messages.is_empty() { "" } else { "one two" };
        emulator.on(STREAM, Answer::messages(messages));
        for transport in BOTH {
            let mut client = client(direct(&emulator).transport(transport));
            let one = client.generate_content(question("?")).await.expect("a reply").into_inner();
            let error = one.text().expect_err("unfinished");
            assert!(matches!(error, ReplyError::Unfinished { .. }), "{error}");
            assert_eq!(error.text(), "half");
            let stream = client.stream_generate_content(question("?")).await.expect("a stream");
            let broken = collect_reply(stream.into_inner()).await.expect_err("unfinished");
            assert_eq!(broken.so_far().text_so_far(), text);
            assert_eq!(broken.status().code(), Code::DataLoss);
            let error = Error::of(broken.status()).expect("ours");
            assert_eq!(error.kind(), ErrorKind::Truncated);
            assert_eq!(error.symptom().is_some(), transport == Transport::Rest, "{error}");
        }
    }
}

/// A chunk of a stream that is not its last.
fn chunk(text: &str) -> GenerateContentResponse {
    let mut chunk = answer(text);
    chunk.candidates[0].finish_reason = 0;
    chunk
}

#[tokio::test]
async fn default_credentials_error_is_told_by_the_source_of_the_tokens() {
    let emulator = Emulator::start().await.expect("an emulator");
    let nobody = || async { Err::<String, _>(io::Error::other("nobody is logged in")) };
    let builder = direct(&emulator).credentials(Credentials::bearer(nobody));
    let status = client(builder).generate_content(question("?")).await.expect_err("no token");
    let error = Error::of(&status).expect("ours");
    assert_eq!(error.kind(), ErrorKind::Credentials);
    let cause = std::error::Error::source(error).expect("the source's own error");
    assert!(cause.to_string().contains("nobody is logged in"), "{cause}");
    let advice = advice(&status).expect("an error");
    assert_eq!(advice.speaker(), Speaker::Client);
    let text = advice.to_string();
    assert!(text.contains("source of the tokens") && !text.contains("GEMINI_API_KEY"), "{text}");
}

#[tokio::test]
async fn retry_error_becomes_rest_by_itself_and_without_it_says_so() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let mut auto = client(through(&emulator, &proxy));
    let reply = auto.generate_content(question("?")).await.expect("an answer");
    assert_eq!(reply.extensions().get(), Some(&ActiveTransport::Rest));
    let mut grpc = client(through(&emulator, &proxy).transport(Transport::Grpc));
    let status = grpc.generate_content(question("?")).await.expect_err("no gRPC here");
    let advice = advice(&status).expect("an error");
    assert_eq!(advice.speaker(), Speaker::Network);
    assert!(advice.to_string().contains("set the transport to auto or rest"), "{advice}");
}

#[test]
fn the_documented_ranges_are_the_default_limits() {
    let violations = |config| {
        let request = genai_bridge::v1beta::GenerateContentRequest {
            generation_config: Some(config),
            ..question("?")
        };
        check(&request, &Limits::documented()).len()
    };
    for (count, temperature, top_p, faults) in
        [(1, 0.0, 0.0, 0), (8, 1.0, 1.0, 0), (0, 1.01, 0.5, 2), (9, -0.01, 1.01, 3)]
    {
        let config = GenerationConfig {
            candidate_count: Some(count),
            temperature: Some(temperature),
            top_p: Some(top_p),
            ..Default::default()
        };
        assert_eq!(violations(config), faults);
    }
}

#[tokio::test]
async fn a_size_that_is_refused_names_whose_limit_it_was() {
    let long = "a".repeat(100_000);
    let (emulator, proxy) = behind(Fault::RequestLimited).await;
    for transport in BOTH {
        let of_proxy = through(&emulator, &proxy).transport(transport);
        let status = client(of_proxy).generate_content(question(&long)).await.expect_err("413");
        let words = advice(&status).expect("an error").to_string();
        assert!(
            words.contains(
                "an intermediary, not the bridge or the model, refuses messages of this size"
            ),
            "{words}"
        );
        let of_bridge = direct(&emulator).transport(transport).max_message_size(1000);
        let status =
            client(of_bridge).generate_content(question(&long)).await.expect_err("too large");
        let words = advice(&status).expect("an error").to_string();
        assert!(words.contains("the limit is the bridge's own"), "{words}");
    }
}
