//! Tls: one rustls configuration for both transports, the handshake, and what its errors mean.

use std::cell::Cell;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    InvalidMessage, PeerIncompatible, PeerMisbehaved, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::alpn::Alpn;
use super::certificate::issuer_of;
use super::chain::trouble_of;
use super::crypto::crypto_provider;
use super::fault::Fault;
use super::io::Io;
use super::trust_store::store_faults;
use crate::error::{Error, ErrorKind};
use crate::symptom::{Evidence, SymptomKind, TlsTrouble};

/// One base configuration, cloned for each list of protocols. The clones share tickets.
#[derive(Debug)]
pub(super) struct Tls {
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    /// What is wrong with the settings of the trust store.
    store_faults: Vec<String>,
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
        let store_faults = store_faults();
        let of_verifier = Arc::clone(&provider);
        let verifier = if roots.is_empty() {
            Verifier::new(of_verifier)
        } else {
            Verifier::new_with_extra_roots(roots, of_verifier)
        };
        let verifier = verifier.map_err(|error| nothing_to_trust(&store_faults, error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("the process's crypto provider cannot do TLS", error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Observing(verifier)));
        let base = match identity {
            None => builder.with_client_cert_resolver(Arc::new(NoIdentity)),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| wrong("client certificate and key cannot be used", error))?,
        };
        Ok(Self::of(&base, store_faults))
    }

    /// Uses a configuration that the program prepared.
    ///
    /// # Errors
    /// It names protocols: which ones are offered depends on what a connection is for.
    pub(super) fn prepared(config: &ClientConfig) -> Result<Self, Error> {
        if config.alpn_protocols.is_empty() {
            return Ok(Self::of(config, Vec::new()));
        }
        let what = "the prepared TLS configuration names protocols (alpn_protocols)";
        Err(Error::new(ErrorKind::Configuration, what)
            .with_remedy("leave alpn_protocols empty: the bridge offers h2 and http/1.1 itself"))
    }

    fn of(base: &ClientConfig, store_faults: Vec<String>) -> Self {
        let offering = |protocols: &[&[u8]]| {
            let mut config = base.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Self { http2: offering(&[H2, HTTP_1_1]), http1: offering(&[HTTP_1_1]), store_faults }
    }

    /// The same failure, with what the handshake showed of its cause.
    fn explain(&self, fault: Fault, seen: Seen) -> Fault {
        let is_untrusted = fault.kind() == SymptomKind::CertificateUnknownIssuer;
        let bad_store = self.store_faults.first().filter(|_| is_untrusted);
        let trouble = match (bad_store, seen.trouble) {
            (Some(fault), _) => Some((TlsTrouble::BadStore, Some(fault.clone()))),
            // The peer says that it takes none of our certificates, or that something is missing.
            (None, None) if seen.wants_certificate && fault.kind() == SymptomKind::TlsAlert => {
                Some((TlsTrouble::ClientCertificate, Some(ASKED_FOR_CERTIFICATE.to_owned())))
            }
            (None, trouble) => trouble,
        };
        let fault = fault.with_issuer(seen.issuer.as_deref());
        match trouble {
            Some((trouble, fact)) => fault.with_tls(trouble, fact.as_deref()),
            None => fault,
        }
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

/// Only where the verifier reads files can a variable name others.
const NO_TRUST: &str = if cfg!(any(windows, target_vendor = "apple")) {
    "the trust store of the operating system cannot be used with these roots"
} else {
    "no root certificate to trust: install ca-certificates, set SSL_CERT_FILE or add roots"
};

fn wrong(what: &'static str, error: rustls::Error) -> Error {
    Error::new(ErrorKind::Configuration, what).with_source(error)
}

fn nothing_to_trust(store_faults: &[String], error: rustls::Error) -> Error {
    let what = match store_faults {
        [] => NO_TRUST.into(),
        faults => format!("no root certificate to trust: {}", faults.join("; ")),
    };
    Error::new(ErrorKind::Configuration, what).with_source(error)
}

pub(super) type TlsStream = tokio_rustls::client::TlsStream<Io>;

/// A stream under TLS, and what the handshake showed.
pub(super) struct Session {
    pub(super) io: Io,
    pub(super) protocol: Option<Vec<u8>>,
    pub(super) issuer: Option<String>,
    pub(super) wants_certificate: bool,
}

impl Session {
    /// A stream that needs no handshake.
    pub(super) fn plain(io: Io) -> Self {
        Self { io, protocol: None, issuer: None, wants_certificate: false }
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
    let (outcome, seen) = observe(timeout_at(deadline, handshake)).await;
    let fault = match outcome {
        Ok(Ok(stream)) => return Ok(session(stream, seen)),
        Ok(Err((error, io))) => fault_of(error, alpn, &io),
        Err(_) => Fault::new(SymptomKind::TlsTimeout),
    };
    Err(tls.explain(fault, seen))
}

fn session(stream: TlsStream, seen: Seen) -> Session {
    let (_, connection) = stream.get_ref();
    // A resumed session presents no certificate, but remembers it.
    let issuer = seen.issuer.or_else(|| issuer_of(connection.peer_certificates()?.first()?));
    Session {
        protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
        issuer,
        wants_certificate: seen.wants_certificate,
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
fn classify(error: &(dyn StdError + 'static), alpn: Alpn) -> Option<(SymptomKind, Evidence)> {
    find_tls(error).map(|error| classify_tls(error, alpn))
}

/// An `io::Error` hides what it wraps from `source()`, so it is asked by itself.
fn find_tls<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
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
            let evidence = Evidence::new().with_detail(format!("alert {alert:?}"));
            (SymptomKind::TlsAlert, with_trouble(evidence, meaning_of(*alert)))
        }
        rustls::Error::PeerIncompatible(missing) => {
            let evidence = Evidence::new().with_detail(error.to_string());
            (SymptomKind::TlsMalformed, with_trouble(evidence, lack_of(missing)))
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (SymptomKind::NotTls, Evidence::new())
        }
        _ => detailed(SymptomKind::TlsMalformed),
    }
}

fn with_trouble(evidence: Evidence, trouble: Option<TlsTrouble>) -> Evidence {
    match trouble {
        Some(trouble) => evidence.with_tls(trouble),
        None => evidence,
    }
}

/// What a peer means that ends the handshake by this alert (RFC 8446, section 6.2), where it means one thing.
fn meaning_of(alert: AlertDescription) -> Option<TlsTrouble> {
    match alert {
        AlertDescription::ProtocolVersion => Some(TlsTrouble::OldVersion),
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            Some(TlsTrouble::NothingInCommon)
        }
        alert if is_about_our_certificate(alert) => Some(TlsTrouble::ClientCertificate),
        _ => None,
    }
}

/// A client has one certificate to be refused: its own.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::NoCertificate
    )
}

/// What the peer lacks that answered in a way which rustls cannot go on from.
fn lack_of(missing: &PeerIncompatible) -> Option<TlsTrouble> {
    match missing {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => Some(TlsTrouble::OldVersion),
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            Some(TlsTrouble::NothingInCommon)
        }
        _ => None,
    }
}

/// The refusal of our certificate, or of having none, which TLS 1.3 tells after the handshake
/// ([RFC 8446, section 4.4.2.4](https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4)): the peer has read nothing of what
/// was sent since.
pub(crate) fn late_refusal(error: &(dyn StdError + 'static)) -> Option<(SymptomKind, Evidence)> {
    match find_tls(error)? {
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            let evidence = Evidence::new().with_detail(format!("alert {alert:?}"));
            Some((SymptomKind::TlsAlert, evidence.with_tls(TlsTrouble::ClientCertificate)))
        }
        _ => None,
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

/// What a handshake showed, accepted or not.
#[derive(Default)]
struct Seen {
    /// Who issued the peer's certificate.
    issuer: Option<String>,
    /// Why the peer's certificates were refused, and a short fact about it.
    trouble: Option<(TlsTrouble, Option<String>)>,
    /// The peer asked for a certificate, and there was none to show.
    wants_certificate: bool,
}

pub(crate) const ASKED_FOR_CERTIFICATE: &str = "it asked for a client certificate";

tokio::task_local! {
    static SEEN: Cell<Seen>;
}

/// Runs `work` and tells what a handshake in it showed.
///
/// rustls forgets a certificate that it refuses. The verifier is shared by all connections (tickets are
/// only resumed under the verifier that saw them), so it reports through the task that shakes hands.
async fn observe<F: Future>(work: F) -> (F::Output, Seen) {
    let observed = async {
        let output = work.await;
        (output, SEEN.with(Cell::take))
    };
    SEEN.scope(Cell::default(), observed).await
}

/// Outside of `observe` nobody asks.
fn note(what: impl FnOnce(&mut Seen)) {
    let _ = SEEN.try_with(|seen| {
        let mut now = seen.take();
        what(&mut now);
        seen.set(now);
    });
}

/// In place of a client certificate where there is none: reports that one is wanted.
#[derive(Debug)]
struct NoIdentity;

impl ResolvesClientCert for NoIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        note(|seen| seen.wants_certificate = true);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The platform's verifier, which also reports what it saw.
#[derive(Debug)]
struct Observing(Verifier);

/// A handshake that was signed with a key too weak to be verified.
fn note_weak_key<T>(verified: &Result<T, rustls::Error>, certificate: &CertificateDer<'_>) {
    if let Err(rustls::Error::InvalidCertificate(fault)) = verified {
        let trouble = trouble_of(fault, certificate, &[]);
        let weak = trouble.filter(|(trouble, _)| *trouble == TlsTrouble::WeakKey);
        note(|seen| seen.trouble = weak);
    }
}

impl ServerCertVerifier for Observing {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.0.verify_server_cert(leaf, intermediates, name, ocsp_response, now);
        note(|seen| {
            seen.issuer = issuer_of(leaf);
            if let Err(rustls::Error::InvalidCertificate(fault)) = &verified {
                seen.trouble = trouble_of(fault, leaf, intermediates);
            }
        });
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verified = self.0.verify_tls12_signature(message, certificate, signature);
        note_weak_key(&verified, certificate);
        verified
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verified = self.0.verify_tls13_signature(message, certificate, signature);
        note_weak_key(&verified, certificate);
        verified
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
