//! Connections: one dial for all that wait, more under load, none kept that is no longer needed.

use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Transport};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::setting::{GENERATE, STREAM, answer, behind, change, client, question, through};

/// Far beyond what a call needs on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn ask_at_once(bridge: &Bridge, calls: usize) -> JoinSet<Result<(), Status>> {
    let mut running = JoinSet::new();
    for _ in 0..calls {
        let mut client = GenerativeServiceClient::new(bridge.clone());
        running.spawn(async move { client.generate_content(question("?")).await.map(drop) });
    }
    running
}

async fn all_answered(mut running: JoinSet<Result<(), Status>>) {
    while let Some(call) = running.join_next().await {
        call.expect("no panic").expect("an answer");
    }
}

#[tokio::test]
async fn calls_that_come_together_share_one_dial() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc).build().expect("a bridge");
    all_answered(ask_at_once(&bridge, 50)).await;
    assert_eq!((emulator.count(GENERATE), proxy.counts().tunnels()), (50, 1));
}

#[tokio::test]
async fn metadata_that_the_peer_does_not_take_ends_its_own_call_alone() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("x")).gate(Arc::clone(&gate)));
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc).build().expect("a bridge");
    let neighbours = ask_at_once(&bridge, 5);
    emulator.received_when(5).await;
    let mut request = tonic::Request::new(question("?"));
    let large = "x".repeat(100 * 1024).parse().expect("a value");
    request.metadata_mut().insert("x-large", large);
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let refused = client.generate_content(request).await.expect_err("too large");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    gate.add_permits(5);
    all_answered(neighbours).await;
    assert_eq!((emulator.count(GENERATE), proxy.counts().tunnels()), (5, 1));
}

#[tokio::test]
async fn another_connection_is_opened_beyond_a_hundred_calls() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("x")).gate(Arc::clone(&gate)));
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc).build().expect("a bridge");
    let running = ask_at_once(&bridge, 250);
    emulator.received_when(250).await;
    assert_eq!(proxy.counts().tunnels(), 3);
    gate.add_permits(250);
    all_answered(running).await;
}

#[tokio::test]
async fn the_peers_own_limit_of_streams_is_kept() {
    let emulator =
        Emulator::builder().max_concurrent_streams(10).start().await.expect("an emulator");
    let proxy = genai_bridge::emulator::HostileProxy::start(Fault::Pass).await.expect("a proxy");
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("x")).gate(Arc::clone(&gate)));
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc).build().expect("a bridge");
    let running = ask_at_once(&bridge, 30);
    emulator.received_when(30).await;
    assert!((3..=4).contains(&proxy.counts().tunnels()), "{}", proxy.counts().tunnels());
    gate.add_permits(30);
    all_answered(running).await;
}

#[tokio::test]
async fn calls_beyond_the_peers_limit_queue_where_no_connection_can_be_added() {
    let emulator =
        Emulator::builder().max_concurrent_streams(2).start().await.expect("an emulator");
    let proxy = genai_bridge::emulator::HostileProxy::start(Fault::Pass).await.expect("a proxy");
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("x")).gate(Arc::clone(&gate)));
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc).build().expect("a bridge");
    let first = ask_at_once(&bridge, 2);
    emulator.received_when(2).await;
    proxy.set(Fault::ConnectForbidden);
    let others = ask_at_once(&bridge, 8);
    proxy.wait_until(|counts| counts.strikes() > 0).await;
    gate.add_permits(10);
    all_answered(first).await;
    all_answered(others).await;
    assert_eq!(emulator.count(GENERATE), 10);
}

#[tokio::test]
async fn a_thousand_streams_share_ten_connections() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(STREAM, Reply::messages([answer("x"), answer("y")]).gate(Arc::clone(&gate)));
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc).build().expect("a bridge");
    let mut running = JoinSet::new();
    for _ in 0..1000 {
        let mut client = GenerativeServiceClient::new(bridge.clone());
        running.spawn(async move {
            let mut stream = client.stream_generate_content(question("?")).await?.into_inner();
            while stream.message().await?.is_some() {}
            Ok(())
        });
    }
    emulator.received_when(1000).await;
    assert_eq!(proxy.counts().tunnels(), 10);
    gate.add_permits(2000);
    all_answered(running).await;
}

#[tokio::test]
async fn a_thousand_calls_over_rest_queue_for_the_connections_there_are() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("x")).gate(Arc::clone(&gate)));
    let builder = through(&emulator, &proxy).transport(Transport::Rest).rest_connections(64);
    let running = ask_at_once(&builder.build().expect("a bridge"), 1000);
    emulator.received_when(64).await;
    gate.add_permits(1000);
    all_answered(running).await;
    assert_eq!((emulator.count(GENERATE), proxy.counts().tunnels()), (1000, 64));
}

#[tokio::test]
async fn a_call_that_queues_ends_with_its_deadline() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    emulator.on(GENERATE, Reply::never());
    let builder = through(&emulator, &proxy).transport(Transport::Rest).rest_connections(1);
    let bridge = builder.build().expect("a bridge");
    let _first = ask_at_once(&bridge, 1);
    emulator.received_when(1).await;
    let mut request = tonic::Request::new(question("?"));
    request.set_timeout(Duration::from_millis(200));
    let status = GenerativeServiceClient::new(bridge).generate_content(request).await;
    assert_eq!(status.expect_err("no place").code(), Code::DeadlineExceeded);
    assert_eq!((emulator.count(GENERATE), proxy.counts().tunnels()), (1, 1));
}

#[tokio::test]
async fn rest_keeps_to_its_number_of_connections_and_calls_queue() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("x")).gate(Arc::clone(&gate)));
    let builder = through(&emulator, &proxy).transport(Transport::Rest).rest_connections(4);
    let bridge = builder.build().expect("a bridge");
    let running = ask_at_once(&bridge, 20);
    emulator.received_when(4).await;
    while bridge.stats().queued() < 16 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(20);
    all_answered(running).await;
    assert_eq!((emulator.count(GENERATE), bridge.stats().queued()), (20, 16));
    assert_eq!(proxy.counts().tunnels(), 4);
}

#[tokio::test]
async fn a_stream_that_has_ended_holds_no_connection() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    for end in [None, Some(Status::resource_exhausted("enough"))] {
        let reply = Reply::messages([answer("one")]);
        emulator.on(STREAM, end.iter().cloned().fold(reply, Reply::then_error));
        let builder = through(&emulator, &proxy).transport(Transport::Rest);
        let mut client = client(builder.rest_connections(1));
        let reply = client.stream_generate_content(question("?")).await.expect("a stream");
        let mut messages = reply.into_inner();
        messages.message().await.expect("a message").expect("the first");
        assert_eq!(messages.message().await.is_err(), end.is_some());
        let call = client.generate_content(question("?"));
        timeout(LONG, call).await.expect("a place").expect("an answer");
        drop(messages);
    }
}

#[tokio::test]
async fn a_connection_that_was_cut_while_idle_costs_no_call() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let (emulator, proxy) = behind(Fault::Pass).await;
        let builder = through(&emulator, &proxy).transport(transport);
        let bridge = builder.build().expect("a bridge");
        let mut client = GenerativeServiceClient::new(bridge.clone());
        for _ in 0..3 {
            client.generate_content(question("?")).await.expect("an answer");
            change(&proxy, Fault::Pass, &bridge).await;
        }
        assert_eq!(emulator.count(GENERATE), 3);
    }
}
