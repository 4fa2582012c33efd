//! Values, written: scalars, runs of them, and what stands for an absent one.

use bytes::Bytes;

use super::Writer;
use crate::json::base64::write_base64;
use crate::json::fault::Result;
use crate::json::text::{write_f32, write_f64, write_int, write_quoted_int, write_string};
use crate::json::wire::{Wire, zigzag_decode};
use crate::schema::{Enum, EnumId, Field, Kind, MessageId, Shape, WireType};

impl Writer<'_> {
    /// A field whose default is the same as its absence.
    #[inline]
    pub(super) fn implicit(&mut self, kind: Kind, wire: &mut Wire<'_>) -> Result<()> {
        // A default's first byte has no low bits, on the wire too.
        if wire.peek().is_some_and(|byte| byte & 0x7f != 0) {
            return self.value(kind, 0, wire, 0);
        }
        self.maybe_default(kind, wire)
    }

    #[inline(never)]
    fn maybe_default(&mut self, kind: Kind, wire: &mut Wire<'_>) -> Result<()> {
        let is_default = match kind.wire_type() {
            // A zero may be written in more than one byte.
            WireType::Delimited => { *wire }.varint()? == 0,
            WireType::Fixed64 => wire.rest().starts_with(&[0; 8]),
            WireType::Fixed32 => wire.rest().starts_with(&[0; 4]),
            WireType::Varint | WireType::GroupStart | WireType::GroupEnd => {
                let value = { *wire }.varint()?;
                value == 0 || (low_32_bits(kind, value) == 0 && kind.is_32_bits())
            }
        };
        if is_default {
            return wire.skip(0, kind.wire_type(), 0);
        }
        self.value(kind, 0, wire, 0)
    }

    /// One value; nothing, if it is an unknown one of a closed enum. Each kind has a function of
    /// its own, so that none pays for what another keeps at hand.
    #[inline]
    pub(super) fn value(
        &mut self,
        kind: Kind,
        number: u32,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        match kind {
            Kind::String => self.text(wire),
            Kind::Bytes => self.bytes(wire),
            Kind::Message(id) => self.message_inside(id, wire, depth),
            Kind::Group(id) => self.group(id, number, wire, depth),
            Kind::Enum(id) => self.enumeration(id, wire),
            Kind::Bool => self.bool(wire),
            _ => self.number(kind, wire),
        }
    }

    #[inline(never)]
    fn text(&mut self, wire: &mut Wire<'_>) -> Result<()> {
        write_string(wire.delimited()?, &mut self.out)
    }

    #[inline(never)]
    fn message_inside(&mut self, id: MessageId, wire: &mut Wire<'_>, depth: u32) -> Result<()> {
        let inside = wire.delimited_wire()?;
        self.message(id, inside, depth)
    }

    #[inline(never)]
    fn group(&mut self, id: MessageId, number: u32, wire: &mut Wire<'_>, depth: u32) -> Result<()> {
        let inside = wire.group(number, depth)?;
        self.message(id, inside, depth)
    }

    #[inline(never)]
    fn enumeration(&mut self, id: EnumId, wire: &mut Wire<'_>) -> Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "enums keep the low 32 bits")]
        let value = wire.varint()? as i32;
        let of = self.schema.enumeration(id);
        write_enum(of, value, self.options.enum_numbers, &mut self.out);
        Ok(())
    }

    #[inline(never)]
    fn bool(&mut self, wire: &mut Wire<'_>) -> Result<()> {
        let text: &[u8] = if wire.varint()? == 0 { b"false" } else { b"true" };
        self.out.extend_from_slice(text);
        Ok(())
    }

    #[inline(never)]
    fn number(&mut self, kind: Kind, wire: &mut Wire<'_>) -> Result<()> {
        let out = &mut self.out;
        match kind {
            Kind::Double => write_f64(f64::from_le_bytes(wire.fixed()?), out),
            Kind::Float => write_f32(f32::from_le_bytes(wire.fixed()?), out),
            Kind::Fixed64 => write_quoted_int(u64::from_le_bytes(wire.fixed()?), out),
            Kind::Sfixed64 => write_quoted_int(i64::from_le_bytes(wire.fixed()?), out),
            Kind::Fixed32 => write_int(u32::from_le_bytes(wire.fixed()?).into(), out),
            Kind::Sfixed32 => write_int(i32::from_le_bytes(wire.fixed()?).into(), out),
            Kind::Int64 => write_quoted_int(wire.varint()?.cast_signed(), out),
            Kind::Uint64 => write_quoted_int(wire.varint()?, out),
            Kind::Sint64 => write_quoted_int(zigzag_decode(wire.varint()?), out),
            _ => write_int(low_32_bits(kind, wire.varint()?), out),
        }
        Ok(())
    }

    /// Base64, or a gap that is filled with it later.
    #[inline(never)]
    fn bytes(&mut self, wire: &mut Wire<'_>) -> Result<()> {
        let bytes = wire.delimited()?;
        let is_large = self.options.gap_from.is_some_and(|least| bytes.len() >= least);
        match self.part_of_source(bytes).filter(|_| is_large) {
            Some(part) => {
                self.out.push(b'"');
                self.gaps.push((self.out.len(), part));
                self.out.push(b'"');
            }
            None => write_base64(bytes, &mut self.out),
        }
        Ok(())
    }

    /// The same bytes as a share of the source, unless they were copied to put a message in order.
    fn part_of_source(&self, bytes: &[u8]) -> Option<Bytes> {
        let source = self.source?;
        let start = (bytes.as_ptr() as usize).checked_sub(source.as_ptr() as usize)?;
        let end = start.checked_add(bytes.len())?;
        (end <= source.len()).then(|| source.slice(start..end))
    }

    /// A run of elements, each with its tag or packed.
    #[inline(never)]
    pub(super) fn repeated(
        &mut self,
        field: &Field,
        mut wire_type: WireType,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        let usual = if field.packed { WireType::Delimited } else { field.kind.wire_type() };
        self.out.push(b'[');
        let start = self.out.len();
        loop {
            if wire_type == field.kind.wire_type() {
                self.element(field, wire, depth)?;
            } else {
                self.packed(field, wire.delimited_wire()?, depth)?;
            }
            if wire.skip_tag(field.tag) {
                wire_type = usual;
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
        if self.out.len() == start {
            self.out.truncate(start - 1);
        } else if let Some(comma) = self.out.last_mut() {
            *comma = b']';
        }
        Ok(())
    }

    /// Elements without tags.
    fn packed(&mut self, field: &Field, mut run: Wire<'_>, depth: u32) -> Result<()> {
        if field.kind == Kind::Float {
            let (floats, rest) = run.rest().as_chunks();
            for float in floats {
                write_f32(f32::from_le_bytes(*float), &mut self.out);
                self.out.push(b',');
            }
            return if rest.is_empty() { Ok(()) } else { Err(run.truncated()) };
        }
        while !run.is_empty() {
            self.element(field, &mut run, depth)?;
        }
        Ok(())
    }

    #[inline]
    fn element(&mut self, field: &Field, wire: &mut Wire<'_>, depth: u32) -> Result<()> {
        let before = self.out.len();
        self.value(field.kind, field.number, wire, depth)?;
        if self.out.len() > before {
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
}

/// `int32` and its like keep the low 32 bits of what stands on the wire.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the format truncates")]
pub(super) fn low_32_bits(kind: Kind, value: u64) -> i64 {
    match kind {
        Kind::Uint32 => i64::from(value as u32),
        Kind::Sint32 => zigzag_decode(u64::from(value as u32)),
        _ => i64::from(value as i32),
    }
}

/// The quoted name, or the number; nothing for an unknown value of a closed enum.
#[inline]
fn write_enum(of: &Enum, value: i32, as_number: bool, out: &mut Vec<u8>) {
    match of.name_of(value) {
        _ if of.is_null => out.extend_from_slice(b"null"),
        Some(_) if as_number => write_int(value.into(), out),
        Some(name) => name.append_to(out),
        None if of.closed => {}
        None => write_int(value.into(), out),
    }
}
