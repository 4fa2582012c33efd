//! Sidecar: a local server that passes each call to a `Bridge`, for clients not in Rust.
//!
//! It serves the command line, and stands outside the crate's promise of compatibility.
//!
//! ```no_run
//! use genai_bridge::Bridge;
//! use genai_bridge::sidecar::{Identity, Sidecar};
//!
//! # async fn example() -> Result<(), genai_bridge::Error> {
//! let bridge = Bridge::builder().from_env().build()?;
//! let identity = Identity::self_made(&[])?;
//! println!("clients trust {}", identity.root_certificate().unwrap_or_default());
//! let sidecar = Sidecar::builder(bridge).identity(identity).bind().await?;
//! println!("clients call {}", sidecar.address());
//! sidecar.serve(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

mod account;
mod admin;
mod builder;
mod connection;
mod discard;
mod foreign;
mod grpc;
mod identity;
mod listener;
mod metrics;
mod placeholder;
mod refusal;
mod rest;
mod service;
mod shutdown;
mod web_guard;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::info;

pub use builder::SidecarBuilder;
pub use identity::Identity;
pub use placeholder::PLACEHOLDER_KEY;

use crate::bridge::Bridge;
use admin::Admin;
use connection::Port;
use listener::accept;

/// A server that has its ports and waits to be run by [`serve`](Self::serve).
#[derive(Debug)]
pub struct Sidecar {
    listener: TcpListener,
    address: SocketAddr,
    port: Port,
    admin: Option<(TcpListener, SocketAddr, Admin)>,
    max_connections: usize,
    patience: Duration,
}

impl Sidecar {
    /// The options of a sidecar over this bridge.
    pub fn builder(bridge: Bridge) -> SidecarBuilder {
        SidecarBuilder::new(bridge)
    }

    /// Where clients call.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/healthz` and `/metrics` are, if they are asked for.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address, _)| *address)
    }

    /// Serves until `stop` is done; then takes no more connections, lets the calls in flight finish within the time
    /// for it, ends what is left in order, and returns when every connection has gone.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { listener, port, admin, max_connections, patience, .. } = self;
        let shutdown = Arc::clone(&port.service.shutdown);
        let connections = TaskTracker::new();
        let admin = admin.map(|(listener, _, admin)| tokio::spawn(admin.serve(listener)));
        tokio::select! {
            () = accept(listener, max_connections, &connections, |socket| port.clone().serve(socket)) => {}
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

/// The time for clients to read how their calls ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
