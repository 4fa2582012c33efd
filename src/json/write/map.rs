//! Maps, written: entries of the wire as the members of an object.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Writer;
use super::value::low_32_bits;
use crate::json::fault::{Fault, Result};
use crate::json::keys::Keys;
use crate::json::normalise::{check_replaced, is_known};
use crate::json::text::{write_quoted_int, write_string};
use crate::json::wire::{Wire, push_varint, zigzag_decode};
use crate::schema::{Field, Kind, Schema};

impl Writer<'_> {
    /// A run of entries; the tag of the first one was read.
    pub(super) fn map(&mut self, field: &Field, wire: &mut Wire<'_>, depth: u32) -> Result<()> {
        let Kind::Message(id) = field.kind else { return Ok(()) };
        let entry = self.schema.message(id);
        let (Some(key), Some(value)) = (entry.field_of_number(1), entry.field_of_number(2)) else {
            return Err(wire.fault("a map without key and value"));
        };
        if !self.out_of_order {
            let (before, start) = (*wire, self.mark());
            if self.ordered_map(field, key, value, wire, depth)? {
                return Ok(());
            }
            *wire = before;
            self.rewind(start);
            self.out_of_order = true;
        }
        self.gathered_map(field, key, value, wire, depth)
    }

    /// Entries of a key, then a value, as encoders write them; `false` if one is not, or if a key
    /// may have come twice.
    fn ordered_map(
        &mut self,
        field: &Field,
        key: &Field,
        value: &Field,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<bool> {
        let dynamic = self.dynamic_kind(value.kind);
        let mut keys = Keys::default();
        self.out.push(b'{');
        loop {
            let mut entry = wire.delimited_wire()?;
            if !entry.skip_tag(key.tag) {
                return Ok(false);
            }
            let mark = self.out.len();
            let may_repeat = if key.kind == Kind::String {
                let name = entry.delimited()?;
                write_string(name, &mut self.out)?;
                keys.may_repeat(name)
            } else {
                MapKey::read(key.kind, &mut entry)?.write(&mut self.out)?;
                keys.may_repeat(self.out.get(mark..).unwrap_or_default())
            };
            self.out.push(b':');
            if may_repeat || !entry.skip_tag(value.tag) {
                return Ok(false);
            }
            let before = self.out.len();
            match dynamic {
                Some(of) => self.dynamic_inside(of, &mut entry, depth)?,
                None => self.value(value.kind, value.number, &mut entry, depth)?,
            }
            if !entry.is_empty() {
                return Ok(false);
            }
            if self.out.len() > before {
                self.out.push(b',');
            } else {
                self.out.truncate(mark);
            }
            if !wire.skip_tag(field.tag) {
                self.end_map();
                return Ok(true);
            }
        }
    }

    /// Entries of any form; of those with the same key the last one counts.
    #[cold]
    fn gathered_map(
        &mut self,
        field: &Field,
        key: &Field,
        value: &Field,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        let whole = wire.rest();
        let mut entries = Vec::new();
        loop {
            let entry = MapEntry::read(self.schema, (key, value), wire.delimited_wire()?, depth)?;
            let is_known = |bytes| is_known(self.schema, value, bytes);
            if entry.value.as_deref().map_or(Ok(true), is_known)? {
                entries.push(entry);
            }
            if !wire.skip_tag(field.tag) {
                break;
            }
        }
        for entry in drop_replaced(&mut entries) {
            if let Some(bytes) = &entry.value {
                let checked = check_replaced(self.schema, value, bytes, depth);
                checked.map_err(|fault| entry.place(fault, whole))?;
            }
        }
        self.out.push(b'{');
        for entry in entries {
            let mark = self.out.len();
            entry.key.write(&mut self.out)?;
            self.out.push(b':');
            let before = self.out.len();
            let written = match &entry.value {
                Some(bytes) => self.value(value.kind, value.number, &mut Wire::new(bytes), depth),
                None => self.absent(value, depth),
            };
            written.map_err(|fault| entry.place(fault, whole))?;
            if self.out.len() > before { self.out.push(b',') } else { self.out.truncate(mark) }
        }
        self.end_map();
        Ok(())
    }

    /// The last comma becomes the closing brace. Without one, each entry was an unknown one of a
    /// closed enum, and there is no map.
    fn end_map(&mut self) {
        match self.out.last_mut() {
            Some(comma) if *comma == b',' => *comma = b'}',
            _ => drop(self.out.pop()),
        }
    }
}

/// A map's key and the encoded value behind it.
struct MapEntry<'a> {
    key: MapKey<'a>,
    value: Option<Cow<'a, [u8]>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum MapKey<'a> {
    Text(&'a [u8]),
    Signed(i64),
    Unsigned(u64),
    Bool(bool),
}

impl<'a> MapEntry<'a> {
    fn read(
        schema: &Schema,
        (key, value): (&Field, &Field),
        mut wire: Wire<'a>,
        depth: u32,
    ) -> Result<Self> {
        let mut found_key = MapKey::absent(key.kind);
        let mut found: Option<Cow<'a, [u8]>> = None;
        while !wire.is_empty() {
            let (number, wire_type) = wire.tag()?;
            if number == 1 && key.accepts(wire_type) {
                let before = wire.rest();
                found_key = MapKey::read(key.kind, &mut wire)?;
                // It may be replaced by another.
                check_replaced(schema, key, before, depth)?;
                continue;
            }
            let bytes = wire.value(number, wire_type, depth)?;
            if number != 2 || !value.accepts(wire_type) {
                continue;
            }
            found = Some(match (found.take(), value.kind) {
                // A message that comes twice is merged, as anywhere; each part is read by itself.
                (Some(first), Kind::Message(_)) => {
                    if let Cow::Borrowed(part) = first {
                        check_replaced(schema, value, part, depth)?;
                    }
                    check_replaced(schema, value, bytes, depth)?;
                    merged(&first, bytes)?.into()
                }
                (Some(first), _) => {
                    check_replaced(schema, value, &first, depth)?;
                    bytes.into()
                }
                (None, _) => bytes.into(),
            });
        }
        Ok(Self { key: found_key, value: found })
    }

    /// The same fault, met in the value, with a place in the message: what was merged, or is
    /// absent, lies elsewhere and stands for its whole map.
    fn place(&self, fault: Box<Fault>, map: &[u8]) -> Box<Fault> {
        match self.value {
            Some(Cow::Borrowed(_)) => fault,
            Some(Cow::Owned(_)) | None => fault.in_copy_of(map),
        }
    }
}

/// Two length-delimited messages as one.
fn merged(first: &[u8], second: &[u8]) -> Result<Vec<u8>> {
    let (first, second) = (Wire::new(first).delimited()?, Wire::new(second).delimited()?);
    let mut both = Vec::with_capacity(first.len() + second.len() + 10);
    push_varint(&mut both, (first.len() + second.len()) as u64);
    both.extend_from_slice(first);
    both.extend_from_slice(second);
    Ok(both)
}

impl<'a> MapKey<'a> {
    fn absent(kind: Kind) -> Self {
        match kind {
            Kind::String => Self::Text(&[]),
            Kind::Bool => Self::Bool(false),
            Kind::Fixed64 | Kind::Uint64 => Self::Unsigned(0),
            _ => Self::Signed(0),
        }
    }

    fn read(kind: Kind, wire: &mut Wire<'a>) -> Result<Self> {
        Ok(match kind {
            Kind::String => Self::Text(wire.delimited()?),
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

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        match *self {
            Self::Text(text) => write_string(text, out)?,
            Self::Signed(value) => write_quoted_int(value, out),
            Self::Unsigned(value) => write_quoted_int(value, out),
            Self::Bool(value) => {
                out.extend_from_slice(if value { b"\"true\"" } else { b"\"false\"" });
            }
        }
        Ok(())
    }
}

/// JSON objects have each name once; on the wire the last one counts. Gives the others.
fn drop_replaced<'a>(entries: &mut Vec<MapEntry<'a>>) -> Vec<MapEntry<'a>> {
    let mut last = HashMap::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        last.insert(entry.key, at);
    }
    let mut at = 0..;
    entries.extract_if(.., |entry| last.get(&entry.key).copied() != at.next()).collect()
}
