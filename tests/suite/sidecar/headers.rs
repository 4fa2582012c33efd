//! Headers of HTTP on a gRPC answer: none of them costs a message, the status or a client's
//! connection.

use bytes::Bytes;
use genai_bridge::Transport;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use prost::Message as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Running, get};
use crate::peers::{Scripted, http1, http2, plain};
use crate::servers::{hyper_http2, tonic_unary};
use crate::setting::{GENERATE, Outcome, STREAM, answer, call, frame, question};

/// A unary method, and one whose answer streams.
const METHODS: [&str; 2] = [GENERATE, STREAM];

/// The sidecar over gRPC to this port, with its counters.
async fn sidecar(port: u16) -> Running {
    let admin = ([127, 0, 0, 1], 0).into();
    Running::start(plain(port, Transport::Grpc), |sidecar| sidecar.admin(admin)).await
}

/// The same call to the service itself, and through a sidecar.
async fn both(port: u16, path: &str) -> [Outcome; 2] {
    let sidecar = sidecar(port).await;
    let direct = plain(port, Transport::Grpc).build().expect("a bridge");
    let through = sidecar.plain_client().transport(Transport::Grpc).build().expect("a bridge");
    [call(direct, path, &question("?")).await, call(through, path, &question("?")).await]
}

fn trailers(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers.insert("x-last", HeaderValue::from_static("1"));
    trailers
}

fn head() -> Response<()> {
    let head = Response::builder().header(header::CONTENT_TYPE, "application/grpc");
    head.header("x-extra", "1").body(()).expect("a head")
}

fn blue() -> Bytes {
    frame(&answer("blue").encode_to_vec())
}

/// hyper says how long a body is that knows it; of trailers its length knows nothing.
fn sized(data: Bytes, code: &'static str) -> Response<Body> {
    let ends = async move { Some(Ok(trailers(code))) };
    head().map(|()| Body::new(Full::new(data).with_trailers(ends)))
}

#[tokio::test]
async fn a_length_on_the_head_costs_no_trailers() {
    for (code, data) in [("0", blue()), ("8", Bytes::new()), ("13", blue())] {
        let sent = data.clone();
        let port = hyper_http2(move |_| {
            let sent = sent.clone();
            async move { sized(sent, code) }
        })
        .await;
        for path in METHODS {
            for outcome in both(port, path).await {
                let Outcome { head, messages, status } = &outcome;
                assert_eq!(status.code(), Code::from(code.parse::<i32>().unwrap()), "{outcome:?}");
                // What comes before the failure of a unary call is void, as over REST.
                let has_message = !data.is_empty() && (code == "0" || path == STREAM);
                assert_eq!(messages.len(), usize::from(has_message), "{outcome:?}");
                assert_eq!(
                    head.get("x-extra").map(tonic::metadata::MetadataValue::as_bytes),
                    Some(&b"1"[..])
                );
                assert!(!head.contains_key("content-length"), "{outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_with_a_length_counts_with_its_own_code() {
    let port = hyper_http2(|_| async { sized(blue(), "0") }).await;
    let sidecar = sidecar(port).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    for path in METHODS {
        assert_eq!(call(client.clone(), path, &question("?")).await.status.code(), Code::Ok);
    }
    let admin = sidecar.admin.expect("asked for");
    let text = get(admin, "/metrics", &format!("host: {admin}\r\n")).await;
    for method in ["GenerateContent", "StreamGenerateContent"] {
        let service = "google.ai.generativelanguage.v1beta.GenerativeService";
        let line = format!("{{code=\"OK\",method=\"{service}/{method}\",transport=\"grpc\"}} 1");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn no_header_of_http_costs_a_message_or_the_status() {
    let length = blue().len().to_string();
    for (name, values) in [
        ("accept-ranges", &["none"][..]),
        ("age", &["3"]),
        ("allow", &["POST"]),
        ("alt-svc", &["h3=\":443\"; ma=2592000"]),
        ("cache-control", &["no-store"]),
        ("content-language", &["en"]),
        ("content-length", &[&*length]),
        ("date", &["Thu, 26 Nov 2026 21:22:23 GMT"]),
        ("expires", &["0"]),
        ("link", &["<a>; rel=next"]),
        ("location", &["/elsewhere"]),
        ("pragma", &["no-cache"]),
        ("proxy-authenticate", &["Basic realm=a"]),
        ("retry-after", &["7"]),
        ("server", &["ESF"]),
        ("set-cookie", &["a=1; Path=/", "b=2"]),
        ("strict-transport-security", &["max-age=1"]),
        ("te", &["trailers"]),
        ("trailer", &["grpc-status, grpc-message"]),
        ("vary", &["accept-encoding"]),
        ("via", &["1.1 google", "2 envoy"]),
        ("warning", &["199 - \"odd\""]),
        ("www-authenticate", &["Bearer"]),
    ] {
        let mut script =
            Scripted { head: head(), data: vec![blue()], trailers: Some(trailers("0")) };
        for value in values {
            let value = HeaderValue::from_str(value).expect("a value");
            script.head.headers_mut().append(HeaderName::from_static(name), value);
        }
        let port = http2(script).await;
        for path in METHODS {
            for outcome in both(port, path).await {
                assert_eq!(outcome.status.code(), Code::Ok, "{name}: {outcome:?}");
                assert_eq!(outcome.messages.len(), 1, "{name}: {outcome:?}");
                assert_eq!(
                    outcome.head.get("x-extra").map(tonic::metadata::MetadataValue::as_bytes),
                    Some(&b"1"[..])
                );
            }
        }
    }
}

/// HTTP/2 forbids them, and hyper's servers leave them out.
#[tokio::test]
async fn headers_of_a_connection_do_not_leave_a_server_of_hypers() {
    let port = hyper_http2(|_| async {
        let mut answer = sized(blue(), "0");
        for (name, value) in [
            ("connection", "keep-alive, x-hop"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
        ] {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    })
    .await;
    for path in METHODS {
        for outcome in both(port, path).await {
            assert_eq!(
                (outcome.status.code(), outcome.messages.len()),
                (Code::Ok, 1),
                "{outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_head_alone_keeps_its_status_whatever_its_length_says() {
    for length in [None, Some("0")] {
        let mut script = Scripted { head: head(), data: Vec::new(), trailers: None };
        script.head.headers_mut().extend(trailers("5"));
        if let Some(length) = length {
            script.head.headers_mut().insert("content-length", HeaderValue::from_static(length));
        }
        let alone = http2(script.clone()).await;
        // The same with the status in trailers of its own.
        let parted = Scripted { head: head(), trailers: Some(trailers("5")), ..script };
        for port in [alone, http2(parted).await] {
            for path in METHODS {
                for outcome in both(port, path).await {
                    assert_eq!(outcome.status.code(), Code::NotFound, "{length:?}: {outcome:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_tonic_server_is_seen_through_the_sidecar_as_it_is() {
    let quota = Status::with_details(Code::ResourceExhausted, "slow down", vec![8, 8].into());
    for answered in [Ok(answer("blue")), Err(quota)] {
        let port = tonic_unary(answered.clone()).await;
        let [direct, through] = both(port, GENERATE).await;
        assert_eq!(through.messages, direct.messages);
        assert_eq!(through.status.code(), direct.status.code(), "{through:?}");
        assert_eq!(through.status.message(), direct.status.message());
        assert_eq!(through.status.details(), direct.status.details());
        assert_eq!(through.messages.len(), usize::from(answered.is_ok()));
    }
}

/// The length of what is not sent belongs to the answer; nobody waits for it.
#[tokio::test]
async fn an_answer_without_a_body_ends_whatever_its_length_says() {
    for (verb, status) in [("HEAD", 200), ("GET", 304), ("DELETE", 204)] {
        for more in ["content-length: 10\r\n", "content-length: 10\r\ncontent-encoding: gzip\r\n"] {
            let port =
                http1(format!("HTTP/1.1 {status} A\r\n{more}connection: close\r\n\r\n")).await;
            let sidecar = sidecar(port).await;
            let request = format!(
                "{verb} /v1beta/models HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
                sidecar.address
            );
            let answer = super::exchange(sidecar.address, request).await;
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{verb}: {answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{verb}: {answer}");
            let admin = sidecar.admin.expect("asked for");
            let text = get(admin, "/metrics", &format!("host: {admin}\r\n")).await;
            let line = format!("code=\"{}\",method=\"{verb}\"", status.as_u16());
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
