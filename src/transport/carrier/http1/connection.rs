//! Connection: HTTP/1.1, or HTTP/2 where the peer agreed to it, on one dialled stream.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::either::Either;
use tracing::debug;

use super::idle::Reusable;
use super::places::Places;
use super::{SentBody, failure};
use crate::error::Error;
use crate::network::{Alpn, Network, Origin, Tasks};

/// A connection for one request, or for many at a time. Dropped, it closes once its requests have
/// ended.
pub(super) struct Connection {
    sender: Sender,
    /// Who issued the certificate of the peer.
    issuer: Option<Arc<str>>,
    /// It has carried a request before.
    pub(super) is_reused: bool,
}

enum Sender {
    One(http1::SendRequest<SentBody>),
    Many(http2::SendRequest<SentBody>),
}

/// Where connections lead, and who counts them.
pub(super) struct Dialler {
    pub(super) network: Network,
    pub(super) origin: Origin,
    pub(super) alpn: Alpn,
    pub(super) places: Arc<Places>,
}

impl Dialler {
    /// Opens a connection. It keeps its permit until it is closed; one of HTTP/2 needs none.
    ///
    /// # Errors
    /// The network gave none; nothing of a request was sent.
    pub(super) async fn dial(&self, permit: OwnedSemaphorePermit) -> Result<Connection, Error> {
        let dialled = self.network.connect(&self.origin, self.alpn).await?;
        let counted = Counted::new(Arc::clone(&self.places));
        let (io, hop, tasks) = (TokioIo::new(dialled.io), dialled.hop, self.network.drivers());
        let refused = |error: hyper::Error| failure::before_answer(error.into(), &hop);
        let sender = if dialled.is_http2 {
            let opening = http2_settings(tasks.clone()).handshake(io);
            let (sender, driver) = opening.await.map_err(refused)?;
            tasks.spawn(drive(driver, counted));
            Sender::Many(sender)
        } else {
            let (sender, driver) = http1_settings().handshake(io).await.map_err(refused)?;
            tasks.spawn(drive(driver, (counted, permit)));
            Sender::One(sender)
        };
        Ok(Connection { sender, issuer: dialled.issuer.map(Into::into), is_reused: false })
    }
}

/// Drives a connection to its end, and lets go of `held` when it is closed.
async fn drive<T>(driver: impl Future<Output = hyper::Result<()>>, held: T) {
    let ended = driver.await;
    debug!(ok = ended.is_ok(), "a connection of REST ended");
    drop(held);
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

impl Connection {
    pub(super) const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Many(_))
    }

    pub(super) fn issuer(&self) -> Option<Arc<str>> {
        self.issuer.clone()
    }

    /// Sends a request. Dropping the future cancels it.
    ///
    /// # Errors
    /// The connection broke. The error gives the request back if none of it was written.
    pub(super) fn send(
        &mut self,
        request: Request<SentBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<SentBody>>>> {
        match &mut self.sender {
            Sender::One(sender) => Either::Left(sender.try_send_request(request)),
            Sender::Many(sender) => Either::Right(sender.try_send_request(request)),
        }
    }

    /// Waits until it takes the next request; `false` if it closes.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let ready = match &mut self.sender {
            Sender::One(sender) => sender.poll_ready(context),
            Sender::Many(sender) => sender.poll_ready(context),
        };
        ready.map(|ready| ready.is_ok())
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Many(sender) => sender.is_closed(),
        }
    }
}

impl Reusable for Connection {
    fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_ready(),
            Sender::Many(sender) => sender.is_ready(),
        }
    }

    fn share(&self) -> Option<Self> {
        let Sender::Many(sender) = &self.sender else { return None };
        let sender = Sender::Many(sender.clone());
        Some(Self { sender, issuer: self.issuer(), is_reused: true })
    }
}

fn http1_settings() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .max_headers(MAX_HEADER_COUNT);
    builder
}

fn http2_settings(tasks: Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADERS)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

/// Headers of an answer on HTTP/1.1: gateways add their own.
const MAX_HEADER_COUNT: usize = 300;
/// Silence on an HTTP/2 connection with calls in flight before it is asked whether it lives.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer with inline images has about 10 MB; a window below the bandwidth-delay product slows
/// it.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Over HTTP/2; hyper's own limit is 16 KiB.
const MAX_HEADERS: u32 = 1024 * 1024;
