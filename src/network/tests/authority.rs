//! Certificates of a test, and servers that show them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use tokio_rustls::TlsAcceptor;

/// A certificate authority of a test.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("key");
        let certificate = parameters.self_signed(&key).expect("certificate");
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(parameters, key), pem, der }
    }

    pub(super) fn leaf(&self, name: &str, last_year: i32) -> Leaf {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("name");
        parameters.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("certificate");
        Leaf { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    pub(super) fn localhost(&self) -> Leaf {
        self.leaf("localhost", 4000)
    }
}

pub(super) struct Leaf {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) pem: String,
    pub(super) key: KeyPair,
}

impl Leaf {
    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("key")
    }

    pub(super) fn server(&self, protocols: &[&str]) -> TlsAcceptor {
        server(self.chain.clone(), self.private_key(), protocols)
    }
}

pub(super) fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    protocols: &[&str],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
