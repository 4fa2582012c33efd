//! Bearer: an access token that is kept, renewed ahead of its expiry, and never twice at a time.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::sensitive::sensitive;
use crate::error::{BoxError, Error, ErrorKind};
use crate::network::PerRuntime;

/// An access token as its source gave it.
#[derive(Clone)]
pub struct Token {
    value: String,
    expires_in: Option<Duration>,
}

impl Token {
    /// A token that is good until the service refuses it.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), expires_in: None }
    }

    /// How long the token is good for, from now on.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }
}

impl From<String> for Token {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl From<&str> for Token {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

/// Hides the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

type Pending = Pin<Box<dyn Future<Output = Result<Token, BoxError>> + Send>>;

/// A source of tokens and the last one it gave.
pub(super) struct Bearer {
    source: Box<dyn Fn() -> Pending + Send + Sync>,
    state: Mutex<State>,
    /// Held while the source is asked, by each runtime for itself: another one may stand still
    /// meanwhile.
    renewal: PerRuntime<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// The token before it: calls that carried it may still be refused.
    previous: Option<HeaderValue>,
    /// How often the source was asked, and what it said the last time if it failed: calls that
    /// waited for that answer share it.
    asked: u64,
    failure: Option<Arc<BoxError>>,
}

#[derive(Clone)]
struct Kept {
    header: HeaderValue,
    renew_at: Option<Instant>,
    expires_at: Option<Instant>,
}

impl Bearer {
    pub(super) fn new(source: impl Fn() -> Pending + Send + Sync + 'static) -> Self {
        Self { source: Box::new(source), state: Mutex::default(), renewal: PerRuntime::default() }
    }

    /// The value of `authorization`.
    pub(super) async fn header(self: &Arc<Self>) -> Result<HeaderValue, Error> {
        let asked = self.state().asked;
        if let Some(header) = self.usable_header() {
            return Ok(header);
        }
        let renewal = self.renewal.here(tokio::sync::Mutex::default);
        let _renewal = renewal.lock().await;
        // Another call may have asked meanwhile.
        if let Some(header) = self.usable_header() {
            return Ok(header);
        }
        if let Some(failure) = self.failure_since(asked) {
            return Err(failed(failure));
        }
        self.renew().await
    }

    /// Gives `rejected` up if it is the token in use; true if it was ours at all.
    pub(super) fn invalidate(&self, rejected: &HeaderValue) -> bool {
        let mut state = self.state();
        match state.kept.take_if(|kept| kept.header == rejected) {
            Some(kept) => {
                state.previous = Some(kept.header);
                true
            }
            None => state.previous.as_ref() == Some(rejected),
        }
    }

    /// The token in use while it lasts; starts its renewal when the time has come.
    fn usable_header(self: &Arc<Self>) -> Option<HeaderValue> {
        let kept = self.state().kept.clone()?;
        let now = Instant::now();
        if kept.expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        if kept.renew_at.is_some_and(|at| at <= now) {
            self.renew_in_background(&kept.header);
        }
        Some(kept.header)
    }

    fn renew_in_background(self: &Arc<Self>, old: &HeaderValue) {
        let Ok(renewal) = self.renewal.here(tokio::sync::Mutex::default).try_lock_owned() else {
            return;
        };
        let (bearer, old) = (Arc::clone(self), old.clone());
        tokio::spawn(async move {
            let _renewal = renewal;
            if let Err(error) = bearer.renew().await {
                tracing::debug!(%error, "the token could not be renewed ahead of its expiry");
                bearer.put_off_renewal_of(&old);
            }
        });
    }

    /// Asks the source. The caller holds `renewal`.
    async fn renew(&self) -> Result<HeaderValue, Error> {
        let answer = (self.source)().await;
        let answer = answer.and_then(|token| Kept::new(&token).ok_or_else(|| UNSENDABLE.into()));
        let mut state = self.state();
        state.asked += 1;
        match answer {
            Ok(kept) => {
                let header = kept.header.clone();
                if let Some(old) = state.kept.replace(kept) {
                    state.previous = Some(old.header);
                }
                state.failure = None;
                Ok(header)
            }
            Err(error) => {
                let error = Arc::new(error);
                state.failure = Some(Arc::clone(&error));
                Err(failed(error))
            }
        }
    }

    /// Another runtime may have renewed it meanwhile: then there is nothing to put off.
    fn put_off_renewal_of(&self, old: &HeaderValue) {
        if let Some(kept) = self.state().kept.as_mut().filter(|kept| kept.header == old) {
            kept.renew_at = Some(Instant::now() + RENEWAL_PAUSE);
        }
    }

    fn failure_since(&self, asked: u64) -> Option<Arc<BoxError>> {
        let state = self.state();
        state.failure.clone().filter(|_| state.asked > asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// `None` if the token cannot be sent.
    fn new(token: &Token) -> Option<Self> {
        let value = token.value.trim();
        let header = sensitive(&format!("Bearer {value}")).filter(|_| !value.is_empty())?;
        let after = |time| Instant::now().checked_add(time);
        let lifetime = token.expires_in;
        Some(Self {
            header,
            renew_at: lifetime
                .and_then(|time| after(time.saturating_sub(RENEW_AHEAD.min(time / 4)))),
            expires_at: lifetime.and_then(after),
        })
    }
}

fn failed(failure: Arc<BoxError>) -> Error {
    let text = "could not get an access token";
    Error::new(ErrorKind::Credentials, text)
        .with_remedy("the source of the tokens failed: the cause of this error says why")
        .with_source(Shared(failure))
}

/// One failure of the source, told to each call that waited for it.
#[derive(Debug)]
struct Shared(Arc<BoxError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

const UNSENDABLE: &str = "the token is empty or has characters that a header does not allow";
/// As google-auth does:
/// <https://github.com/googleapis/google-auth-library-python/blob/v2.23.0/google/auth/_helpers.py#L30>.
const RENEW_AHEAD: Duration = Duration::from_secs(225);
/// After a failed renewal, while the old token still lasts.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);
