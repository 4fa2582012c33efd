//! Certificate: roots and identities as people have them (PEM, DER), and who issued a leaf.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, ErrorKind};

/// Reads root certificates: a PEM bundle, or one certificate in DER.
///
/// # Errors
/// There is none, or one cannot be a root.
pub(super) fn read_roots(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    // Behind a byte order mark, the first certificate would be passed over.
    let bytes = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
    let roots = if is_pem(bytes) {
        read_pem(bytes, "root certificates")?
    } else {
        vec![CertificateDer::from(bytes.to_vec())]
    };
    let mut store = RootCertStore::empty();
    for (index, root) in roots.iter().enumerate() {
        store.add(root.clone()).map_err(|error| {
            wrong(format!("root certificate {} cannot be read", index + 1)).with_source(error)
        })?;
    }
    Ok(roots)
}

/// Reads a client certificate's chain and its private key, both PEM.
///
/// # Errors
/// One of the two is missing or cannot be read.
pub(super) fn read_identity(
    chain: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = read_pem(chain, "client certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| wrong("client key: no PEM private key").with_source(error))?;
    Ok((chain, key))
}

fn read_pem(bytes: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("{what}: broken PEM")).with_source(error))?;
    if certificates.is_empty() {
        return Err(wrong(format!("{what}: no PEM certificate")));
    }
    Ok(certificates)
}

/// The byte order mark of UTF-8, which some editors write.
pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn is_pem(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"-----BEGIN").is_some()
}

fn wrong(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Configuration, what)
}

/// What a certificate says of itself, as far as it can be read (RFC 5280, section 4.1). It is for
/// display and trusts nothing.
pub(super) struct Facts<'a> {
    pub(super) is_version_1: bool,
    /// A Name in DER.
    pub(super) issuer: &'a [u8],
    /// A Name in DER.
    pub(super) subject: &'a [u8],
    /// It may issue others: `CA:TRUE`.
    pub(super) is_authority: bool,
    /// Nothing says that it is for others alone.
    pub(super) is_for_servers: bool,
    /// Of its key, if that is one of RSA.
    rsa_bits: Option<usize>,
}

impl<'a> Facts<'a> {
    pub(super) fn read(certificate: &'a [u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (mut fields, _) = element(certificate, SEQUENCE)?;
        let version = element(fields, CONTEXT_0);
        if let Some((_, rest)) = version {
            fields = rest;
        }
        let (_serial, rest) = element(fields, INTEGER)?;
        let (_algorithm, rest) = element(rest, SEQUENCE)?;
        let (issuer, rest) = element(rest, SEQUENCE)?;
        let (_validity, rest) = element(rest, SEQUENCE)?;
        let (subject, rest) = element(rest, SEQUENCE)?;
        let (key, rest) = element(rest, SEQUENCE)?;
        Some(Self {
            is_version_1: version.is_none(),
            issuer,
            subject,
            is_authority: is_authority(rest).unwrap_or(false),
            is_for_servers: is_for_servers(rest).unwrap_or(true),
            rsa_bits: rsa_bits(key),
        })
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Its key is one of RSA that is shorter than rustls takes.
    pub(super) fn is_weak(&self) -> bool {
        self.rsa_bits.is_some_and(|bits| bits < 2048)
    }
}

/// The length of an RSA key, of a `SubjectPublicKeyInfo`.
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (algorithm, rest) = element(key, SEQUENCE)?;
    let (algorithm, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (bits, _) = element(rest, BIT_STRING).filter(|_| algorithm == RSA)?;
    let (numbers, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, _) = element(numbers, INTEGER)?;
    Some(modulus.strip_prefix(&[0]).unwrap_or(modulus).len() * 8)
}

/// `cA` of the basic constraints.
fn is_authority(fields: &[u8]) -> Option<bool> {
    let (constraints, _) = element(extension(fields, BASIC_CONSTRAINTS)?, SEQUENCE)?;
    Some(element(constraints, BOOLEAN).is_some_and(|(is, _)| is == [0xff]))
}

/// Whether the purposes, where there are any, name servers.
fn is_for_servers(fields: &[u8]) -> Option<bool> {
    let (mut purposes, _) = element(extension(fields, PURPOSES)?, SEQUENCE)?;
    while let Some((purpose, rest)) = element(purposes, OBJECT_IDENTIFIER) {
        if purpose == SERVER {
            return Some(true);
        }
        purposes = rest;
    }
    Some(false)
}

/// The value of an extension, among the fields behind the key.
fn extension<'a>(mut fields: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let extensions = loop {
        let (tag, contents, rest) = any_element(fields)?;
        if tag == CONTEXT_3 {
            break contents;
        }
        fields = rest;
    };
    let (mut extensions, _) = element(extensions, SEQUENCE)?;
    while let Some((extension, rest)) = element(extensions, SEQUENCE) {
        let (kind, value) = element(extension, OBJECT_IDENTIFIER)?;
        if kind == wanted {
            let value = element(value, BOOLEAN).map_or(value, |(_critical, value)| value);
            return element(value, OCTET_STRING).map(|(value, _)| value);
        }
        extensions = rest;
    }
    None
}

/// The issuer of a certificate: its common name and organisation, as far as it has them.
pub(super) fn issuer_of(certificate: &[u8]) -> Option<String> {
    name_of(Facts::read(certificate)?.issuer)
}

/// The common name and organisation of a Name, as far as it has them.
pub(super) fn name_of(name: &[u8]) -> Option<String> {
    let (common_name, organisation) = (attribute(name, COMMON_NAME), attribute(name, ORGANISATION));
    match (common_name, organisation) {
        (Some(name), Some(organisation)) if name != organisation => {
            Some(format!("{name}, {organisation}"))
        }
        (name, organisation) => name.or(organisation),
    }
}

/// The first attribute of a Name that has this type: SET OF SEQUENCE { type, value }.
fn attribute(mut name: &[u8], wanted: &[u8]) -> Option<String> {
    while let Some((set, rest)) = element(name, SET) {
        let mut pairs = set;
        while let Some((pair, others)) = element(pairs, SEQUENCE) {
            let (kind, value) = element(pair, OBJECT_IDENTIFIER)?;
            if kind == wanted {
                let (_tag, text, _) = any_element(value)?;
                return Some(String::from_utf8_lossy(text).into_owned());
            }
            pairs = others;
        }
        name = rest;
    }
    None
}

/// The contents of the element with `tag` at the beginning of `bytes`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = any_element(bytes)?;
    (found == tag).then_some((contents, rest))
}

/// One DER element with a tag of one byte: tag, contents, what follows.
fn any_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // A certificate is far below 16 MiB, so three bytes of length are enough.
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
            (length, rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;
/// 2.5.4.3 and 2.5.4.10 (RFC 5280, appendix A).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

/// 2.5.29.19 (RFC 5280, section 4.2.1.9).
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// 2.5.29.37 and, in it, 1.3.6.1.5.5.7.3.1 (RFC 5280, section 4.2.1.12).
const PURPOSES: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// 1.2.840.113549.1.1.1 (RFC 3279, section 2.3.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn self_signed(names: &[(DnType, &str)]) -> rcgen::Certificate {
        let mut parameters = CertificateParams::new(vec!["a.test".to_owned()]).expect("name");
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            parameters.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().expect("key");
        parameters.self_signed(&key).expect("certificate")
    }

    #[test]
    fn the_issuer_is_its_common_name_and_organisation() {
        let (name, organisation) = (DnType::CommonName, DnType::OrganizationName);
        for (names, expected) in [
            (
                &[(name.clone(), "Corp CA"), (organisation.clone(), "Corp")][..],
                Some("Corp CA, Corp"),
            ),
            (&[(organisation.clone(), "Corp"), (name.clone(), "Corp")], Some("Corp")),
            (&[(name, "Pr\u{fc}fer")], Some("Pr\u{fc}fer")),
            (&[(organisation, "Corp")], Some("Corp")),
            (&[(DnType::CountryName, "CH")], None),
            (&[], None),
        ] {
            let certificate = self_signed(names);
            assert_eq!(issuer_of(certificate.der()).as_deref(), expected);
        }
    }

    #[test]
    fn roots_are_read_from_pem_and_der() {
        let (one, two) = (self_signed(&[]), self_signed(&[]));
        let bundle = format!("# Corp\n{}\n{}", one.pem(), two.pem());
        assert_eq!(read_roots(bundle.as_bytes()).expect("pem").len(), 2);
        let marked = [UTF8_MARK, one.pem().as_bytes(), two.pem().as_bytes()].concat();
        assert_eq!(read_roots(&marked).expect("pem").len(), 2);
        assert_eq!(read_roots(one.der()).expect("der").len(), 1);
    }

    #[test]
    fn what_is_no_root_is_an_error_of_configuration() {
        for bytes in [
            &b""[..],
            b"not a certificate",
            b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----\nMAA=\n",
        ] {
            let error = read_roots(bytes).expect_err("no root");
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
    }

    proptest! {
        #[test]
        fn reading_an_issuer_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = issuer_of(&bytes);
        }
    }
}
