//! Connection: HTTP/2 over one dialled stream, usable once the peer's SETTINGS arrived.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::HeaderMap;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::error::Error;
use crate::network::{self, Tasks};
use crate::symptom::{Evidence, Symptom, SymptomKind};
use crate::transport::carrier::http2::Http2Settings;
use crate::transport::carrier::http2::ended::Ended;
use crate::transport::carrier::http2::opening::OpeningFault;
use crate::transport::carrier::http2::peer_state::PeerState;
use crate::transport::carrier::http2::pings::send_pings;
use crate::transport::carrier::http2::tap::Watched;
use crate::transport::carrier::http2::traffic::Sight;

/// One HTTP/2 connection. It lives as long as a [`Seat`] or the list of connections holds it.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    peer: Peer,
    opened: Instant,
    load: Arc<Mutex<Load>>,
    turn: tokio::sync::Mutex<()>,
    is_watched: AtomicBool,
    trust: Trust,
    ended: Ended,
}

/// Whether a connection is known to carry something: one that was idle may have been forgotten by a
/// firewall.
#[derive(Default)]
struct Trust {
    is_doubted: AtomicBool,
    has_failed: AtomicBool,
    trial: tokio::sync::Mutex<()>,
}

struct Load {
    in_flight: usize,
    /// Since when there are calls, or none.
    since: Instant,
    /// What a question may be asked with: of the last call that brought some.
    credentials: Option<HeaderMap>,
}

impl Load {
    fn busy_since(&self) -> Option<Instant> {
        (self.in_flight > 0).then_some(self.since)
    }
}

/// The other end of a connection, as failures name it.
pub(crate) struct Peer {
    hop: Box<str>,
    issuer: Option<Box<str>>,
    pub(crate) seen: Arc<PeerState>,
}

impl Peer {
    /// How failures name it.
    pub(crate) fn hop(&self) -> &str {
        &self.hop
    }

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
        drivers: &Tasks,
    ) -> Result<Arc<Self>, Error> {
        let lacks_certificate = dialled.wants_certificate;
        let (watched, opened, seen) = Watched::new(dialled.io, changed);
        let peer = Peer { hop: dialled.hop, issuer: dialled.issuer, seen };
        let load = Load { in_flight: 0, since: Instant::now(), credentials: None };
        let load = Arc::new(Mutex::new(load));
        let opening = async {
            let (sender, mut driver) =
                http2(settings.max_header_list_size).handshake::<_, Bytes>(watched).await?;
            let pings = driver.ping_pong();
            let (seen, load, settings) =
                (Arc::clone(&peer.seen), Arc::clone(&load), settings.clone());
            let task = drivers.spawn(async move {
                let ended = driver.await;
                debug!(ok = ended.is_ok(), "an HTTP/2 connection ended");
            });
            // In a task of its own: the connection's is woken by each call.
            drivers.spawn(async move {
                let sight = || seen.sight(lock(&load).busy_since());
                let (driver, silence) =
                    (task.abort_handle(), send_pings(pings, &seen, sight, settings));
                tokio::select! {
                    biased;
                    _ = task => return,
                    () = seen.until_lost() => debug!("an HTTP/2 connection is lost"),
                    () = silence => {}
                }
                driver.abort();
            });
            Ok::<_, h2::Error>((opened.await, sender))
        };
        let fault = |fault: OpeningFault| {
            let fault = if lacks_certificate { fault.without_certificate() } else { fault };
            Error::from(peer.symptom(fault.kind, fault.evidence))
        };
        let sender = match timeout(limit, opening).await {
            Ok(Ok((Ok(Ok(())), sender))) => sender,
            Ok(Ok((Ok(Err(found)), _))) => return Err(fault(found)),
            // The stream was let go of before it said anything.
            Ok(Ok((Err(_), _))) => return Err(fault(OpeningFault::closed())),
            Ok(Err(error)) => return Err(fault(OpeningFault::closed()).with_source(error)),
            Err(_) => return Err(fault(OpeningFault::timeout(limit))),
        };
        let (turn, is_watched, trust, ended) = Default::default();
        let opened = Instant::now();
        Ok(Arc::new(Self { sender, peer, opened, load, turn, is_watched, trust, ended }))
    }

    /// A place for one call, if fewer than `limit` and fewer than the peer allows are in flight.
    /// One stream of the peer's is kept for a question: see [`Line::take_seat`].
    pub(crate) fn take_seat(self: &Arc<Self>, limit: usize) -> Option<Seat> {
        self.has_room(limit).then(|| self.take_any_seat())
    }

    /// A place for one call, whatever is in flight.
    pub(crate) fn take_any_seat(self: &Arc<Self>) -> Seat {
        self.add_seat(false)
    }

    fn add_seat(self: &Arc<Self>, is_question: bool) -> Seat {
        let mut load = self.load();
        if load.in_flight == 0 {
            let now = Instant::now();
            if now - load.since >= TRUSTED {
                self.trust.is_doubted.store(true, Ordering::Relaxed);
            }
            load.since = now;
        }
        load.in_flight += 1;
        drop(load);
        Seat { connection: Arc::clone(self), is_question }
    }

    pub(crate) fn has_room(&self, limit: usize) -> bool {
        let limit = limit.min(self.peer.seen.max_streams().saturating_sub(1).max(1));
        let is_usable = !self.is_closing() && !self.trust.has_failed.load(Ordering::Relaxed);
        is_usable && self.in_flight() < limit
    }

    /// Asks a connection that was idle, once for all calls that come meanwhile. Nothing of them is
    /// sent before.
    async fn is_trusted(&self) -> bool {
        let trust = &self.trust;
        if !trust.is_doubted.load(Ordering::Relaxed) {
            return true;
        }
        let _trial = trust.trial.lock().await;
        if trust.is_doubted.load(Ordering::Relaxed) && !trust.has_failed.load(Ordering::Relaxed) {
            let checked = timeout(CHECK_LIMIT, self.peer.seen.checks.check()).await;
            let is_alive = checked.is_ok() && !self.is_closing();
            trust.has_failed.store(!is_alive, Ordering::Relaxed);
            trust.is_doubted.store(!is_alive, Ordering::Relaxed);
        }
        !trust.has_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.peer.seen.is_closing()
    }

    /// Whether it opened after that; any did after nothing.
    pub(crate) fn is_younger(&self, than: Option<Instant>) -> bool {
        than.is_none_or(|than| self.opened > than)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.load().in_flight
    }

    /// Since when no call is in flight.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let load = self.load();
        (load.in_flight == 0).then_some(load.since)
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
pub(crate) struct Seat {
    connection: Arc<Connection>,
    /// The call asks whether the connection lives.
    is_question: bool,
}

impl Seat {
    /// Whether the connection is known to carry something; asks it if need be.
    pub(crate) async fn is_trusted(&self) -> bool {
        self.connection.is_trusted().await
    }

    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.connection.sender.clone()
    }

    /// Waits where the peer allows no further stream. h2 holds one call back, and the others wait
    /// here, where they are known to be unsent.
    pub(crate) async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.connection.in_flight() <= self.peer().seen.max_streams() {
            return None;
        }
        Some(self.connection.turn.lock().await)
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.connection.peer
    }

    /// Gives the connection no further calls.
    pub(crate) fn give_up(&self) {
        self.peer().seen.give_up();
    }

    /// The call has this stream.
    pub(crate) fn note_stream(&self, stream: u32) {
        if self.is_question {
            self.peer().seen.set_question(Some(stream));
        }
    }

    /// Keeps the stream of an answer that was read to its end.
    pub(crate) fn keep_ended(&self, stream: RecvStream) {
        if self.peer().seen.traffic().is_sent_whole(stream.stream_id().as_u32()) {
            self.connection.ended.keep(stream);
        }
    }

    /// Lets go of the stream that was kept: the connection's task is to run anyway.
    pub(crate) fn release_ended(&self) {
        self.connection.ended.release();
    }

    pub(crate) fn line(&self) -> Line {
        Line(Arc::clone(&self.connection))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_question {
            self.peer().seen.set_question(None);
        }
        let mut load = self.connection.load();
        load.in_flight -= 1;
        if load.in_flight == 0 {
            load.since = Instant::now();
        }
    }
}

/// The connection that a call is on, for those who watch whether it lives.
pub(crate) struct Line(Arc<Connection>);

/// A [`Line`] that does not keep its connection open.
pub(crate) struct LooseLine(Weak<Connection>);

impl Line {
    /// Whether nobody watches it yet; from here on somebody does.
    pub(crate) fn begin_watch(&self) -> bool {
        // Almost always it is watched, and then reading is enough.
        !self.0.is_watched.load(Ordering::Relaxed)
            && !self.0.is_watched.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn loosen(&self) -> LooseLine {
        LooseLine(Arc::downgrade(&self.0))
    }

    /// How the connection stands.
    pub(crate) fn sight(&self) -> Sight {
        let load = self.0.load();
        let sight = self.0.peer.seen.sight(load.busy_since());
        // A question behind calls that wait for a stream would be answered no sooner than they.
        let has_stream = load.in_flight < self.0.peer.seen.max_streams();
        Sight { has_room: sight.has_room && has_stream, ..sight }
    }

    /// A place for a call that asks whether the connection lives. `None` if the peer allows no
    /// further stream.
    pub(crate) fn take_question_seat(&self) -> Option<Seat> {
        let has_stream = self.0.in_flight() < self.0.peer.seen.max_streams();
        has_stream.then(|| self.0.add_seat(true))
    }

    /// Keeps what a question may be asked with.
    pub(crate) fn set_credentials(&self, credentials: HeaderMap) {
        self.0.load().credentials = Some(credentials);
    }

    pub(crate) fn credentials(&self) -> Option<HeaderMap> {
        self.0.load().credentials.clone()
    }

    /// Gives the connection no further calls.
    pub(crate) fn give_up(&self) {
        self.0.peer.seen.give_up();
    }

    /// Ends the connection and its calls: its silence is the network's.
    pub(crate) fn lose(&self, kind: SymptomKind) {
        self.0.peer.seen.lose(kind);
    }
}

impl LooseLine {
    /// `None` once the connection has ended.
    pub(crate) fn hold(&self) -> Option<Line> {
        self.0.upgrade().filter(|connection| !connection.peer.seen.is_over()).map(Line)
    }
}

fn http2(max_header_list_size: u32) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(max_header_list_size)
        .max_send_buffer_size(MAX_UNSENT);
    builder
}

/// An answer with inline images has about 10 MB; a window below the bandwidth-delay product slows
/// it.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Most unread bytes of all answers of a connection together.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Most bytes of a stream that h2 holds for a peer that reads slowly; it bounds what a client's
/// stream runs ahead.
const MAX_UNSENT: usize = 1024 * 1024;
/// Idle for so long, a connection is asked before it gets a call.
const TRUSTED: Duration = Duration::from_secs(3);
/// A round trip, and TCP's second try.
const CHECK_LIMIT: Duration = Duration::from_millis(1_500);
