//! Shutdown: calls finish, or end in order; nothing new begins.

use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Transport};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tonic::Code;

use super::{Running, keyless};
use crate::setting::{GENERATE, STREAM, answer, call, question, text_of};

async fn setting(patience: Duration) -> (Emulator, Arc<Semaphore>, Running, Bridge) {
    let emulator = Emulator::start().await.expect("an emulator");
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::messages([answer("a"), answer("b")]).gate(Arc::clone(&gate));
    emulator.on(STREAM, reply);
    emulator.on(GENERATE, Reply::message(&answer("a")).gate(Arc::clone(&gate)));
    let bridge = keyless(&emulator).transport(Transport::Grpc);
    let sidecar = Running::start(bridge, |s| s.shutdown_timeout(patience)).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    (emulator, gate, sidecar, client)
}

#[tokio::test]
async fn a_stream_under_way_finishes_and_new_clients_are_turned_away() {
    let (_emulator, gate, sidecar, client) = setting(Duration::from_secs(60)).await;
    let mut client = GenerativeServiceClient::new(client);
    gate.add_permits(1);
    let mut stream =
        client.stream_generate_content(question("?")).await.expect("a stream").into_inner();
    assert_eq!(text_of(&stream.message().await.unwrap().unwrap()), "a");
    let address = sidecar.address;
    let ended = sidecar.stop();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!ended.is_finished());
    gate.add_permits(1);
    assert_eq!(text_of(&stream.message().await.unwrap().unwrap()), "b");
    assert!(stream.message().await.expect("in order").is_none());
    ended.await.expect("no panic");
}

#[tokio::test]
async fn what_does_not_finish_in_time_ends_with_a_status() {
    let (emulator, gate, sidecar, client) = setting(Duration::ZERO).await;
    gate.add_permits(1);
    let mut streaming = GenerativeServiceClient::new(client.clone());
    let mut stream =
        streaming.stream_generate_content(question("?")).await.expect("a stream").into_inner();
    assert_eq!(text_of(&stream.message().await.unwrap().unwrap()), "a");
    let unary = tokio::spawn(async move { call(client, GENERATE, &question("?")).await });
    emulator.received_when(2).await;
    let ended = sidecar.stop();
    let status = stream.message().await.expect_err("ended");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the sidecar is shutting down")
    );
    let status = unary.await.expect("no panic").status;
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the sidecar is shutting down")
    );
    ended.await.expect("no panic");
    assert_eq!(emulator.cancelled_when(2).await, 2);
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    let (_emulator, _gate, sidecar, client) = setting(Duration::from_secs(60)).await;
    client.connect().await.expect("a connection");
    let silent = TcpStream::connect(sidecar.address).await.expect("a connection");
    sidecar.stop().await.expect("no panic");
    drop(silent);
}
