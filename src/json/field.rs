//! Field: finds single values in an encoded message, for paths and queries.

use std::borrow::Cow;

use super::fault::NOT_UTF8;
use super::wire::fields_of_value;
use super::{Fault, MAX_DEPTH, Wire, write_scalar};
use crate::schema::{Field, Kind, MessageId, Schema, Shape};

type Result<T> = std::result::Result<T, Box<Fault>>;

/// The value of a field, down a path of numbers, as it goes into a URL before encoding; `None` if
/// it is absent.
pub(crate) fn text_of_field<'a>(
    schema: &Schema,
    message: MessageId,
    path: &[u32],
    wire: &'a [u8],
) -> Result<Option<Cow<'a, str>>> {
    let Some((number, below)) = path.split_first() else { return Ok(None) };
    let Some(field) = schema.message(message).field_of_number(*number) else { return Ok(None) };
    if let Some(inside) = field.kind.message() {
        let mut parts = Vec::new();
        each_value(field, wire, |part| parts.push(part))?;
        return match parts.as_slice() {
            [] => Ok(None),
            [part] => text_of_field(schema, inside, below, fields_of_value(field, part)?),
            parts => {
                let mut merged = Vec::new();
                for part in parts {
                    merged.extend_from_slice(fields_of_value(field, part)?);
                }
                let text = text_of_field(schema, inside, below, &merged)?;
                Ok(text.map(|text| Cow::Owned(text.into_owned())))
            }
        };
    }
    let mut last = None;
    each_value(field, wire, |value| last = Some(value))?;
    match last {
        Some(value) => text_of_value(schema, field.kind, value).map(Some),
        None if field.shape == Shape::Implicit && field.kind != Kind::String => {
            Ok(Some(default_text(schema, field.kind)))
        }
        None => Ok(None),
    }
}

/// Gives `take` every occurrence of a field, encoded, without its tag.
fn each_value<'a>(field: &Field, wire: &'a [u8], mut take: impl FnMut(&'a [u8])) -> Result<()> {
    let mut wire = Wire::new(wire);
    while !wire.is_empty() {
        let found = wire.next_field(MAX_DEPTH)?;
        if found.number == field.number && field.accepts(found.wire_type) {
            take(found.value);
        }
    }
    Ok(())
}

/// A scalar without the quotes and escapes of JSON.
pub(crate) fn text_of_value<'a>(
    schema: &Schema,
    kind: Kind,
    value: &'a [u8],
) -> Result<Cow<'a, str>> {
    let mut wire = Wire::new(value);
    if kind == Kind::String {
        let text = wire.delimited()?;
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| wire.fault(NOT_UTF8));
    }
    let json = write_scalar(schema, kind, &mut wire)?;
    let text = String::from_utf8_lossy(&json);
    let text = text.trim_matches('"');
    Ok(Cow::Owned(match kind {
        // The URL form of base64: nothing in it needs to be percent-encoded.
        Kind::Bytes => text.trim_end_matches('=').replace('+', "-").replace('/', "_"),
        _ => text.to_owned(),
    }))
}

/// What an absent scalar stands for.
pub(crate) fn default_text(schema: &Schema, kind: Kind) -> Cow<'static, str> {
    match kind {
        Kind::Bool => "false".into(),
        Kind::String | Kind::Bytes => "".into(),
        Kind::Enum(id) => {
            let of = schema.enumeration(id);
            let name = of
                .name_of(of.default)
                .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
            name.map_or_else(|| of.default.to_string(), |name| name.trim_matches('"').to_owned())
                .into()
        }
        _ => "0".into(),
    }
}
