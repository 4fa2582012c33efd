//! Renewal: new settings of the network for a bridge that lives on.

use std::fmt;

use super::proxy::Proxy;
use super::tls_settings::TlsSettings;

/// What changes of the network below a [`Bridge`](crate::Bridge) that lives on:
/// [`renew_network`](crate::Bridge::renew_network) takes it.
///
/// What is not given stays as it is. The operating system's trust store, and what `SSL_CERT_FILE`
/// names in its place, are read anew each time.
#[derive(Default)]
#[must_use = "nothing is renewed before Bridge::renew_network"]
pub struct NetworkRenewal {
    proxy: Option<Proxy>,
    /// In place of all that were added.
    roots: Option<Vec<Vec<u8>>>,
    client_identity: Option<(Vec<u8>, Vec<u8>)>,
    prepared: Option<rustls::ClientConfig>,
}

impl NetworkRenewal {
    /// All stays as it is, but for the trust store, which is read anew.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another proxy, or [`Proxy::from_env`] to read the environment anew.
    ///
    /// A proxy that is not given keeps what it has learnt of logins: that it refused one, too.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Root certificates in place of all that were added before: PEM (one or more) or DER (one).
    /// May be given several times.
    pub fn root_certificates(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.roots.get_or_insert_default().push(certificates.into());
        self
    }

    /// Another client certificate for mutual TLS: the chain and its private key, both PEM.
    pub fn client_identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client_identity = Some((chain.into(), key.into()));
        self
    }

    /// A prepared configuration of rustls, in place of the one before, or of the roots and the
    /// client certificate.
    pub fn tls(mut self, config: rustls::ClientConfig) -> Self {
        self.prepared = Some(config);
        self
    }

    /// What TLS is made from, once it was made from `before`.
    pub(super) fn tls_after(&self, before: &TlsSettings) -> TlsSettings {
        // A prepared configuration leaves nothing of what was before it.
        let before = if self.prepared.is_some() { TlsSettings::default() } else { before.clone() };
        TlsSettings {
            roots: self.roots.clone().unwrap_or(before.roots),
            client_identity: self.client_identity.clone().or(before.client_identity),
            prepared: self.prepared.clone().or(before.prepared),
        }
    }

    pub(super) fn into_proxy(self) -> Option<Proxy> {
        self.proxy
    }
}

/// Without keys.
impl fmt::Debug for NetworkRenewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkRenewal").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
