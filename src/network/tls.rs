//! Tls: one rustls configuration for both transports, and the handshake.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::alpn::Alpn;
use super::certificate::issuer_of;
use super::crypto::{begin_randomness, crypto_provider};
use super::fault::Fault;
use super::io::Io;
use super::tls_failure::classify;
use super::tls_observer::{NoIdentity, Observing, Seen, observe};
use super::trust_store::store_faults;
use crate::error::{Error, ErrorKind};
use crate::symptom::{SymptomKind, TlsTrouble};

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
    /// Trusts the operating system's store (on Linux `SSL_CERT_FILE` and `SSL_CERT_DIR` are
    /// honoured in its place) and `roots`. The store is read here, while another thread draws
    /// randomness, if `is_needed` at once.
    ///
    /// # Errors
    /// There is nothing to trust, or the identity's key does not fit its certificate.
    pub(super) fn new(
        roots: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
        is_needed: bool,
    ) -> Result<Self, Error> {
        let provider = crypto_provider()?;
        if is_needed {
            begin_randomness(&provider);
        }
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

    /// HTTP/1.1 is offered beside HTTP/2 even where only HTTP/2 will do: a peer without it then
    /// says so, and not one of three different errors.
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
    "no root certificate to trust"
};

const GIVE_ROOTS: &str = if cfg!(any(windows, target_vendor = "apple")) {
    "check the root certificates that you give (`BridgeBuilder::add_root_certificates`)"
} else {
    "install ca-certificates, set SSL_CERT_FILE, or give root certificates (`BridgeBuilder::add_root_certificates`)"
};

fn wrong(what: &'static str, error: rustls::Error) -> Error {
    Error::new(ErrorKind::Configuration, what).with_source(error)
}

fn nothing_to_trust(store_faults: &[String], error: rustls::Error) -> Error {
    let (what, remedy) = match store_faults {
        [] => (NO_TRUST.into(), GIVE_ROOTS),
        faults => {
            let what = format!("no root certificate to trust: {}", faults.join("; "));
            (what, TlsTrouble::BadStore.advice())
        }
    };
    Error::new(ErrorKind::Configuration, what).with_source(error).with_remedy(remedy)
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

/// What a socket error in the middle of a handshake means.
fn kind_of_io(error: io::ErrorKind) -> SymptomKind {
    match error {
        io::ErrorKind::UnexpectedEof => SymptomKind::TlsClosed,
        io::ErrorKind::TimedOut => SymptomKind::TlsTimeout,
        _ => SymptomKind::TlsReset,
    }
}

pub(super) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
pub(crate) const ASKED_FOR_CERTIFICATE: &str = "it asked for a client certificate";
