//! Network: how bytes travel to the service; knows neither transport.

mod address;
mod alpn;
mod caught;
mod certificate;
mod chain;
mod connection;
mod connector;
mod crypto;
mod dial;
mod exempt;
mod fault;
mod hop;
mod io;
mod login;
mod per_runtime;
mod proxy;
mod socket;
mod socks;
#[cfg(feature = "system-proxy")]
mod system;
#[cfg(not(feature = "system-proxy"))]
#[path = "no_system.rs"]
mod system;
#[cfg(test)]
mod tests;
mod tls;
mod tls_failure;
mod tls_observer;
mod trust_store;
mod tunnel;
mod user_connector;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use address::{Address, Origin};
pub(crate) use alpn::Alpn;
pub(crate) use caught::{caught, caught_async};
pub(crate) use connection::Connection;
#[cfg(feature = "cli")]
pub(crate) use crypto::crypto_provider;
pub(crate) use dial::kind_of as kind_of_connect;
pub(crate) use hop::ProxyHop;
pub(crate) use io::Io;
pub use login::{ProxyLogin, ProxyTunnel};
pub(crate) use per_runtime::{PerRuntime, require_runtime};
pub use proxy::Proxy;
pub(crate) use tls_failure::classify_tls as kind_of_tls;
pub(crate) use trust_store::store_faults;
pub(crate) use user_connector::UserConnector;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed {
    pub(crate) use super::login::Challenge;
    pub(crate) use super::tunnel::fuzzed::{ConnectHead, connect_head};
}

use crate::error::{Error, ErrorKind};
use connector::Connecting;
use crypto::begin_randomness;
use proxy::Proxies;
pub(crate) use tls::ASKED_FOR_CERTIFICATE;
use tls::Tls;
pub(crate) use tls_failure::late_refusal;

/// What the network is built from.
#[derive(Default)]
pub(crate) struct NetworkSettings {
    pub(crate) proxy: Proxy,
    /// Each PEM (one or more certificates) or DER (one), trusted besides the operating system's.
    pub(crate) roots: Vec<Vec<u8>>,
    /// The chain and private key of a client certificate, both PEM.
    pub(crate) client_identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Prepared by the program, in place of all above but the proxy.
    pub(crate) tls: Option<rustls::ClientConfig>,
    /// From DNS to the end of the TLS handshake. Default: 5 s, 10 s through a proxy.
    pub(crate) connect_timeout: Option<Duration>,
    /// Gives the streams, in place of DNS and TCP.
    pub(crate) connector: Option<UserConnector>,
    /// The first connection will be one of TLS.
    pub(crate) is_https: bool,
}

impl NetworkSettings {
    fn tls(&self) -> Result<Tls, Error> {
        let is_trust_given = !self.roots.is_empty() || self.client_identity.is_some();
        match &self.tls {
            Some(_) if is_trust_given => {
                let what =
                    "a prepared TLS configuration excludes added roots and a client certificate";
                Err(Error::new(ErrorKind::Configuration, what).with_remedy(
                    "put roots and client certificate into the prepared configuration",
                ))
            }
            Some(config) => {
                if self.is_https {
                    begin_randomness(config.crypto_provider());
                }
                Tls::prepared(config)
            }
            None => {
                let mut roots = Vec::new();
                for bytes in &self.roots {
                    roots.extend(certificate::read_roots(bytes)?);
                }
                let identity = self.client_identity.as_ref();
                let identity = identity
                    .map(|(chain, key)| certificate::read_identity(chain, key))
                    .transpose()?;
                Tls::new(roots, identity, self.is_https)
            }
        }
    }
}

/// One way to the service for both transports: proxy, trust, time to connect. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Network(Arc<Inner>);

struct Inner {
    proxies: Proxies,
    tls: Tls,
    connect_timeout: Option<Duration>,
    connector: Option<UserConnector>,
}

impl Network {
    /// Reads the environment where [`Proxy::from_env`] asks for it, and the trust store. Needs no
    /// runtime.
    ///
    /// # Errors
    /// A setting, or a proxy in the environment, cannot be used; all are `ErrorKind::Configuration`.
    pub(crate) fn new(settings: NetworkSettings) -> Result<Self, Error> {
        let tls = settings.tls()?;
        let proxies = settings.proxy.resolve()?;
        Ok(Self(Arc::new(Inner {
            proxies,
            tls,
            connect_timeout: settings.connect_timeout,
            connector: settings.connector,
        })))
    }

    /// What the system's settings hold and is not used, for a person.
    pub(crate) fn proxy_notes(&self) -> &[String] {
        self.0.proxies.notes()
    }

    /// The proxy before `origin`.
    pub(crate) fn proxy_for(&self, origin: &Origin) -> Option<&ProxyHop> {
        // No proxy stands before a socket of this machine.
        origin.socket().is_none().then(|| self.0.proxies.find(origin)).flatten()
    }

    /// The time that connecting to `origin` may take.
    fn connect_timeout(&self, origin: &Origin) -> Duration {
        let default = match self.proxy_for(origin) {
            None => CONNECT_TIMEOUT,
            Some(_) => CONNECT_TIMEOUT_THROUGH_PROXY,
        };
        self.0.connect_timeout.unwrap_or(default).min(LONGEST_TIMEOUT)
    }

    /// Opens a connection: DNS, TCP, the proxy's tunnel, TLS, all within one time limit.
    ///
    /// # Errors
    /// Always with a `Symptom`, of a station before `Station::Request`: nothing of a call was sent.
    pub(crate) async fn connect(&self, origin: &Origin, alpn: Alpn) -> Result<Connection, Error> {
        let deadline = Instant::now() + self.connect_timeout(origin);
        let Inner { tls, connector: user, .. } = &*self.0;
        let connecting = Connecting { tls, user: user.as_ref(), alpn, deadline };
        connecting.connect(self.proxy_for(origin), origin, self.hop(origin)).await
    }

    /// Whether the program's own connector gives the streams.
    pub(crate) fn has_own_connector(&self) -> bool {
        self.0.connector.is_some()
    }

    /// What the last dial met at the proxy's login, for a person; `None` without a proxy, or if it asked for none.
    pub(crate) async fn describe_login(&self, origin: &Origin) -> Option<String> {
        self.proxy_for(origin)?.login().describe().await
    }

    /// How failures name the service: with the proxy, if one stands before it.
    pub(crate) fn hop(&self, origin: &Origin) -> String {
        if let Some(path) = origin.socket() {
            return format!("socket {}", path.display());
        }
        match self.proxy_for(origin) {
            None => format!("host {}", origin.address()),
            Some(proxy) => format!("host {} through {proxy}", origin.address()),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("proxies", &self.0.proxies)
            .field("connect_timeout", &self.0.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// So that a timeout of `Duration::MAX`, meant as none, does not overflow the clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_THROUGH_PROXY: Duration = Duration::from_secs(10);
