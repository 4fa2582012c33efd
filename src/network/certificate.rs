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

fn is_pem(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"-----BEGIN").is_some()
}

fn wrong(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Configuration, what)
}

/// The issuer of a certificate: its common name and organisation, as far as it has them.
///
/// Reads no further than the issuer (RFC 5280, section 4.1) and trusts nothing: this is for display.
pub(super) fn issuer_of(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if let Some((_version, rest)) = element(fields, CONTEXT_0) {
        fields = rest;
    }
    let (_serial, rest) = element(fields, INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (issuer, _) = element(rest, SEQUENCE)?;
    let common_name = attribute(issuer, COMMON_NAME);
    let organisation = attribute(issuer, ORGANISATION);
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

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
/// 2.5.4.3 and 2.5.4.10 (RFC 5280, appendix A).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

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
