//! At a proxy: what a person can do where the proxy itself fails, before it is asked for a tunnel.

use super::SymptomKind;

/// `None` where the peer makes no difference.
pub(super) const fn advice(kind: SymptomKind) -> Option<&'static str> {
    Some(match kind {
        SymptomKind::NameNotFound
        | SymptomKind::ConnectionRefused
        | SymptomKind::Unreachable
        | SymptomKind::ConnectReset
        | SymptomKind::ConnectTimeout => {
            "the proxy itself cannot be reached: check its address and port, whether it runs, and whether this machine is in its network"
        }
        SymptomKind::CertificateUnknownIssuer => {
            "the proxy's URL says https://, and its certificate is not trusted: add the root of it to the operating system's store, to SSL_CERT_FILE, or with add_root_certificates()"
        }
        SymptomKind::CertificateWrongName | SymptomKind::CertificateInvalid => {
            "name the proxy in its URL as its certificate does, or ask who runs it for a valid certificate"
        }
        SymptomKind::TlsAlert
        | SymptomKind::TlsClosed
        | SymptomKind::TlsReset
        | SymptomKind::TlsTimeout
        | SymptomKind::NotTls
        | SymptomKind::TlsMalformed => {
            "https:// in the proxy's URL means TLS to the proxy itself, which few proxies speak: try http://; the service behind it is reached over TLS all the same"
        }
        _ => return None,
    })
}
