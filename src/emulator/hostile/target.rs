//! Target: the proxy's own connection to the service, which it does not verify.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::ending::Stream;
use crate::emulator::authority::crypto_provider;

/// A connection to the service, before anything is said on it.
pub(super) struct Target {
    stream: Stream,
    /// The host to name in TLS; `None` for a plain connection.
    tls_host: Option<String>,
}

impl Target {
    pub(super) fn plain(stream: Stream) -> Self {
        Self { stream, tls_host: None }
    }

    pub(super) fn tls(stream: Stream, host: &str) -> Self {
        Self { stream, tls_host: Some(host.to_owned()) }
    }

    /// Agrees with the target on this protocol.
    ///
    /// # Errors
    /// The handshake failed.
    pub(super) async fn speak(self, protocol: &[u8]) -> io::Result<Stream> {
        let Some(host) = self.tls_host else {
            return Ok(self.stream);
        };
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let config = client_config(protocol).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, self.stream).await?))
    }
}

fn client_config(protocol: &[u8]) -> Result<ClientConfig, Error> {
    let provider = crypto_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// Takes any certificate: the target is a test's own, and whose client verifies is the question.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
