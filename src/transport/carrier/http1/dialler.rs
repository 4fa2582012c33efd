//! Dialler: how hyper's client gets its connections: from our network, at most so many at a time.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use super::places::Places;
use crate::error::{Error, ErrorKind};
use crate::network::{Alpn, Io, Network, Origin};

/// Opens connections to one origin. Cheap to clone: hyper's client does so at each call.
#[derive(Clone)]
pub(crate) struct Dialler(Arc<Inner>);

struct Inner {
    network: Network,
    origin: Origin,
    alpn: Alpn,
    /// One permit for each HTTP/1.1 connection; one of HTTP/2 carries many calls and needs none.
    permits: Arc<Semaphore>,
    places: Arc<Places>,
}

impl Dialler {
    /// `places` counts the connections, as long as they are open, and limits them.
    pub(crate) fn new(network: Network, origin: Origin, alpn: Alpn, places: Arc<Places>) -> Self {
        let permits = Arc::new(Semaphore::new(places.limit.clamp(1, Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { network, origin, alpn, permits, places }))
    }
}

impl Inner {
    async fn dial(&self) -> Result<Dialled, Error> {
        let permit = wait_for_permit(Arc::clone(&self.permits), &self.places).await?;
        let connection = self.network.connect(&self.origin, self.alpn).await?;
        Ok(Dialled {
            io: TokioIo::new(connection.io),
            issuer: connection.issuer.map(|issuer| Issuer(issuer.into())),
            permit: (!connection.is_http2).then_some(permit),
            _counted: Counted::new(Arc::clone(&self.places)),
        })
    }
}

impl Service<Uri> for Dialler {
    type Response = Dialled;
    type Error = FailedDial;
    type Future = Pin<Box<dyn Future<Output = Result<Dialled, FailedDial>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FailedDial>> {
        Poll::Ready(Ok(()))
    }

    /// The client has one origin, which the address names again.
    fn call(&mut self, _: Uri) -> Self::Future {
        let dialler = Arc::clone(&self.0);
        Box::pin(async move { dialler.dial().await.map_err(|error| FailedDial(Arc::new(error))) })
    }
}

tokio::task_local! {
    static CALL: ();
}

/// Runs a call's request; only inside may a dial wait for its permit.
pub(crate) async fn waiting<F: Future>(request: F) -> F::Output {
    CALL.scope((), request).await
}

/// When a connection falls free for a call whose dial has begun, hyper ends that dial in a task of
/// its own. One that still waits for its permit serves nobody then, and gives up.
async fn wait_for_permit(
    permits: Arc<Semaphore>,
    places: &Places,
) -> Result<OwnedSemaphorePermit, Error> {
    if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
        return Ok(permit);
    }
    places.note_queued();
    let mut permit = pin!(permits.acquire_owned());
    poll_fn(|context| {
        if CALL.try_with(|()| ()).is_err() {
            return Poll::Ready(Err(abandoned()));
        }
        permit.as_mut().poll(context).map(|permit| permit.map_err(|_| abandoned()))
    })
    .await
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Connect, "no call waits for this connection any more")
}

/// Why there is no connection; found in the chain of causes that hyper's client gives.
#[derive(Debug)]
pub(crate) struct FailedDial(pub(crate) Arc<Error>);

impl fmt::Display for FailedDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for FailedDial {}

/// Who issued the certificate of the peer that answered; an extension of the answer.
#[derive(Debug, Clone)]
pub(crate) struct Issuer(pub(crate) Arc<str>);

/// A connection as hyper's client takes it. It keeps its permit until it is closed.
pub(crate) struct Dialled {
    io: TokioIo<Io>,
    issuer: Option<Issuer>,
    /// `None` if it speaks HTTP/2.
    permit: Option<OwnedSemaphorePermit>,
    _counted: Counted,
}

/// One more, until it is dropped.
struct Counted(Arc<Places>);

impl Counted {
    fn new(places: Arc<Places>) -> Self {
        places.note_opened();
        Self(places)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.note_closed();
    }
}

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        let connected = match &self.issuer {
            Some(issuer) => Connected::new().extra(issuer.clone()),
            None => Connected::new(),
        };
        if self.permit.is_none() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
