//! In memory: an emulator behind a hostile proxy without a socket, on virtual time. No machine is
//! too slow for what is measured there: time passes only while nobody has anything to do.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use genai_bridge::BridgeBuilder;
use genai_bridge::emulator::hostile::{HostileProxyBuilder, Wire};
use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::sleep;
use tower::service_fn;

use crate::setting::through;

/// An emulator, and a proxy before it.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) proxy: Arc<HostileProxy>,
}

impl Network {
    pub(crate) fn begin(proxy: HostileProxyBuilder, fault: Fault) -> Self {
        let authority = AUTHORITY.clone();
        let emulator = Emulator::builder().authority(authority.clone()).unbound();
        let emulator = Arc::new(emulator.expect("an emulator"));
        let served = Arc::clone(&emulator);
        let dial = move |_: &str| {
            let (here, there) = wires();
            served.serve(there);
            Ok(here)
        };
        let proxy = Arc::new(proxy.authority(authority).dial(dial).unbound(fault));
        Self { emulator, proxy }
    }

    /// A bridge to the emulator through the proxy.
    pub(crate) fn bridge(&self) -> BridgeBuilder {
        let proxy = Arc::clone(&self.proxy);
        let connector = service_fn(move |_: http::Uri| {
            let proxy = Arc::clone(&proxy);
            async move {
                sleep(DIAL).await;
                let (here, there) = wires();
                proxy.serve(there);
                Ok::<_, Infallible>(TokioIo::new(here))
            }
        });
        through(&self.emulator, &self.proxy).connector(connector)
    }
}

/// Runs a test on virtual time, without a driver for sockets: whatever opens one panics.
pub(crate) fn on_virtual_time<F: Future>(test: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(test)
}

/// One end of a connection in memory, which can be reset as a socket can.
struct End {
    stream: DuplexStream,
    is_reset: Arc<AtomicBool>,
    resets: bool,
}

fn wires() -> (End, End) {
    let (one, other) = tokio::io::duplex(BUFFER);
    let is_reset = Arc::<AtomicBool>::default();
    let end = |stream| End { stream, is_reset: Arc::clone(&is_reset), resets: false };
    (end(one), end(other))
}

impl Wire for End {
    fn reset_when_dropped(&mut self) {
        self.resets = true;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // The other side sees it before it sees the end of the stream, which is dropped after this.
        self.is_reset.fetch_or(self.resets, Ordering::SeqCst);
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let is_over = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before;
        if is_over && self.is_reset.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for End {
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

/// A new connection takes a moment, so that what needs none is done before.
const DIAL: Duration = Duration::from_millis(1);
/// One for all: to make its keys takes longer than most tests.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("Corp Inspection CA"));
/// As much as the buffers of two sockets.
const BUFFER: usize = 256 * 1024;
