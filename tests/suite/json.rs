//! Any path of the REST API is called on the bridge's own network, as its calls are.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Fault, Page};
use genai_bridge::{
    ActiveTransport, Bridge, CallOptions, Error, ErrorKind, ResendPolicy, RetryPolicy, SymptomKind,
    Transport,
};
use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::setting::{KEY, behind, direct, through};

const PATH: &str = "/v1beta/interactions";

async fn emulator() -> (Emulator, Bridge) {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).build().expect("a bridge");
    (emulator, bridge)
}

fn error_page(status: u16, name: &str) -> Page {
    let text = json!({"error": {"code": status, "message": "no", "status": name, "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R"}]}});
    Page::new(status)
        .header("content-type", "application/json")
        .header("x-asked", "1")
        .piece(text.to_string())
}

fn kind_of(status: &Status) -> ErrorKind {
    Error::of(status).expect("ours").kind()
}

#[tokio::test]
async fn a_value_goes_up_and_comes_down_with_headers_and_key() {
    let (emulator, bridge) = emulator().await;
    emulator.on_path(
        &Method::POST,
        PATH,
        Page::json(r#"{"id":"i-1","new":[1]}"#).header("x-told", "yes"),
    );
    let request = bridge.json(Method::POST, PATH).query("a b", "c&d").header("x-mine", "1");
    let answer = request.value(&json!({"input": "?"})).send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["x-told"].as_bytes()),
        (200, &b"yes"[..])
    );
    assert_eq!(answer.json::<Value>().expect("JSON"), json!({"id": "i-1", "new": [1]}));
    assert_eq!(answer.json::<Vec<u8>>().expect_err("no list").kind(), ErrorKind::MalformedAnswer);
    let received = &emulator.received()[0];
    assert_eq!(received.target(), "/v1beta/interactions?a%20b=c%26d");
    assert_eq!(received.message(), &br#"{"input":"?"}"#[..]);
    let headers = received.headers();
    assert_eq!(
        (&headers["x-goog-api-key"], &headers["x-mine"]),
        (&KEY.parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!(headers["content-type"], "application/json");
    assert!(headers["x-goog-api-client"].to_str().unwrap().contains("rest/"));
    let stats = bridge.stats();
    assert_eq!((stats.calls(), stats.attempts(ActiveTransport::Rest)), (1, 1));
}

#[tokio::test]
async fn events_come_one_by_one_with_their_names() {
    let (emulator, bridge) = emulator().await;
    let gate = Arc::new(Semaphore::new(0));
    let events = [
        "event: start\nid: 1\ndata: {\"n\":1}\n\n",
        "event: delta\ndata: {\"n\":2}\n\n",
        "event: done\ndata: [DONE]\n\n",
    ];
    emulator.on_path(&Method::POST, PATH, Page::events(events).gate(Arc::clone(&gate)));
    gate.add_permits(1);
    let mut stream = bridge.json(Method::POST, PATH).body("{}").stream().await.expect("a stream");
    let first = stream.next().await.expect("an event").expect("well");
    assert_eq!(
        (first.event(), first.id(), &first.data()[..]),
        (Some("start"), Some("1"), &b"{\"n\":1}"[..])
    );
    gate.add_permits(2);
    let second = stream.next().await.expect("an event").expect("well");
    assert_eq!(second.json::<Value>().expect("JSON"), json!({"n": 2}));
    assert!(stream.next().await.is_none() && stream.is_done());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_error_within_a_stream_is_its_status() {
    let (emulator, bridge) = emulator().await;
    let raw =
        "{\n \"error\": {\"code\": 503, \"message\": \"busy\", \"status\": \"UNAVAILABLE\"}\n}\n";
    for (end, code, words) in [
        (raw.to_owned(), Code::Unavailable, "busy"),
        (format!("data: {}\n\n", raw.replace('\n', " ")), Code::Unavailable, "busy"),
        (
            "event: error\ndata: {\"error\":{\"code\":\"x\",\"message\":\"odd\"}}\n\n".to_owned(),
            Code::Unknown,
            "odd",
        ),
        ("upstream timed out".to_owned(), Code::Internal, ""),
        ("data: {\"a\":".to_owned(), Code::DataLoss, ""),
    ] {
        emulator.on_path(
            &Method::POST,
            PATH,
            Page::events(["data: 1\n\n".to_owned(), end.clone()]),
        );
        let mut stream = bridge.json(Method::POST, PATH).stream().await.expect("a stream");
        assert!(stream.next().await.expect("an event").is_ok());
        let status = stream.next().await.expect("an end").expect_err(&end);
        assert_eq!(status.code(), code, "{end}");
        assert!(status.message().contains(words), "{status}");
        assert!(stream.next().await.is_none() && !stream.is_done());
    }
}

#[tokio::test]
async fn the_services_refusal_comes_as_it_is() {
    let (emulator, bridge) = emulator().await;
    emulator.on_path(&Method::POST, PATH, error_page(429, "RESOURCE_EXHAUSTED"));
    for status in [
        bridge.json(Method::POST, PATH).send().await.expect_err("refused"),
        bridge.json(Method::POST, PATH).stream().await.expect_err("refused"),
        bridge.json(Method::POST, PATH).bytes().await.expect_err("refused"),
    ] {
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "no"));
        assert!(Error::of(&status).is_none() && !status.details().is_empty());
        assert_eq!(status.metadata().get("x-asked").expect("kept"), "1");
    }
}

#[tokio::test]
async fn a_strangers_answer_is_no_success() {
    let (emulator, bridge) = emulator().await;
    let page =
        || Page::new(200).header("content-type", "text/html").piece("<html><title>Log in</title>");
    for (page, kind) in [
        (page(), SymptomKind::NotJson),
        (Page::new(502).piece("<html><title>Bad gateway</title>"), SymptomKind::ForeignError),
        (Page::new(302).header("location", "https://portal.test/"), SymptomKind::Redirected),
        (Page::new(302).header("location", "/v1beta/other"), SymptomKind::Redirected),
    ] {
        emulator.on_path(&Method::POST, PATH, page);
        for status in [
            bridge.json(Method::POST, PATH).send().await.expect_err("no success"),
            bridge.json(Method::POST, PATH).stream().await.expect_err("no success"),
        ] {
            let symptom = Error::of(&status).and_then(Error::symptom).expect("a symptom");
            assert_eq!(symptom.kind(), kind);
        }
    }
    let lone = r#"{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}"#;
    emulator.on_path(&Method::POST, PATH, Page::json(lone));
    let status = bridge.json(Method::POST, PATH).send().await.expect_err("an error");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "busy"));
    let operation =
        r#"{"name": "operations/1", "done": true, "error": {"code": 3, "message": "bad"}}"#;
    emulator.on_path(&Method::POST, PATH, Page::json(operation));
    bridge.json(Method::POST, PATH).send().await.expect("an operation that failed is an answer");
}

#[tokio::test]
async fn a_path_that_leaves_its_place_is_not_sent() {
    let (emulator, bridge) = emulator().await;
    for path in [
        "https://evil.test/v1",
        "//evil.test/x",
        "/v1/../x",
        "/v1/%2e%2e/x",
        "v1/x",
        "/v1/a b",
        "/v1//x",
        "/a\\b",
    ] {
        let status = bridge.json(Method::GET, path).send().await.expect_err(path);
        assert_eq!(
            (status.code(), kind_of(&status)),
            (Code::InvalidArgument, ErrorKind::InvalidRequest),
            "{path}"
        );
    }
    let status =
        bridge.json(Method::GET, "/v1/x").header("a b", "c").send().await.expect_err("no header");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(emulator.received().is_empty());
}

#[tokio::test]
async fn a_verb_decides_what_is_sent_again() {
    let emulator = Emulator::start().await.expect("an emulator");
    let hurried = RetryPolicy::google().backoff(Duration::ZERO, 1.0, Duration::ZERO);
    let bridge = direct(&emulator).build().expect("a bridge");
    let busy = || error_page(503, "UNAVAILABLE");
    for (verb, asked, expected) in [
        (Method::POST, None, 1),
        (Method::PATCH, None, 1),
        (Method::POST, Some(hurried.clone()), 2),
        (Method::GET, Some(hurried.clone()), 2),
        (Method::GET, Some(RetryPolicy::none()), 1),
    ] {
        emulator.clear();
        emulator.on_path(&verb, PATH, Page::json("{}"));
        emulator.once_path(&verb, PATH, busy());
        let mut options = CallOptions::new();
        if let Some(retry) = asked.clone() {
            options = options.retry(retry);
        }
        let sent = bridge.json(verb.clone(), PATH).options(options).send().await;
        assert_eq!(
            (emulator.received().len(), sent.is_ok()),
            (expected, expected == 2),
            "{verb} {asked:?}"
        );
    }
    // A lost connection: a GET is sent again, a POST only where the caller takes the risk.
    for (verb, options, expected) in [
        (Method::GET, CallOptions::new(), true),
        (Method::DELETE, CallOptions::new(), true),
        (Method::POST, CallOptions::new(), false),
        (Method::POST, CallOptions::new().resend(ResendPolicy::WhenUnanswered), true),
        (Method::GET, CallOptions::new().resend(ResendPolicy::Never), false),
    ] {
        let peer = dropping_once().await;
        let builder = Bridge::builder().endpoint(format!("http://127.0.0.1:{peer}"));
        let bridge = builder.proxy(genai_bridge::Proxy::none()).build().expect("a bridge");
        let sent = bridge.json(verb.clone(), PATH).options(options.clone()).send().await;
        assert_eq!(sent.is_ok(), expected, "{verb} {options:?} {sent:?}");
        assert_eq!(bridge.stats().resends(), u64::from(expected), "{verb}");
    }
}

/// A server that drops its first connection once a request has come, and answers on the others.
async fn dropping_once() -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut is_first = true;
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            if !std::mem::take(&mut is_first) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                let _ = socket.write_all(answer).await;
            }
        }
    });
    port
}

#[tokio::test]
async fn bytes_stream_up_and_down_in_constant_memory() {
    let (emulator, bridge) = emulator().await;
    let piece = Bytes::from(vec![7_u8; 64 << 10]);
    let page = Page::new(200).header("content-type", "application/octet-stream");
    emulator.on_path(&Method::GET, "/v1beta/large", page.piece(piece.clone()).rounds(1024));
    let answer = bridge.json(Method::GET, "/v1beta/large").bytes().await.expect("a head");
    let mut body = answer.into_body();
    let (mut length, mut largest) = (0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.expect("whole").into_data().expect("data");
        length += data.len();
        largest = largest.max(data.len());
    }
    assert_eq!(length, 64 << 20);
    assert!(largest <= 1 << 20, "{largest}");

    emulator.on_path(&Method::PUT, "/v1beta/up", Page::json("{}"));
    let body = Body::new(Full::new(piece.clone()).map_err(|never| match never {}));
    let request =
        bridge.json(Method::PUT, "/v1beta/up").header("content-type", "a/b").body_stream(body);
    request.send().await.expect("taken");
    let received = emulator.received().pop().expect("a request");
    assert_eq!(
        (received.message(), &received.headers()["content-type"]),
        (&piece, &"a/b".parse().unwrap())
    );
}

#[tokio::test]
async fn bytes_follow_a_redirect_within_the_origin_alone() {
    let (emulator, bridge) = emulator().await;
    let to = |place: &str| Page::new(302).header("location", place);
    emulator.on_path(&Method::GET, "/v1beta/a", to("/v1beta/b?x=1"));
    emulator.on_path(&Method::GET, "/v1beta/b", to(&format!("{}/v1beta/c", emulator.endpoint())));
    emulator.on_path(&Method::GET, "/v1beta/c", Page::new(200).piece("here"));
    let answer = bridge.json(Method::GET, "/v1beta/a").bytes().await.expect("an answer");
    assert_eq!(answer.into_body().collect().await.expect("whole").to_bytes(), "here");
    let targets: Vec<_> = emulator.received().iter().map(|one| one.target().to_owned()).collect();
    assert_eq!(targets, ["/v1beta/a", "/v1beta/b?x=1", "/v1beta/c"]);
    emulator.clear();
    for place in ["https://evil.test/x", "//evil.test/x", "/v1beta/../x", "http://localhost/x", ""]
    {
        emulator.on_path(&Method::GET, "/v1beta/a", to(place));
        let status = bridge.json(Method::GET, "/v1beta/a").bytes().await.expect_err(place);
        assert_eq!(kind_of(&status), ErrorKind::ForeignAnswer, "{place}");
    }
    emulator.on_path(&Method::GET, "/v1beta/a", to("/v1beta/a"));
    bridge.json(Method::GET, "/v1beta/a").bytes().await.expect_err("a circle");
    assert_eq!(emulator.received().len(), 5 + 6);
}

#[tokio::test]
async fn a_deadline_and_silence_end_what_does_not_come() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge =
        direct(&emulator).stream_idle_limit(Duration::from_millis(300)).build().expect("a bridge");
    let gate = Arc::new(Semaphore::new(1));
    let page = Page::events(["data: 1\n\n", "data: 2\n\n"]).gate(gate);
    emulator.on_path(&Method::POST, PATH, page.clone());
    let mut stream = bridge.json(Method::POST, PATH).stream().await.expect("a stream");
    assert!(stream.next().await.expect("an event").is_ok());
    let status = stream.next().await.expect("an end").expect_err("silence");
    let symptom = Error::of(&status).and_then(Error::symptom).expect("a symptom");
    assert_eq!(symptom.kind(), SymptomKind::BodyStalled);
    let request = bridge.json(Method::POST, PATH).timeout(Duration::from_millis(200));
    let status = request.send().await.expect_err("no answer");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn it_goes_over_rest_where_grpc_is_broken_and_where_grpc_was_chosen() {
    for fault in [Fault::Pass, Fault::InspectHttp1, Fault::TrailersStripped] {
        for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
            let (emulator, proxy) = behind(fault).await;
            emulator.on_path(&Method::POST, PATH, Page::json("{}"));
            let bridge = through(&emulator, &proxy).transport(transport).build().expect("a bridge");
            bridge.json(Method::POST, PATH).body("{}").send().await.expect("an answer");
            assert_eq!(emulator.received().len(), 1, "{fault:?} {transport}");
        }
    }
}

#[tokio::test]
async fn a_stranger_that_repeats_the_key_is_not_quoted() {
    let (emulator, bridge) = emulator().await;
    emulator.on_path(&Method::POST, PATH, Page::new(500).piece(format!("you sent {KEY}")));
    let request = bridge.json(Method::POST, PATH).header("authorization", "Bearer hidden-token");
    assert!(!format!("{request:?}").contains("hidden-token"));
    let status = bridge.json(Method::POST, PATH).send().await.expect_err("an error");
    assert!(status.message().contains("you sent ***"), "{status}");
    assert!(!format!("{status:?} {:?}", Error::of(&status)).contains(KEY));
}
