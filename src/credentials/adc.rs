//! Adc: Application Default Credentials, found and renewed by Google's own crate.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use http::Extensions;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::error::{BoxError, Error, ErrorKind};
use crate::network::PerRuntime;

/// Credentials that are looked for when the first call needs them: Google's crate renews its token
/// in a task, so it needs a runtime, which `build()` has not. Each runtime has its own, whose task
/// it drives.
#[derive(Default)]
pub(super) struct Adc(PerRuntime<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Given up after a failure: Google's crate keeps a failure for good.
    in_use: Option<Credentials>,
    /// The token sent last, and the one that was refused before it: calls that carried it may still
    /// come back.
    sent: Option<HeaderValue>,
    refused: Option<HeaderValue>,
}

impl Adc {
    /// Adds the token, and the project that pays where the credentials name one.
    ///
    /// # Errors
    /// There are no credentials, or they give no token; the text names the places looked at.
    pub(super) async fn authorise(&self, metadata: &mut HeaderMap) -> Result<(), Error> {
        let state = self.0.here(Mutex::default);
        let credentials = lock(&state).credentials()?;
        let headers = match credentials.headers(Extensions::new()).await {
            Ok(CacheableResource::New { data, .. }) => data,
            Ok(CacheableResource::NotModified) => HeaderMap::new(),
            Err(error) => {
                lock(&state).in_use = None;
                return Err(missing(error));
            }
        };
        for (name, value) in &headers {
            let mut value = value.clone();
            if name == AUTHORIZATION {
                value.set_sensitive(true);
                lock(&state).sent = Some(value.clone());
            }
            metadata.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// Gives the token up if it is the one in use; true if it was ours at all.
    pub(super) fn invalidate(&self, rejected: &HeaderValue) -> bool {
        let state = self.0.here(Mutex::default);
        let mut state = lock(&state);
        if state.sent.as_ref() == Some(rejected) {
            state.in_use = None;
            state.refused = state.sent.take();
        }
        state.refused.as_ref() == Some(rejected)
    }
}

impl State {
    fn credentials(&mut self) -> Result<Credentials, Error> {
        if let Some(credentials) = &self.in_use {
            return Ok(credentials.clone());
        }
        check_provider()?;
        let built = Builder::default().with_scopes([SCOPE]).build().map_err(missing)?;
        Ok(self.in_use.insert(built).clone())
    }
}

/// Google's crate brings aws-lc, or takes the process's default; without either it would panic.
#[cfg(feature = "aws-lc")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there may be none")]
fn check_provider() -> Result<(), Error> {
    Ok(())
}

#[cfg(not(feature = "aws-lc"))]
fn check_provider() -> Result<(), Error> {
    if rustls::crypto::CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    let what = "without the feature `aws-lc`, Application Default Credentials need a crypto provider of the process";
    Err(Error::new(ErrorKind::Credentials, what).with_remedy(
        "install one at the start: rustls::crypto::ring::default_provider().install_default()",
    ))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing(error: impl Into<BoxError>) -> Error {
    let places = places_looked_at(|name| std::env::var_os(name));
    let text = format!("Application Default Credentials gave no access token: {places}");
    Error::new(ErrorKind::Credentials, text).with_source(error).with_remedy(
        "log in with `gcloud auth application-default login`, or name a file of credentials in GOOGLE_APPLICATION_CREDENTIALS",
    )
}

/// The places in the order of [AIP-4110](https://google.aip.dev/auth/4110), and what was there.
fn places_looked_at(lookup: impl Fn(&str) -> Option<OsString>) -> String {
    if let Some(path) = lookup(FILE_VARIABLE) {
        let file = PathBuf::from(path);
        let what = if file.exists() { "was used" } else { "does not exist" };
        return format!("{FILE_VARIABLE} names {}, which {what}", file.display());
    }
    let (home, below) =
        if cfg!(windows) { ("APPDATA", "gcloud") } else { ("HOME", ".config/gcloud") };
    let file = lookup(home)
        .map(|home| PathBuf::from(home).join(below).join("application_default_credentials.json"));
    let server = lookup(METADATA_VARIABLE).map_or_else(
        || "the metadata server (metadata.google.internal)".to_owned(),
        |host| format!("the metadata server that {METADATA_VARIABLE} names ({})", host.display()),
    );
    match file {
        Some(file) if file.exists() => {
            format!("{FILE_VARIABLE} is not set, and {} was used", file.display())
        }
        Some(file) => {
            format!(
                "{FILE_VARIABLE} is not set, {} does not exist, and {server} gave no token",
                file.display()
            )
        }
        None => format!("{FILE_VARIABLE} and {home} are not set, and {server} gave no token"),
    }
}

const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const METADATA_VARIABLE: &str = "GCE_METADATA_HOST";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_named_with_what_was_there() {
        for (set, expected) in [
            (
                &[("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")][..],
                &["names /nonexistent/key.json, which does not exist"][..],
            ),
            (
                &[("HOME", "/nonexistent"), ("APPDATA", "/nonexistent")],
                &[
                    "GOOGLE_APPLICATION_CREDENTIALS is not set",
                    "application_default_credentials.json does not exist",
                    "metadata.google.internal",
                ],
            ),
            (&[("GCE_METADATA_HOST", "10.0.0.1")], &["are not set", "10.0.0.1"]),
        ] {
            let lookup = |name: &str| {
                let (_, value) = set.iter().find(|(key, _)| *key == name)?;
                Some(OsString::from(value))
            };
            let text = places_looked_at(lookup);
            for part in expected {
                assert!(text.contains(part), "{text}");
            }
        }
    }
}
