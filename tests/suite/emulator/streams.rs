//! Streams in each framing, broken off by either side.

use std::sync::Arc;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::GenerateContentRequest;
use http::Version;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tonic::Code;

use super::client::{grpc, grpc_request, request, rest, send};
use super::{GENERATE, GENERATE_URL, QUOTA_JSON, STREAM, STREAM_URL, numbered, plain, quota};

#[tokio::test]
async fn events_are_framed_as_google_frames_them() {
    let emulator = plain().await;
    emulator.on(STREAM, Reply::messages(numbered(2)));
    let answer = rest(&emulator, "POST", &format!("{STREAM_URL}?alt=sse"), "{}").await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("content-disposition"), "attachment");
    let expected = "data: {\"modelVersion\":\"0\"}\r\n\r\ndata: {\"modelVersion\":\"1\"}\r\n\r\n";
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn an_array_is_written_element_by_element() {
    let emulator = plain().await;
    emulator.once(STREAM, Reply::messages(numbered(2)));
    emulator.once(STREAM, Reply::messages(numbered(0)));
    let answer = rest(&emulator, "POST", STREAM_URL, "{}").await;
    assert_eq!(answer.header("content-type"), "application/json; charset=UTF-8");
    let expected = "[{\n  \"modelVersion\": \"0\"\n}\n,\r\n{\n  \"modelVersion\": \"1\"\n}\n]";
    assert_eq!(answer.text(), expected);
    assert_eq!(rest(&emulator, "POST", STREAM_URL, "{}").await.text(), "[]");
}

#[tokio::test]
async fn an_error_after_messages_stands_outside_the_events_and_inside_the_array() {
    let emulator = plain().await;
    emulator.on(STREAM, Reply::messages(numbered(1)).then_error(quota()));
    let events = rest(&emulator, "POST", &format!("{STREAM_URL}?alt=sse"), "{}").await;
    assert_eq!(events.status, 200);
    assert_eq!(events.text(), format!("data: {{\"modelVersion\":\"0\"}}\r\n\r\n{QUOTA_JSON}"));
    let array = rest(&emulator, "POST", STREAM_URL, "{}").await;
    assert_eq!(array.json()[1]["error"]["status"], "RESOURCE_EXHAUSTED");
    let answer = grpc(&emulator, STREAM, &GenerateContentRequest::default()).await;
    assert_eq!((answer.body.len(), answer.grpc_status().code()), (8, Code::ResourceExhausted));
    assert_eq!(answer.grpc_status().details(), quota().details());
}

#[tokio::test]
async fn an_error_before_a_stream_has_its_own_status() {
    let emulator = plain().await;
    emulator.on(STREAM, Reply::error(quota()));
    for (target, content_type) in [
        (STREAM_URL.to_owned(), "application/json; charset=UTF-8"),
        (format!("{STREAM_URL}?alt=sse"), "text/event-stream"),
    ] {
        let answer = rest(&emulator, "POST", &target, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (429, content_type));
        assert_eq!(answer.text(), format!("{QUOTA_JSON}\n"));
    }
}

/// Over each road: the version of HTTP, the target, and whether it is gRPC.
const ROADS: [(Version, &str); 3] =
    [(Version::HTTP_11, STREAM_URL), (Version::HTTP_2, STREAM_URL), (Version::HTTP_2, STREAM)];

fn request_over(
    emulator: &Emulator,
    target: &str,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    if target == STREAM {
        grpc_request(emulator, STREAM, &GenerateContentRequest::default())
    } else {
        request(emulator, "POST", target, "{}")
    }
}

#[tokio::test]
async fn messages_come_one_by_one() {
    let emulator = plain().await;
    for (version, target) in ROADS {
        let gate = Arc::new(Semaphore::new(0));
        emulator.once(STREAM, Reply::messages(numbered(2)).gate(Arc::clone(&gate)));
        let mut answer = send(&emulator, version, request_over(&emulator, target)).await;
        let mut parts = Vec::new();
        for _ in 0..2 {
            gate.add_permits(1);
            parts.push(answer.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        let (first, second) = (&parts[0], &parts[1]);
        assert!(first.ends_with(b"0") || first.ends_with(b"\"0\"\n}"), "{first:?}");
        assert!(second.ends_with(b"1") || second.ends_with(b"\"1\"\n}"), "{second:?}");
        answer.collect().await.unwrap();
    }
    assert_eq!(emulator.reset_streams(), 0);
}

#[tokio::test]
async fn a_stream_that_the_client_drops_is_counted() {
    let emulator = plain().await;
    for (count, (version, target)) in (1..).zip(ROADS) {
        let gate = Arc::new(Semaphore::new(1));
        emulator.once(STREAM, Reply::messages(numbered(2)).gate(gate));
        let mut answer = send(&emulator, version, request_over(&emulator, target)).await;
        answer.frame().await.unwrap().unwrap();
        drop(answer);
        assert_eq!(emulator.cancelled_when(count).await, count, "{version:?} {target}");
    }
}

#[tokio::test]
async fn silence_is_only_ended_by_the_client() {
    let emulator = plain().await;
    emulator.on(GENERATE, Reply::never());
    for (count, version) in (1..).zip([Version::HTTP_11, Version::HTTP_2]) {
        let asked = request(&emulator, "POST", GENERATE_URL, "{}");
        tokio::select! {
            answer = send(&emulator, version, asked) => panic!("{answer:?}"),
            received = emulator.received_when(count) => assert_eq!(received.len(), count),
        }
        assert_eq!(emulator.cancelled_when(count).await, count, "{version:?}");
    }
}
