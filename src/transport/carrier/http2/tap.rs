//! Tap: what the peer says about one connection, seen as its bytes pass by.

use std::io;
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::transport::carrier::http2::frames::Frame;
use crate::transport::carrier::http2::opening::{Opened, Opening, OpeningFault};
use crate::transport::carrier::http2::peer_state::PeerState;

/// A byte stream that notes the peer's SETTINGS, its GOAWAY and its end.
pub(crate) struct Watched<I> {
    io: I,
    opening: Option<Opening>,
    /// What was written may wait in TLS or for the socket.
    has_unsent: bool,
    seen: Arc<PeerState>,
}

impl<I> Watched<I> {
    /// `changed` is woken when the connection takes no further calls.
    pub(crate) fn new(io: I, changed: Arc<Notify>) -> (Self, Opened, Arc<PeerState>) {
        let (report, opened) = oneshot::channel();
        let seen = Arc::new(PeerState::new(changed));
        let watched = Self {
            io,
            opening: Some(Opening::new(report)),
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
                opening.note_settings();
            }
            seen.note(frame);
        });
        if let Some(opening) = &self.opening
            && let Some(result) =
                opening.result(self.seen.farewell().go_away.as_ref(), self.seen.max_streams())
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
            opening.end(result);
        }
    }
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
        self.seen.end();
    }
}
