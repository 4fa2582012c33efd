//! Authority: a certificate authority made at run time, for servers that tests trust, or do not.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;

/// A certificate authority for tests. Clones share its key.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes a key, and a root certificate with this common name.
    ///
    /// # Panics
    /// The process's random numbers fail.
    pub fn new(common_name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("random numbers for a key");
        let root = parameters.self_signed(&key).expect("a fresh key signs");
        Self(Arc::new(Inner { pem: root.pem(), issuer: Issuer::new(parameters, key) }))
    }

    /// The root certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    /// The root certificate and its private key, as PEM, for a real proxy that issues certificates.
    pub fn pem_with_key(&self) -> String {
        format!("{}{}", self.pem(), self.0.issuer.key().serialize_pem())
    }

    /// The TLS configuration of a server with these names or IP addresses. `alpn` are the protocols
    /// that it offers; if empty, it does not use ALPN.
    ///
    /// # Panics
    /// A name is not ASCII, or the process's crypto provider cannot do TLS.
    pub fn server_config(&self, host_names: &[&str], alpn: &[&[u8]]) -> Arc<ServerConfig> {
        self.server_config_until(FAR_YEAR, host_names, alpn)
    }

    /// The same, with a certificate that ends with the beginning of `year`.
    pub(super) fn server_config_until(
        &self,
        year: i32,
        host_names: &[&str],
        alpn: &[&[u8]],
    ) -> Arc<ServerConfig> {
        let (leaf, key) = self.sign(year, host_names);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
        let mut config = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()
            .expect("the process's crypto provider does TLS")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// A certificate with these names (or IP addresses) and its private key, both PEM, for a real
    /// server.
    ///
    /// # Panics
    /// A name is not ASCII.
    pub fn leaf(&self, host_names: &[&str]) -> (String, String) {
        let (leaf, key) = self.sign(FAR_YEAR, host_names);
        (leaf.pem(), key.serialize_pem())
    }

    /// A leaf that ends with the beginning of `year`.
    fn sign(&self, year: i32, host_names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = host_names.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(names).expect("host names are ASCII");
        parameters.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("random numbers for a key");
        let leaf = parameters.signed_by(&key, &self.0.issuer).expect("the authority's key signs");
        (leaf, key)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The process's own choice, else ours: nothing is installed for the whole process.
pub(super) fn crypto_provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(built_in::default_provider()))
}

#[cfg(feature = "aws-lc")]
use rustls::crypto::aws_lc_rs as built_in;
#[cfg(not(feature = "aws-lc"))]
use rustls::crypto::ring as built_in;

/// No test runs until then.
const FAR_YEAR: i32 = 4000;
