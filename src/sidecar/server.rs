//! Server: takes connections until it is told to stop, then lets the calls in flight finish.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::address::ListenAddress;
use super::admin::Admin;
use super::connection::Port;
use super::listener::accept;
#[cfg(unix)]
use super::socket_file::SocketFile;
use super::workers::Workers;

/// A server that has taken its ports. [`serve`](Self::serve) runs it.
#[derive(Debug)]
pub struct Sidecar {
    pub(super) listener: Listener,
    pub(super) address: ListenAddress,
    pub(super) port: Port,
    pub(super) workers: Workers,
    pub(super) admin: Option<(TcpListener, SocketAddr, Admin)>,
    pub(super) max_connections: usize,
    pub(super) patience: Duration,
}

impl Sidecar {
    /// The address that clients call.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The address of `/healthz` and `/metrics`, if they are served.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address, _)| *address)
    }

    /// Serves until `stop` completes. Then it accepts no more connections, and running calls have
    /// [`shutdown_timeout`](super::SidecarBuilder::shutdown_timeout) to finish; after that they
    /// fail with `UNAVAILABLE`. Returns when every connection is closed.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { listener, port, workers, admin, max_connections, patience, .. } = self;
        let shutdown = Arc::clone(&port.service.shutdown);
        let connections = TaskTracker::new();
        let admin = admin.map(|(listener, _, admin)| tokio::spawn(admin.serve(listener)));
        tokio::select! {
            () = listener.accept(max_connections, &connections, &workers, port) => {}
            () = stop => {}
        }
        shutdown.begin();
        connections.close();
        info!(connections = connections.len(), "shutting down: calls in flight may finish");
        if timeout(patience, connections.wait()).await.is_err() {
            info!(connections = connections.len(), "time is up: ending the calls in flight");
            shutdown.end_calls();
        }
        if timeout(LAST_WORDS, connections.wait()).await.is_err() {
            shutdown.cut();
            connections.wait().await;
        }
        info!("all connections have ended");
        if let Some(admin) = admin {
            admin.abort();
        }
    }
}

/// What gives the connections of clients.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Accepts connections for ever; what is dropped before its end takes no more of them.
    async fn accept(self, limit: usize, connections: &TaskTracker, workers: &Workers, port: Port) {
        match self {
            Self::Tcp(listener) => {
                let serve = |socket| port.serve(socket);
                accept(listener, limit, connections, workers, serve).await;
            }
            #[cfg(unix)]
            Self::Unix(listener, file) => {
                let serve = |socket| port.serve_socket(socket);
                accept(listener, limit, connections, workers, serve).await;
                drop(file);
            }
        }
    }
}

/// The time for clients to read how their calls ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
