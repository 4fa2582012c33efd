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
mod hop_name;
mod io;
mod login;
mod per_runtime;
mod proxy;
mod renewal;
mod socket;
mod socks;
#[cfg(feature = "system-proxy")]
mod system;
#[cfg(not(feature = "system-proxy"))]
#[path = "no_system.rs"]
mod system;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;
mod tls_failure;
mod tls_observer;
mod tls_settings;
mod trust_store;
mod tunnel;
mod user_connector;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
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
pub(crate) use hop_name::HopName;
pub use login::{ProxyLogin, ProxyTunnel};
pub(crate) use per_runtime::{PerRuntime, require_runtime};
pub use proxy::Proxy;
pub use renewal::NetworkRenewal;
pub(crate) use tasks::Tasks;
pub(crate) use tls_failure::classify_tls as kind_of_tls;
pub(crate) use trust_store::store_faults;
pub(crate) use user_connector::UserConnector;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed {
    pub(crate) use super::login::Challenge;
    pub(crate) use super::tunnel::fuzzed::{ConnectHead, connect_head};
}

use crate::error::Error;
use connector::Connecting;
use proxy::Proxies;
pub(crate) use tls::ASKED_FOR_CERTIFICATE;
use tls::Tls;
pub(crate) use tls_failure::late_refusal;
pub(crate) use tls_settings::TlsSettings;

/// What the network is built from.
#[derive(Default)]
pub(crate) struct NetworkSettings {
    pub(crate) proxy: Proxy,
    pub(crate) tls: TlsSettings,
    /// From DNS to the end of the TLS handshake. Default: 5 s, 10 s through a proxy.
    pub(crate) connect_timeout: Option<Duration>,
    /// Gives the streams, in place of DNS and TCP.
    pub(crate) connector: Option<UserConnector>,
    /// The first connection will be one of TLS.
    pub(crate) is_https: bool,
}

/// One way to the service for both transports: proxy, trust, time to connect. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Network(Arc<Inner>);

struct Inner {
    /// Replaced by a renewal; a dial keeps what it began with.
    in_force: RwLock<Arc<InForce>>,
    tls_settings: Mutex<TlsSettings>,
    connect_timeout: Option<Duration>,
    connector: Option<UserConnector>,
    drivers: Tasks,
}

/// What a renewal replaces.
struct InForce {
    proxies: Arc<Proxies>,
    tls: Tls,
}

impl InForce {
    /// The proxy before `origin`.
    fn proxy_for(&self, origin: &Origin) -> Option<&ProxyHop> {
        // No proxy stands before a socket of this machine.
        origin.socket().is_none().then(|| self.proxies.find(origin)).flatten()
    }

    /// How failures name the service: with the proxy, if one stands before it.
    fn hop(&self, origin: &Origin) -> String {
        if let Some(path) = origin.socket() {
            return format!("socket {}", path.display());
        }
        match self.proxy_for(origin) {
            None => format!("host {}", origin.address()),
            Some(proxy) => format!("host {} through {proxy}", origin.address()),
        }
    }
}

impl Network {
    /// Reads the environment where [`Proxy::from_env`] asks for it, and the trust store. Needs no
    /// runtime.
    ///
    /// # Errors
    /// A setting, or a proxy in the environment, cannot be used; all are
    /// `ErrorKind::Configuration`.
    pub(crate) fn new(settings: NetworkSettings) -> Result<Self, Error> {
        let tls = settings.tls.read(settings.is_https)?;
        let proxies = Arc::new(settings.proxy.resolve()?);
        Ok(Self(Arc::new(Inner {
            in_force: RwLock::new(Arc::new(InForce { proxies, tls })),
            tls_settings: Mutex::new(settings.tls),
            connect_timeout: settings.connect_timeout,
            connector: settings.connector,
            drivers: Tasks::default(),
        })))
    }

    /// Takes new settings for the connections to come, and reads the trust store anew.
    ///
    /// # Errors
    /// A setting cannot be used; then nothing has changed.
    pub(crate) fn renew(&self, renewal: NetworkRenewal) -> Result<(), Error> {
        // Held to the end, so that of two renewals at once none is half in force.
        let mut settings = self.tls_settings();
        let renewed = renewal.tls_after(&settings);
        let tls = renewed.read(false)?;
        let proxies = match renewal.into_proxy() {
            Some(proxy) => Arc::new(proxy.resolve()?),
            None => Arc::clone(&self.in_force().proxies),
        };
        *settings = renewed;
        let in_force = Arc::new(InForce { proxies, tls });
        *self.0.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
        Ok(())
    }

    /// What drives the connections.
    pub(crate) fn drivers(&self) -> &Tasks {
        &self.0.drivers
    }

    /// What the system's settings hold and is not used, for a person.
    pub(crate) fn proxy_notes(&self) -> Vec<String> {
        self.in_force().proxies.notes().to_vec()
    }

    /// The proxy before `origin`.
    pub(crate) fn proxy_for(&self, origin: &Origin) -> Option<ProxyHop> {
        self.in_force().proxy_for(origin).cloned()
    }

    /// The time that connecting to `origin` may take.
    fn connect_timeout(&self, has_proxy: bool) -> Duration {
        let default = if has_proxy { CONNECT_TIMEOUT_THROUGH_PROXY } else { CONNECT_TIMEOUT };
        self.0.connect_timeout.unwrap_or(default).min(LONGEST_TIMEOUT)
    }

    /// Opens a connection: DNS, TCP, the proxy's tunnel, TLS, all within one time limit.
    ///
    /// # Errors
    /// Always with a `Symptom`, of a station before `Station::Request`: nothing of a call was sent.
    pub(crate) async fn connect(&self, origin: &Origin, alpn: Alpn) -> Result<Connection, Error> {
        let in_force = self.in_force();
        let proxy = in_force.proxy_for(origin);
        let deadline = Instant::now() + self.connect_timeout(proxy.is_some());
        let user = self.0.connector.as_ref();
        let connecting = Connecting { tls: &in_force.tls, user, alpn, deadline };
        connecting.connect(proxy, origin, in_force.hop(origin)).await
    }

    /// Whether the program's own connector gives the streams.
    pub(crate) fn has_own_connector(&self) -> bool {
        self.0.connector.is_some()
    }

    /// What the last dial met at the proxy's login, for a person; `None` without a proxy, or if it
    /// asked for none.
    pub(crate) async fn describe_login(&self, origin: &Origin) -> Option<String> {
        self.proxy_for(origin)?.login().describe().await
    }

    /// How failures name the service: with the proxy, if one stands before it.
    pub(crate) fn hop(&self, origin: &Origin) -> String {
        self.in_force().hop(origin)
    }

    /// Replaced as a whole: a panic elsewhere spoils nothing.
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.0.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn tls_settings(&self) -> MutexGuard<'_, TlsSettings> {
        self.0.tls_settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("proxies", &self.in_force().proxies)
            .field("connect_timeout", &self.0.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// So that a timeout of `Duration::MAX`, meant as none, does not overflow the clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_THROUGH_PROXY: Duration = Duration::from_secs(10);
