//! Connection: HTTP/2 over one dialled stream, usable once the peer's SETTINGS arrived.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use crate::error::Error;
use crate::network;
use crate::symptom::{Evidence, Symptom, SymptomKind};
use crate::transport::carrier::http2::Http2Settings;
use crate::transport::carrier::http2::tap::{OpeningFault, Seen, Watched};

/// One HTTP/2 connection. It lives as long as a [`Seat`] or the list of connections holds it.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    peer: Peer,
    load: Arc<Mutex<Load>>,
    turn: tokio::sync::Mutex<()>,
    loss: tokio::sync::Mutex<Option<Symptom>>,
}

struct Load {
    in_flight: usize,
    idle_since: Instant,
}

/// The other end of a connection, as failures name it.
pub(crate) struct Peer {
    hop: Box<str>,
    issuer: Option<Box<str>>,
    pub(crate) seen: Arc<Seen>,
}

impl Peer {
    pub(crate) fn symptom(&self, kind: SymptomKind, evidence: Evidence) -> Symptom {
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
    pub(crate) async fn open(
        dialled: network::Connection,
        limit: Duration,
        settings: &Http2Settings,
        changed: Arc<Notify>,
    ) -> Result<Arc<Self>, Error> {
        let (watched, opened, seen) = Watched::new(dialled.io, changed);
        let peer = Peer { hop: dialled.hop, issuer: dialled.issuer, seen };
        let load = Arc::new(Mutex::new(Load { in_flight: 0, idle_since: Instant::now() }));
        let opening = async {
            let (sender, mut driver) = http2().handshake::<_, Bytes>(watched).await?;
            let pings = driver.ping_pong();
            let silence =
                until_silent(Arc::clone(&peer.seen), Arc::clone(&load), pings, settings.clone());
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    ended = driver => debug!(ok = ended.is_ok(), "an HTTP/2 connection ended"),
                    () = silence => {}
                }
            });
            Ok::<_, h2::Error>((opened.await, sender))
        };
        let fault = |fault: OpeningFault| Error::from(peer.symptom(fault.kind, fault.evidence));
        let sender = match timeout(limit, opening).await {
            Ok(Ok((Ok(Ok(())), sender))) => sender,
            Ok(Ok((Ok(Err(found)), _))) => return Err(fault(found)),
            // The stream was let go of before it said anything.
            Ok(Ok((Err(_), _))) => return Err(fault(OpeningFault::closed())),
            Ok(Err(error)) => return Err(fault(OpeningFault::closed()).with_source(error)),
            Err(_) => return Err(fault(OpeningFault::timeout(limit))),
        };
        let (turn, loss) = Default::default();
        Ok(Arc::new(Self { sender, peer, load, turn, loss }))
    }

    /// A place for one call, if fewer than `limit` and fewer than the peer allows are in flight. One stream
    /// of the peer's is kept for a question: see [`Line::take_seat`].
    pub(crate) fn take_seat(self: &Arc<Self>, limit: usize) -> Option<Seat> {
        self.has_room(limit).then(|| self.take_any_seat())
    }

    /// A place for one call, whatever is in flight.
    pub(crate) fn take_any_seat(self: &Arc<Self>) -> Seat {
        self.load().in_flight += 1;
        Seat(Arc::clone(self))
    }

    pub(crate) fn has_room(&self, limit: usize) -> bool {
        let limit = limit.min(self.peer.seen.max_streams().saturating_sub(1).max(1));
        !self.is_closing() && self.in_flight() < limit
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.peer.seen.is_closing()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.load().in_flight
    }

    /// Since when no call is in flight.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let load = self.load();
        (load.in_flight == 0).then_some(load.idle_since)
    }

    /// What to tell a call that waited for this connection and finds it closing.
    pub(crate) fn fault_before_use(&self) -> Error {
        let fault = self.peer.seen.fault_before_use();
        Error::from(self.peer.symptom(fault.kind, fault.evidence))
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        lock(&self.load)
    }
}

fn lock(load: &Mutex<Load>) -> MutexGuard<'_, Load> {
    load.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One call's place on a connection; given back when dropped.
pub(crate) struct Seat(Arc<Connection>);

impl Seat {
    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.0.sender.clone()
    }

    /// Waits where the peer allows no further stream. h2 holds one call back, and the others wait here, where
    /// they are known to be unsent.
    pub(crate) async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.0.in_flight() <= self.0.peer.seen.max_streams() {
            return None;
        }
        Some(self.0.turn.lock().await)
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// Gives the connection no further calls.
    pub(crate) fn give_up(&self) {
        self.0.peer.seen.give_up();
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

    /// A place for a call that asks whether the connection lives. `None` if the peer allows no further stream: the
    /// question would wait for those that it is about.
    pub(crate) fn take_seat(&self) -> Option<Seat> {
        let has_stream = self.0.in_flight() < self.0.peer.seen.max_streams();
        has_stream.then(|| self.0.take_any_seat())
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

/// Ends once the peer leaves a PING unanswered although calls are on the connection.
async fn until_silent(
    seen: Arc<Seen>,
    load: Arc<Mutex<Load>>,
    pings: Option<PingPong>,
    settings: Http2Settings,
) {
    let Some(mut pings) = pings else { return pending().await };
    loop {
        let due = seen.last_heard() + settings.keep_alive_interval;
        if due > Instant::now() {
            sleep_until(due).await;
        } else if lock(&load).in_flight == 0 {
            sleep(settings.keep_alive_interval).await;
        } else {
            match timeout(settings.keep_alive_timeout, pings.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return pending().await,
                Err(_) => return seen.time_out(),
            }
        }
    }
}

fn http2() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buffer_size(MAX_UNSENT);
    builder
}

/// An answer with inline images has about 10 MB; a window below the bandwidth-delay product slows it.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Most unread bytes of all answers of a connection together.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// `grpc-status-details-bin` and the caller's metadata may be long.
const MAX_HEADERS: u32 = 64 * 1024;
/// Most bytes of a stream that h2 holds for a peer that reads slowly; it bounds what a client's stream runs ahead.
const MAX_UNSENT: usize = 1024 * 1024;
