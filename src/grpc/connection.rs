//! Connection: one tonic `Channel` over one dialled stream, usable once the peer's SETTINGS arrived.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

use super::GrpcSettings;
use super::watch::{OpeningFault, Seen, Watched};
use crate::error::{Error, ErrorKind};
use crate::network;
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// One HTTP/2 connection. It lives as long as a [`Seat`] or the list of connections holds it.
pub(super) struct Connection {
    channel: Channel,
    peer: Peer,
    load: Mutex<Load>,
    loss: tokio::sync::Mutex<Option<Symptom>>,
}

struct Load {
    in_flight: usize,
    idle_since: Instant,
}

/// The other end of a connection, as failures name it.
pub(super) struct Peer {
    hop: Box<str>,
    issuer: Option<Box<str>>,
    pub(super) seen: Arc<Seen>,
}

impl Peer {
    pub(super) fn symptom(&self, kind: SymptomKind, evidence: Evidence) -> Symptom {
        let evidence = match &self.issuer {
            Some(issuer) => evidence.with_issuer(issuer),
            None => evidence,
        };
        Symptom::new(kind, self.hop.clone()).with_evidence(evidence)
    }
}

impl Connection {
    /// Speaks HTTP/2 on a dialled stream and waits for the peer's SETTINGS, at most for `limit`.
    ///
    /// Nothing but the preface has been sent when this fails.
    ///
    /// # Errors
    /// The peer does not speak HTTP/2, or closes, resets or swallows the connection.
    pub(super) async fn open(
        dialled: network::Connection,
        limit: Duration,
        origin: &Uri,
        settings: &GrpcSettings,
        changed: Arc<Notify>,
    ) -> Result<Arc<Self>, Error> {
        let (watched, opened, seen) = Watched::new(dialled.io, changed);
        let peer = Peer { hop: dialled.hop, issuer: dialled.issuer, seen };
        let endpoint = endpoint(origin, settings)?;
        let opening = async {
            let channel = endpoint.connect_with_connector(Once(Some(watched))).await;
            (opened.await, channel)
        };
        let fault = |fault: OpeningFault| Error::from(peer.symptom(fault.kind, fault.evidence));
        let channel = match timeout(limit, opening).await {
            Ok((Ok(Ok(())), Ok(channel))) => channel,
            Ok((Ok(Err(found)), _)) => return Err(fault(found)),
            // The stream was let go of before it said anything.
            Ok((Err(_), Ok(_))) => return Err(fault(OpeningFault::closed())),
            Ok((_, Err(error))) => return Err(fault(OpeningFault::closed()).with_source(error)),
            Err(_) => return Err(fault(OpeningFault::timeout(limit))),
        };
        Ok(Arc::new(Self {
            channel,
            peer,
            load: Mutex::new(Load { in_flight: 0, idle_since: Instant::now() }),
            loss: tokio::sync::Mutex::default(),
        }))
    }

    /// A place for one call, if fewer than `limit` and fewer than the peer allows are in flight.
    pub(super) fn take_seat(self: &Arc<Self>, limit: usize) -> Option<Seat> {
        self.has_room(limit).then(|| self.take_any_seat())
    }

    /// A place for one call, whatever is in flight.
    pub(super) fn take_any_seat(self: &Arc<Self>) -> Seat {
        self.load().in_flight += 1;
        Seat(Arc::clone(self))
    }

    pub(super) fn has_room(&self, limit: usize) -> bool {
        let limit = limit.min(self.peer.seen.max_streams());
        !self.is_closing() && self.in_flight() < limit
    }

    pub(super) fn is_closing(&self) -> bool {
        self.peer.seen.is_closing()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.load().in_flight
    }

    /// Since when no call is in flight.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let load = self.load();
        (load.in_flight == 0).then_some(load.idle_since)
    }

    /// What to tell a call that waited for this connection and finds it closing.
    pub(super) fn fault_before_use(&self) -> Error {
        let fault = self.peer.seen.fault_before_use();
        Error::from(self.peer.symptom(fault.kind, fault.evidence))
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call's place on a connection; given back when dropped.
pub(crate) struct Seat(Arc<Connection>);

impl Seat {
    pub(super) fn channel(&self) -> Channel {
        self.0.channel.clone()
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.0.peer
    }

    pub(crate) fn line(&self) -> Line {
        Line(Arc::clone(&self.0))
    }
}

/// The connection that a call is on, for those who watch whether it lives.
pub(crate) struct Line(Arc<Connection>);

impl Line {
    /// Waits until the peer has not been heard for so long, from now on or before.
    pub(crate) async fn silent_for(&self, patience: Duration, since: Instant) {
        loop {
            let limit = self.0.peer.seen.last_heard().max(since) + patience;
            if limit <= Instant::now() {
                return;
            }
            sleep_until(limit).await;
        }
    }

    /// A place for one call more, however full the connection is.
    pub(crate) fn take_seat(&self) -> Seat {
        self.0.take_any_seat()
    }

    /// How the connection lost its calls, once that is known. Who holds the lock is finding out.
    pub(crate) async fn loss(&self) -> tokio::sync::MutexGuard<'_, Option<Symptom>> {
        self.0.loss.lock().await
    }

    /// A failure that its silence showed.
    pub(crate) fn symptom(&self, kind: SymptomKind) -> Symptom {
        self.0.peer.symptom(kind, Evidence::new())
    }

    /// Gives the connection no further calls.
    pub(crate) fn give_up(&self) {
        self.0.peer.seen.give_up();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut load = self.0.load();
        load.in_flight -= 1;
        if load.in_flight == 0 {
            load.idle_since = Instant::now();
        }
    }
}

/// TLS is ours, so tonic sees a plain endpoint; `:scheme` and `:authority` come from the origin.
fn endpoint(origin: &Uri, settings: &GrpcSettings) -> Result<Endpoint, Error> {
    let authority = origin.authority().map_or("", Authority::as_str);
    let refused = |error: tonic::transport::Error| {
        Error::new(ErrorKind::Configuration, "the endpoint is no host and port to connect to")
            .with_source(error)
    };
    let endpoint = Endpoint::from_shared(format!("{}://{authority}", Scheme::HTTP))
        .map_err(refused)?
        .origin(origin.clone())
        .user_agent(USER_AGENT)
        .map_err(refused)?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keep_alive_interval(settings.keep_alive_interval)
        .keep_alive_timeout(settings.keep_alive_timeout)
        .keep_alive_while_idle(false);
    Ok(endpoint)
}

/// Yields the dialled stream once, then refuses: a second dial is our list's decision, not tonic's.
struct Once<I>(Option<Watched<I>>);

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Service<Uri> for Once<I> {
    type Response = TokioIo<Watched<I>>;
    type Error = AlreadyUsed;
    type Future = Ready<Result<Self::Response, AlreadyUsed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AlreadyUsed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().map(TokioIo::new).ok_or(AlreadyUsed))
    }
}

/// tonic asked for a second stream: the first one has ended, and the call in hand was not sent.
#[derive(Debug)]
pub(super) struct AlreadyUsed;

impl fmt::Display for AlreadyUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection has ended")
    }
}

impl std::error::Error for AlreadyUsed {}

const USER_AGENT: &str = concat!("genai-bridge/", env!("CARGO_PKG_VERSION"));
/// An answer with inline images has about 10 MB; a window below the bandwidth-delay product slows it.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Most unread bytes of all answers of a connection together.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// `grpc-status-details-bin` and the caller's metadata may be long; hyper's default is 16 KiB.
const MAX_HEADERS: u32 = 64 * 1024;
