//! Authority: a certificate authority of a test, and servers that show its certificates.

use std::fmt;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ServerConfig;

/// A certificate authority with a fresh key. Cheap to clone.
#[derive(Clone)]
pub struct Authority {
    issuer: Arc<Issuer<'static, KeyPair>>,
    pem: Arc<str>,
}

impl Authority {
    /// Makes an authority that signs as `common_name`.
    ///
    /// # Panics
    /// If the machine has no randomness for a key.
    pub fn new(common_name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("randomness for a key");
        let certificate = parameters.self_signed(&key).expect("the key signs");
        let pem = certificate.pem().into();
        Self { issuer: Arc::new(Issuer::new(parameters, key)), pem }
    }

    /// The root certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS for a server with these names (or IP addresses), which offers these ALPN protocols.
    ///
    /// # Panics
    /// If a name cannot stand in a certificate.
    pub fn server_config(&self, host_names: &[&str], alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let names: Vec<String> = host_names.iter().map(|name| (*name).to_owned()).collect();
        let parameters = CertificateParams::new(names).expect("names for a certificate");
        let key = KeyPair::generate().expect("randomness for a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("the key signs");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is PKCS#8");
        // Named, because a process with two providers has no default.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is the certificate's");
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
