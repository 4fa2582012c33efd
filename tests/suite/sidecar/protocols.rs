//! Protocols: what is not spoken is refused in words that its client understands; an offer is
//! passed over.

use genai_bridge::emulator::Emulator;

use super::{Running, exchange, get, keyless};
use crate::setting::GENERATE;

#[tokio::test]
async fn an_offer_to_upgrade_is_passed_over_but_for_websockets() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(keyless(&emulator), |sidecar| sidecar).await;
    for (offer, code) in [
        (
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
            200,
        ),
        ("connection: upgrade\r\nupgrade: TLS/1.2\r\n", 200),
        ("connection: upgrade\r\nupgrade: WebSocket\r\n", 501),
        ("connection: upgrade\r\nupgrade: h2c, websocket\r\n", 501),
    ] {
        let headers = format!("host: {}\r\n{offer}", sidecar.address);
        let answer = get(sidecar.address, "/v1beta/models", &headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{offer}{answer}");
        assert_eq!(answer.contains("does not carry WebSockets"), code == 501, "{answer}");
    }
    for received in emulator.received() {
        assert!(!received.headers().contains_key("upgrade"));
        assert!(!received.headers().contains_key("http2-settings"));
    }
}

#[tokio::test]
async fn other_protocols_are_refused_in_their_own_words() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(keyless(&emulator), |sidecar| sidecar).await;
    let post = format!("POST {GENERATE} HTTP/1.1\r\nhost: {}\r\n", sidecar.address);
    for (head, expected) in [
        (
            format!("{post}content-type: application/grpc-web+proto\r\n"),
            ["200 OK", "content-type: application/grpc-web+proto", "grpc-status: 12"],
        ),
        (
            format!("{post}content-type: application/grpc-web-text\r\n"),
            ["200 OK", "content-type: application/grpc-web-text", "does%20not%20speak%20gRPC-Web"],
        ),
        (
            format!("{post}content-type: application/grpc\r\nte: trailers\r\n"),
            ["200 OK", "grpc-status: 12", "over%20HTTP/2"],
        ),
        (
            format!("{post}content-type: application/json\r\nconnect-protocol-version: 1\r\n"),
            ["501 Not Implemented", r#""code":"unimplemented""#, "does not speak Connect"],
        ),
        (
            format!("{post}content-type: application/connect+proto\r\n"),
            ["501 Not Implemented", r#""code":"unimplemented""#, "does not speak Connect"],
        ),
        (
            "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n".to_owned(),
            ["501 Not Implemented", "UNIMPLEMENTED", "is not a proxy"],
        ),
    ] {
        let request = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
        let answer = exchange(sidecar.address, request).await;
        for part in expected {
            assert!(answer.contains(part), "{head}{answer}");
        }
    }
    assert!(emulator.received().is_empty());
}

#[tokio::test]
async fn a_client_that_still_writes_reads_why_it_is_refused() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = keyless(&emulator).max_message_size(MIB);
    let sidecar = Running::start(bridge, |sidecar| sidecar).await;
    let post = format!("POST {GENERATE} HTTP/1.1\r\nhost: {}\r\n", sidecar.address);
    let body = vec![b' '; 16 * MIB];
    for (headers, expected) in [
        ("", "larger than the limit"),
        ("origin: https://evil.test\r\n", "comes from a web page"),
        ("content-type: application/grpc-web\r\n", "does%20not%20speak%20gRPC-Web"),
    ] {
        let length = body.len();
        let head = format!("{post}{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        // All of it is written before the answer is read; `exchange` fails where the connection is
        // closed meanwhile.
        let answer = exchange(sidecar.address, [head.as_bytes(), &body].concat()).await;
        assert!(answer.contains(expected), "{headers}{answer}");
    }
    let head = format!("{post}content-length: 99999999\r\nexpect: 100-continue\r\n\r\n");
    let answer = exchange(sidecar.address, head).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "nothing more is asked for: {answer}");
    assert!(emulator.received().is_empty());
}

const MIB: usize = 1024 * 1024;
