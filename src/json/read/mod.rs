//! Read: JSON to wire bytes in one pass, driven by the tables.
//!
//! A length is known before what it measures, or a slot is kept for it. The slot of a short value is closed
//! up; that of a long one is filled with a longer varint than needed, which every parser takes, rather than moving
//! the value.

mod well_known;

use std::collections::HashSet;

use crate::json::fault::{Fault, Result};
use crate::json::number::{parse_f32, parse_f64, parse_integer, parse_non_finite};
use crate::json::scan::{Scan, Start, is_number};
use crate::json::seen::Seen;
use crate::json::wire::{MAX_DEPTH, TOO_DEEP, push_varint, zigzag_encode};
use crate::schema::{EnumId, Field, Kind, Message, MessageId, Schema, Shape, Special};

/// What becomes of names that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Skip the field, or the enum value: a service may be newer than its schema.
    Ignore,
    /// Refuse the text: a user mistyped.
    Refuse,
}

/// Appends the wire form of a JSON text.
///
/// # Errors
/// The text is not JSON, or not the JSON of such a message.
pub(crate) fn read_message(
    schema: &Schema,
    message: MessageId,
    json: &[u8],
    unknown: Unknown,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut reader = Reader::new(schema, json, unknown)?;
    out.reserve(if json.len() < ONE_MIB { json.len() } else { json.len() / 4 * 3 } + 64);
    reader.message(message, MAX_DEPTH, out)?;
    reader.scan.expect_end()
}

/// Appends the wire form of an answer, passing over what the schema does not know; says whether the
/// JSON has an `error` object that the message does not: then it is no answer but a failure.
///
/// # Errors
/// As [`read_message`].
pub(crate) fn read_answer(
    schema: &Schema,
    message: MessageId,
    json: &[u8],
    out: &mut Vec<u8>,
) -> Result<bool> {
    let mut reader = Reader::new(schema, json, Unknown::Ignore)?;
    out.reserve(if json.len() < ONE_MIB { json.len() } else { json.len() / 4 * 3 } + 64);
    reader.message(message, MAX_DEPTH, out)?;
    reader.scan.expect_end()?;
    Ok(reader.has_error)
}

/// Appends the wire form of one field, tag included, whose JSON value is the whole text.
///
/// # Errors
/// As [`read_message`].
pub(crate) fn read_field(
    schema: &Schema,
    field: &Field,
    json: &[u8],
    unknown: Unknown,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut reader = Reader::new(schema, json, unknown)?;
    reader.field(field, MAX_DEPTH, out)?;
    reader.scan.expect_end()
}

pub(super) struct Reader<'a> {
    pub(super) schema: &'a Schema,
    pub(super) scan: Scan<'a>,
    pub(super) unknown: Unknown,
    /// Bytes kept for a length.
    slot: usize,
    /// The outermost object has an `error` object that the schema does not know.
    has_error: bool,
}

impl<'a> Reader<'a> {
    fn new(schema: &'a Schema, json: &'a [u8], unknown: Unknown) -> Result<Self> {
        // No value is more than eight times as long on the wire as its JSON text.
        let slot = varint_length(json.len().saturating_mul(8)).min(MAX_SLOT);
        Ok(Self { schema, scan: Scan::new(json)?, unknown, slot, has_error: false })
    }

    /// A message in the form that its type asks for, without its length.
    pub(super) fn message(&mut self, id: MessageId, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.scan.fault(TOO_DEEP))?;
        let message = self.schema.message(id);
        match message.special {
            Special::No | Special::HttpBody => self.object(message, depth, None, out),
            Special::Struct => self.structure(depth, out),
            Special::Value => self.dynamic(depth, out),
            Special::ListValue => self.list(depth, out),
            Special::Any => self.any(depth, out),
            Special::Timestamp => self.timestamp(out),
            Special::Duration => self.duration(out),
            Special::FieldMask => self.field_mask(out),
            Special::Wrapper => self.wrapper(message, depth, out),
        }
    }

    /// An object of fields; one name may be passed over.
    pub(super) fn object(
        &mut self,
        message: &Message,
        depth: u32,
        except: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.scan.expect(b'{')?;
        if self.scan.eat(b'}') {
            return Ok(());
        }
        let mut seen = Seen::default();
        loop {
            self.scan.skip_space();
            let at = self.scan.offset();
            let name = self.scan.string()?;
            self.scan.expect(b':')?;
            match message.field_of_name(&name) {
                Some(field) => {
                    let read = self.known_field(field, depth, &mut seen, at, out);
                    read.map_err(|fault| fault.inside(&field.name))?;
                }
                None if self.unknown == Unknown::Ignore || except == Some(&*name) => {
                    let is_outermost = depth == MAX_DEPTH - 1;
                    self.has_error |=
                        is_outermost && *name == *b"error" && self.scan.start()? == Start::Object;
                    self.scan.skip_value()?;
                }
                None => {
                    let name = String::from_utf8_lossy(&name);
                    let text = format!("`{}` has no field `{name}`", message.name);
                    return Err(Fault::new(text, at));
                }
            }
            if !self.scan.eat(b',') {
                return self.scan.expect(b'}');
            }
        }
    }

    fn known_field(
        &mut self,
        field: &Field,
        depth: u32,
        seen: &mut Seen,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.scan.start()? == Start::Null && !self.takes_null(field) {
            return self.scan.word("null");
        }
        if seen.was(field.slot) {
            let what =
                if field.in_oneof { "two members of one oneof" } else { "the field comes twice" };
            return Err(Fault::new(what, at));
        }
        self.field(field, depth, out)
    }

    /// `null` means absent, except where it is a value of its own.
    fn takes_null(&self, field: &Field) -> bool {
        match (field.shape, field.kind) {
            (Shape::Repeated | Shape::Map, _) => false,
            (_, kind) => self.null_is_value(kind),
        }
    }

    fn null_is_value(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message(id) => self.schema.message(id).special == Special::Value,
            Kind::Enum(id) => self.schema.enumeration(id).is_null,
            _ => false,
        }
    }

    fn field(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        match field.shape {
            Shape::Implicit | Shape::Explicit => self.tagged_value(field, depth, out),
            Shape::Repeated => self.repeated(field, depth, out),
            Shape::Map => self.map(field, depth, out),
        }
    }

    /// Tag and value; neither if the value is an unknown enum name that is passed over.
    #[inline]
    fn tagged_value(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        field.tag.append_to(out);
        if !self.value(field.kind, depth, out)? {
            out.truncate(start);
        } else if let Kind::Group(_) = field.kind {
            push_varint(out, u64::from(field.number) << 3 | 4);
        }
        Ok(())
    }

    fn repeated(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        self.scan.expect(b'[')?;
        if self.scan.eat(b']') {
            return Ok(());
        }
        let start = out.len();
        let length = field.packed.then(|| {
            field.tag.append_to(out);
            self.open(out)
        });
        loop {
            if self.scan.start()? == Start::Null && !self.null_is_value(field.kind) {
                return Err(self.scan.fault("`null` in a list"));
            }
            if field.packed {
                self.value(field.kind, depth, out)?;
            } else {
                self.tagged_value(field, depth, out)?;
            }
            if !self.scan.eat(b',') {
                break;
            }
        }
        self.scan.expect(b']')?;
        match length {
            Some(at) if out.len() == at + self.slot => out.truncate(start),
            Some(at) => self.close(at, out)?,
            None => {}
        }
        Ok(())
    }

    fn map(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let Kind::Message(id) = field.kind else {
            return Err(self.scan.fault("a map without entries"));
        };
        let entry = self.schema.message(id);
        let (Some(key), Some(value)) = (entry.field_of_number(1), entry.field_of_number(2)) else {
            return Err(self.scan.fault("a map without key and value"));
        };
        self.scan.expect(b'{')?;
        if self.scan.eat(b'}') {
            return Ok(());
        }
        let mut keys = Keys::default();
        loop {
            let start = out.len();
            field.tag.append_to(out);
            let length = self.open(out);
            let key_start = out.len();
            self.key(key, out)?;
            if keys.repeats(out.get(key_start..).unwrap_or_default()) {
                return Err(self.scan.fault("a map key that comes twice"));
            }
            self.scan.expect(b':')?;
            if self.scan.start()? == Start::Null && !self.null_is_value(value.kind) {
                return Err(self.scan.fault("`null` in a map"));
            }
            value.tag.append_to(out);
            if self.value(value.kind, depth, out)? {
                self.close(length, out)?;
            } else {
                out.truncate(start);
            }
            if !self.scan.eat(b',') {
                return self.scan.expect(b'}');
            }
        }
    }

    /// A map's key: any scalar, always quoted.
    fn key(&mut self, key: &Field, out: &mut Vec<u8>) -> Result<()> {
        key.tag.append_to(out);
        if key.kind == Kind::String {
            return self.text(out);
        }
        let at = self.scan.offset();
        let text = self.scan.string()?;
        match (key.kind, text.as_ref()) {
            (Kind::Bool, b"true") => out.push(1),
            (Kind::Bool, b"false") => out.push(0),
            (Kind::Bool, _) => return Err(Fault::new("no bool as a map key", at)),
            (kind, text) => write_integer(kind, quoted_number(text, at)?, at, out)?,
        }
        Ok(())
    }

    /// One value, with its length where it has one; `false` if it is an unknown enum name.
    #[inline]
    pub(super) fn value(&mut self, kind: Kind, depth: u32, out: &mut Vec<u8>) -> Result<bool> {
        match kind {
            Kind::String => self.text(out)?,
            Kind::Bytes => self.bytes(out)?,
            Kind::Message(id) => {
                let length = self.open(out);
                self.message(id, depth, out)?;
                self.close(length, out)?;
            }
            Kind::Group(id) => self.message(id, depth, out)?,
            Kind::Enum(id) => return self.enumeration(id, out),
            Kind::Bool => {
                let value = self.scan.start()? == Start::True;
                self.scan
                    .word(if value { "true" } else { "false" })
                    .map_err(|_| self.scan.fault("no bool"))?;
                out.push(u8::from(value));
            }
            Kind::Double => {
                let value = self.float(parse_f64, |value| value)?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "NaN and infinity keep their meaning"
            )]
            Kind::Float => {
                let value = self.float(parse_f32, |value| value as f32)?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            _ => {
                let at = self.scan.offset();
                let token = self.number_token()?;
                write_integer(kind, &token, at, out)?;
            }
        }
        Ok(true)
    }

    /// The text of a number, quoted or not.
    fn number_token(&mut self) -> Result<std::borrow::Cow<'a, str>> {
        if self.scan.start()? != Start::String {
            return self.scan.number().map(Into::into);
        }
        let at = self.scan.offset();
        let text = self.scan.string()?;
        quoted_number(&text, at).map(|token| token.to_owned().into())
    }

    fn float<T>(&mut self, parse: fn(&str) -> Option<T>, convert: fn(f64) -> T) -> Result<T> {
        let is_quoted = self.scan.start()? == Start::String;
        let at = self.scan.offset();
        let too_large = || Fault::new("a number too large for its field", at);
        if !is_quoted {
            return parse(self.scan.number()?).ok_or_else(too_large);
        }
        let text = self.scan.string()?;
        match parse_non_finite(&text) {
            Some(value) => Ok(convert(value)),
            None => parse(quoted_number(&text, at)?).ok_or_else(too_large),
        }
    }

    fn enumeration(&mut self, id: EnumId, out: &mut Vec<u8>) -> Result<bool> {
        let of = self.schema.enumeration(id);
        let number = match self.scan.start()? {
            Start::Null if of.is_null => {
                self.scan.word("null")?;
                0
            }
            Start::String => {
                let at = self.scan.offset();
                let name = self.scan.string()?;
                match of.number_of(&name) {
                    Some(number) => number,
                    None if self.unknown == Unknown::Ignore => return Ok(false),
                    None => {
                        let name = String::from_utf8_lossy(&name).into_owned();
                        return Err(Fault::new(format!("`{}` has no value `{name}`", of.name), at));
                    }
                }
            }
            _ => {
                let at = self.scan.offset();
                let number = parse_integer(self.scan.number()?)
                    .and_then(|number| i32::try_from(number).ok());
                number.ok_or_else(|| Fault::new("no enum value", at))?
            }
        };
        push_varint(out, i64::from(number).cast_unsigned());
        Ok(true)
    }

    /// A string with its length.
    #[inline]
    pub(super) fn text(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if let Some(plain) = self.scan.plain_string()? {
            push_varint(out, plain.len() as u64);
            out.extend_from_slice(plain);
            return Ok(());
        }
        let length = self.open(out);
        self.scan.unescape_into(out)?;
        self.close(length, out)
    }

    /// Base64 of either alphabet, padded or not, with its length.
    fn bytes(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let at = self.scan.offset();
        let text = self.scan.string()?;
        let padding = text.iter().rev().take_while(|byte| **byte == b'=').count().min(2);
        let digits = text.get(..text.len() - padding).unwrap_or_default();
        let is_url_safe = memchr::memchr2(b'-', b'_', digits).is_some();
        let base64 =
            if is_url_safe { base64_simd::URL_SAFE_NO_PAD } else { base64_simd::STANDARD_NO_PAD };
        let length = digits.len() / 4 * 3 + (digits.len() % 4).saturating_sub(1);
        push_varint(out, length as u64);
        let (blocks, tail) = digits.split_at(digits.len() / 4 * 4);
        let read = base64.decode_append(blocks, out).is_ok() && decode_tail(tail, out);
        if read { Ok(()) } else { Err(Fault::new("no base64", at)) }
    }

    /// Keeps room for a length.
    #[inline]
    pub(super) fn open(&self, out: &mut Vec<u8>) -> usize {
        let at = out.len();
        out.extend_from_slice(&[0; MAX_SLOT]);
        out.truncate(at + self.slot);
        at
    }

    /// Writes the length of what was written since `open`.
    #[inline]
    pub(super) fn close(&self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = at + self.slot;
        let length = out.len() - start;
        let needed = varint_length(length);
        if needed > self.slot {
            return Err(self.scan.fault("a message over 32 GiB"));
        }
        let used = if length <= SHORT && needed < self.slot {
            out.copy_within(start.., at + needed);
            out.truncate(at + needed + length);
            needed
        } else {
            self.slot
        };
        if let Some(slot) = out.get_mut(at..at + used) {
            fill_varint(slot, length);
        }
        Ok(())
    }
}

/// The last two or three digits of base64; bits beyond the last byte are ignored, as protobuf does.
fn decode_tail(tail: &[u8], out: &mut Vec<u8>) -> bool {
    let mut bits = 0_u32;
    for digit in tail {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
    }
    let [_, _, high, low] = match tail.len() {
        2 => (bits >> 4 << 8).to_be_bytes(),
        3 => (bits >> 2).to_be_bytes(),
        length => return length == 0,
    };
    out.push(high);
    if tail.len() == 3 {
        out.push(low);
    }
    true
}

/// Writes `value` over all of `slot`: continuation bits on all bytes but the last.
#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
fn fill_varint(slot: &mut [u8], mut value: usize) {
    let last = slot.len().saturating_sub(1);
    for (at, byte) in slot.iter_mut().enumerate() {
        *byte = (value & 0x7f) as u8 | if at < last { 0x80 } else { 0 };
        value >>= 7;
    }
}

#[inline]
const fn varint_length(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// A quoted number follows the same grammar as a bare one.
fn quoted_number(text: &[u8], at: usize) -> Result<&str> {
    let token = std::str::from_utf8(text).ok().filter(|_| is_number(text));
    token.ok_or_else(|| Fault::new("no number", at))
}

/// Writes the text of an integer in the form of its type.
fn write_integer(kind: Kind, token: &str, at: usize, out: &mut Vec<u8>) -> Result<()> {
    let refused = || Fault::new("no integer, or one too large for its field", at);
    let value = parse_integer(token).ok_or_else(refused)?;
    let written = match kind {
        Kind::Int32 => {
            i32::try_from(value).map(|value| push_varint(out, i64::from(value).cast_unsigned()))
        }
        Kind::Int64 => i64::try_from(value).map(|value| push_varint(out, value.cast_unsigned())),
        Kind::Uint32 => u32::try_from(value).map(|value| push_varint(out, value.into())),
        Kind::Uint64 => u64::try_from(value).map(|value| push_varint(out, value)),
        Kind::Sint32 => {
            i32::try_from(value).map(|value| push_varint(out, zigzag_encode(value.into())))
        }
        Kind::Sint64 => i64::try_from(value).map(|value| push_varint(out, zigzag_encode(value))),
        Kind::Fixed32 => {
            u32::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        Kind::Sfixed32 => {
            i32::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        Kind::Fixed64 => {
            u64::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        Kind::Sfixed64 => {
            i64::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        _ => return Err(refused()),
    };
    written.map_err(|_| refused())
}

/// The keys of a map so far, encoded.
#[derive(Default)]
pub(super) struct Keys {
    few: Vec<Box<[u8]>>,
    many: HashSet<Box<[u8]>>,
}

impl Keys {
    /// Up to here a list is faster than a set.
    const FEW: usize = 16;

    pub(super) fn repeats(&mut self, key: &[u8]) -> bool {
        if self.few.iter().any(|known| **known == *key) || self.many.contains(key) {
            return true;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key.into());
        } else {
            self.many.insert(key.into());
        }
        false
    }
}

const ONE_MIB: usize = 1 << 20;
/// Most bytes of a length: 32 GiB.
const MAX_SLOT: usize = 5;
/// Values up to this many bytes are moved to close the slot before them.
const SHORT: usize = 256;
