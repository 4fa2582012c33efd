//! Peer state: what has been seen of the peer of one connection.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::symptom::{Evidence, SymptomKind};
use crate::transport::carrier::http2::checks::Checks;
use crate::transport::carrier::http2::frames::{Frame, GoAway};
use crate::transport::carrier::http2::opening::OpeningFault;
use crate::transport::carrier::http2::traffic::{Sight, Traffic};

/// What has been seen of a connection's peer so far.
#[derive(Debug)]
pub(crate) struct PeerState {
    closing: AtomicBool,
    /// Nothing passes any more.
    over: AtomicBool,
    max_streams: AtomicU32,
    max_header_list: AtomicU32,
    traffic: Mutex<Traffic>,
    farewell: Mutex<Farewell>,
    /// Woken when it takes no further calls.
    changed: Arc<Notify>,
    /// Woken when it is found dead.
    lost: Notify,
    pub(crate) checks: Checks,
}

/// How the peer ended the connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Farewell {
    pub(crate) go_away: Option<GoAway>,
    /// The error that ended the stream, if it was not in order.
    pub(crate) error: Option<io::ErrorKind>,
    /// Its silence was found to be the network's, as this kind of failure.
    pub(crate) loss: Option<SymptomKind>,
}

impl PeerState {
    /// `changed` is woken when the connection takes no further calls.
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self {
            closing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            max_streams: AtomicU32::new(u32::MAX),
            max_header_list: AtomicU32::new(u32::MAX),
            traffic: Mutex::new(Traffic::new(Instant::now())),
            farewell: Mutex::default(),
            changed,
            lost: Notify::new(),
            checks: Checks::default(),
        }
    }

    /// Whether the connection takes no further calls.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// The peer's limit for calls in flight.
    pub(crate) fn max_streams(&self) -> usize {
        self.max_streams.load(Ordering::Relaxed) as usize
    }

    /// The peer's limit for the headers of a request.
    pub(crate) fn max_header_list(&self) -> usize {
        self.max_header_list.load(Ordering::Relaxed) as usize
    }

    /// Whether nothing passes any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// How the connection stands, with calls on it since `busy_since`.
    pub(crate) fn sight(&self, busy_since: Option<Instant>) -> Sight {
        self.traffic().sight(busy_since)
    }

    /// Which stream asks whether the peer lives.
    pub(crate) fn set_question(&self, stream: Option<u32>) {
        self.traffic().set_question(stream);
    }

    /// Takes no further calls, though the peer has not said goodbye.
    pub(crate) fn give_up(&self) {
        self.close(|_| {});
    }

    /// Ends the connection: its silence is the network's.
    pub(crate) fn lose(&self, kind: SymptomKind) {
        self.close(|farewell| farewell.loss = Some(kind));
        self.lost.notify_one();
    }

    /// Nothing passes any more, for whatever reason.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.give_up();
        self.checks.answer();
    }

    /// Waits until it is found lost.
    pub(crate) async fn until_lost(&self) {
        self.lost.notified().await;
    }

    pub(crate) fn farewell(&self) -> Farewell {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to tell a call that finds the connection closing before it could use it.
    pub(crate) fn fault_before_use(&self) -> OpeningFault {
        let farewell = self.farewell();
        match (farewell.go_away, farewell.error) {
            (Some(go_away), _) => OpeningFault::go_away(&go_away),
            (None, Some(kind)) => {
                OpeningFault::new(SymptomKind::NeverSent, Evidence::new().with_io(kind))
            }
            (None, None) => OpeningFault::new(SymptomKind::NeverSent, Evidence::new()),
        }
    }

    pub(super) fn note(&self, frame: Frame) {
        match frame {
            Frame::Settings(settings) => {
                if let Some(limit) = settings.max_streams {
                    self.max_streams.store(limit, Ordering::Relaxed);
                }
                if let Some(limit) = settings.max_header_list {
                    self.max_header_list.store(limit, Ordering::Relaxed);
                }
            }
            Frame::GoAway(go_away) => self.close(|farewell| farewell.go_away = Some(go_away)),
            Frame::Head(_) | Frame::Window { .. } => {}
        }
    }

    pub(super) fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self, add: impl FnOnce(&mut Farewell)) {
        add(&mut self.farewell.lock().unwrap_or_else(PoisonError::into_inner));
        self.closing.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}
