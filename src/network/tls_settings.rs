//! TLS settings: roots, a client certificate, or a prepared configuration, as the program gives
//! them.

use super::certificate;
use super::crypto::begin_randomness;
use super::tls::Tls;
use crate::error::{Error, ErrorKind};

/// What TLS is made from.
#[derive(Clone, Default)]
pub(crate) struct TlsSettings {
    /// Each PEM (one or more certificates) or DER (one), trusted besides the operating system's.
    pub(crate) roots: Vec<Vec<u8>>,
    /// The chain and private key of a client certificate, both PEM.
    pub(crate) client_identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Prepared by the program, in place of the others.
    pub(crate) prepared: Option<rustls::ClientConfig>,
}

impl TlsSettings {
    /// Before a first connection over TLS the process's randomness `begins` to be drawn.
    pub(super) fn read(&self, begins: bool) -> Result<Tls, Error> {
        let is_trust_given = !self.roots.is_empty() || self.client_identity.is_some();
        match &self.prepared {
            Some(_) if is_trust_given => {
                let what =
                    "a prepared TLS configuration excludes added roots and a client certificate";
                Err(Error::new(ErrorKind::Configuration, what).with_remedy(
                    "put roots and client certificate into the configuration that `BridgeBuilder::tls` gets",
                ))
            }
            Some(config) => {
                if begins {
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
                Tls::new(roots, identity, begins)
            }
        }
    }
}
