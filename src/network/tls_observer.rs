//! Tls observer: what a handshake showed, also one that failed.

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::certificate::issuer_of;
use super::chain::trouble_of;
use crate::symptom::TlsTrouble;

/// What a handshake showed, accepted or not.
#[derive(Default)]
pub(super) struct Seen {
    /// Who issued the peer's certificate.
    pub(super) issuer: Option<String>,
    /// Why the peer's certificates were refused, and a short fact about it.
    pub(super) trouble: Option<(TlsTrouble, Option<String>)>,
    /// The peer asked for a certificate, and there was none to show.
    pub(super) wants_certificate: bool,
}

tokio::task_local! {
    static SEEN: Cell<Seen>;
}

/// Runs `work` and tells what a handshake in it showed.
///
/// rustls forgets a certificate that it refuses. The verifier is shared by all connections (tickets
/// are only resumed under the verifier that saw them), so it reports through the task that shakes
/// hands.
pub(super) async fn observe<F: Future>(work: F) -> (F::Output, Seen) {
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
pub(super) struct NoIdentity;

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
pub(super) struct Observing(pub(super) Verifier);

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
