//! JSON: wire bytes to `ProtoJSON` and back, in one pass over the schema's tables.

mod base64;
mod block;
mod body;
mod fault;
mod field;
mod keys;
mod lenience;
mod normalise;
mod number;
mod raw;
mod read;
mod scan;
mod slot_set;
mod string;
mod text;
mod time;
mod unknown;
mod wire;
mod write;

use crate::error::{Error, ErrorKind};
use crate::schema::{MessageId, Schema};

pub(crate) use body::JsonBody;
pub(crate) use fault::Fault;
pub(crate) use field::{default_text, text_of_field, text_of_value};
pub use lenience::Lenience;
pub(crate) use lenience::{LenienceCounts, Leniences};
pub(crate) use normalise::normalise;
pub(crate) use raw::{elements, member, members};
pub(crate) use read::{Mode, Notes, read_answer, read_field, read_message, room_for};
pub(crate) use unknown::join_unknown;
pub(crate) use wire::{MAX_DEPTH, TOO_DEEP, Wire, WireField, fields_of_value, push_varint};
pub(crate) use write::{WriteOptions, write_field, write_message, write_scalar, write_text};

impl Schema {
    /// The JSON form of an encoded message, as
    /// [ProtoJSON](https://protobuf.dev/programming-guides/json/) defines it: compact, camelCase
    /// names, enum values by name.
    ///
    /// # Errors
    /// The schema has no message `name`, the bytes are not such a message, or it holds what JSON
    /// cannot carry (a string that is not UTF-8, a timestamp out of range, an `Any` of an unknown
    /// type). The text names the field and the byte.
    pub fn json_from_message(&self, name: &str, wire: &[u8]) -> Result<Vec<u8>, Error> {
        let id = self.find_message(name)?;
        write_text(self, id, wire).map_err(invalid)
    }

    /// The encoded message of a JSON text. Both camelCase names and the names of the proto are
    /// read; an unknown name is refused.
    ///
    /// # Errors
    /// The schema has no message `name`, or the text is not the JSON of such a message. The text of
    /// the error names the field and the byte.
    pub fn message_from_json(&self, name: &str, json: &[u8]) -> Result<Vec<u8>, Error> {
        self.read(name, json, Mode::Strict)
    }

    /// The same, but ignores fields and enum names that the schema does not know: a field whose
    /// enum name is unknown is absent, as the official conformance suite asks. The bridge itself
    /// reads an unknown name in an answer as -1, so that it cannot be taken for the enum's
    /// "unspecified".
    ///
    /// # Errors
    /// As [`message_from_json`](Self::message_from_json), but for unknown names.
    pub fn message_from_json_ignoring_unknown(
        &self,
        name: &str,
        json: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.read(name, json, Mode::PassUnknown)
    }

    fn read(&self, name: &str, json: &[u8], mode: Mode) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        read_message(self, self.find_message(name)?, json, mode, &mut out).map_err(invalid)?;
        Ok(out)
    }

    fn find_message(&self, name: &str) -> Result<MessageId, Error> {
        let missing = || Error::invalid_request(format!("the schema has no message `{name}`"));
        self.message_id(name).ok_or_else(missing)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn invalid(fault: Box<Fault>) -> Error {
    Error::new(ErrorKind::InvalidRequest, fault.to_string())
}
