//! `SidecarBuilder`: every option with its default, checked once, when the ports are taken.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::address::ListenAddress;
use super::admin::Admin;
use super::connection::{ConnectionLimits, Port, http_of};
use super::identity::Identity;
use super::intake::{Intake, Memory};
use super::metrics::Metrics;
use super::server::{Listener, Sidecar};
use super::service::Service;
use super::shutdown::Shutdown;
#[cfg(unix)]
use super::socket_file::SocketFile;
use super::web_guard::{WebGuard, is_host};
use super::workers::Workers;
use crate::bridge::Bridge;
use crate::error::{Error, ErrorKind};

/// Settings of a [`Sidecar`]; made by [`Sidecar::builder`].
#[must_use = "a builder does nothing before bind()"]
#[derive(Debug)]
pub struct SidecarBuilder {
    bridge: Bridge,
    listen: ListenAddress,
    admin: Option<SocketAddr>,
    identity: Option<Identity>,
    allow_remote: bool,
    hosts: Vec<String>,
    replaces_placeholder: bool,
    threads: usize,
    connections: usize,
    streams: u32,
    calls: usize,
    request_memory: usize,
    request_timeout: Duration,
    idle_timeout: Duration,
    shutdown_timeout: Duration,
}

impl Sidecar {
    /// Begins the settings of a sidecar that sends its calls through this bridge.
    pub fn builder(bridge: Bridge) -> SidecarBuilder {
        SidecarBuilder::new(bridge)
    }
}

impl SidecarBuilder {
    pub(super) fn new(bridge: Bridge) -> Self {
        Self {
            bridge,
            listen: ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
            admin: None,
            identity: None,
            allow_remote: false,
            hosts: Vec::new(),
            replaces_placeholder: false,
            threads: 0,
            connections: 1000,
            streams: 1000,
            calls: 4000,
            request_memory: 512 * 1024 * 1024,
            request_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            shutdown_timeout: Duration::from_secs(30),
        }
    }

    /// The address to listen on. Default: a free port of 127.0.0.1.
    ///
    /// Only this user may open the file of a Unix socket. The sidecar replaces a socket that nobody
    /// listens to, and removes its own at the end.
    pub fn listen(mut self, address: impl Into<ListenAddress>) -> Self {
        self.listen = address.into();
        self
    }

    /// The address of `/healthz` and `/metrics`. Default: not served.
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// The certificate for clients that use TLS. Default: none, so only plaintext is accepted.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Allows addresses that other machines can reach. They accept only TLS. Default: refused.
    pub fn allow_remote(mut self) -> Self {
        self.allow_remote = true;
        self
    }

    /// An additional host name that clients may use in their requests, as `name` or `name:port`.
    /// [`bind`](Self::bind) refuses any other text. Default: only the listener's own names.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Removes the key [`PLACEHOLDER_KEY`](super::PLACEHOLDER_KEY) from calls, so that the bridge
    /// adds its own. Default: the sidecar passes on every key.
    pub fn replace_placeholder_key(mut self) -> Self {
        self.replaces_placeholder = true;
        self
    }

    /// The number of threads that serve connections. Each has its own runtime, and its own
    /// connections to the service. Default: 0, which means that the caller's runtime serves them.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The most connections of clients. Further connections wait. Default: 1000.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// The most concurrent calls on one connection. Further calls wait. Default: 1000.
    pub fn streams(mut self, streams: u32) -> Self {
        self.streams = streams;
        self
    }

    /// The most concurrent calls over all connections. Further calls fail with `UNAVAILABLE`.
    /// Default: 4000.
    pub fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// The most memory, in bytes, for all requests in flight together. Further requests fail with
    /// `RESOURCE_EXHAUSTED`. Default: 512 MiB.
    pub fn request_memory(mut self, bytes: usize) -> Self {
        self.request_memory = bytes;
        self
    }

    /// The time limit for a request of one message to arrive. Default: 60 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Closes a connection that has had no call for this time. Default: 5 min.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// The time that running calls have to finish at shutdown. Default: 30 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Checks the settings and takes the ports.
    ///
    /// # Errors
    /// A port or a socket is in use, or cannot be used. The system provides no thread. A
    /// [`host`](Self::host) is not a host name. Or other machines could reach an address without
    /// [`allow_remote`](Self::allow_remote), or without TLS.
    pub async fn bind(self) -> Result<Sidecar, Error> {
        self.check()?;
        let (listener, address) = listen(&self.listen).await?;
        let admin = match self.admin {
            Some(address) => Some(bind("serve /healthz and /metrics", address).await?),
            None => None,
        };
        let workers = Workers::start(self.threads);
        let workers = workers
            .map_err(|error| wrong("no thread for connections".into()).with_source(error))?;
        let metrics = Arc::new(Metrics::new(self.bridge.clone())?);
        let guard = |address| WebGuard::new(address, &self.hosts, self.identity.as_ref());
        let own_guard = address.tcp().map_or_else(WebGuard::of_socket, guard);
        let shutdown = Arc::new(Shutdown::default());
        let service = Arc::new(Service {
            guard: own_guard,
            metrics: Arc::clone(&metrics),
            shutdown: Arc::clone(&shutdown),
            permits: Arc::new(Semaphore::new(self.calls.min(Semaphore::MAX_PERMITS))),
            intake: Intake {
                memory: Memory::new(self.request_memory),
                request_timeout: self.request_timeout,
            },
            replaces_placeholder: self.replaces_placeholder,
            bridge: self.bridge,
        });
        let admin = admin.map(|(listener, address)| {
            (listener, address, Admin::new(guard(address), metrics, Arc::clone(&shutdown)))
        });
        let limits = ConnectionLimits {
            streams: self.streams,
            idle: self.idle_timeout,
            request: self.request_timeout,
        };
        let port = Port {
            allows_plaintext: address.tcp().is_none_or(|address| address.ip().is_loopback()),
            tls: self.identity.map(|identity| TlsAcceptor::from(identity.server_config())),
            http: Arc::new(http_of(&limits)),
            idle_limit: limits.idle,
            service,
        };
        Ok(Sidecar {
            listener,
            address,
            port,
            workers,
            admin,
            max_connections: self.connections.clamp(1, Semaphore::MAX_PERMITS),
            patience: self.shutdown_timeout,
        })
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(no_host(host));
        }
        let listen = self.listen.tcp();
        for address in [listen, self.admin].into_iter().flatten() {
            if !address.ip().is_loopback() && !self.allow_remote {
                let text =
                    format!("other machines can reach {address}, and could then spend your key");
                return Err(wrong(text).with_remedy(
                    "listen on 127.0.0.1, or allow it (`SidecarBuilder::allow_remote`)",
                ));
            }
        }
        if let Some(address) = listen.filter(|listen| !listen.ip().is_loopback())
            && self.identity.is_none()
        {
            let text = format!("other machines can reach {address}, so it needs TLS");
            return Err(wrong(text).with_remedy("give a certificate (`SidecarBuilder::identity`)"));
        }
        Ok(())
    }
}

async fn listen(address: &ListenAddress) -> Result<(Listener, ListenAddress), Error> {
    match address {
        ListenAddress::Tcp(address) => {
            let (listener, address) = bind("listen", *address).await?;
            Ok((Listener::Tcp(listener), address.into()))
        }
        #[cfg(unix)]
        ListenAddress::Unix(path) => {
            let listening = SocketFile::listen(path);
            let refused = |error| taken(format!("cannot listen on {address}"), error);
            let (listener, file) = listening.map_err(refused)?;
            Ok((Listener::Unix(listener, file), address.clone()))
        }
        #[cfg(not(unix))]
        ListenAddress::Unix(_) => Err(wrong(format!("cannot listen on {address} on this system"))),
    }
}

/// `what` is what cannot be done there.
async fn bind(what: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |error| taken(format!("cannot {what} on {address}"), error);
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// An address that cannot be had.
fn taken(text: String, error: io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "end the program that listens there, or choose another address",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on, or a folder that this user can write"
        }
        io::ErrorKind::InvalidInput => "choose a shorter path",
        io::ErrorKind::NotFound => "make the folder first, or choose another address",
        _ => "choose another address",
    };
    wrong(text).with_source(error).with_remedy(remedy)
}

/// So that a timeout that is meant as none does not overflow the clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What stands before an `@` may be a password.
fn no_host(text: &str) -> Error {
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    wrong(format!("{text:?} is not a host name")).with_remedy(
        "give a name, such as bridge.corp or bridge.corp:8443 (`SidecarBuilder::host`)",
    )
}

fn wrong(text: String) -> Error {
    Error::new(ErrorKind::Configuration, text)
}
