//! Io: the bytes of one connection, through as many layers of TLS as the way has.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tls::TlsStream;
use super::user_connector::UserStream;
use crate::symptom::Evidence;

/// A stream to the service, or to the proxy while the way is being made.
pub(crate) struct Io {
    leg: Leg,
    /// What came with the proxy's answer to CONNECT and belongs to the stream.
    early: Bytes,
    /// The first bytes read, kept until it is clear that they are TLS.
    first: Option<Vec<u8>>,
}

enum Leg {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    User(UserStream),
}

impl Io {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self::over(Leg::Tcp(stream))
    }

    pub(super) fn user(stream: UserStream) -> Self {
        Self::over(Leg::User(stream))
    }

    pub(super) fn tls(mut stream: TlsStream) -> Self {
        stream.get_mut().0.first = None;
        Self::over(Leg::Tls(Box::new(stream)))
    }

    fn over(leg: Leg) -> Self {
        Self { leg, early: Bytes::new(), first: None }
    }

    pub(super) fn with_early(mut self, early: Bytes) -> Self {
        self.early = early;
        self
    }

    /// Keeps the first bytes read from here on, to tell who spoke if it was not TLS.
    pub(super) fn keeping_first_bytes(mut self) -> Self {
        self.first = Some(Vec::new());
        self
    }

    pub(super) fn first_bytes(&self) -> &[u8] {
        self.first.as_deref().unwrap_or_default()
    }

    fn poll_read_early_or_leg(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(length));
            return Poll::Ready(Ok(()));
        }
        match &mut self.leg {
            Leg::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Leg::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
            Leg::User(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.poll_read_early_or_leg(cx, buf))?;
        if let Some(first) = &mut self.first {
            let room = Evidence::MAX_FIRST_BYTES.saturating_sub(first.len());
            let read = buf.filled().get(before..).unwrap_or_default();
            first.extend(read.iter().take(room));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.leg {
            Leg::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Leg::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
            Leg::User(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.leg {
            Leg::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Leg::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
            Leg::User(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.leg {
            Leg::Tcp(stream) => stream.is_write_vectored(),
            Leg::Tls(stream) => stream.is_write_vectored(),
            Leg::User(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.leg {
            Leg::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Leg::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Leg::User(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.leg {
            Leg::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Leg::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Leg::User(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io")
            .field("tls", &matches!(self.leg, Leg::Tls(_)))
            .field("early", &self.early.remaining())
            .finish_non_exhaustive()
    }
}
