//! Ending: how the proxy breaks off with a client, on whatever layer it does so.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;

/// A stream of bytes to the client or to the target, under TLS or plain.
pub(super) type Stream = Box<dyn Duplex>;

/// Reads and writes.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

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

/// A second hold on the client's socket: it breaks the connection under whatever speaks on it.
pub(super) struct Socket(std::net::TcpStream);

impl Socket {
    pub(super) fn split_off(stream: TcpStream) -> io::Result<(TcpStream, Self)> {
        let stream = stream.into_std()?;
        let second = stream.try_clone()?;
        Ok((TcpStream::from_std(stream)?, Self(second)))
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
    pub(super) async fn cut(self, ending: Ending) -> io::Result<()> {
        match ending {
            Ending::Reset => SockRef::from(&self.0).set_linger(Some(Duration::ZERO)),
            Ending::Close | Ending::Say(_) => {
                self.0.shutdown(Shutdown::Write)?;
                self.read_to_end().await
            }
            Ending::Silence | Ending::SayOnly(_) => self.read_to_end().await,
        }
    }

    /// A socket that is closed with unread bytes sends a reset, which may overtake what was said.
    async fn read_to_end(self) -> io::Result<()> {
        copy(&mut TcpStream::from_std(self.0)?, &mut sink()).await.map(|_| ())
    }
}
