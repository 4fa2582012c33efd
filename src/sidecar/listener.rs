//! Listener: takes connections, up to their limit, and follows each to its end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// Accepts connections for ever. Beyond `limit`, new ones wait in the system's queue.
pub(super) async fn accept<F>(
    listener: TcpListener,
    limit: usize,
    connections: &TaskTracker,
    serve: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limit));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
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
