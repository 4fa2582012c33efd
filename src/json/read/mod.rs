//! Read: JSON to wire bytes in one pass, driven by the tables.

mod dynamic;
mod floats;
mod length;
mod list;
mod map;
mod object;
mod repeats;
mod value;
mod well_known;

use length::LengthSlot;

use crate::json::fault::Result;
use crate::json::lenience::Leniences;
use crate::json::scan::Scan;
use crate::json::unknown::Unknown;
use crate::json::wire::{MAX_DEPTH, TOO_DEEP, push_varint};
use crate::schema::{Field, Kind, MessageId, Schema, Shape, Special};

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
    slot: LengthSlot,
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
        let mut scan = Scan::new(json)?;
        scan.is_lenient = mode == Mode::Answer;
        let notes = Notes::default();
        Ok(Self {
            schema,
            scan,
            json,
            mode,
            slot: LengthSlot::for_text(json.len()),
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
    #[inline]
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

    #[inline]
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
        if out.len() == before || matches!(field.kind, Kind::Group(_)) {
            self.end_tagged(field, start, before, out);
        }
        Ok(())
    }

    /// Takes back the tag of a value that is nothing, and ends a group.
    #[inline(never)]
    fn end_tagged(&mut self, field: &Field, start: usize, before: usize, out: &mut Vec<u8>) {
        let is_nothing = out.len() == before;
        if let Kind::Group(_) = field.kind
            && !(is_nothing && std::mem::take(&mut self.left_out))
        {
            push_varint(out, u64::from(field.number) << 3 | 4);
        } else if is_nothing {
            out.truncate(start);
        }
    }

    /// Keeps room for a length.
    #[inline]
    pub(super) fn open(&self, out: &mut Vec<u8>) -> usize {
        self.slot.open(out)
    }

    /// Writes the length of what was written since `open`.
    #[inline]
    pub(super) fn close(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.slot.is_empty(at, out) && std::mem::take(&mut self.left_out) {
            // A wrapper stands for nothing but its number.
            out.truncate(at);
            return Ok(());
        }
        self.slot.close(at, out).ok_or_else(|| self.scan.fault("a message over 32 GiB"))
    }
}

const ONE_MIB: usize = 1 << 20;

#[cfg(test)]
mod tests;
