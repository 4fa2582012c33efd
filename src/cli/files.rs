//! Files: those that options name. An error names the option and the file.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::wrong_setting::WrongSetting;

/// # Errors
/// The file cannot be read.
pub(super) fn read(option: &str, file: &Path) -> Result<Vec<u8>, WrongSetting> {
    std::fs::read(file).map_err(|error| {
        let what = format!("cannot read {}: {error}", file.display());
        WrongSetting::new(what, format!("check the file that {option} names"))
    })
}

/// Root certificates, PEM or DER.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub(super) fn read_roots(option: &str, file: &Path) -> Result<Vec<u8>, WrongSetting> {
    let bytes = read(option, file)?;
    let are_roots = match certificates(&bytes) {
        Some(certificates) if certificates.is_empty() => is_root(bytes.clone().into()),
        Some(certificates) => certificates.into_iter().all(is_root),
        None => false,
    };
    of(are_roots, bytes, file, option, "root certificate in PEM or DER")
}

/// A certificate with its chain, PEM.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub(super) fn read_certificate(option: &str, file: &Path) -> Result<Vec<u8>, WrongSetting> {
    let bytes = read(option, file)?;
    let is_chain = certificates(&bytes).is_some_and(|certificates| !certificates.is_empty());
    of(is_chain, bytes, file, option, "PEM certificate")
}

/// A private key, PEM.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub(super) fn read_key(option: &str, file: &Path) -> Result<Vec<u8>, WrongSetting> {
    let bytes = read(option, file)?;
    let is_key = PrivateKeyDer::from_pem_slice(&bytes).is_ok();
    of(is_key, bytes, file, option, "PEM private key")
}

fn of(
    is_so: bool,
    bytes: Vec<u8>,
    file: &Path,
    option: &str,
    what: &str,
) -> Result<Vec<u8>, WrongSetting> {
    if is_so {
        return Ok(bytes);
    }
    let text = format!("{} holds no {what}", file.display());
    Err(WrongSetting::new(text, format!("check the file that {option} names")))
}

/// Those in PEM; `None` if one is broken.
fn certificates(bytes: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    // Behind a byte order mark, the first certificate would be passed over.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().ok()
}

fn is_root(certificate: CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate).is_ok()
}
