//! Tls: one rustls configuration for both transports, the handshake, and what its errors mean.

use std::cell::Cell;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    InvalidMessage, PeerMisbehaved, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::alpn::Alpn;
use super::certificate::issuer_of;
use super::crypto::crypto_provider;
use super::fault::Fault;
use super::io::Io;
use crate::error::{Error, ErrorKind};
use crate::symptom::{Evidence, SymptomKind};

/// One base configuration, cloned for each list of protocols. The clones share tickets.
#[derive(Debug)]
pub(super) struct Tls {
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

/// The chain and private key of a client certificate.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Tls {
    /// Trusts the operating system's store (on Linux `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured in
    /// its place) and `roots`.
    ///
    /// # Errors
    /// There is nothing to trust, or the identity's key does not fit its certificate.
    pub(super) fn new(
        roots: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
    ) -> Result<Self, Error> {
        let provider = crypto_provider()?;
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(
            |error| wrong("no root certificate to trust: install ca-certificates, set SSL_CERT_FILE or add roots", error),
        )?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("the process's crypto provider cannot do TLS", error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Observing(verifier)));
        let base = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| wrong("client certificate and key cannot be used", error))?,
        };
        Ok(Self::of(&base))
    }

    /// Uses a configuration that the program prepared.
    ///
    /// # Errors
    /// It names protocols: which ones are offered depends on what a connection is for.
    pub(super) fn prepared(config: &ClientConfig) -> Result<Self, Error> {
        if config.alpn_protocols.is_empty() {
            return Ok(Self::of(config));
        }
        let what = "the prepared TLS configuration names protocols (alpn_protocols)";
        Err(Error::new(ErrorKind::Configuration, what)
            .with_remedy("leave alpn_protocols empty: the bridge offers h2 and http/1.1 itself"))
    }

    fn of(base: &ClientConfig) -> Self {
        let offering = |protocols: &[&[u8]]| {
            let mut config = base.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Self { http2: offering(&[H2, HTTP_1_1]), http1: offering(&[HTTP_1_1]) }
    }

    /// HTTP/1.1 is offered beside HTTP/2 even where only HTTP/2 will do: a peer without it then says so,
    /// and not one of three different errors.
    pub(super) fn config(&self, alpn: Alpn) -> &Arc<ClientConfig> {
        match alpn {
            Alpn::Http2 | Alpn::Any => &self.http2,
            Alpn::Http1 => &self.http1,
        }
    }
}

fn wrong(what: &'static str, error: rustls::Error) -> Error {
    Error::new(ErrorKind::Configuration, what).with_source(error)
}

pub(super) type TlsStream = tokio_rustls::client::TlsStream<Io>;

/// A stream under TLS, and what the handshake showed.
pub(super) struct Session {
    pub(super) io: Io,
    pub(super) protocol: Option<Vec<u8>>,
    pub(super) issuer: Option<String>,
}

impl Session {
    /// A stream that needs no handshake.
    pub(super) fn plain(io: Io) -> Self {
        Self { io, protocol: None, issuer: None }
    }
}

/// Shakes hands before `deadline`.
pub(super) async fn shake_hands(
    tls: &Tls,
    alpn: Alpn,
    name: ServerName<'static>,
    io: Io,
    deadline: Instant,
) -> Result<Session, Fault> {
    let connector = TlsConnector::from(Arc::clone(tls.config(alpn)));
    let handshake = connector.connect(name, io.keeping_first_bytes()).into_fallible();
    let (outcome, presented) = observe_issuer(timeout_at(deadline, handshake)).await;
    match outcome {
        Ok(Ok(stream)) => Ok(session(stream, presented)),
        Ok(Err((error, io))) => Err(fault_of(error, alpn, &io).with_issuer(presented.as_deref())),
        Err(_) => Err(Fault::new(SymptomKind::TlsTimeout).with_issuer(presented.as_deref())),
    }
}

fn session(stream: TlsStream, presented: Option<String>) -> Session {
    let (_, connection) = stream.get_ref();
    // A resumed session presents no certificate, but remembers it.
    let issuer = presented.or_else(|| issuer_of(connection.peer_certificates()?.first()?));
    Session {
        protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
        issuer,
        io: Io::tls(stream),
    }
}

fn fault_of(error: io::Error, alpn: Alpn, io: &Io) -> Fault {
    let Some((kind, evidence)) = classify(&error, alpn) else {
        return Fault::of_io(kind_of_io(error.kind()), error);
    };
    let fault = Fault::new(kind).with_evidence(evidence).with_source(error);
    match kind {
        SymptomKind::NotTls => fault.with_first_bytes(io.first_bytes()),
        _ => fault,
    }
}

/// What a rustls error anywhere behind `error` means; `None` if there is none.
///
/// An `io::Error` hides what it wraps from `source()`, so it is asked by itself.
fn classify(error: &(dyn StdError + 'static), alpn: Alpn) -> Option<(SymptomKind, Evidence)> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(classify_tls(error, alpn));
        }
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

pub(crate) fn classify_tls(error: &rustls::Error, alpn: Alpn) -> (SymptomKind, Evidence) {
    let detailed = |kind| (kind, Evidence::new().with_detail(error.to_string()));
    match error {
        rustls::Error::InvalidCertificate(fault) => match fault {
            CertificateError::UnknownIssuer => {
                (SymptomKind::CertificateUnknownIssuer, Evidence::new())
            }
            // The issuer is known by name but has another key: a proxy's authority was renewed.
            CertificateError::BadSignature => detailed(SymptomKind::CertificateUnknownIssuer),
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                detailed(SymptomKind::CertificateExpired)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                detailed(SymptomKind::CertificateWrongName)
            }
            _ => detailed(SymptomKind::CertificateInvalid),
        },
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol)
            if alpn == Alpn::Http2 =>
        {
            detailed(SymptomKind::Http2NotOffered)
        }
        rustls::Error::AlertReceived(alert) => {
            (SymptomKind::TlsAlert, Evidence::new().with_detail(format!("alert {alert:?}")))
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (SymptomKind::NotTls, Evidence::new())
        }
        _ => detailed(SymptomKind::TlsMalformed),
    }
}

/// What a socket error in the middle of a handshake means.
fn kind_of_io(error: io::ErrorKind) -> SymptomKind {
    match error {
        io::ErrorKind::UnexpectedEof => SymptomKind::TlsClosed,
        io::ErrorKind::TimedOut => SymptomKind::TlsTimeout,
        _ => SymptomKind::TlsReset,
    }
}

tokio::task_local! {
    static PRESENTED: Cell<Option<String>>;
}

/// Runs `work` and tells who issued the certificate that a handshake in it was shown, accepted or not.
///
/// rustls forgets a certificate that it refuses. The verifier is shared by all connections (tickets are
/// only resumed under the verifier that saw them), so it reports through the task that shakes hands.
async fn observe_issuer<F: Future>(work: F) -> (F::Output, Option<String>) {
    let observed = async {
        let output = work.await;
        (output, PRESENTED.with(Cell::take))
    };
    PRESENTED.scope(Cell::new(None), observed).await
}

/// The platform's verifier, which also reports who issued what it saw.
#[derive(Debug)]
struct Observing(Verifier);

impl ServerCertVerifier for Observing {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Outside of `observe_issuer` nobody asks.
        let _ = PRESENTED.try_with(|presented| presented.set(issuer_of(leaf)));
        self.0.verify_server_cert(leaf, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

pub(super) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::Error as TlsError;
    use rustls::PeerIncompatible;

    #[test]
    fn rustls_errors_are_told_apart_however_deep_they_lie() {
        use SymptomKind as Kind;
        let certificate = TlsError::InvalidCertificate;
        let unoffered = PeerMisbehaved::SelectedUnofferedApplicationProtocol;
        for (error, alpn, expected) in [
            (
                certificate(CertificateError::UnknownIssuer),
                Alpn::Any,
                Kind::CertificateUnknownIssuer,
            ),
            (certificate(CertificateError::Expired), Alpn::Any, Kind::CertificateExpired),
            (certificate(CertificateError::NotValidYet), Alpn::Any, Kind::CertificateExpired),
            (certificate(CertificateError::NotValidForName), Alpn::Any, Kind::CertificateWrongName),
            (certificate(CertificateError::Revoked), Alpn::Any, Kind::CertificateInvalid),
            (TlsError::PeerMisbehaved(unoffered.clone()), Alpn::Http2, Kind::Http2NotOffered),
            (TlsError::PeerMisbehaved(unoffered), Alpn::Http1, Kind::TlsMalformed),
            (
                TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                Alpn::Http2,
                Kind::TlsMalformed,
            ),
        ] {
            let shown = format!("{error:?}");
            let inner = io::Error::new(io::ErrorKind::InvalidData, error);
            let outer = io::Error::other(inner);
            let (kind, _) = classify(&outer, alpn).expect("a rustls error");
            assert_eq!(kind, expected, "{shown}");
        }
        assert!(classify(&io::Error::other("no TLS"), Alpn::Any).is_none());
    }
}
