//! Field: one field of a message, looked up in the schema, or written.

use crate::json::{WireField, push_varint};
use crate::schema::{Field, Message, WireType};

/// The field that a value on the wire is of.
pub(super) fn known_field<'a>(message: &'a Message, found: &WireField<'_>) -> Option<&'a Field> {
    let field = message.field_of_number(found.number);
    field.filter(|field| field.accepts(found.wire_type))
}

/// Appends a length-delimited field.
pub(super) fn push_delimited(number: u32, value: &[u8], out: &mut Vec<u8>) {
    push_varint(out, u64::from(number) << 3 | WireType::Delimited as u64);
    push_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
