//! Chain: what the certificates that a peer showed tell of why they were refused.
//!
//! rustls says what it missed; whose mistake that is, its type often leaves open. Nothing here
//! decides about trust.

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;

use super::certificate::{Facts, name_of};
use crate::symptom::TlsTrouble;

/// Why a chain was refused, and a short fact about it.
pub(super) fn trouble_of(
    error: &CertificateError,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Option<(TlsTrouble, Option<String>)> {
    let chain: Vec<Facts<'_>> =
        [leaf].into_iter().chain(others).filter_map(|one| Facts::read(one)).collect();
    let first = chain.first()?;
    let trouble = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsTrouble::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsTrouble::NotYetValid
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            TlsTrouble::WrongPurpose
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsTrouble::OldSignature
        }
        CertificateError::BadSignature if chain.iter().any(Facts::is_weak) => TlsTrouble::WeakKey,
        CertificateError::BadSignature if first.is_self_issued() => {
            return Some(unknown_issuer(&chain, first));
        }
        CertificateError::BadSignature => TlsTrouble::OtherKey,
        CertificateError::UnknownIssuer => return Some(unknown_issuer(&chain, first)),
        // Errors of webpki and of the platform's verifier, which have no type here.
        CertificateError::Other(_) if first.is_version_1 => TlsTrouble::OldCertificate,
        CertificateError::Other(_) if first.is_authority => TlsTrouble::AuthorityAsServer,
        CertificateError::Other(_) if !first.is_for_servers => TlsTrouble::WrongPurpose,
        _ => return None,
    };
    Some((trouble, None))
}

/// Why nobody who is trusted has issued the chain.
fn unknown_issuer(chain: &[Facts<'_>], first: &Facts<'_>) -> (TlsTrouble, Option<String>) {
    if first.is_self_issued() {
        let is_authority = first.is_authority;
        return if is_authority {
            (TlsTrouble::AuthorityAsServer, None)
        } else {
            (TlsTrouble::SelfSigned, None)
        };
    }
    let mut top = first;
    // Each step goes up to a certificate that was not met before, so there are as many as
    // certificates at most.
    for _ in chain {
        let above = chain.iter().find(|other| other.subject == top.issuer);
        match above {
            Some(above) if !top.is_self_issued() => top = above,
            _ => break,
        }
    }
    if std::ptr::eq(top, first) {
        return (TlsTrouble::IssuerNotSent, None);
    }
    let root = name_of(top.issuer).map(|root| format!("the root is {root}"));
    (TlsTrouble::UnknownRoot, root)
}
