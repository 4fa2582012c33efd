//! Write: wire bytes to JSON in one pass, driven by the tables.
//!
//! Fields are written as they stand on the wire. An encoder may also send a field twice, or the members of
//! a oneof one after the other; then the message is put in order first (`gather`), and written again.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use super::body::JsonBody;
use super::fault::Result;
use super::gather::gather;
use super::seen::Seen;
use super::text::{write_base64, write_f32, write_f64, write_int, write_quoted_int, write_string};
use super::wire::{MAX_DEPTH, TOO_DEEP, Wire, zigzag_decode};
use crate::schema::rule::FieldPath;
use crate::schema::{Enum, Field, Kind, Message, MessageId, Schema, Shape, Special, WireType};

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
    writer.message(message, Wire::new(source), MAX_DEPTH)?;
    Ok(JsonBody::new(writer.out, writer.gaps))
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
    writer.only = Some(field.number);
    writer.message(message, Wire::new(source), MAX_DEPTH)?;
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
    gaps.iter_mut().for_each(|(at, _)| *at -= around);
    Ok(JsonBody::new(text, gaps))
}

/// Appends the JSON text of one scalar; its wire bytes are next in `wire`.
pub(crate) fn write_scalar(schema: &Schema, kind: Kind, wire: &mut Wire<'_>) -> Result<Vec<u8>> {
    let source = Bytes::new();
    let mut writer = Writer::new(schema, &source, WriteOptions::default());
    writer.value(kind, 0, wire, MAX_DEPTH)?;
    Ok(writer.out)
}

pub(super) struct Writer<'a> {
    pub(super) schema: &'a Schema,
    source: &'a Bytes,
    options: WriteOptions<'a>,
    /// At the top, no other field is written.
    only: Option<u32>,
    /// Fields entered, while one of them may have to be left out.
    trail: Vec<u32>,
    pub(super) out: Vec<u8>,
    gaps: Vec<(usize, Bytes)>,
}

impl<'a> Writer<'a> {
    fn new(schema: &'a Schema, source: &'a Bytes, options: WriteOptions<'a>) -> Self {
        let base64 = if options.gap_from.is_some() { 0 } else { source.len() / 3 };
        let out = Vec::with_capacity(source.len().min(MOST_RESERVED) * 3 / 2 + base64 + 64);
        Self { schema, source, options, only: None, trail: Vec::new(), out, gaps: Vec::new() }
    }

    /// A message in the form that its type asks for.
    pub(super) fn message(&mut self, id: MessageId, wire: Wire<'_>, depth: u32) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| wire.fault(TOO_DEEP))?;
        let message = self.schema.message(id);
        match message.special {
            Special::No | Special::HttpBody => self.object(message, wire, depth),
            Special::Struct => self.structure(wire, depth),
            Special::Value => self.dynamic(wire, depth),
            Special::ListValue => self.list(wire, depth),
            Special::Any => self.any(wire, depth),
            Special::Timestamp => self.timestamp(wire),
            Special::Duration => self.duration(wire),
            Special::FieldMask => self.field_mask(wire),
            Special::Wrapper => self.wrapper(message, wire, depth),
        }
    }

    fn object(&mut self, message: &Message, wire: Wire<'_>, depth: u32) -> Result<()> {
        let start = (self.out.len(), self.gaps.len());
        if !self.fields(message, wire, depth, true)? {
            self.out.truncate(start.0);
            self.gaps.truncate(start.1);
            let ordered = gather(message, wire, depth)?;
            self.fields(message, Wire::new(&ordered), depth, false)?;
        }
        Ok(())
    }

    /// Writes the fields as they come; `false` if one came again and the message must be put in order.
    fn fields(
        &mut self,
        message: &Message,
        mut wire: Wire<'_>,
        depth: u32,
        check: bool,
    ) -> Result<bool> {
        let mut seen = Seen::default();
        let first = self.out.len();
        while let Some(byte) = wire.peek() {
            let (field, wire_type) = match message.field_of_tag(byte) {
                Some(field) => {
                    wire.skip_byte();
                    (field, WireType::of_tag(u32::from(byte)).unwrap_or(WireType::Varint))
                }
                None => {
                    let (number, wire_type) = wire.tag()?;
                    match message.field_of_number(number) {
                        Some(field) if field.accepts(wire_type) => (field, wire_type),
                        Some(_) | None => {
                            wire.skip(number, wire_type, depth)?;
                            continue;
                        }
                    }
                }
            };
            if self.is_left_out(field.number) {
                wire.skip(field.number, wire_type, depth)?;
                continue;
            }
            if check && seen.was(field.slot) {
                return Ok(false);
            }
            let mark = self.out.len();
            field.key.append_to(&mut self.out);
            if let Some(comma) = self.out.get_mut(mark).filter(|_| mark == first) {
                *comma = b'{';
            }
            let written = self.field(field, wire_type, &mut wire, depth);
            if !written.map_err(|fault| fault.inside(&field.name))? {
                self.out.truncate(mark);
            }
        }
        if self.out.len() == first {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        Ok(true)
    }

    /// Whether the path holds the field, or another one alone is asked for.
    #[inline]
    fn is_left_out(&self, number: u32) -> bool {
        if self.options.omit.is_empty() && self.only.is_none() {
            return false;
        }
        let at_top = self.trail.is_empty();
        at_top && self.only.is_some_and(|only| only != number)
            || self.options.omit.iter().any(|path| {
                path.split_last()
                    .is_some_and(|(last, before)| *last == number && *before == *self.trail)
            })
    }

    /// One field after its tag; `false` if there is nothing to write.
    fn field(
        &mut self,
        field: &Field,
        wire_type: WireType,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<bool> {
        match field.shape {
            Shape::Implicit => self.implicit(field.kind, wire),
            Shape::Explicit if self.options.omit.is_empty() => {
                self.value(field.kind, field.number, wire, depth)
            }
            Shape::Explicit => {
                self.trail.push(field.number);
                let written = self.value(field.kind, field.number, wire, depth);
                self.trail.pop();
                written
            }
            Shape::Repeated => self.repeated(field, wire_type, wire, depth),
            Shape::Map => self.map(field, wire, depth),
        }
    }

    /// A field whose default is the same as its absence.
    #[inline]
    fn implicit(&mut self, kind: Kind, wire: &mut Wire<'_>) -> Result<bool> {
        let is_default = match kind.wire_type() {
            WireType::Delimited => wire.peek() == Some(0),
            WireType::Fixed64 => wire.rest().starts_with(&[0; 8]),
            WireType::Fixed32 => wire.rest().starts_with(&[0; 4]),
            // A zero may be written in more than one byte.
            WireType::Varint | WireType::GroupStart | WireType::GroupEnd => {
                let value = { *wire }.varint()?;
                value == 0 || (low_32_bits(kind, value) == 0 && kind.is_32_bits())
            }
        };
        if is_default {
            wire.skip(0, kind.wire_type(), 0)?;
            return Ok(false);
        }
        self.value(kind, 0, wire, 0)
    }

    /// One value; `false` if it is an unknown one of a closed enum.
    #[inline]
    pub(super) fn value(
        &mut self,
        kind: Kind,
        number: u32,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<bool> {
        let out = &mut self.out;
        match kind {
            Kind::String => {
                let text = wire.delimited()?;
                write_string(text, wire.offset() - text.len(), out)?;
            }
            Kind::Bytes => {
                let bytes = wire.delimited()?;
                self.bytes(bytes);
            }
            Kind::Message(id) => {
                let inside = wire.delimited_wire()?;
                self.message(id, inside, depth)?;
            }
            Kind::Group(id) => {
                let inside = wire.group(number, depth)?;
                self.message(id, inside, depth)?;
            }
            Kind::Enum(id) => {
                #[expect(clippy::cast_possible_truncation, reason = "enums keep the low 32 bits")]
                let value = wire.varint()? as i32;
                return Ok(write_enum(
                    self.schema.enumeration(id),
                    value,
                    self.options.enum_numbers,
                    out,
                ));
            }
            Kind::Bool => {
                let text: &[u8] = if wire.varint()? == 0 { b"false" } else { b"true" };
                out.extend_from_slice(text);
            }
            Kind::Double => write_f64(f64::from_le_bytes(wire.fixed()?), out),
            Kind::Float => write_f32(f32::from_le_bytes(wire.fixed()?), out),
            Kind::Fixed64 => write_quoted_int(u64::from_le_bytes(wire.fixed()?), out),
            Kind::Sfixed64 => write_quoted_int(i64::from_le_bytes(wire.fixed()?), out),
            Kind::Fixed32 => write_int(u32::from_le_bytes(wire.fixed()?).into(), out),
            Kind::Sfixed32 => write_int(i32::from_le_bytes(wire.fixed()?).into(), out),
            Kind::Int64 => write_quoted_int(wire.varint()?.cast_signed(), out),
            Kind::Uint64 => write_quoted_int(wire.varint()?, out),
            Kind::Sint64 => write_quoted_int(zigzag_decode(wire.varint()?), out),
            Kind::Int32 | Kind::Uint32 | Kind::Sint32 => {
                write_int(low_32_bits(kind, wire.varint()?), out)
            }
        }
        Ok(true)
    }

    /// Base64, or a gap that is filled with it later.
    fn bytes(&mut self, bytes: &[u8]) {
        let is_large = self.options.gap_from.is_some_and(|least| bytes.len() >= least);
        match self.part_of_source(bytes).filter(|_| is_large) {
            Some(part) => {
                self.out.push(b'"');
                self.gaps.push((self.out.len(), part));
                self.out.push(b'"');
            }
            None => write_base64(bytes, &mut self.out),
        }
    }

    /// The same bytes as a share of the source, unless they were copied to put a message in order.
    fn part_of_source(&self, bytes: &[u8]) -> Option<Bytes> {
        let start = (bytes.as_ptr() as usize).checked_sub(self.source.as_ptr() as usize)?;
        let end = start.checked_add(bytes.len())?;
        (end <= self.source.len()).then(|| self.source.slice(start..end))
    }

    /// A run of elements, each with its tag or packed.
    fn repeated(
        &mut self,
        field: &Field,
        mut wire_type: WireType,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<bool> {
        self.out.push(b'[');
        let start = self.out.len();
        loop {
            if wire_type == field.kind.wire_type() {
                self.element(field, wire, depth)?;
            } else {
                let mut run = wire.delimited_wire()?;
                while !run.is_empty() {
                    self.element(field, &mut run, depth)?;
                }
            }
            if wire.skip_prefix(field.tag.as_bytes()) {
                continue;
            }
            if !field.kind.is_packable() || wire.is_empty() {
                break;
            }
            // A run may go on in the other form, packed or not.
            let mut ahead = *wire;
            match ahead.tag()? {
                (number, next) if number == field.number && field.accepts(next) => {
                    (*wire, wire_type) = (ahead, next);
                }
                _ => break,
            }
        }
        let any = self.out.len() > start;
        if let Some(comma) = self.out.last_mut().filter(|_| any) {
            *comma = b']';
        }
        Ok(any)
    }

    #[inline]
    fn element(&mut self, field: &Field, wire: &mut Wire<'_>, depth: u32) -> Result<()> {
        if self.value(field.kind, field.number, wire, depth)? {
            self.out.push(b',');
        }
        Ok(())
    }

    /// What an absent value of a map, or an absent body field, is written as.
    pub(super) fn absent(&mut self, field: &Field, depth: u32) -> Result<()> {
        if matches!(field.shape, Shape::Repeated) {
            self.out.extend_from_slice(b"[]");
            return Ok(());
        }
        let zero: &[u8] = match field.kind {
            Kind::Message(id) | Kind::Group(id) => return self.message(id, Wire::new(&[]), depth),
            Kind::String | Kind::Bytes => b"\"\"",
            Kind::Bool => b"false",
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => b"\"0\"",
            Kind::Enum(id) => {
                let of = self.schema.enumeration(id);
                write_enum(of, of.default, self.options.enum_numbers, &mut self.out);
                return Ok(());
            }
            _ => b"0",
        };
        self.out.extend_from_slice(zero);
        Ok(())
    }

    fn map(&mut self, field: &Field, wire: &mut Wire<'_>, depth: u32) -> Result<bool> {
        let Kind::Message(id) = field.kind else { return Ok(false) };
        let entry = self.schema.message(id);
        let (Some(key), Some(value)) = (entry.field_of_number(1), entry.field_of_number(2)) else {
            return Err(wire.fault("a map without key and value"));
        };
        let mut entries = Vec::new();
        loop {
            entries.push(MapEntry::read(key, value, wire.delimited_wire()?, depth)?);
            if !wire.skip_prefix(field.tag.as_bytes()) {
                break;
            }
        }
        keep_last_of_each_key(&mut entries);
        self.out.push(b'{');
        for MapEntry { key: name, value: found } in entries {
            let mark = self.out.len();
            name.write(&mut self.out)?;
            self.out.push(b':');
            let written = match &found {
                Some(bytes) => self.value(value.kind, 2, &mut Wire::new(bytes), depth)?,
                None => self.absent(value, depth).map(|()| true)?,
            };
            if written { self.out.push(b',') } else { self.out.truncate(mark) }
        }
        match self.out.last_mut() {
            Some(comma) if *comma == b',' => *comma = b'}',
            _ => self.out.push(b'}'),
        }
        Ok(true)
    }
}

/// `int32` and its like keep the low 32 bits of what stands on the wire.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the format truncates")]
fn low_32_bits(kind: Kind, value: u64) -> i64 {
    match kind {
        Kind::Uint32 => i64::from(value as u32),
        Kind::Sint32 => zigzag_decode(u64::from(value as u32)),
        _ => i64::from(value as i32),
    }
}

/// The quoted name, or the number; `false` for an unknown value of a closed enum.
#[inline]
fn write_enum(of: &Enum, value: i32, as_number: bool, out: &mut Vec<u8>) -> bool {
    match of.name_of(value) {
        _ if of.is_null => out.extend_from_slice(b"null"),
        Some(_) if as_number => write_int(value.into(), out),
        Some(name) => name.append_to(out),
        None if of.closed => return false,
        None => write_int(value.into(), out),
    }
    true
}

/// A map's key and the encoded value behind it.
struct MapEntry<'a> {
    key: MapKey<'a>,
    value: Option<Cow<'a, [u8]>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum MapKey<'a> {
    Text(&'a [u8], usize),
    Signed(i64),
    Unsigned(u64),
    Bool(bool),
}

impl<'a> MapEntry<'a> {
    fn read(key: &Field, value: &Field, mut wire: Wire<'a>, depth: u32) -> Result<Self> {
        let mut found_key = MapKey::absent(key.kind);
        let mut found: Option<Cow<'a, [u8]>> = None;
        while !wire.is_empty() {
            let (number, wire_type) = wire.tag()?;
            if number == 1 && key.accepts(wire_type) {
                found_key = MapKey::read(key.kind, &mut wire)?;
                continue;
            }
            let before = wire;
            wire.skip(number, wire_type, depth)?;
            if number != 2 || !value.accepts(wire_type) {
                continue;
            }
            let length = before.rest().len() - wire.rest().len();
            let bytes = before.rest().get(..length).unwrap_or_default();
            found = Some(match (found.take(), value.kind) {
                // A message that comes twice is merged, as anywhere.
                (Some(first), Kind::Message(_)) => merged(&first, bytes)?.into(),
                _ => bytes.into(),
            });
        }
        Ok(Self { key: found_key, value: found })
    }
}

/// Two length-delimited messages as one.
fn merged(first: &[u8], second: &[u8]) -> Result<Vec<u8>> {
    let (first, second) = (Wire::new(first).delimited()?, Wire::new(second).delimited()?);
    let mut both = Vec::with_capacity(first.len() + second.len() + 10);
    super::wire::push_varint(&mut both, (first.len() + second.len()) as u64);
    both.extend_from_slice(first);
    both.extend_from_slice(second);
    Ok(both)
}

impl<'a> MapKey<'a> {
    fn absent(kind: Kind) -> Self {
        match kind {
            Kind::String => Self::Text(&[], 0),
            Kind::Bool => Self::Bool(false),
            Kind::Fixed64 | Kind::Uint64 => Self::Unsigned(0),
            _ => Self::Signed(0),
        }
    }

    fn read(kind: Kind, wire: &mut Wire<'a>) -> Result<Self> {
        Ok(match kind {
            Kind::String => {
                let text = wire.delimited()?;
                Self::Text(text, wire.offset() - text.len())
            }
            Kind::Bool => Self::Bool(wire.varint()? != 0),
            Kind::Fixed32 => Self::Signed(u32::from_le_bytes(wire.fixed()?).into()),
            Kind::Sfixed32 => Self::Signed(i32::from_le_bytes(wire.fixed()?).into()),
            Kind::Fixed64 => Self::Unsigned(u64::from_le_bytes(wire.fixed()?)),
            Kind::Sfixed64 => Self::Signed(i64::from_le_bytes(wire.fixed()?)),
            Kind::Uint64 => Self::Unsigned(wire.varint()?),
            Kind::Int64 => Self::Signed(wire.varint()?.cast_signed()),
            Kind::Sint64 => Self::Signed(zigzag_decode(wire.varint()?)),
            _ => Self::Signed(low_32_bits(kind, wire.varint()?)),
        })
    }

    /// For comparing: the same text may stand at two places.
    fn without_place(self) -> Self {
        match self {
            Self::Text(text, _) => Self::Text(text, 0),
            other => other,
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        match *self {
            Self::Text(text, offset) => write_string(text, offset, out)?,
            Self::Signed(value) => write_quoted_int(value, out),
            Self::Unsigned(value) => write_quoted_int(value, out),
            Self::Bool(value) => {
                out.extend_from_slice(if value { b"\"true\"" } else { b"\"false\"" })
            }
        }
        Ok(())
    }
}

/// JSON objects have each name once; on the wire the last one counts.
fn keep_last_of_each_key(entries: &mut Vec<MapEntry<'_>>) {
    if entries.len() < 2 {
        return;
    }
    let mut last = HashMap::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        last.insert(entry.key.without_place(), at);
    }
    if last.len() < entries.len() {
        let mut at = 0..;
        entries.retain(|entry| last.get(&entry.key.without_place()).copied() == at.next());
    }
}

/// More is reserved as it is needed: a message of large `bytes` is no large text.
const MOST_RESERVED: usize = 3 << 20;
