//! Crypto: whose cryptography TLS uses.

use std::sync::{Arc, Once};
use std::thread;

use rustls::crypto::CryptoProvider;

use crate::error::{Error, ErrorKind};

/// The process's default, else aws-lc, else ring, as far as they are compiled in.
///
/// rustls' own default would panic where two are compiled in, and a library must not install one
/// for the whole process.
///
/// # Errors
/// There is none.
pub(crate) fn crypto_provider() -> Result<Arc<CryptoProvider>, Error> {
    CryptoProvider::get_default().cloned().or_else(built_in).ok_or_else(|| {
        let what = "no cryptography for TLS is compiled in, and the process has no default";
        Error::new(ErrorKind::Configuration, what).with_remedy(
            "switch on the feature `aws-lc` or `ring`, or install a provider of rustls for the process",
        )
    })
}

/// Has the process's first randomness drawn beside what the caller does next. aws-lc gathers its
/// own entropy for it, which takes some 20 ms of a processor; the first handshake would wait for
/// all of that.
pub(super) fn begin_randomness(provider: &CryptoProvider) {
    static BEGUN: Once = Once::new();
    let random = provider.secure_random;
    BEGUN.call_once(|| {
        let name = "genai-bridge-rng".to_owned();
        // Nobody waits for it: without the thread, the first handshake draws for itself.
        let _ = thread::Builder::new().name(name).spawn(move || random.fill(&mut [0; 32]));
    });
}

#[cfg(feature = "aws-lc")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there may be none")]
fn built_in() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there may be none")]
fn built_in() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(not(any(feature = "aws-lc", feature = "ring")))]
fn built_in() -> Option<Arc<CryptoProvider>> {
    None
}
