//! Well-known types, written: messages whose JSON form is their own.
//!
//! Forms: [ProtoJSON](https://protobuf.dev/programming-guides/json/).

use std::collections::HashSet;

use super::fault::{Fault, Result};
use super::text::{write_f64, write_string};
use super::time::{self, Instant};
use super::wire::{TOO_DEEP, Wire};
use super::write::Writer;
use crate::schema::{Message, Special, WireType};

impl Writer<'_> {
    /// `google.protobuf.Any`: the JSON of what it holds, with its type beside it.
    pub(super) fn any(&mut self, mut wire: Wire<'_>, depth: u32) -> Result<()> {
        let at = wire.offset();
        let (mut type_url, mut value): (&[u8], &[u8]) = (&[], &[]);
        while !wire.is_empty() {
            match wire.tag()? {
                (1, WireType::Delimited) => type_url = wire.delimited()?,
                (2, WireType::Delimited) => value = wire.delimited()?,
                (number, wire_type) => wire.skip(number, wire_type, depth)?,
            }
        }
        if type_url.is_empty() && value.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        let name = std::str::from_utf8(type_url)
            .ok()
            .and_then(|url| url.rsplit_once('/'))
            .map(|(_, name)| name);
        let id = name.and_then(|name| self.schema.message_id(name)).ok_or_else(|| {
            Fault::new(
                format!("type `{}` is not in the schema", String::from_utf8_lossy(type_url)),
                at,
            )
        })?;
        self.out.extend_from_slice(b"{\"@type\":");
        write_string(type_url, at, &mut self.out)?;
        let inside = Wire::new(value);
        if self.schema.message(id).special != Special::No {
            self.out.extend_from_slice(b",\"value\":");
            self.message(id, inside, depth)?;
            self.out.push(b'}');
            return Ok(());
        }
        // `{fields}` becomes `,fields}`.
        let start = self.out.len();
        self.message(id, inside, depth)?;
        if self.out.len() == start + 2 {
            self.out.remove(start);
        } else if let Some(brace) = self.out.get_mut(start) {
            *brace = b',';
        }
        Ok(())
    }

    pub(super) fn timestamp(&mut self, wire: Wire<'_>) -> Result<()> {
        let instant = read_instant(wire)?;
        let written = time::write_timestamp(instant, &mut self.out);
        written.ok_or_else(|| wire.fault("a timestamp outside the years 1 to 9999"))
    }

    pub(super) fn duration(&mut self, wire: Wire<'_>) -> Result<()> {
        let written = time::write_duration(read_instant(wire)?, &mut self.out);
        written.ok_or_else(|| wire.fault("a duration over 10,000 years, or of two signs"))
    }

    /// `google.protobuf.FieldMask`: camelCase paths, joined by commas.
    pub(super) fn field_mask(&mut self, mut wire: Wire<'_>) -> Result<()> {
        let mut paths = String::new();
        while !wire.is_empty() {
            match wire.tag()? {
                (1, WireType::Delimited) => {
                    let path = wire.delimited()?;
                    let path = std::str::from_utf8(path).ok().and_then(camel_path);
                    let path = path.ok_or_else(|| {
                        wire.fault("a field mask path that camelCase cannot carry")
                    })?;
                    if !paths.is_empty() {
                        paths.push(',');
                    }
                    paths.push_str(&path);
                }
                (number, wire_type) => wire.skip(number, wire_type, 0)?,
            }
        }
        write_string(paths.as_bytes(), wire.offset(), &mut self.out)
    }

    /// `google.protobuf.Int32Value` and its like: their one field, bare.
    pub(super) fn wrapper(
        &mut self,
        message: &Message,
        mut wire: Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        let Some(field) = message.field_of_number(1) else {
            return Err(wire.fault("a wrapper without a value"));
        };
        let start = self.out.len();
        while !wire.is_empty() {
            let (number, wire_type) = wire.tag()?;
            if number == 1 && field.accepts(wire_type) {
                self.out.truncate(start);
                self.value(field.kind, 1, &mut wire, depth)?;
            } else {
                wire.skip(number, wire_type, depth)?;
            }
        }
        if self.out.len() == start { self.absent(field, depth) } else { Ok(()) }
    }

    /// `google.protobuf.Struct`: an object of any values.
    pub(super) fn structure(&mut self, mut wire: Wire<'_>, depth: u32) -> Result<()> {
        let mut entries: Vec<(&[u8], Wire<'_>)> = Vec::new();
        while !wire.is_empty() {
            match wire.tag()? {
                (1, WireType::Delimited) => {
                    entries.push(read_entry(wire.delimited_wire()?, depth)?)
                }
                (number, wire_type) => wire.skip(number, wire_type, depth)?,
            }
        }
        if entries.len() > 1 {
            let mut met = HashSet::with_capacity(entries.len());
            let all_differ = entries.iter().all(|(key, _)| met.insert(*key));
            if !all_differ {
                entries = last_of_each(entries);
            }
        }
        self.out.push(b'{');
        for (at, (key, value)) in entries.into_iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write_string(key, value.offset(), &mut self.out)?;
            self.out.push(b':');
            self.nested_dynamic(value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// `google.protobuf.ListValue`: an array of any values.
    pub(super) fn list(&mut self, mut wire: Wire<'_>, depth: u32) -> Result<()> {
        self.out.push(b'[');
        let start = self.out.len();
        while !wire.is_empty() {
            match wire.tag()? {
                (1, WireType::Delimited) => {
                    if self.out.len() > start {
                        self.out.push(b',');
                    }
                    let value = wire.delimited_wire()?;
                    self.nested_dynamic(value, depth)?;
                }
                (number, wire_type) => wire.skip(number, wire_type, depth)?,
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn nested_dynamic(&mut self, wire: Wire<'_>, depth: u32) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| wire.fault(TOO_DEEP))?;
        self.dynamic(wire, depth)
    }

    /// `google.protobuf.Value`: any JSON value; the last member set counts.
    pub(super) fn dynamic(&mut self, mut wire: Wire<'_>, depth: u32) -> Result<()> {
        let start = self.out.len();
        while !wire.is_empty() {
            let (number, wire_type) = wire.tag()?;
            if (1..=6).contains(&number) {
                self.out.truncate(start);
            }
            match (number, wire_type) {
                (1, WireType::Varint) => {
                    wire.varint()?;
                    self.out.extend_from_slice(b"null");
                }
                (2, WireType::Fixed64) => {
                    let value = f64::from_le_bytes(wire.fixed()?);
                    if !value.is_finite() {
                        return Err(wire.fault("a Value that is not a finite number"));
                    }
                    write_f64(value, &mut self.out);
                }
                (3, WireType::Delimited) => {
                    let text = wire.delimited()?;
                    write_string(text, wire.offset() - text.len(), &mut self.out)?;
                }
                (4, WireType::Varint) => {
                    let text: &[u8] = if wire.varint()? == 0 { b"false" } else { b"true" };
                    self.out.extend_from_slice(text);
                }
                (5, WireType::Delimited) => {
                    let inside = wire.delimited_wire()?;
                    let depth = depth.checked_sub(1).ok_or_else(|| wire.fault(TOO_DEEP))?;
                    self.structure(inside, depth)?;
                }
                (6, WireType::Delimited) => {
                    let inside = wire.delimited_wire()?;
                    let depth = depth.checked_sub(1).ok_or_else(|| wire.fault(TOO_DEEP))?;
                    self.list(inside, depth)?;
                }
                (number, wire_type) => wire.skip(number, wire_type, depth)?,
            }
        }
        if self.out.len() == start {
            self.out.extend_from_slice(b"null");
        }
        Ok(())
    }
}

/// Seconds and nanoseconds: fields 1 and 2 of both `Timestamp` and `Duration`.
#[expect(clippy::cast_possible_truncation, reason = "int32 keeps the low 32 bits")]
fn read_instant(mut wire: Wire<'_>) -> Result<Instant> {
    let mut instant = Instant { seconds: 0, nanos: 0 };
    while !wire.is_empty() {
        match wire.tag()? {
            (1, WireType::Varint) => instant.seconds = wire.varint()?.cast_signed(),
            (2, WireType::Varint) => instant.nanos = wire.varint()? as i32,
            (number, wire_type) => wire.skip(number, wire_type, 0)?,
        }
    }
    Ok(instant)
}

fn read_entry(mut wire: Wire<'_>, depth: u32) -> Result<(&[u8], Wire<'_>)> {
    let mut key: &[u8] = &[];
    let mut value = Wire::new(&[]);
    while !wire.is_empty() {
        match wire.tag()? {
            (1, WireType::Delimited) => key = wire.delimited()?,
            (2, WireType::Delimited) => value = wire.delimited_wire()?,
            (number, wire_type) => wire.skip(number, wire_type, depth)?,
        }
    }
    Ok((key, value))
}

fn last_of_each<'a>(entries: Vec<(&'a [u8], Wire<'a>)>) -> Vec<(&'a [u8], Wire<'a>)> {
    let mut met = HashSet::with_capacity(entries.len());
    let mut kept: Vec<_> = entries.into_iter().rev().filter(|(key, _)| met.insert(*key)).collect();
    kept.reverse();
    kept
}

/// `a_field.b` as `aField.b`; `None` if reading it back would give another path.
pub(crate) fn camel_path(path: &str) -> Option<String> {
    let mut camel = String::with_capacity(path.len());
    let mut raise = false;
    for letter in path.chars() {
        match letter {
            '_' if raise => return None,
            '_' => raise = true,
            'a'..='z' if raise => {
                camel.push(letter.to_ascii_uppercase());
                raise = false;
            }
            _ if raise => return None,
            'A'..='Z' => return None,
            _ => camel.push(letter),
        }
    }
    (!raise).then_some(camel)
}
