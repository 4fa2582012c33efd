//! The matrix once more, over a `Channel` and a client of reqwest that the program brings.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use genai_bridge::emulator::{Emulator, HostileProxy};
use genai_bridge::{Bridge, Transport};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use tonic::transport::Channel;
use tower_service::Service;

use super::table::{Part, differences, hold_true};
use super::{
    CONNECT_TIMEOUT, Case, IDLE_LIMIT, Seen, bring_about, first_fault, look_at, patient, run_each,
};
use crate::carriers::{endpoint, reqwest_through};
use crate::setting::{OpenStream, OpenStreams, behind_a, direct};

/// Nothing but its deadline ends a call on a carrier that fell silent. The probe ends before.
const LIMIT: Duration = Duration::from_secs(12);
/// A busy machine is no fault.
const HEAD_START: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_programs_own_carriers_no_fault_costs_a_call_twice() {
    let seen = run_each(observe).await;
    for ((fault, ..), seen) in &seen {
        assert!(seen.processed <= 1, "{fault}: the service saw the call {} times", seen.processed);
    }
    hold_true(Part::Theirs, &seen);
    let (otherwise, renamed) = differences(&seen);
    println!("{} of {} calls fare otherwise than over ours:", otherwise.len(), seen.len());
    println!("{}\n{renamed} differ by the symptom alone", otherwise.join("\n"));
}

async fn observe(case: Case) -> Seen {
    let proxy = HostileProxy::builder().idle_limit(IDLE_LIMIT);
    let network = behind_a(proxy, first_fault(case)).await;
    let (emulator, proxy) = &network;
    let (channel, open) = channel(emulator, proxy);
    let client = reqwest_through(emulator, proxy).connect_timeout(CONNECT_TIMEOUT);
    let builder = patient(direct(emulator)).grpc_head_start(HEAD_START);
    let builder = builder.grpc_carrier(channel).rest_carrier(client);
    let bridge: Bridge = builder.build().expect("a bridge");
    if bring_about(case, proxy, &bridge, Transport::Auto).await {
        open.until_none().await;
    }
    look_at(case, &bridge, emulator, LIMIT).await
}

/// A channel through the proxy, and the streams that it has open.
fn channel(emulator: &Emulator, proxy: &HostileProxy) -> (Channel, OpenStreams) {
    let open = OpenStreams::default();
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let tunnel = Tunnel::new(proxy.url().parse().expect("an address"), connector);
    let connector = Counting { connector: tunnel, open: open.clone() };
    let roots = [emulator.root_certificate(), proxy.root_certificate()];
    let endpoint = endpoint(emulator, &roots).connect_timeout(CONNECT_TIMEOUT);
    (endpoint.connect_with_connector_lazy(connector), open)
}

#[derive(Clone)]
struct Counting<C> {
    connector: C,
    open: OpenStreams,
}

impl<C> Service<Uri> for Counting<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Counted<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let (connecting, open) = (self.connector.call(address), self.open.clone());
        Box::pin(async move { Ok(Counted { stream: connecting.await?, _open: open.open() }) })
    }
}

struct Counted<S> {
    stream: S,
    _open: OpenStream,
}

impl<S: Read + Unpin> Read for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
