//! Write: wire bytes to JSON in one pass, driven by the tables.
//!
//! Fields are written as they stand on the wire. An encoder may also send a field twice, or the
//! members of a oneof one after the other; then the message is put in order first (`normalise`),
//! and written again.

mod dynamic;
mod map;
mod unknown;
mod value;
mod well_known;

use bytes::Bytes;

use crate::json::body::JsonBody;
use crate::json::fault::Result;
use crate::json::normalise::normalise;
use crate::json::slot_set::SlotSet;
use crate::json::wire::{MAX_DEPTH, TOO_DEEP, Wire};
use crate::schema::rule::FieldPath;
use crate::schema::{Field, Kind, Message, MessageId, Schema, Shape, Special, WireType};

/// How a message is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WriteOptions<'a> {
    /// Enum values as numbers, instead of names.
    pub(crate) enum_numbers: bool,
    /// Fields to leave out, because the path holds them.
    pub(crate) omit: &'a [FieldPath],
    /// `bytes` fields from this size on stay out of the text until it is sent.
    pub(crate) gap_from: Option<usize>,
}

/// The JSON form of an encoded message.
///
/// # Errors
/// The bytes are not such a message, or hold a value that JSON cannot carry.
pub(crate) fn write_message(
    schema: &Schema,
    message: MessageId,
    source: &Bytes,
    options: WriteOptions<'_>,
) -> Result<JsonBody> {
    let mut writer = Writer::new(schema, source, options);
    writer.source = Some(source);
    writer.outermost(message, source)?;
    Ok(JsonBody::new(writer.out, writer.gaps))
}

/// The same in one piece, all fields in it.
///
/// # Errors
/// As [`write_message`].
pub(crate) fn write_text(schema: &Schema, message: MessageId, wire: &[u8]) -> Result<Vec<u8>> {
    let mut writer = Writer::new(schema, wire, WriteOptions::default());
    writer.outermost(message, wire)?;
    Ok(writer.out)
}

/// The JSON form of one field of an encoded message; `{}`, `[]` or its default if it is absent.
///
/// # Errors
/// As [`write_message`].
pub(crate) fn write_field(
    schema: &Schema,
    message: MessageId,
    field: &Field,
    source: &Bytes,
    options: WriteOptions<'_>,
) -> Result<JsonBody> {
    let mut writer = Writer::new(schema, source, options);
    writer.source = Some(source);
    writer.only = Some(field.number);
    writer.outermost(message, source)?;
    // `{"name":value}` without all but the value.
    let Writer { out: mut text, mut gaps, .. } = writer;
    let around = field.key.as_bytes().len();
    if text.len() <= around {
        let mut absent = Writer::new(schema, source, options);
        absent.absent(field, MAX_DEPTH)?;
        return Ok(JsonBody::new(absent.out, Vec::new()));
    }
    text.pop();
    text.drain(..around);
    for (at, _) in &mut gaps {
        *at -= around;
    }
    Ok(JsonBody::new(text, gaps))
}

/// Appends the JSON text of one scalar; its wire bytes are next in `wire`.
pub(crate) fn write_scalar(schema: &Schema, kind: Kind, wire: &mut Wire<'_>) -> Result<Vec<u8>> {
    let mut writer = Writer::new(schema, &[], WriteOptions::default());
    writer.value(kind, 0, wire, MAX_DEPTH)?;
    Ok(writer.out)
}

pub(super) struct Writer<'a> {
    pub(super) schema: &'a Schema,
    /// What gaps share in.
    source: Option<&'a Bytes>,
    options: WriteOptions<'a>,
    /// At the top, no other field is written.
    only: Option<u32>,
    /// Fields entered, while one inside them may have to be left out.
    trail: Vec<u32>,
    /// A message was out of order; from then on each one is put in order before it is written.
    /// Else messages inside each other would be written again and again, twice as often at each
    /// level.
    out_of_order: bool,
    pub(super) out: Vec<u8>,
    gaps: Vec<(usize, Bytes)>,
}

/// Why a message must be written again.
enum Again {
    /// A field came again: the message must be put in order.
    OutOfOrder,
    /// All but these fields must be left out: the text of their members was kept.
    Without(Vec<u8>),
}

/// A place in what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    out: usize,
    gaps: usize,
}

impl<'a> Writer<'a> {
    fn new(schema: &'a Schema, wire: &[u8], options: WriteOptions<'a>) -> Self {
        let base64 = if options.gap_from.is_some() { 0 } else { wire.len() / 3 };
        let out = Vec::with_capacity(wire.len().min(MOST_RESERVED) * 3 / 2 + base64 + 256);
        Self {
            schema,
            source: None,
            options,
            only: None,
            trail: Vec::new(),
            out_of_order: false,
            out,
            gaps: Vec::new(),
        }
    }

    /// The whole message. What JSON cannot carry may be replaced by what follows it: then the
    /// message is written once more, each part of it put in order before.
    fn outermost(&mut self, id: MessageId, wire: &[u8]) -> Result<()> {
        let start = self.mark();
        let written = match self.message(id, Wire::new(wire), MAX_DEPTH) {
            Err(fault) if fault.is_unwritable => {
                self.rewind(start);
                self.trail.clear();
                self.out_of_order = true;
                self.message(id, Wire::new(wire), MAX_DEPTH).map_err(|_| fault)
            }
            written => written,
        };
        written.map_err(|fault| fault.within(wire))
    }

    /// How much has been written.
    #[inline]
    pub(super) fn mark(&self) -> Mark {
        Mark { out: self.out.len(), gaps: self.gaps.len() }
    }

    /// Takes back what was written since.
    #[inline]
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.gaps.truncate(mark.gaps);
    }

    /// A message in the form that its type asks for.
    #[inline]
    pub(super) fn message(&mut self, id: MessageId, wire: Wire<'_>, depth: u32) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| wire.fault(TOO_DEEP))?;
        let message = self.schema.message(id);
        match message.special {
            Special::No | Special::HttpBody => self.object(message, wire, depth),
            Special::Struct => self.structure(message, wire, depth),
            Special::Value => self.dynamic(message, wire, depth),
            Special::ListValue => self.list(message, wire, depth),
            Special::Any => self.any(wire, depth),
            Special::Timestamp => self.timestamp(wire),
            Special::Duration => self.duration(wire),
            Special::FieldMask => self.field_mask(wire),
            Special::Wrapper => self.wrapper(message, wire, depth),
        }
    }

    #[inline(never)]
    fn object(&mut self, message: &Message, wire: Wire<'_>, depth: u32) -> Result<()> {
        let fields = if self.is_partial() { Self::fields::<true> } else { Self::fields::<false> };
        let start = self.mark();
        if self.out_of_order {
            return self.object_again(message, wire, depth, start, Again::OutOfOrder);
        }
        match fields(self, message, wire, depth, true)? {
            None => Ok(()),
            Some(again) => self.object_again(message, wire, depth, start, *again),
        }
    }

    /// Writes an object from its start, without what stood in the way.
    #[cold]
    fn object_again(
        &mut self,
        message: &Message,
        wire: Wire<'_>,
        depth: u32,
        start: Mark,
        again: Again,
    ) -> Result<()> {
        let fields = if self.is_partial() { Self::fields::<true> } else { Self::fields::<false> };
        self.rewind(start);
        match again {
            Again::OutOfOrder => {
                self.out_of_order = true;
                in_order(self.schema, message, wire, depth, |ordered| {
                    if let Some(again) = fields(self, message, ordered, depth, false)?
                        && let Again::Without(rest) = *again
                    {
                        self.rewind(start);
                        fields(self, message, Wire::new(&rest), depth, false)?;
                    }
                    Ok(())
                })
            }
            Again::Without(rest) => {
                let again = fields(self, message, Wire::new(&rest), depth, false);
                again.map(drop).map_err(|fault| fault.in_copy_of(wire.rest()))
            }
        }
    }

    /// Writes the fields as they come; with `check`, each must come once. `None`: that was all.
    fn fields<const IS_PARTIAL: bool>(
        &mut self,
        message: &Message,
        mut wire: Wire<'_>,
        depth: u32,
        check: bool,
    ) -> Result<Option<Box<Again>>> {
        let whole = wire;
        let mut unknown = &[][..];
        let mut seen = SlotSet::default();
        let first = self.out.len();
        while let Some(byte) = wire.peek() {
            let Some((field, wire_type)) = next_field(message, byte, &mut wire, depth)? else {
                continue;
            };
            if field.shape == Shape::Unknown {
                unknown = wire.delimited()?;
                continue;
            }
            if !seen.add_new(field) && seen.was(field.slot) && check {
                return Ok(Some(Box::new(Again::OutOfOrder)));
            }
            if IS_PARTIAL && self.is_left_out(field.number) {
                wire.skip(field.number, wire_type, depth)?;
                continue;
            }
            let mark = self.out.len();
            field.key.append_to(&mut self.out);
            if let Some(comma) = self.out.get_mut(mark).filter(|_| mark == first) {
                *comma = b'{';
            }
            let before = self.out.len();
            let written = if IS_PARTIAL {
                self.entered_field(field, wire_type, &mut wire, depth)
            } else {
                self.field(field, wire_type, &mut wire, depth)
            };
            written.map_err(|fault| fault.inside(&field.name))?;
            if self.out.len() == before {
                self.take_back(mark);
            }
        }
        if !unknown.is_empty()
            && let Some(rest) = self.unknown(message, unknown, whole, &seen, first)?
        {
            return Ok(Some(Box::new(Again::Without(rest))));
        }
        if self.out.len() == first {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        Ok(None)
    }

    /// Takes back the name of a field with nothing to write.
    #[cold]
    fn take_back(&mut self, mark: usize) {
        self.out.truncate(mark);
    }

    /// Whether some field of the message at hand, or one inside it, may have to be left out.
    #[inline]
    fn is_partial(&self) -> bool {
        let entered = self.trail.len();
        let is_longer = |path: &FieldPath| path.len() > entered;
        entered == 0 && self.only.is_some() || self.options.omit.iter().any(is_longer)
    }

    /// Whether the path holds the field, or another one alone is asked for.
    fn is_left_out(&self, number: u32) -> bool {
        let at_top = self.trail.is_empty();
        at_top && self.only.is_some_and(|only| only != number)
            || self.options.omit.iter().any(|path| {
                path.split_last()
                    .is_some_and(|(last, before)| *last == number && *before == *self.trail)
            })
    }

    /// The same as [`field`](Self::field), while some field inside may have to be left out.
    fn entered_field(
        &mut self,
        field: &Field,
        wire_type: WireType,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        self.trail.push(field.number);
        let written = self.field(field, wire_type, wire, depth);
        // After a fault nobody asks.
        self.trail.pop();
        written
    }

    /// One field after its tag; nothing, if there is nothing to write.
    #[inline]
    fn field(
        &mut self,
        field: &Field,
        wire_type: WireType,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        match field.shape {
            Shape::Implicit => self.implicit(field.kind, wire),
            Shape::Explicit | Shape::Unknown => self.value(field.kind, field.number, wire, depth),
            Shape::Repeated => self.repeated(field, wire_type, wire, depth),
            Shape::Map => self.map(field, wire, depth),
        }
    }
}

/// Writes a message from a copy that is in order.
#[cold]
pub(super) fn in_order(
    schema: &Schema,
    message: &Message,
    wire: Wire<'_>,
    depth: u32,
    write: impl FnOnce(Wire<'_>) -> Result<()>,
) -> Result<()> {
    let ordered = normalise(schema, message, wire, depth)?;
    write(Wire::new(&ordered)).map_err(|fault| fault.in_copy_of(wire.rest()))
}

/// The field whose tag is next and begins with `byte`; `None` if it was an unknown one, which is
/// skipped.
#[inline]
pub(super) fn next_field<'m>(
    message: &'m Message,
    byte: u8,
    wire: &mut Wire<'_>,
    depth: u32,
) -> Result<Option<(&'m Field, WireType)>> {
    if let (Some(field), Some(wire_type)) =
        (message.field_of_tag(byte), WireType::of_tag(byte.into()))
    {
        wire.skip_byte();
        return Ok(Some((field, wire_type)));
    }
    next_long_field(message, wire, depth)
}

/// The same for a tag of any length, and for one that its message does not know.
#[inline(never)]
fn next_long_field<'m>(
    message: &'m Message,
    wire: &mut Wire<'_>,
    depth: u32,
) -> Result<Option<(&'m Field, WireType)>> {
    let (number, wire_type) = wire.tag()?;
    match message.field_of_number(number) {
        Some(field) if field.accepts(wire_type) => Ok(Some((field, wire_type))),
        Some(_) | None => wire.skip(number, wire_type, depth).map(|()| None),
    }
}

/// More is reserved as it is needed: a message of large `bytes` is no large text.
const MOST_RESERVED: usize = 3 << 20;
