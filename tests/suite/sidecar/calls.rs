//! Calls through the sidecar, beside the same calls to the emulator itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, RetryPolicy, Transport};
use http_body_util::{BodyExt, Full};
use prost::Message as _;
use tokio::sync::Semaphore;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tower_service::Service as _;

use super::{Running, keyless};
use crate::setting::{
    BOTH, GENERATE, LIST_MODELS, Outcome, STREAM, answer, call, call_raw, direct, frame, question,
    text_of,
};

fn build(builder: genai_bridge::BridgeBuilder) -> Bridge {
    builder.build().expect("a bridge")
}

/// What the caller can tell apart; who passed it on stays out of it.
fn seen(outcome: &Outcome) -> (Vec<Bytes>, Code, String, Bytes, Option<String>) {
    let extra = outcome.head.get("x-extra").map(|value| value.to_str().unwrap().to_owned());
    let Outcome { messages, status, .. } = outcome;
    let details = Bytes::copy_from_slice(status.details());
    (messages.clone(), status.code(), status.message().to_owned(), details, extra)
}

#[tokio::test]
async fn a_client_sees_the_same_as_from_the_service() {
    let emulator = Emulator::start().await.expect("an emulator");
    let details = genai_bridge::rpc::Status {
        code: 8,
        message: "slow down".into(),
        details: vec![prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: vec![10, 2, 8, 30],
        }],
    };
    let quota =
        Status::with_details(Code::ResourceExhausted, "slow down", details.encode_to_vec().into());
    let replies = [
        Reply::message(&answer("blue")).metadata("x-extra", "1"),
        Reply::messages([answer("b"), answer("l")]).metadata("x-extra", "2"),
        Reply::error(quota.clone()),
        Reply::error(Status::not_found("no such model")),
        Reply::error(Status::permission_denied("not you")),
        Reply::messages([answer("b")]).then_error(quota),
        Reply::messages([answer("all")]),
    ];
    for upstream in BOTH {
        let sidecar = Running::start(keyless(&emulator).transport(upstream), |s| s).await;
        for own in BOTH {
            let no_retry = RetryPolicy::none();
            let straight = build(direct(&emulator).transport(own).retry(no_retry));
            let clients = [
                build(sidecar.client().transport(own)),
                build(sidecar.plain_client().transport(own)),
            ];
            for (index, reply) in replies.iter().enumerate() {
                // A unary method has exactly one message or an error.
                for path in
                    if [1, 5, 6].contains(&index) { &[STREAM][..] } else { &[STREAM, GENERATE] }
                {
                    emulator.on(path, reply.clone());
                    let expected = call(straight.clone(), path, &question("?")).await;
                    for client in &clients {
                        let through = call(client.clone(), path, &question("?")).await;
                        let place = format!("{path}, reply {index}, {own:?} then {upstream:?}");
                        assert_eq!(seen(&through), seen(&expected), "{place}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn bytes_and_metadata_pass_untouched() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::over(&emulator).await;
    let mut client = build(sidecar.plain_client().transport(Transport::Grpc));
    // Unknown fields, in an order that no encoder would choose.
    let message = [question("?").encode_to_vec(), vec![0xfa, 0x7f, 1, 7]].concat();
    let request = http::Request::post(GENERATE)
        .header("x-mine", "1")
        .header("x-mine-bin", "AAE")
        .header("user-agent", "grpc-python/1.85")
        .body(tonic::body::Body::new(Full::new(frame(&message))))
        .expect("a request");
    client.call(request).await.expect("an answer");
    let [received] = &emulator.received()[..] else { panic!("one call") };
    assert_eq!(received.message(), &message);
    assert_eq!(received.headers()["x-mine"], "1");
    assert_eq!(received.headers()["x-mine-bin"], "AAE");
    let agent = received.headers()["user-agent"].to_str().expect("text");
    assert!(agent.starts_with("grpc-python/1.85"), "{agent}");
    assert!(!received.headers().contains_key("host"));
}

#[tokio::test]
async fn compressed_messages_pass_both_ways() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::message(&answer("blue")).compressed());
    let sidecar = Running::over(&emulator).await;
    let client = build(sidecar.client().transport(Transport::Grpc));
    let mut client = GenerativeServiceClient::new(client)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let answered = client.generate_content(question("?")).await.expect("an answer");
    assert_eq!(text_of(answered.get_ref()), "blue");
    let received = emulator.received();
    assert_eq!(received[0].headers()["grpc-encoding"], "gzip");
    assert!(received[0].headers().contains_key("grpc-accept-encoding"));
}

#[tokio::test]
async fn messages_of_a_stream_arrive_one_by_one() {
    let emulator = Emulator::start().await.expect("an emulator");
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(STREAM, Reply::messages([answer("a"), answer("b")]).gate(Arc::clone(&gate)));
    for upstream in BOTH {
        let sidecar = Running::start(keyless(&emulator).transport(upstream), |s| s).await;
        for own in BOTH {
            let client = build(sidecar.client().transport(own));
            let mut client = GenerativeServiceClient::new(client);
            // Over REST the head comes with the first message.
            gate.add_permits(1);
            let mut stream =
                client.stream_generate_content(question("?")).await.expect("a stream").into_inner();
            for text in ["a", "b"] {
                let message = stream.message().await.expect("no error").expect("a message");
                assert_eq!(text_of(&message), text);
                gate.add_permits(usize::from(text == "a"));
            }
            assert!(stream.message().await.expect("no error").is_none());
        }
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_is_given_up_at_the_service() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::never());
    let mut cancelled = 0;
    for upstream in BOTH {
        let sidecar = Running::start(keyless(&emulator).transport(upstream), |s| s).await;
        for own in BOTH {
            let client = build(sidecar.client().transport(own));
            let before = emulator.received().len();
            let calling = tokio::spawn(async move { call(client, GENERATE, &question("?")).await });
            emulator.received_when(before + 1).await;
            calling.abort();
            cancelled += 1;
            let place = format!("{own:?} then {upstream:?}");
            assert_eq!(emulator.cancelled_when(cancelled).await, cancelled, "{place}");
        }
    }
}

#[tokio::test]
async fn the_clients_deadline_holds_at_the_service() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::message(&answer("late")).gate(Arc::new(Semaphore::new(0))));
    let sidecar = Running::over(&emulator).await;
    let mut client = build(sidecar.plain_client().transport(Transport::Grpc));
    let request = http::Request::post(GENERATE)
        .header("grpc-timeout", "300m")
        .body(tonic::body::Body::new(Full::new(frame(&question("?").encode_to_vec()))))
        .expect("a request");
    let status = match client.call(request).await {
        Ok(answer) => Status::from_header_map(answer.headers()).expect("a status"),
        Err(status) => status,
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let timeout = emulator.received()[0].headers()["grpc-timeout"].to_str().unwrap().to_owned();
    let micros: u64 = timeout.trim_end_matches('u').parse().expect("micros");
    assert!(Duration::from_micros(micros) <= Duration::from_millis(300), "{timeout}");
}

#[tokio::test]
async fn a_method_of_no_known_service_passes_over_grpc() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::over(&emulator).await;
    let client = build(sidecar.client().transport(Transport::Grpc));
    let outcome = call_raw(client, "/some.Service/Method", frame(b"x")).await;
    assert_eq!(outcome.status.code(), Code::Unimplemented);
    assert_eq!(emulator.received()[0].method(), "/some.Service/Method");
}

#[tokio::test]
async fn calls_switch_to_rest_where_grpc_is_broken() {
    use genai_bridge::emulator::Fault;
    let (emulator, proxy) = crate::setting::behind(Fault::InspectHttp1).await;
    let bridge = crate::setting::through(&emulator, &proxy);
    let sidecar = Running::start(bridge, |s| s).await;
    let client = build(sidecar.client().transport(Transport::Grpc));
    for _ in 0..2 {
        let outcome = call(client.clone(), GENERATE, &question("?")).await;
        assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    }
    assert!(emulator.received().iter().all(genai_bridge::emulator::Received::is_rest));
    assert_eq!(emulator.count(GENERATE), 2);
}

#[tokio::test]
async fn rest_requests_are_forwarded_as_they_are() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::over(&emulator).await;
    let body = r#"{"contents":[{"parts":[{"text":"?"}]}],"unknownField":1}"#;
    let head = format!(
        "POST /v1beta/models/gemini-2.5-flash:generateContent?alt=json HTTP/1.1\r\nhost: {}\r\n\
         x-goog-api-key: mine\r\ncontent-type: application/json\r\nconnection: close, x-hop\r\n\
         x-hop: 1\r\nx-mine: 2\r\ncontent-length: {}\r\n\r\n{body}",
        sidecar.address,
        body.len(),
    );
    let answer = super::exchange(sidecar.address, head).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "the emulator knows no such field: {answer}");
    let [received] = &emulator.received()[..] else { panic!("one request") };
    assert_eq!(received.target(), "/v1beta/models/gemini-2.5-flash:generateContent?alt=json");
    assert_eq!(received.headers()["x-goog-api-key"], "mine");
    assert_eq!(received.headers()["x-mine"], "2");
    assert!(!received.headers().contains_key("x-hop"));
}

#[tokio::test]
async fn a_dead_upstream_is_named_in_both_forms() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = gone.local_addr().expect("an address").port();
    drop(gone);
    let bridge = crate::peers::plain(port, Transport::Auto);
    let sidecar = Running::start(bridge, |s| s).await;
    let client = build(sidecar.client().transport(Transport::Grpc));
    let outcome = call(client, GENERATE, &question("?")).await;
    assert_eq!(outcome.status.code(), Code::Unavailable);
    assert!(
        outcome.status.message().contains(&format!("127.0.0.1:{port}")),
        "{:?}",
        outcome.status
    );
    let host = format!("host: {}\r\n", sidecar.address);
    let answer = super::get(sidecar.address, "/v1beta/models", &host).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("\"status\": \"UNAVAILABLE\""), "{answer}");
}

#[tokio::test]
async fn a_reader_that_pauses_holds_the_stream_back() {
    let emulator = Emulator::start().await.expect("an emulator");
    let big = answer(&"x".repeat(1 << 20));
    emulator.on(STREAM, Reply::messages(vec![big; 64]));
    let sidecar = Running::over(&emulator).await;
    let mut client = build(sidecar.plain_client().transport(Transport::Grpc));
    let request = http::Request::post(STREAM)
        .body(tonic::body::Body::new(Full::new(frame(&question("?").encode_to_vec()))))
        .expect("a request");
    let mut body = client.call(request).await.expect("an answer").into_body();
    body.frame().await.expect("a frame").expect("data");
    // Unread, the windows fill and the emulator is not asked for more; read, all of it comes.
    let mut length = 0;
    while let Some(part) = body.frame().await {
        length += part.expect("no error").into_data().map_or(0, |data| data.len());
    }
    assert!(length > 60 << 20);
    assert_eq!(emulator.count(LIST_MODELS), 0);
}
