//! Listener: takes connections, up to their limit, and follows each to its end.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// What gives connections.
pub(super) trait Accept {
    type Stream;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        Self::accept(self).await.map(|(socket, _)| socket)
    }
}

#[cfg(unix)]
impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Self::accept(self).await.map(|(socket, _)| socket)
    }
}

/// Accepts connections for ever. Beyond `limit`, new ones wait in the system's queue.
pub(super) async fn accept<L, F>(
    listener: L,
    limit: usize,
    connections: &TaskTracker,
    serve: impl Fn(L::Stream) -> F,
) where
    L: Accept,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limit));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok(socket) => {
                let serving = serve(socket);
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            // The client has gone already, or the system has no file handle left: others close.
            Err(error) => {
                warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Between two attempts to accept, so that a lasting failure does not spin.
const PAUSE: Duration = Duration::from_millis(50);
