//! Closing: calls in flight end in order, new ones are refused, and no connection is left.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Carrier, Error, ErrorKind, Transport};
use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tonic::Code;
use tower::service_fn;

use crate::setting::{
    BOTH, GENERATE, OpenStream, OpenStreams, STREAM, answer, direct, question, text_of,
};

/// The streams that a program gave away, and still knows of.
#[derive(Clone, Default)]
struct Streams {
    open: OpenStreams,
    /// From now on nothing can be written.
    are_stuck: Arc<AtomicBool>,
}

impl Streams {
    fn open(&self) -> usize {
        self.open.count()
    }

    /// A connector to the emulator's memory.
    fn to(
        &self,
        emulator: &Arc<Emulator>,
    ) -> impl tower_service::Service<
        Uri,
        Response = TokioIo<Counted>,
        Error = io::Error,
        Future = std::future::Ready<io::Result<TokioIo<Counted>>>,
    > + Clone
    + Send
    + Sync
    + 'static {
        let (streams, emulator) = (self.clone(), Arc::clone(emulator));
        service_fn(move |_: Uri| {
            let (here, there) = tokio::io::duplex(64 * 1024);
            emulator.serve(there);
            let are_stuck = Arc::clone(&streams.are_stuck);
            let counted = Counted { stream: here, are_stuck, _open: streams.open.open() };
            std::future::ready(Ok(TokioIo::new(counted)))
        })
    }
}

struct Counted {
    stream: DuplexStream,
    are_stuck: Arc<AtomicBool>,
    _open: OpenStream,
}

impl hyper_util::client::legacy::connect::Connection for Counted {
    fn connected(&self) -> hyper_util::client::legacy::connect::Connected {
        hyper_util::client::legacy::connect::Connected::new()
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.are_stuck.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.are_stuck.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.are_stuck.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn unbound() -> Arc<Emulator> {
    Arc::new(Emulator::builder().plaintext().unbound().expect("an emulator"))
}

/// An emulator in memory, and a bridge to it whose streams are counted.
fn counted(transport: Transport) -> (Arc<Emulator>, Bridge, Streams) {
    let (emulator, streams) = (unbound(), Streams::default());
    let bridge = direct(&emulator).transport(transport).connector(streams.to(&emulator));
    (emulator, bridge.build().expect("a bridge"), streams)
}

/// Whether it waits, once it was polled.
async fn waits(closing: &mut Pin<&mut impl Future<Output = ()>>) -> bool {
    poll_fn(|context| Poll::Ready(closing.as_mut().poll(context).is_pending())).await
}

async fn refused(bridge: &Bridge) {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let status = client.generate_content(question("late")).await.expect_err("closed");
    let error = Error::of(&status).expect("ours");
    assert_eq!((status.code(), error.kind()), (Code::Cancelled, ErrorKind::Closed));
    assert_eq!(status.message(), "the bridge is closed");
}

#[tokio::test(start_paused = true)]
async fn calls_and_streams_in_flight_end_before_the_connections_do() {
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let (emulator, bridge, streams) = counted(transport);
        let (gate, unary_gate) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(0)));
        emulator.on(GENERATE, Reply::message(&answer("whole")).gate(Arc::clone(&unary_gate)));
        emulator.on(STREAM, Reply::messages([answer("a"), answer("b")]).gate(Arc::clone(&gate)));
        let mut client = GenerativeServiceClient::new(bridge.clone());
        let stream = client.stream_generate_content(question("?")).await.expect("a stream");
        let mut stream = stream.into_inner();
        assert_eq!(text_of(&stream.message().await.expect("well").expect("a chunk")), "a");
        let before = emulator.received().len();
        let unary = tokio::spawn(async move { client.generate_content(question("?")).await });
        emulator.received_when(before + 1).await;

        let clone = bridge.clone();
        let mut closing = pin!(bridge.close());
        assert!(waits(&mut closing).await, "{transport:?}");
        refused(&clone).await;
        unary_gate.add_permits(1);
        unary.await.expect("no panic").expect("an answer");
        assert!(waits(&mut closing).await, "a stream is open over {transport:?}");
        gate.add_permits(1);
        assert_eq!(text_of(&stream.message().await.expect("well").expect("a chunk")), "b");
        assert!(stream.message().await.expect("well").is_none());
        // The stream itself is still held.
        closing.await;
        assert_eq!(streams.open(), 0, "{transport:?}");
        let open = |transport| clone.stats().connections(transport);
        assert_eq!((open(ActiveTransport::Grpc), open(ActiveTransport::Rest)), (0, 0));
        assert_eq!(emulator.count(GENERATE), 1);
        drop(stream);
        timeout(Duration::from_secs(1), clone.close()).await.expect("closed already");
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_a_bridge_offers_is_refused_once_it_is_closed() {
    let (emulator, bridge, streams) = counted(Transport::Auto);
    bridge.close().await;
    refused(&bridge).await;
    assert_eq!(bridge.connect().await.expect_err("closed").kind(), ErrorKind::Closed);
    let request = bridge.json(http::Method::GET, "/v1beta/models").send().await;
    let file = bridge.files().get("files/one").await;
    for status in [request.expect_err("closed"), file.expect_err("closed")] {
        assert_eq!(Error::of(&status).expect("ours").kind(), ErrorKind::Closed);
    }
    assert_eq!((emulator.received().len(), streams.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_bytes_holds_the_bridge_open_to_its_end() {
    let (emulator, bridge, streams) = counted(Transport::Auto);
    let gate = Arc::new(Semaphore::new(1));
    emulator.on(STREAM, Reply::messages([answer("a"), answer("b")]).gate(Arc::clone(&gate)));
    let target = "/v1beta/models/one:streamGenerateContent?alt=sse";
    let request = bridge.json(http::Method::POST, target).value(&serde_json::json!({}));
    let mut events = request.stream().await.expect("an answer");
    events.next().await.expect("an event").expect("well");
    let mut closing = pin!(bridge.close());
    assert!(waits(&mut closing).await);
    gate.add_permits(1);
    events.next().await.expect("an event").expect("well");
    assert!(waits(&mut closing).await);
    assert!(events.next().await.is_none());
    closing.await;
    assert_eq!(streams.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_waits_for_ends_with_the_last_call() {
    for transport in BOTH {
        let (emulator, bridge, streams) = counted(transport);
        let gate = Arc::new(Semaphore::new(0));
        emulator.on(GENERATE, Reply::message(&answer("x")).gate(Arc::clone(&gate)));
        let mut client = GenerativeServiceClient::new(bridge.clone());
        let call = tokio::spawn(async move { client.generate_content(question("?")).await });
        emulator.received_when(1).await;
        timeout(Duration::from_secs(3), bridge.close()).await.expect_err("a call is in flight");
        refused(&bridge).await;
        assert_eq!(streams.open(), 1);
        gate.add_permits(1);
        call.await.expect("no panic").expect("an answer");
        until_gone(&streams).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_not_waited_for() {
    for transport in BOTH {
        let (emulator, bridge, streams) = counted(transport);
        emulator.on(GENERATE, Reply::never());
        let mut client = GenerativeServiceClient::new(bridge.clone());
        let call = tokio::spawn(async move { client.generate_content(question("?")).await });
        emulator.received_when(1).await;
        let mut closing = pin!(bridge.close());
        assert!(waits(&mut closing).await);
        call.abort();
        closing.await;
        assert_eq!(streams.open(), 0, "{transport:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_peer_takes_nothing_more_is_cut_off() {
    for transport in BOTH {
        let (_emulator, bridge, streams) = counted(transport);
        let mut client = GenerativeServiceClient::new(bridge.clone());
        client.generate_content(question("?")).await.expect("an answer");
        assert_eq!(streams.open(), 1);
        streams.are_stuck.store(true, Ordering::Relaxed);
        let began = Instant::now();
        bridge.close().await;
        assert_eq!(streams.open(), 0, "{transport:?}");
        assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_programs_own_carriers_nothing_is_kept() {
    for transport in BOTH {
        let (emulator, streams) = (unbound(), Streams::default());
        emulator.on(GENERATE, Reply::message(&answer("x")));
        let endpoint = tonic::transport::Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector_lazy(streams.to(&emulator));
        let hyper = Client::builder(TokioExecutor::new()).build(streams.to(&emulator));
        let bridge = direct(&emulator).transport(transport);
        let bridge = bridge.grpc_carrier(channel).rest_carrier(Carrier::service(hyper));
        let bridge = bridge.build().expect("a bridge");
        let mut client = GenerativeServiceClient::new(bridge.clone());
        client.generate_content(question("?")).await.expect("an answer");
        assert!(streams.open() > 0, "{transport:?}");
        bridge.close().await;
        refused(&bridge).await;
        until_gone(&streams).await;
    }
}

async fn until_gone(streams: &Streams) {
    let gone = streams.open.until_none();
    timeout(Duration::from_secs(10), gone).await.expect("all streams end");
}
