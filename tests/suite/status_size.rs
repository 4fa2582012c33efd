//! Statuses of any size: unchanged up to the limit, and above it an error that says so.

use bytes::Bytes;
use genai_bridge::{Bridge, BridgeBuilder, Error, ErrorKind, ResendPolicy, RetryPolicy, Transport};
use http::{HeaderMap, HeaderValue, Response};
use prost::Message as _;
use tonic::{Code, Status};

use crate::peers::{Scripted, answer_of, http1, http2, plain};
use crate::setting::{GENERATE, Outcome, STREAM, answer, call, frame, question};

const MIB: usize = 1 << 20;

/// A status with a message and details of these sizes, in bytes; one with text beyond ASCII.
fn status(message: &str, details: usize) -> Status {
    let detail = prost_types::Any { type_url: "a.b/c.D".into(), value: vec![7; details] };
    let packed = genai_bridge::rpc::Status {
        code: Code::InvalidArgument.into(),
        message: message.into(),
        details: if details > 0 { vec![detail] } else { Vec::new() },
    };
    let details = if details > 0 { packed.encode_to_vec() } else { Vec::new() };
    Status::with_details(Code::InvalidArgument, message, details.into())
}

/// Each with the ways that it is sent: an unoptimised HPACK takes seconds for a mebibyte.
fn statuses() -> Vec<(Status, Vec<(usize, &'static str)>)> {
    let long = |length: usize| "abcd".repeat(length / 4);
    let all = (0..3).flat_map(|service| [(service, GENERATE), (service, STREAM)]).collect();
    vec![
        (status(&long(70_000), 70_000), all),
        (status(&long(MIB), 0), vec![(0, GENERATE)]),
        // Percent-encoded, it has almost three times as many bytes.
        (status(&"\u{e9}\u{4e2d}\n%".repeat(MIB / 8), 0), vec![(2, STREAM)]),
        (status("much is wrong", MIB / 4 * 3), vec![(1, GENERATE)]),
    ]
}

fn head() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).expect("a head")
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).expect("headers");
    trailers
}

/// Services that fail with this status: in trailers alone, in a head alone, and after a message.
async fn services(status: &Status) -> [u16; 3] {
    let trailers = trailers(status);
    let mut alone = head();
    alone.headers_mut().extend(trailers.clone());
    let data = vec![frame(&answer("b").encode_to_vec())];
    let trailers = Some(trailers);
    [
        http2(Scripted { head: head(), data: Vec::new(), trailers: trailers.clone() }).await,
        http2(Scripted { head: alone, data: Vec::new(), trailers: None }).await,
        http2(Scripted { head: head(), data, trailers }).await,
    ]
}

fn build(builder: BridgeBuilder) -> Bridge {
    builder.build().expect("a bridge")
}

fn assert_same(found: &Status, sent: &Status, place: &str) {
    assert_eq!(found.code(), sent.code(), "{place}: {:.200}", found.message());
    assert!(found.message() == sent.message(), "{place}: {} bytes", found.message().len());
    assert!(found.details() == sent.details(), "{place}: {} bytes", found.details().len());
    assert!(Error::of(found).is_none(), "{place}: it is the service's");
}

#[tokio::test]
async fn a_status_of_a_mebibyte_reaches_the_caller_unchanged() {
    for (sent, ways) in statuses() {
        let ports = services(&sent).await;
        for (service, path) in ways {
            let bridge = build(plain(ports[service], Transport::Grpc));
            let outcome = call(bridge, path, &question("?")).await;
            assert_same(&outcome.status, &sent, path);
        }
    }
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn a_status_of_a_mebibyte_passes_the_sidecar_unchanged() {
    for (sent, ways) in statuses() {
        let ports = services(&sent).await;
        for (service, path) in ways {
            let bridge = plain(ports[service], Transport::Grpc);
            let sidecar = crate::sidecar::Running::start(bridge, |s| s).await;
            let client = build(sidecar.plain_client().transport(Transport::Grpc));
            let outcome = call(client, path, &question("?")).await;
            assert_same(&outcome.status, &sent, path);
        }
    }
}

/// The error of the service in JSON, as it prints one.
fn error_json(message: &str) -> String {
    let error = serde_json::json!({"error": {
        "code": 400, "status": "FAILED_PRECONDITION", "message": message,
    }});
    format!("{error:#}")
}

#[tokio::test]
async fn an_error_of_a_mebibyte_over_rest_keeps_its_words() {
    let message = "not \u{e9} \" so\n".repeat(MIB / 11);
    let port = http1(answer_of("400 Bad Request", "application/json", &error_json(&message))).await;
    for path in [GENERATE, STREAM] {
        let outcome = call(build(plain(port, Transport::Rest)), path, &question("?")).await;
        assert_eq!(outcome.status.code(), Code::FailedPrecondition);
        assert!(outcome.status.message() == message, "{} bytes", outcome.status.message().len());
    }
}

/// Nobody may take it for a failure of the network: the service has done its work.
fn assert_too_large(outcome: &Outcome) {
    let status = &outcome.status;
    assert_eq!(status.code(), Code::OutOfRange, "{:.300}", status.message());
    let error = Error::of(status).expect("ours");
    assert_eq!((error.kind(), error.symptom().is_none()), (ErrorKind::MetadataTooLarge, true));
    let text = format!("{error}; {}", error.advice().expect("advice"));
    for words in
        ["host 127.0.0.1:", "limit of 1000", "`BridgeBuilder::max_metadata_size`", "has answered"]
    {
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a_status_over_the_limit_is_told_and_not_sent_again() {
    let patient = || RetryPolicy::google().also(Code::OutOfRange).max_attempts(3);
    for (size, services_of_it) in [(1_000, 3), (300_000, 3), (2 * MIB, 1)] {
        for port in services(&status(&"a".repeat(size), 0)).await.into_iter().take(services_of_it) {
            let bridge = plain(port, Transport::Grpc).max_metadata_size(1000);
            let bridge = build(bridge.retry(patient()).resend(ResendPolicy::WhenUnanswered));
            for path in [GENERATE, STREAM] {
                assert_too_large(&call(bridge.clone(), path, &question("?")).await);
            }
            assert_eq!(bridge.stats().attempts(genai_bridge::ActiveTransport::Grpc), 2);
        }
    }
    let error = error_json(&"a".repeat(100_000));
    let port = http1(answer_of("400 Bad Request", "application/json", &error)).await;
    let bridge = build(plain(port, Transport::Rest).max_metadata_size(1000));
    for path in [GENERATE, STREAM] {
        assert_too_large(&call(bridge.clone(), path, &question("?")).await);
    }
}

/// One call's status of any size costs its neighbours on the connection nothing.
#[tokio::test]
async fn other_calls_on_the_connection_go_on() {
    let mut metadata = trailers(&status("no", 0));
    let large = HeaderValue::from_maybe_shared(Bytes::from(vec![b'a'; 300_000])).expect("a value");
    metadata.insert("x-large", large);
    let port = http2(Scripted { head: head(), data: Vec::new(), trailers: Some(metadata) }).await;
    let bridge = build(plain(port, Transport::Grpc).max_metadata_size(200_000));
    let calls = (0..4).map(|_| {
        let bridge = bridge.clone();
        tokio::spawn(async move { call(bridge, GENERATE, &question("?")).await })
    });
    for outcome in calls.collect::<Vec<_>>() {
        let status = outcome.await.expect("no panic").status;
        assert_eq!(Error::of(&status).map(Error::kind), Some(ErrorKind::MetadataTooLarge));
    }
}
