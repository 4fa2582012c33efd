//! Ending: how the proxy breaks off with a client, on whatever layer it does so.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, copy, sink};
use tokio::net::TcpStream;

/// A stream of bytes to the client or to the target, under TLS or plain.
pub(super) type Stream = Box<dyn Duplex>;

/// Reads and writes.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream that can be broken off, as a socket can.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// From here on, the end of the stream is a reset: the other side learns of it when this one is
    /// dropped.
    fn reset_when_dropped(&mut self);
}

impl Wire for DuplexStream {
    /// In memory an end is an end.
    fn reset_when_dropped(&mut self) {}
}

impl Wire for TcpStream {
    fn reset_when_dropped(&mut self) {
        // It may be closed already.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

/// What a client gets in place of what it waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// The end of the TCP stream (FIN), without a farewell of TLS.
    Close,
    /// A TCP reset (RST).
    Reset,
    /// Nothing, ever; the connection stays open.
    Silence,
    /// These bytes, and then the end of the stream.
    Say(&'static [u8]),
    /// These bytes, and then nothing.
    SayOnly(&'static [u8]),
}

/// The client's stream, held twice: by what speaks on it, and by what breaks it under that.
#[derive(Clone)]
pub(super) struct Socket(Arc<Mutex<Box<dyn Wire>>>);

impl Socket {
    pub(super) fn new(wire: impl Wire) -> Self {
        Self(Arc::new(Mutex::new(Box::new(wire))))
    }

    /// Says on `stream` what there is to say, and ends the connection under it.
    ///
    /// # Errors
    /// The client was faster.
    pub(super) async fn end(self, mut stream: Stream, ending: Ending) -> io::Result<()> {
        if let Ending::Say(bytes) | Ending::SayOnly(bytes) = ending {
            stream.write_all(bytes).await?;
            stream.flush().await?;
        }
        drop(stream);
        self.cut(ending).await
    }

    /// Ends the connection, whose stream has been dropped.
    ///
    /// # Errors
    /// The client was faster.
    pub(super) async fn cut(mut self, ending: Ending) -> io::Result<()> {
        match ending {
            Ending::Reset => {
                self.wire().reset_when_dropped();
                Ok(())
            }
            Ending::Close | Ending::Say(_) => {
                self.shutdown().await?;
                self.read_to_end().await
            }
            Ending::Silence | Ending::SayOnly(_) => self.read_to_end().await,
        }
    }

    /// A socket that is closed with unread bytes sends a reset, which may overtake what was said.
    async fn read_to_end(mut self) -> io::Result<()> {
        copy(&mut self, &mut sink()).await.map(|_| ())
    }

    fn wire(&self) -> MutexGuard<'_, Box<dyn Wire>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.wire()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.wire()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.wire()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.wire()).poll_shutdown(cx)
    }
}
