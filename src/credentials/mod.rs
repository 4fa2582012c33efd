//! Credentials: API key, bearer token or Application Default Credentials, as headers marked
//! sensitive.

#[cfg(feature = "adc")]
mod adc;
mod bearer;
mod sensitive;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::error::{BoxError, Error, ErrorKind};
use bearer::Bearer;
pub use bearer::Token;
use sensitive::sensitive;

/// What authorises calls. Cheap to clone; clones share a cached token.
///
/// A call whose metadata holds `x-goog-api-key` or `authorization` already keeps its own.
#[derive(Clone)]
pub struct Credentials(Kind);

#[derive(Clone)]
enum Kind {
    None,
    /// `None` if the key is not valid in a header.
    ApiKey(Option<HeaderValue>),
    Bearer(Arc<Bearer>),
    #[cfg(feature = "adc")]
    Adc(Arc<adc::Adc>),
}

impl Credentials {
    /// A key of the Gemini API, sent as `x-goog-api-key`. White space around it is cut off.
    ///
    /// A key that is empty, or has characters that no header takes, is an error of `build()`.
    pub fn api_key(key: impl AsRef<str>) -> Self {
        let key = key.as_ref().trim();
        Self(Kind::ApiKey(sensitive(key).filter(|_| !key.is_empty())))
    }

    /// Access tokens from `source`, sent as `authorization: Bearer ...`.
    ///
    /// The token is kept and shared by all calls. It is renewed ahead of its expiry while calls go
    /// on with the old one, never twice at a time, and once more when the service answers 401.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use genai_bridge::{Credentials, Token};
    ///
    /// # async fn ask_the_vault() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let credentials = Credentials::bearer(|| async {
    ///     let token = ask_the_vault().await?;
    ///     Ok::<_, std::io::Error>(Token::new(token).expires_in(Duration::from_secs(3600)))
    /// });
    /// ```
    pub fn bearer<S, F, T, E>(source: S) -> Self
    where
        S: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Token>,
        E: Into<BoxError>,
    {
        Self(Kind::Bearer(Arc::new(Bearer::new(move || {
            let token = source();
            Box::pin(async move { token.await.map(Into::into).map_err(Into::into) })
        }))))
    }

    /// Application Default Credentials, as `gcloud auth application-default login` or a Google
    /// machine gives them: a service account, an authorised user, the metadata server; looked for
    /// by the first call. The project that pays comes from `GOOGLE_CLOUD_QUOTA_PROJECT` or their
    /// file, unless the call names one in `x-goog-user-project`.
    ///
    /// Tokens are fetched by Google's `google-cloud-auth`, which accepts no HTTP client from
    /// outside. These requests therefore follow the environment's proxy and the operating system's
    /// trust store, not the builder's.
    #[cfg(feature = "adc")]
    pub fn adc() -> Self {
        Self(Kind::Adc(Arc::default()))
    }

    /// No credentials: for a local service, or where each call brings its own.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// The API key that the environment holds.
    pub(crate) fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        VARIABLES
            .iter()
            .find_map(|name| lookup(name).filter(|key| !key.trim().is_empty()))
            .map(Self::api_key)
            .ok_or_else(|| {
                let [first, second] = VARIABLES;
                let text = format!(
                    "no credentials: neither {first} nor {second} is set in the environment"
                );
                Error::new(ErrorKind::Credentials, text)
            })
    }

    /// Which kind they are of, and nothing else.
    pub(crate) fn describe(&self) -> &'static str {
        match self.0 {
            Kind::None => "no key",
            Kind::ApiKey(_) => "API key given",
            Kind::Bearer(_) => "bearer tokens given",
            #[cfg(feature = "adc")]
            Kind::Adc(_) => "Application Default Credentials",
        }
    }

    pub(crate) fn are_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// Finds at `build()` what would otherwise fail each call.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.0 {
            Kind::ApiKey(None) => {
                let what = "the API key is empty or has characters that a header does not allow";
                let remedy = "check the key for line breaks and for characters outside ASCII";
                Err(Error::new(ErrorKind::Configuration, what).with_remedy(remedy))
            }
            Kind::ApiKey(Some(_)) | Kind::None | Kind::Bearer(_) => Ok(()),
            #[cfg(feature = "adc")]
            Kind::Adc(_) => Ok(()),
        }
    }

    /// Adds the credentials to a call that brings none of its own.
    ///
    /// # Errors
    /// The token source failed, or what it gave cannot be sent.
    pub(crate) async fn authorise(&self, metadata: &mut HeaderMap) -> Result<(), Error> {
        self.check()?;
        if metadata.contains_key(AUTHORIZATION) || metadata.contains_key(&API_KEY) {
            return Ok(());
        }
        match &self.0 {
            Kind::None | Kind::ApiKey(None) => {}
            Kind::ApiKey(Some(key)) => {
                metadata.insert(API_KEY, key.clone());
            }
            Kind::Bearer(bearer) => {
                metadata.insert(AUTHORIZATION, bearer.header().await?);
            }
            #[cfg(feature = "adc")]
            Kind::Adc(adc) => adc.authorise(metadata).await?,
        }
        Ok(())
    }

    /// After a 401: gives up the token that the call carried, unless a newer one has taken its
    /// place.
    ///
    /// True if the call carried our token, so that authorising it anew may help.
    pub(crate) fn invalidate(&self, metadata: &HeaderMap) -> bool {
        match (&self.0, metadata.get(AUTHORIZATION)) {
            (Kind::Bearer(bearer), Some(rejected)) => bearer.invalidate(rejected),
            #[cfg(feature = "adc")]
            (Kind::Adc(adc), Some(rejected)) => adc.invalidate(rejected),
            _ => false,
        }
    }
}

/// Hides keys and tokens.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.describe())
    }
}

/// The keys and tokens that the metadata of a call holds.
fn secrets_of(metadata: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers_with_secrets(metadata).map(secret_in)
}

/// The error without what a peer repeated of them.
pub(crate) fn hide_secrets(mut error: Error, metadata: &HeaderMap) -> Error {
    secrets_of(metadata).for_each(|secret| error.hide(secret));
    error
}

/// The headers that hold them.
pub(crate) fn headers_with_secrets(metadata: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    [AUTHORIZATION, API_KEY].into_iter().filter_map(|name| metadata.get(name))
}

/// The key or token that a header is about.
pub(crate) fn secret_in(header: &HeaderValue) -> &[u8] {
    let value = header.as_bytes();
    value.strip_prefix(b"Bearer ").unwrap_or(value)
}

pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const VARIABLES: [&str; 2] = ["GEMINI_API_KEY", "GOOGLE_API_KEY"];
