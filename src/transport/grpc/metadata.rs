//! Metadata: the head and the trailers of an answer: how large they may be, and what of them is
//! kept.

use std::fmt;

use http::header::{self, HeaderMap};

use crate::call::{drop_malformed_details, is_of_http, remove_headers};
use crate::error::{Error, metadata_too_large};

/// Most bytes of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerLimits {
    /// Of a message that is read whole.
    pub(crate) message: usize,
    /// Of a head, and of trailers: names and values.
    pub(crate) metadata: usize,
}

impl AnswerLimits {
    /// # Errors
    /// A head, or trailers, are over the limit; `what` names them and their peer.
    pub(crate) fn check(self, headers: &HeaderMap, what: impl fmt::Display) -> Result<(), Error> {
        let sizes = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let (size, limit) = (sizes.sum::<usize>(), self.metadata);
        if size > limit {
            return Err(metadata_too_large(&format!("{what} have {size} bytes"), limit));
        }
        Ok(())
    }
}

/// Keeps of a head or of trailers what is the service's. A length of HTTP, for instance, would hold
/// for the next hop too, where the same answer may end in another way.
pub(super) fn keep_metadata(headers: &mut HeaderMap) {
    remove_headers(headers, |name| is_of_http(name) && *name != header::CONTENT_TYPE);
    drop_malformed_details(headers);
}
