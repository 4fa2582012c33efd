//! Read: JSON to wire bytes in one pass, driven by the tables.
//!
//! A length is known before what it measures, or a slot is kept for it. The slot of a short value
//! is closed up; that of a long one is filled with a longer varint than needed, which every parser
//! takes, rather than moving the value.

mod dynamic;
mod floats;
mod list;
mod map;
mod repeats;
mod value;
mod well_known;

use crate::json::block::{BLOCK, append_start, short_block};
use crate::json::fault::{Fault, Result};
use crate::json::lenience::Leniences;
use crate::json::scan::Scan;
use crate::json::slot_set::{Replaced, SlotSet};
use crate::json::unknown::Unknown;
use crate::json::wire::{MAX_DEPTH, TOO_DEEP, push_varint};
use crate::schema::{Field, Kind, Message, MessageId, RestOnly, Schema, Shape, Special};

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To the letter; a name that the schema does not know is refused: a user mistyped.
    Strict,
    /// The same, but unknown fields and enum names are passed over, as the official conformance
    /// suite asks.
    PassUnknown,
    /// As a service's answer, which may be newer than the schema, may be written by anybody, and
    /// may already be paid for: unknown fields are passed over, and so is each
    /// [`Lenience`](crate::Lenience).
    Answer,
}

/// Appends the wire form of a JSON text.
///
/// # Errors
/// The text is not JSON, or not the JSON of such a message.
pub(crate) fn read_message(
    schema: &Schema,
    message: MessageId,
    json: &[u8],
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<()> {
    read_whole(schema, message, json, mode, out).map(drop)
}

/// Bytes to keep for the wire form of a text.
pub(crate) fn room_for(json: &[u8]) -> usize {
    (if json.len() < ONE_MIB { json.len() } else { json.len() / 4 * 3 }) + 64
}

/// Appends the wire form of an answer.
///
/// # Errors
/// As [`read_message`].
pub(crate) fn read_answer(
    schema: &Schema,
    message: MessageId,
    json: &[u8],
    out: &mut Vec<u8>,
) -> Result<Notes> {
    Ok(read_whole(schema, message, json, Mode::Answer, out)?.notes())
}

/// What was noticed while an answer was read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Notes {
    /// The outermost object has a member that the schema does not know.
    pub(crate) has_unknown: bool,
    /// One of those is an `error`, which says something: it is no answer but a failure.
    pub(crate) has_error: bool,
    pub(crate) leniences: Leniences,
}

fn read_whole<'a>(
    schema: &'a Schema,
    message: MessageId,
    json: &'a [u8],
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<Reader<'a>> {
    let mut reader = Reader::new(schema, json, mode)?;
    out.reserve(room_for(json));
    reader.message(message, MAX_DEPTH, out)?;
    reader.scan.expect_end()?;
    Ok(reader)
}

/// Appends the wire form of one field of an answer, tag included, whose JSON value is the whole
/// text.
///
/// # Errors
/// As [`read_message`].
pub(crate) fn read_field(
    schema: &Schema,
    field: &Field,
    json: &[u8],
    out: &mut Vec<u8>,
) -> Result<Notes> {
    let mut reader = Reader::new(schema, json, Mode::Answer)?;
    reader.field(field, MAX_DEPTH, out)?;
    reader.scan.expect_end()?;
    Ok(reader.notes())
}

pub(super) struct Reader<'a> {
    pub(super) schema: &'a Schema,
    pub(super) scan: Scan<'a>,
    json: &'a [u8],
    pub(super) mode: Mode,
    /// Bytes kept for a length.
    pub(super) slot: usize,
    notes: Notes,
    pub(super) unknown: Unknown,
    /// The value is an element of a list of numbers, which must not lose one.
    pub(super) in_list: bool,
    /// The number of the wrapper that was read last was left out.
    pub(super) left_out: bool,
    /// The member at hand says more than what was read of it: the name of an enum value, or a
    /// number too large.
    pub(super) says_more: bool,
}

impl<'a> Reader<'a> {
    fn new(schema: &'a Schema, json: &'a [u8], mode: Mode) -> Result<Self> {
        // No value is more than eight times as long on the wire as its JSON text.
        let slot = varint_length(json.len().saturating_mul(8)).min(MAX_SLOT);
        let mut scan = Scan::new(json)?;
        scan.is_lenient = mode == Mode::Answer;
        let notes = Notes::default();
        Ok(Self {
            schema,
            scan,
            json,
            mode,
            slot,
            notes,
            unknown: Unknown::default(),
            in_list: false,
            left_out: false,
            says_more: false,
        })
    }

    fn notes(&self) -> Notes {
        Notes { leniences: self.scan.met, ..self.notes }
    }

    /// A message in the form that its type asks for, without its length.
    pub(super) fn message(&mut self, id: MessageId, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.scan.fault(TOO_DEEP))?;
        let message = self.schema.message(id);
        match message.special {
            Special::No | Special::HttpBody => self.object(message, depth, None, out),
            Special::Struct | Special::ListValue => self.only_field(message, depth, out),
            Special::Value => self.dynamic(message, depth, out),
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
        let mut seen = SlotSet::default();
        let first_unknown = self.unknown.len();
        let start = out.len();
        let mut next = 0;
        loop {
            self.scan.skip_space();
            let at = self.scan.offset();
            let field = match self.usual_name(message, next) {
                Some((field, index)) => {
                    next = index + 1;
                    Some(field)
                }
                None => self.other_name(message, depth, except)?,
            };
            if let Some(field) = field {
                let before = out.len();
                if let Err(fault) = self.member(field, depth, &mut seen, at, out) {
                    out.truncate(before);
                    self.keep_unread(field, fault, at, message)?;
                }
                if self.says_more {
                    self.says_more = false;
                    self.keep_since(at, message);
                }
            }
            if !self.scan.eat(b',') {
                break;
            }
        }
        self.scan.expect(b'}')?;
        if let Some(repeats) = seen.into_repeats() {
            Self::keep_last(message, repeats, start, out)?;
        }
        self.unknown.finish(first_unknown, self.json, message, out);
        Ok(())
    }

    /// Keeps the member from `at` to where the scan stands, if the message has a field for it.
    #[cold]
    fn keep_since(&mut self, at: usize, message: &Message) {
        if message.unknown().is_some() {
            self.unknown.keep(at..self.scan.offset());
        }
    }

    /// A member of an answer that is not of the type which the overlay has for it: that type is
    /// only what was known of the service at one time. It is kept like an unknown one.
    #[cold]
    fn keep_unread(
        &mut self,
        field: &Field,
        fault: Box<Fault>,
        at: usize,
        message: &Message,
    ) -> Result<()> {
        if self.mode != Mode::Answer || field.rest_only == RestOnly::No {
            return Err(fault.inside(&field.name));
        }
        self.scan.go_to(self.json, at);
        self.scan.string()?;
        self.scan.expect(b':')?;
        self.scan.value()?;
        self.forget_value(at);
        self.keep_since(at, message);
        Ok(())
    }

    /// Forgets what was noted of a value that begins after `at` and could not be read.
    #[cold]
    pub(super) fn forget_value(&mut self, at: usize) {
        (self.in_list, self.left_out, self.says_more) = (false, false, false);
        self.unknown.forget_after(at);
    }

    /// The field whose name comes next, written without escapes, and its colon; with its index.
    /// Most of them come in their order, so the one at `next` is tried first.
    #[inline]
    fn usual_name<'m>(&mut self, message: &'m Message, next: usize) -> Option<(&'m Field, usize)> {
        if let Some(field) = message.fields.get(next)
            && let Some((key, length)) = field.short_key()
            && self.scan.eat_start(key, length)
        {
            return Some((field, next));
        }
        let mut scan = self.scan;
        let at = message.index_of_name(scan.plain_string()?)?;
        let field = message.fields.get(at)?;
        if !scan.eat(b':') {
            return None;
        }
        self.scan = scan;
        Some((field, at))
    }

    /// The same for any other name: one with escapes, or an unknown one, which is kept; then
    /// `None`.
    #[inline(never)]
    fn other_name<'m>(
        &mut self,
        message: &'m Message,
        depth: u32,
        except: Option<&[u8]>,
    ) -> Result<Option<&'m Field>> {
        let at = self.scan.offset();
        let name = self.scan.string()?;
        self.scan.expect(b':')?;
        if let Some(field) = message.field_of_name(&name) {
            return Ok(Some(field));
        }
        let is_passed_over = match self.mode {
            Mode::Strict => except == Some(&*name),
            // One that is known is not unknown, and has no place here.
            Mode::PassUnknown => !self.schema.has_extension(&name),
            Mode::Answer => true,
        };
        if is_passed_over {
            let value = self.scan.value()?;
            if except != Some(&*name) {
                self.keep_since(at, message);
            }
            if depth == OUTERMOST {
                self.notes.has_unknown = true;
                // A text or an object that is not empty.
                self.notes.has_error |=
                    *name == *b"error" && matches!(value, [b'"' | b'{', _, _, ..]);
            }
            return Ok(None);
        }
        let name = String::from_utf8_lossy(&name);
        Err(Fault::new(format!("`{}` has no field `{name}`", message.name), at))
    }

    /// The value of a member of an object, if it is not absent.
    #[inline]
    fn member(
        &mut self,
        field: &Field,
        depth: u32,
        seen: &mut SlotSet,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let is_absent = self.scan.is_next(b'n') && !self.takes_null(field);
        if seen.was(field.index) {
            self.repeat(seen, Replaced::Field(field.number), out.len(), at)?;
        }
        if is_absent {
            return self.scan.word("null");
        }
        if field.in_oneof && seen.was(field.slot) {
            self.repeat(seen, Replaced::Oneof(field.slot), out.len(), at)?;
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

    /// How the messages of a kind are written.
    pub(super) fn special(&self, kind: Kind) -> Option<Special> {
        Some(self.schema.message(kind.message()?).special)
    }

    pub(super) fn null_is_value(&self, kind: Kind) -> bool {
        match kind {
            Kind::Enum(id) => self.schema.enumeration(id).is_null,
            kind => self.special(kind) == Some(Special::Value),
        }
    }

    pub(super) fn field(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        match field.shape {
            Shape::Implicit | Shape::Explicit | Shape::Unknown => {
                self.tagged_value(field, depth, out)
            }
            Shape::Repeated => self.repeated(field, depth, out),
            Shape::Map => self.map(field, depth, out),
        }
    }

    /// Tag and value; neither if the value is an unknown enum name that is passed over.
    #[inline]
    pub(super) fn tagged_value(
        &mut self,
        field: &Field,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let start = out.len();
        field.tag.append_to(out);
        let before = out.len();
        self.value(field.kind, depth, out)?;
        if let Kind::Group(_) = field.kind
            && !(out.len() == before && std::mem::take(&mut self.left_out))
        {
            push_varint(out, u64::from(field.number) << 3 | 4);
        } else if out.len() == before {
            out.truncate(start);
        }
        Ok(())
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
    pub(super) fn close(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = at + self.slot;
        let length = out.len() - start;
        if length <= BLOCK {
            if length == 0 && std::mem::take(&mut self.left_out) {
                // A wrapper stands for nothing but its number.
                out.truncate(at);
                return Ok(());
            }
            // A scalar's length has one byte, and moves with the scalar.
            let block = short_block(out.get(start..).unwrap_or_default());
            out.truncate(at);
            push_varint(out, length as u64);
            append_start(&block, length, out);
            return Ok(());
        }
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
pub(super) const fn varint_length(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

const ONE_MIB: usize = 1 << 20;
/// How deep the fields of the outermost message may go.
const OUTERMOST: u32 = MAX_DEPTH - 1;
/// Most bytes of a length: 32 GiB.
const MAX_SLOT: usize = 5;
/// Values up to this many bytes are moved to close the slot before them.
const SHORT: usize = 256;

#[cfg(test)]
mod tests;
