//! A failure that stands in gRPC's own headers or trailers is that of a request of any path, too.

use std::time::Duration;

use genai_bridge::emulator::{Emulator, Page};
use genai_bridge::{CallOptions, Error, RetryPolicy, Transport, rpc};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt;
use prost::Message as _;
use tonic::{Code, Status};

use crate::peers::{http1, plain};
use crate::setting::direct;

const PATH: &str = "/v1beta/interactions";
const SLOW: &str = "grpc-status: 8\r\ngrpc-message: slow%20down\r\n";
// tonic panics on these details, whatever the code is.
const BAD_DETAILS: &str = "grpc-status-details-bin: !\r\n";

/// What came, and how it ended.
type Outcome = (String, Result<(), Status>);

/// One request in three ways: whole, event by event, as bytes.
async fn outcomes(answer: String) -> [(&'static str, Outcome); 3] {
    let bridge = plain(http1(answer).await, Transport::Rest).build().expect("a bridge");
    let request = || bridge.json(Method::POST, PATH).body("{}");
    let mut came = String::new();
    let whole = match request().send().await {
        Ok(answer) => (String::from_utf8(answer.bytes().to_vec()).expect("text"), Ok(())),
        Err(status) => (String::new(), Err(status)),
    };
    let events = match request().stream().await {
        Err(status) => Err(status),
        Ok(mut events) => loop {
            match events.next().await {
                Some(Ok(event)) => came += std::str::from_utf8(event.data()).expect("text"),
                Some(Err(status)) => {
                    assert!(events.next().await.is_none(), "a failure is the end");
                    break Err(status);
                }
                None => break Ok(()),
            }
        },
    };
    let events = (std::mem::take(&mut came), events);
    let bytes = match request().bytes().await {
        Err(status) => Err(status),
        Ok(answer) => {
            let mut body = answer.into_body();
            loop {
                match body.frame().await {
                    Some(Ok(frame)) => {
                        came += std::str::from_utf8(frame.data_ref().expect("data")).expect("text");
                    }
                    Some(Err(status)) => break Err(status),
                    None => break Ok(()),
                }
            }
        }
    };
    [("whole", whole), ("events", events), ("bytes", (came, bytes))]
}

fn head(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}")
}

fn chunked(body: &str, trailers: &str) -> String {
    let chunk =
        if body.is_empty() { String::new() } else { format!("{:x}\r\n{body}\r\n", body.len()) };
    let headers = "transfer-encoding: chunked\r\n";
    head("200 OK", headers, &format!("{chunk}0\r\n{trailers}\r\n"))
}

/// The headers of a status with details.
fn detailed() -> String {
    let info = rpc::ErrorInfo { reason: "QUOTA".into(), ..rpc::ErrorInfo::default() };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
        value: info.encode_to_vec(),
    };
    let packed = rpc::Status { code: 8, message: "slow down".into(), details: vec![any] };
    let details = packed.encode_to_vec().into();
    let mut headers = HeaderMap::new();
    let status = Status::with_details(Code::ResourceExhausted, "slow down", details);
    status.add_header(&mut headers).expect("headers");
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}\r\n", value.to_str().expect("text"))
    };
    headers.iter().map(line).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn a_failure_in_headers_or_trailers_is_its_status() {
    let bad = format!("{SLOW}{BAD_DETAILS}");
    let exhausted = "429 Too Many Requests";
    let array = r#"[{"a":1}]"#;
    // What comes before the failure, as events and as bytes.
    for (answer, events, bytes, has_details) in [
        (head(exhausted, SLOW, ""), "", "", false),
        (head(exhausted, &detailed(), ""), "", "", true),
        (head(exhausted, &bad, ""), "", "", false),
        (head(exhausted, SLOW, "<html>busy"), "", "", false),
        (head("200 OK", SLOW, ""), "", "", false),
        (head("200 OK", &detailed(), r#"{"a":1}"#), "", "", true),
        (head("200 OK", &bad, r#"{"a":1}"#), "", "", false),
        (chunked("", SLOW), "", "", false),
        (chunked(array, SLOW), r#"{"a":1}"#, array, false),
        (chunked(array, &detailed()), r#"{"a":1}"#, array, true),
        (chunked(array, &bad), r#"{"a":1}"#, array, false),
        (chunked("data: 1\n\n", SLOW), "1", "data: 1\n\n", false),
        (
            chunked("{\"a\":1}\n{\"a\":2}", SLOW),
            "{\"a\":1}{\"a\":2}",
            "{\"a\":1}\n{\"a\":2}",
            false,
        ),
    ] {
        for (way, (came, ended)) in outcomes(answer.clone()).await {
            let status = ended.expect_err(&answer);
            let what = format!("{way} of {answer}: {status:?}");
            let expected = (Code::ResourceExhausted, "slow down");
            assert_eq!((status.code(), status.message()), expected, "{what}");
            assert_eq!(!status.details().is_empty(), has_details, "{what}");
            assert!(Error::of(&status).is_none(), "the service's own: {what}");
            let before = match way {
                "events" => events,
                "bytes" => bytes,
                _ => "",
            };
            assert_eq!(came, before, "{what}");
        }
    }
}

#[tokio::test]
async fn a_success_there_is_a_success() {
    for success in ["grpc-status: 0\r\n".to_owned(), format!("grpc-status: 0\r\n{BAD_DETAILS}")] {
        let text = r#"{"a":1}"#;
        for answer in [head("200 OK", &success, text), chunked(text, &success)] {
            for (way, (came, ended)) in outcomes(answer.clone()).await {
                ended.unwrap_or_else(|status| panic!("{way} of {answer}: {status:?}"));
                assert_eq!(came, text, "{way} of {answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_words_of_the_body_come_before_those_of_the_headers() {
    let body = r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#;
    for (way, (_, ended)) in outcomes(head("503 Service Unavailable", SLOW, body)).await {
        let status = ended.expect_err(way);
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "busy"), "{way}");
    }
}

#[tokio::test]
async fn it_is_tried_again_as_any_refusal_is() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).build().expect("a bridge");
    let hurried = RetryPolicy::google().backoff(Duration::ZERO, 1.0, Duration::ZERO);
    emulator.on_path(&Method::GET, PATH, Page::json("{}"));
    emulator.once_path(&Method::GET, PATH, Page::new(503).header("grpc-status", "14"));
    let request = bridge.json(Method::GET, PATH).options(CallOptions::new().retry(hurried));
    request.send().await.expect("the second answer");
    assert_eq!((emulator.received().len(), bridge.stats().retries()), (2, 1));
}
