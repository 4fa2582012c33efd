//! Digest without its feature: there is none.

use http::HeaderValue;

use super::challenge::Challenge;
use super::password::Password;

/// Never made.
#[derive(Debug)]
pub(crate) enum Digest {}

impl Digest {
    pub(super) fn new(_: &Password) -> Option<Self> {
        None
    }

    pub(super) fn speaks_first(&self) -> bool {
        match *self {}
    }

    pub(super) fn answer(&self, _: &[Challenge], _: &str) -> Result<HeaderValue, String> {
        match *self {}
    }
}
