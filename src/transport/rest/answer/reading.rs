//! Reading: what reading an answer needs to know: the method, the types of its messages, the
//! limits.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use super::end::EndFields;
use crate::call::frame::{PREFIX_LENGTH, too_large};
use crate::error::Error;
use crate::json::{LenienceCounts, Leniences};
use crate::schema::{Field, Kind, MessageId, Method, Schema, Shape, Special};

/// What reading an answer needs to know.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) schema: Schema,
    pub(crate) method: Arc<Method>,
    pub(crate) max_message_size: usize,
    pub(crate) max_metadata_size: usize,
    pub(crate) end_fields: EndFields,
    pub(crate) leniences: Arc<LenienceCounts>,
}

/// The JSON of a message is larger than the message, at worst by so much: base64, escapes, names.
const JSON_FACTOR: usize = 6;

impl Reading {
    /// Most bytes of the JSON of a message.
    pub(crate) fn json_limit(&self) -> usize {
        self.max_message_size.saturating_mul(JSON_FACTOR)
    }

    /// The error of JSON beyond that limit; nobody knows how large its message is.
    pub(crate) fn too_large(&self) -> Error {
        too_large(self.max_message_size, self.max_message_size)
    }

    /// Counts what the answer was read in spite of, and says each once.
    pub(super) fn tell(&self, leniences: Leniences) {
        if leniences == Leniences::default() {
            return;
        }
        for lenience in self.leniences.count(leniences) {
            warn!(%lenience, method = %self.method.path, "an answer over REST was read leniently");
        }
    }

    pub(crate) fn check_size(&self, frame: &Bytes) -> Result<(), Error> {
        let length = frame.len() - PREFIX_LENGTH;
        if length > self.max_message_size {
            return Err(too_large(length, self.max_message_size));
        }
        Ok(())
    }

    /// The field whose JSON is the whole answer, by the method's HTTP rule.
    pub(crate) fn response_body(&self) -> Option<&Field> {
        let number = self.method.rules.first()?.response_body?;
        self.schema.message(self.method.output).field_of_number(number)
    }

    /// The message whose JSON an answer is; `None` if it is not that of one message.
    pub(crate) fn message(&self) -> Option<MessageId> {
        match self.response_body() {
            None => Some(self.method.output),
            Some(field) => match field.kind {
                Kind::Message(id) if field.shape == Shape::Explicit => Some(id),
                _ => None,
            },
        }
    }

    /// Whether nothing at all is the method's message: `google.protobuf.Empty`.
    pub(crate) fn is_empty(&self) -> bool {
        self.message().is_some_and(|id| self.schema.message(id).is_empty())
    }

    /// Whether the answer is bytes of any type, not JSON.
    pub(crate) fn is_raw(&self) -> bool {
        self.message().is_some_and(|id| self.schema.message(id).special == Special::HttpBody)
    }
}
