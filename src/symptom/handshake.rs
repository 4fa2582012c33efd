//! Handshake: why TLS did not come about, where the kind alone does not say it, and what a person
//! can do about it.

/// Chosen where the handshake ends, by what rustls found and by the certificates that were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsTrouble {
    /// The peer speaks no version from TLS 1.2 on.
    OldVersion,
    /// The peer takes none of the cipher suites, or of the ways to agree on a key.
    NothingInCommon,
    /// A key of RSA with less than 2048 bits.
    WeakKey,
    /// A signature by SHA-1, or by another algorithm that is no longer taken.
    OldSignature,
    /// A certificate of X.509 version 1.
    OldCertificate,
    /// The certificate is for another use than a server's.
    WrongPurpose,
    /// The certificate of an authority is shown as a server's own.
    AuthorityAsServer,
    /// A server's certificate that nobody but itself has signed.
    SelfSigned,
    /// The certificate begins to be valid later.
    NotYetValid,
    /// The certificate was valid until some time ago.
    Expired,
    /// Only the server's own certificate was sent, and its issuer is none of the roots.
    IssuerNotSent,
    /// The certificates lead to a root that is not trusted.
    UnknownRoot,
    /// The signature does not fit the key of the issuer that goes by this name.
    OtherKey,
    /// The peer wants a certificate of the client, and got none that it takes.
    ClientCertificate,
    /// A setting that names the trusted roots cannot be used.
    BadStore,
}

impl TlsTrouble {
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::OldVersion => {
                "the peer supports TLS 1.1 at most, which is no longer safe: ask its administrator for TLS 1.2 or 1.3; the service itself supports both"
            }
            Self::NothingInCommon => {
                "the peer supports no safe cipher suite of TLS 1.2 and 1.3, or refuses by policy: ask its administrator; the service itself supports them"
            }
            Self::WeakKey => {
                "the certificate, or one above it, has an RSA key of less than 2048 bits: ask the administrator of the server, or of the proxy that made the certificate, for a larger key"
            }
            Self::OldSignature => {
                "the certificate, or one above it, is signed with an algorithm that is no longer safe, such as SHA-1: ask the administrator of the server, or of the proxy that made the certificate, for SHA-256"
            }
            Self::OldCertificate => {
                "the certificate is of X.509 version 1, so it does not list the names that it is for: ask the administrator of the server, or of the proxy that made it, for one of version 3"
            }
            Self::WrongPurpose => {
                "the certificate is not for servers (its extended key usage lacks serverAuth): ask the administrator of the server, or of the proxy that made it, for one that is"
            }
            Self::AuthorityAsServer => {
                "the server shows the certificate of an authority as its own (CA:TRUE), which no client should accept: ask its administrator to let that authority issue a certificate for the server"
            }
            Self::SelfSigned => {
                "the server signed its certificate itself: if you know that it is the right server, trust this certificate (`BridgeBuilder::add_root_certificates` or SSL_CERT_FILE); else ask the network team what answers there"
            }
            Self::NotYetValid => {
                "check the clock of this machine, which may be slow; if it is right, ask the server's administrator for a certificate that is already valid"
            }
            Self::Expired => {
                "check the clock of this machine, which may be fast; if it is right, ask the administrator of the server, or of the proxy that made the certificate, to renew it"
            }
            Self::IssuerNotSent => {
                "the server sent its own certificate alone: if the issuer that the error names is an intermediate authority, ask the server's administrator to send the issuer's certificate too; if the issuer is the root of a proxy that inspects TLS, add its certificate to the operating system's store or to SSL_CERT_FILE, or give it to this program (`BridgeBuilder::add_root_certificates`)"
            }
            Self::UnknownRoot => {
                "a proxy inspects TLS, or a company's authority issues certificates: add the root that the error names to the operating system's store or to SSL_CERT_FILE, or give it to this program (`BridgeBuilder::add_root_certificates`)"
            }
            Self::OtherKey => {
                "the trust store has an old certificate of the issuer that the error names, with another key: replace it with the new one"
            }
            Self::ClientCertificate => {
                "the server wants a client certificate: give one from an authority that the server trusts (`BridgeBuilder::client_identity`)"
            }
            Self::BadStore => {
                "correct the setting that the error names: it replaces the operating system's store"
            }
        }
    }

    /// What to ask those for who run the network.
    pub(crate) const fn wish(self) -> &'static str {
        match self {
            Self::OldVersion => "TLS 1.2 or 1.3 to the destination, or no TLS inspection for it",
            Self::NothingInCommon => {
                "a cipher suite of TLS 1.2 or 1.3 with ECDHE to the destination, or no TLS inspection for it"
            }
            Self::WeakKey => {
                "certificates with keys of RSA 2048 bits or more, or no TLS inspection for the destination"
            }
            Self::OldSignature => {
                "certificates signed by SHA-256, or no TLS inspection for the destination"
            }
            Self::OldCertificate => {
                "certificates of X.509 version 3, or no TLS inspection for the destination"
            }
            Self::WrongPurpose => {
                "a certificate for servers (serverAuth), or no TLS inspection for the destination"
            }
            Self::AuthorityAsServer | Self::SelfSigned => {
                "a server's certificate that an authority has signed, or no TLS inspection for the destination"
            }
            Self::NotYetValid | Self::Expired => {
                "a certificate that is valid now, or no TLS inspection for the destination"
            }
            Self::IssuerNotSent => {
                "the certificate of the issuer, sent by the server or, if it is a root, for this machine"
            }
            Self::UnknownRoot => {
                "the root certificate of the inspecting proxy, or no TLS inspection for the destination"
            }
            Self::OtherKey => "the present certificate of the authority that the error names",
            Self::ClientCertificate => {
                "a client certificate for this machine, or a route that needs none"
            }
            Self::BadStore => "nothing from your side: a setting of this machine names no roots",
        }
    }
}
