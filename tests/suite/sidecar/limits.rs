//! Limits: what one client takes, others do not lack.

use std::sync::Arc;
use std::time::Duration;

use genai_bridge::Transport;
use genai_bridge::emulator::{Emulator, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tonic::Code;

use super::{Running, exchange, keyless};
use crate::setting::{BOTH, GENERATE, answer, call, question};

#[tokio::test]
async fn a_message_over_the_limit_is_refused_in_both_forms() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(keyless(&emulator).max_message_size(1000), |s| s).await;
    for form in BOTH {
        let client = sidecar.client().transport(form).build().expect("a bridge");
        let outcome = call(client.clone(), GENERATE, &question(&"x".repeat(2000))).await;
        let status = &outcome.status;
        assert!(matches!(status.code(), Code::OutOfRange | Code::InvalidArgument), "{status:?}");
        assert!(status.message().contains("limit of 100"), "{status:?}");
        assert_eq!(call(client, GENERATE, &question("?")).await.status.code(), Code::Ok);
    }
    assert_eq!(emulator.count(GENERATE), 2);
}

#[tokio::test]
async fn requests_beyond_the_memory_for_them_are_refused_and_later_ones_not() {
    let emulator = Emulator::start().await.expect("an emulator");
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("a")).gate(Arc::clone(&gate)));
    let bridge = keyless(&emulator).transport(Transport::Grpc);
    let sidecar = Running::start(bridge, |s| s.request_memory(3000)).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    let big = question(&"x".repeat(2000));
    let held = tokio::spawn({
        let (client, big) = (client.clone(), big.clone());
        async move { call(client, GENERATE, &big).await }
    });
    emulator.received_when(1).await;
    let refused = call(client.clone(), GENERATE, &big).await;
    assert_eq!(refused.status.code(), Code::ResourceExhausted);
    gate.add_permits(2);
    assert_eq!(held.await.expect("no panic").status.code(), Code::Ok);
    assert_eq!(call(client, GENERATE, &big).await.status.code(), Code::Ok);
}

#[tokio::test]
async fn calls_beyond_their_number_are_refused_as_unavailable() {
    let emulator = Emulator::start().await.expect("an emulator");
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("a")).gate(Arc::clone(&gate)));
    let bridge = keyless(&emulator).transport(Transport::Grpc);
    let sidecar = Running::start(bridge, |s| s.calls(1)).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    let first = client.clone();
    let held = tokio::spawn(async move { call(first, GENERATE, &question("?")).await });
    emulator.received_when(1).await;
    let refused = call(client.clone(), GENERATE, &question("?")).await;
    assert_eq!(refused.status.code(), Code::Unavailable);
    gate.add_permits(1);
    assert_eq!(held.await.expect("no panic").status.code(), Code::Ok);
    assert_eq!(emulator.count(GENERATE), 1);
}

#[tokio::test]
async fn connections_beyond_their_number_wait_for_others_to_close() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(keyless(&emulator), |s| s.connections(1)).await;
    let first = TcpStream::connect(sidecar.address).await.expect("a connection");
    let request = format!(
        "GET /v1beta/models HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        sidecar.address
    );
    let second = tokio::spawn(exchange(sidecar.address, request));
    let early = tokio::time::timeout(Duration::from_millis(200), emulator.received_when(1)).await;
    assert!(early.is_err(), "{early:?}");
    drop(first);
    assert!(second.await.expect("no panic").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_without_calls_is_closed() {
    let emulator = Emulator::start().await.expect("an emulator");
    let idle = Duration::from_millis(100);
    let sidecar = Running::start(keyless(&emulator), |s| s.idle_timeout(idle)).await;
    for begin in ["", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "GET / HT"] {
        // The peer closes, or this never ends.
        exchange(sidecar.address, begin).await;
    }
}

#[tokio::test]
async fn a_call_under_way_keeps_its_connection() {
    let emulator = Emulator::start().await.expect("an emulator");
    let pause = Duration::from_millis(400);
    emulator.on(GENERATE, Reply::message(&answer("a")));
    let stream = Reply::messages([answer("a"), answer("b")]).pause(pause);
    emulator.on(crate::setting::STREAM, stream);
    let idle = Duration::from_millis(100);
    let bridge = keyless(&emulator).transport(Transport::Grpc);
    let sidecar = Running::start(bridge, |s| s.idle_timeout(idle)).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    let outcome = call(client, crate::setting::STREAM, &question("?")).await;
    assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    assert_eq!(outcome.messages.len(), 2);
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let emulator = Emulator::start().await.expect("an emulator");
    let patience = Duration::from_millis(100);
    let sidecar = Running::start(keyless(&emulator), |s| s.request_timeout(patience)).await;
    let mut socket = TcpStream::connect(sidecar.address).await.expect("a connection");
    let head = format!(
        "POST /v1beta/models/m:generateContent HTTP/1.1\r\nhost: {}\r\ncontent-length: 100\r\n\r\n{{",
        sidecar.address
    );
    socket.write_all(head.as_bytes()).await.expect("room");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an end");
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(emulator.received().is_empty());
}
