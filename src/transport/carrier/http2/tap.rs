//! Tap: what the peer says about one connection, seen as its bytes pass by.

use std::io;
use std::iter;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::network::{ASKED_FOR_CERTIFICATE, late_refusal};
use crate::symptom::{Evidence, SymptomKind, TlsTrouble};
use crate::transport::carrier::http2::checks::Checks;
use crate::transport::carrier::http2::frames::{FirstBytes, Frame, GoAway, judge_first_bytes};
use crate::transport::carrier::http2::traffic::{Sight, Traffic};

/// A byte stream that notes the peer's SETTINGS, its GOAWAY and its end.
pub(crate) struct Watched<I> {
    io: I,
    opening: Option<Opening>,
    /// What was written may wait in TLS or for the socket.
    has_unsent: bool,
    seen: Arc<PeerState>,
}

/// Told once: the peer's SETTINGS arrived, or what came instead.
pub(crate) type Opened = oneshot::Receiver<Result<(), OpeningFault>>;

/// Why a connection cannot carry a first request.
#[derive(Debug)]
pub(crate) struct OpeningFault {
    pub(crate) kind: SymptomKind,
    pub(crate) evidence: Evidence,
}

impl OpeningFault {
    fn new(kind: SymptomKind, evidence: Evidence) -> Self {
        Self { kind, evidence }
    }

    fn go_away(go_away: &GoAway) -> Self {
        let evidence = describe_go_away(Evidence::new(), go_away);
        Self::new(SymptomKind::GoAwayAtStart, evidence)
    }

    pub(crate) fn closed() -> Self {
        Self::new(SymptomKind::ClosedBeforeSettings, Evidence::new())
    }

    /// The same at a peer that had asked for a certificate, which nobody gave: TLS 1.3 refuses that
    /// after the handshake, and the alert may be lost with the connection.
    pub(crate) fn without_certificate(self) -> Self {
        match self.kind {
            SymptomKind::ClosedBeforeSettings | SymptomKind::ResetBeforeSettings => {
                let evidence = self.evidence.with_tls(TlsTrouble::ClientCertificate);
                Self::new(SymptomKind::TlsAlert, evidence.with_detail(ASKED_FOR_CERTIFICATE))
            }
            _ => self,
        }
    }

    pub(crate) fn timeout(waited: Duration) -> Self {
        let waited = format!("waited {} ms", waited.as_millis());
        Self::new(SymptomKind::SettingsTimeout, Evidence::new().with_detail(waited))
    }
}

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

    fn note(&self, frame: Frame) {
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

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, add: impl FnOnce(&mut Farewell)) {
        add(&mut self.farewell.lock().unwrap_or_else(PoisonError::into_inner));
        self.closing.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

impl<I> Watched<I> {
    /// `changed` is woken when the connection takes no further calls.
    pub(crate) fn new(io: I, changed: Arc<Notify>) -> (Self, Opened, Arc<PeerState>) {
        let (report, opened) = oneshot::channel();
        let seen = Arc::new(PeerState {
            closing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            max_streams: AtomicU32::new(u32::MAX),
            max_header_list: AtomicU32::new(u32::MAX),
            traffic: Mutex::new(Traffic::new(Instant::now())),
            farewell: Mutex::default(),
            changed,
            lost: Notify::new(),
            checks: Checks::default(),
        });
        let watched = Self {
            io,
            opening: Some(Opening { first: Vec::new(), has_settings: false, report }),
            has_unsent: false,
            seen: Arc::clone(&seen),
        };
        (watched, opened, seen)
    }

    fn note_bytes(&mut self, bytes: &[u8]) {
        if let Some(opening) = &mut self.opening
            && let Some(fault) = opening.judge(bytes)
        {
            return self.report(Err(fault));
        }
        let (opening, seen) = (&mut self.opening, &self.seen);
        seen.traffic().read(bytes, Instant::now(), |frame| {
            if let (Some(opening), Frame::Settings(_)) = (opening.as_mut(), &frame) {
                opening.has_settings = true;
            }
            seen.note(frame);
        });
        if let Some(opening) = &self.opening
            && let Some(result) = opening.result(&self.seen)
        {
            self.report(result);
        }
    }

    fn note_end(&mut self, error: Option<&io::Error>) {
        self.seen.close(|farewell| {
            farewell.error = farewell.error.or(error.map(io::Error::kind));
        });
        if let Some(opening) = &mut self.opening {
            let fault = opening.fault_at_end(error);
            self.report(Err(fault));
        }
    }

    /// Of the bytes offered, the first ones are taken.
    fn note_write<'a>(
        &mut self,
        result: &Poll<io::Result<usize>>,
        offered: impl Iterator<Item = &'a [u8]>,
    ) {
        if let Poll::Ready(Err(error)) = result {
            return self.note_end(Some(error));
        }
        let mut traffic = self.seen.traffic();
        if !self.has_unsent {
            self.has_unsent = true;
            traffic.set_drained(false);
        }
        let Poll::Ready(Ok(taken)) = result else { return };
        let (mut left, now) = (*taken, Instant::now());
        for bytes in offered {
            let taken = bytes.get(..left).unwrap_or(bytes);
            traffic.write(taken, now);
            left -= taken.len();
        }
    }

    fn note_flush(&mut self) {
        if std::mem::take(&mut self.has_unsent) {
            self.seen.traffic().set_drained(true);
        }
    }

    fn report(&mut self, result: Result<(), OpeningFault>) {
        if let Some(opening) = self.opening.take() {
            // Nobody waits any more if the dial was given up.
            let _ = opening.report.send(result);
        }
    }
}

/// The time before the peer's SETTINGS.
struct Opening {
    /// Up to [`Evidence::MAX_FIRST_BYTES`] of what came.
    first: Vec<u8>,
    has_settings: bool,
    report: oneshot::Sender<Result<(), OpeningFault>>,
}

impl Opening {
    /// The fault, if what came so far is not HTTP/2.
    fn judge(&mut self, bytes: &[u8]) -> Option<OpeningFault> {
        let room = Evidence::MAX_FIRST_BYTES.saturating_sub(self.first.len());
        self.first.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let kind = match judge_first_bytes(&self.first) {
            FirstBytes::Http2 | FirstBytes::TooFew => return None,
            FirstBytes::Http1 => SymptomKind::Http1Answer,
            FirstBytes::Other => SymptomKind::NotHttp2,
        };
        Some(OpeningFault::new(kind, self.evidence()))
    }

    fn result(&self, seen: &PeerState) -> Option<Result<(), OpeningFault>> {
        if let Some(go_away) = seen.farewell().go_away {
            return Some(Err(OpeningFault::go_away(&go_away)));
        }
        // A peer that allows no stream has not opened the connection yet: it may raise the limit,
        // and if it does not, the wait for its SETTINGS runs out.
        (self.has_settings && seen.max_streams() > 0).then_some(Ok(()))
    }

    fn fault_at_end(&self, error: Option<&io::Error>) -> OpeningFault {
        if let Some((kind, evidence)) = error.and_then(|error| late_refusal(error)) {
            return OpeningFault::new(kind, evidence);
        }
        match error.map(io::Error::kind) {
            // rustls calls an end without close_notify an UnexpectedEof.
            None | Some(io::ErrorKind::UnexpectedEof) => {
                let is_silent = self.first.is_empty();
                match judge_first_bytes(&self.first) {
                    FirstBytes::Http2 => OpeningFault::closed(),
                    FirstBytes::TooFew if is_silent => OpeningFault::closed(),
                    FirstBytes::Http1 | FirstBytes::Other | FirstBytes::TooFew => {
                        OpeningFault::new(SymptomKind::NotHttp2, self.evidence())
                    }
                }
            }
            Some(kind) => {
                OpeningFault::new(SymptomKind::ResetBeforeSettings, Evidence::new().with_io(kind))
            }
        }
    }

    fn evidence(&self) -> Evidence {
        let evidence = Evidence::new().with_first_bytes(&self.first);
        let status = self.first.strip_prefix(b"HTTP/1.").and_then(|rest| {
            let digits = rest.get(2..5)?;
            StatusCode::from_bytes(digits).ok()
        });
        match status {
            Some(status) => evidence.with_status(status),
            None => evidence,
        }
    }
}

/// The reason and the words of a GOAWAY.
pub(crate) fn describe_go_away(evidence: Evidence, go_away: &GoAway) -> Evidence {
    let evidence = evidence.with_http2_reason(go_away.reason);
    if go_away.text.is_empty() {
        return evidence;
    }
    evidence.with_detail(String::from_utf8_lossy(&go_away.text))
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let has_room = buf.remaining() > 0;
        let result = ready!(Pin::new(&mut this.io).poll_read(cx, buf));
        let bytes = buf.filled().get(before..).unwrap_or_default();
        match &result {
            Ok(()) if !bytes.is_empty() => this.note_bytes(bytes),
            Ok(()) if has_room => this.note_end(None),
            Ok(()) => {}
            Err(error) => this.note_end(Some(error)),
        }
        Poll::Ready(result)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        this.note_write(&result, iter::once(buf));
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        this.note_flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.note_write(&result, bufs.iter().map(|buf| &**buf));
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// h2 lets go of the stream when the connection is over, for whatever reason.
impl<I> Drop for Watched<I> {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Release);
        self.seen.give_up();
        self.seen.checks.answer();
    }
}
