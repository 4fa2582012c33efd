//! Scheme: one way to log in that may be used, with what it needs.

use http::HeaderValue;

use super::custom::Custom;
use super::digest::Digest;
use super::negotiate::Negotiate;

/// A scheme that may be used, with what it needs.
#[derive(Debug)]
pub(super) enum Scheme {
    /// The program's own: chosen on purpose, so it comes first.
    Custom(Custom),
    Negotiate(Negotiate),
    Digest(Digest),
    Basic(HeaderValue),
}

impl Scheme {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Custom(custom) => custom.scheme(),
            Self::Negotiate(_) => "Negotiate",
            Self::Digest(_) => "Digest",
            Self::Basic(_) => "Basic",
        }
    }

    /// Whether it needs no challenge.
    pub(super) fn can_speak_first(&self) -> bool {
        match self {
            Self::Custom(_) => false,
            Self::Digest(digest) => digest.speaks_first(),
            Self::Negotiate(_) | Self::Basic(_) => true,
        }
    }

    /// Whether its rounds belong to one connection, as NTLM's do.
    pub(super) fn is_bound_to_connection(&self) -> bool {
        match self {
            Self::Custom(_) => true,
            Self::Negotiate(_) | Self::Digest(_) | Self::Basic(_) => false,
        }
    }
}
