//! One deadline over everything; a dropped call is cancelled on the wire.

use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, Reply};
use genai_bridge::{Error, ErrorKind, Proxy, Transport};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tonic::{Code, Request};

use crate::setting::{
    BOTH, GENERATE, STREAM, answer, behind, client, direct, question, text_of, through,
};

const SHORT: Duration = Duration::from_millis(200);
/// Far beyond what a busy machine needs to notice that 200 ms have passed.
const LONG: Duration = Duration::from_secs(20);

fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

fn assert_expired(status: &tonic::Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(Error::of(status).map(Error::kind), Some(ErrorKind::DeadlineExceeded));
}

#[tokio::test]
async fn a_silent_service_ends_in_deadline_exceeded() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::never());
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let mut client = client(direct(&emulator).transport(transport));
        let began = Instant::now();
        let call = client.generate_content(within(SHORT, question("?")));
        let status = timeout(LONG, call).await.expect("in time").expect_err("no answer");
        assert!(began.elapsed() >= SHORT);
        assert_expired(&status);
        assert!(status.message().contains("host localhost:"), "names no hop: {status:?}");
    }
}

#[tokio::test]
async fn a_stream_that_stops_ends_in_deadline_exceeded_after_what_came() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let gate = Arc::new(Semaphore::new(1));
        emulator.on(STREAM, Reply::messages([answer("first"), answer("second")]).gate(gate));
        let mut client = client(direct(&emulator).transport(transport));
        let reply = client.stream_generate_content(within(4 * SHORT, question("?"))).await;
        let mut messages = reply.expect("a stream").into_inner();
        let first = messages.message().await.expect("a message").expect("one");
        assert_eq!(text_of(&first), "first");
        let end = timeout(LONG, messages.message()).await.expect("in time");
        assert_expired(&end.expect_err("no second message"));
    }
}

#[tokio::test]
async fn a_host_that_accepts_and_says_nothing_is_inside_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint =
        format!("https://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let builder = genai_bridge::Bridge::builder();
        let builder = builder.endpoint(&endpoint).proxy(Proxy::none()).transport(transport);
        let call = async { client(builder).generate_content(within(SHORT, question("?"))).await };
        let status = timeout(LONG, call).await.expect("in time").expect_err("no answer");
        assert_expired(&status);
        assert!(status.message().contains("host 127.0.0.1:"), "names no hop: {status:?}");
    }
}

#[tokio::test]
async fn a_deadline_that_passes_on_rest_is_told_whatever_grpc_met_before() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    emulator.on(GENERATE, Reply::never());
    let mut client = client(through(&emulator, &proxy).grpc_head_start(LONG));
    let call = client.generate_content(within(4 * SHORT, question("?")));
    assert_expired(&timeout(LONG, call).await.expect("in time").expect_err("no answer"));
}

#[tokio::test]
async fn a_call_without_time_is_not_sent() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let builder = direct(&emulator).transport(transport).default_deadline(Duration::ZERO);
        let status = client(builder).generate_content(question("?")).await.expect_err("no time");
        assert_expired(&status);
    }
    assert_eq!(emulator.received().len(), 0);
}

#[tokio::test]
async fn the_service_learns_how_much_time_is_left() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (transport, header, value) in
        [(Transport::Grpc, "grpc-timeout", None), (Transport::Rest, "x-server-timeout", Some("90"))]
    {
        let mut client = client(direct(&emulator).transport(transport));
        let request = within(Duration::from_millis(89_500), question("?"));
        client.generate_content(request).await.expect("an answer");
        let received = emulator.received().pop().expect("a call");
        let found = received.headers()[header].to_str().expect("ascii");
        match value {
            Some(value) => assert_eq!(found, value),
            None => assert!(found.starts_with("89") && found.ends_with('u'), "{found}"),
        }
        client.generate_content(question("?")).await.expect("an answer");
        let received = emulator.received().pop().expect("a call");
        let found = received.headers()[header].to_str().expect("ascii");
        assert!(
            ["59", "600"].iter().any(|begin| found.starts_with(begin)),
            "the default is ten minutes: {found}"
        );
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_on_the_wire() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::never());
    for (transport, cancelled) in [(Transport::Grpc, 1), (Transport::Rest, 2)] {
        let mut client = client(direct(&emulator).transport(transport));
        let call = tokio::spawn(async move { client.generate_content(question("?")).await });
        emulator.received_when(cancelled).await;
        call.abort();
        timeout(LONG, emulator.cancelled_when(cancelled)).await.expect("cancelled");
    }
}

#[tokio::test]
async fn a_dropped_stream_is_cancelled_on_the_wire() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (transport, cancelled) in [(Transport::Grpc, 1), (Transport::Rest, 2)] {
        let gate = Arc::new(Semaphore::new(1));
        emulator.on(STREAM, Reply::messages([answer("first"), answer("second")]).gate(gate));
        let mut client = client(direct(&emulator).transport(transport));
        let reply = client.stream_generate_content(question("?")).await.expect("a stream");
        let mut messages = reply.into_inner();
        messages.message().await.expect("a message").expect("the first");
        drop(messages);
        timeout(LONG, emulator.cancelled_when(cancelled)).await.expect("cancelled");
    }
}
