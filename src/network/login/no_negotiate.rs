//! Negotiate without its feature, or where there is no GSSAPI: there is none.

use http::HeaderValue;
use tokio::time::Instant;

use super::trouble::Trouble;

/// Never made.
#[derive(Debug)]
pub(crate) enum Negotiate {}

impl Negotiate {
    pub(super) const IS_SUPPORTED: bool = false;

    pub(super) fn new(_: &str) -> Option<Self> {
        None
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn header(&self, _: Instant) -> Result<HeaderValue, Trouble> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn describe(&self, _: &[String]) -> Vec<String> {
        match *self {}
    }
}
