//! Tls failure: what an error of rustls says about the peer and the network.

use std::error::Error as StdError;
use std::io;

use rustls::{
    AlertDescription, CertificateError, InvalidMessage, PeerIncompatible, PeerMisbehaved,
};

use super::alpn::Alpn;
use crate::symptom::{Evidence, SymptomKind, TlsTrouble};

/// What a rustls error anywhere behind `error` means; `None` if there is none.
pub(super) fn classify(
    error: &(dyn StdError + 'static),
    alpn: Alpn,
) -> Option<(SymptomKind, Evidence)> {
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

/// What a peer means that ends the handshake by this alert (RFC 8446, section 6.2), where it means
/// one thing.
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
/// ([RFC 8446, section 4.4.2.4](https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4)): the peer
/// has read nothing of what was sent since.
pub(crate) fn late_refusal(error: &(dyn StdError + 'static)) -> Option<(SymptomKind, Evidence)> {
    match find_tls(error)? {
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            let evidence = Evidence::new().with_detail(format!("alert {alert:?}"));
            Some((SymptomKind::TlsAlert, evidence.with_tls(TlsTrouble::ClientCertificate)))
        }
        _ => None,
    }
}

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
