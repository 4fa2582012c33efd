//! Listener: takes connections, up to their limit, and follows each to its end.

use std::future::Future;
use std::io;
use std::net;
#[cfg(unix)]
use std::os::unix;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::workers::Workers;

/// What gives connections.
pub(super) trait Accept {
    /// Of no runtime yet.
    type Socket: Send + 'static;
    type Stream: Send;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    /// On the runtime that reads and writes it.
    fn stream(socket: Self::Socket) -> io::Result<Self::Stream>;
}

impl Accept for TcpListener {
    type Socket = net::TcpStream;
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<net::TcpStream> {
        Self::accept(self).await?.0.into_std()
    }

    fn stream(socket: net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(socket)
    }
}

#[cfg(unix)]
impl Accept for UnixListener {
    type Socket = unix::net::UnixStream;
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<unix::net::UnixStream> {
        Self::accept(self).await?.0.into_std()
    }

    fn stream(socket: unix::net::UnixStream) -> io::Result<UnixStream> {
        UnixStream::from_std(socket)
    }
}

/// Accepts connections for ever, for the workers in turn. Beyond `limit`, new ones wait in the
/// system's queue.
pub(super) async fn accept<L, S, F>(
    listener: L,
    limit: usize,
    connections: &TaskTracker,
    workers: &Workers,
    serve: S,
) where
    L: Accept,
    S: FnOnce(L::Stream) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let places = Arc::new(Semaphore::new(limit));
    for worker in workers.in_turn() {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok(socket) => {
                let serve = serve.clone();
                let task = async move {
                    match L::stream(socket) {
                        Ok(stream) => serve(stream).await,
                        Err(error) => debug!(%error, "a connection cannot be served"),
                    }
                    drop(place);
                };
                connections.spawn_on(task, worker);
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
