//! Well-known types, written: messages whose JSON form is their own.
//!
//! Forms: [ProtoJSON](https://protobuf.dev/programming-guides/json/).

use super::Writer;
use crate::json::fault::{Fault, Result};
use crate::json::text::write_string;
use crate::json::time::{self, Instant};
use crate::json::wire::{MAX_DEPTH, Wire};
use crate::schema::{Message, Special, WireType};

impl Writer<'_> {
    /// `google.protobuf.Any`: the JSON of what it holds, with its type beside it.
    #[inline(never)]
    pub(super) fn any(&mut self, mut wire: Wire<'_>, depth: u32) -> Result<()> {
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
            let url = String::from_utf8_lossy(type_url);
            Fault::unwritable(format!("type `{url}` is not in the schema"), wire.rest())
        })?;
        self.out.extend_from_slice(b"{\"@type\":");
        write_string(type_url, &mut self.out)?;
        let inside = Wire::new(value);
        if self.schema.message(id).special != Special::No {
            self.out.extend_from_slice(b",\"value\":");
            self.message(id, inside, depth).map_err(Fault::of_value)?;
            self.out.push(b'}');
            return Ok(());
        }
        // `{fields}` becomes `,fields}`.
        let start = self.out.len();
        self.message(id, inside, depth).map_err(Fault::of_value)?;
        if self.out.len() == start + 2 {
            self.out.remove(start);
        } else if let Some(brace) = self.out.get_mut(start) {
            *brace = b',';
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn timestamp(&mut self, wire: Wire<'_>) -> Result<()> {
        let instant = read_instant(wire)?;
        let written = time::write_timestamp(instant, &mut self.out);
        let what = "a timestamp outside the years 1 to 9999";
        written.ok_or_else(|| Fault::unwritable(what, wire.rest()))
    }

    #[inline(never)]
    pub(super) fn duration(&mut self, wire: Wire<'_>) -> Result<()> {
        let written = time::write_duration(read_instant(wire)?, &mut self.out);
        let what = "a duration over 10,000 years, or of two signs";
        written.ok_or_else(|| Fault::unwritable(what, wire.rest()))
    }

    /// `google.protobuf.FieldMask`: camelCase paths, joined by commas.
    #[inline(never)]
    pub(super) fn field_mask(&mut self, mut wire: Wire<'_>) -> Result<()> {
        let mut paths = String::new();
        let mut is_first = true;
        while !wire.is_empty() {
            match wire.tag()? {
                (1, WireType::Delimited) => {
                    let path = wire.delimited()?;
                    let path = std::str::from_utf8(path).ok().and_then(camel_path);
                    let path = path.ok_or_else(|| {
                        let what = "a field mask path that camelCase cannot carry";
                        Fault::unwritable(what, wire.rest())
                    })?;
                    if !std::mem::take(&mut is_first) {
                        paths.push(',');
                    }
                    paths.push_str(&path);
                }
                (number, wire_type) => wire.skip(number, wire_type, MAX_DEPTH)?,
            }
        }
        write_string(paths.as_bytes(), &mut self.out)
    }

    /// `google.protobuf.Int32Value` and its like: their one field, bare.
    #[inline(never)]
    pub(super) fn wrapper(
        &mut self,
        message: &Message,
        mut wire: Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        let Some(field) = message.field_of_number(1) else {
            return Err(wire.fault("a wrapper without a value"));
        };
        let start = self.mark();
        while !wire.is_empty() {
            let (number, wire_type) = wire.tag()?;
            if number == 1 && field.accepts(wire_type) {
                self.rewind(start);
                self.value(field.kind, 1, &mut wire, depth)?;
            } else {
                wire.skip(number, wire_type, depth)?;
            }
        }
        if self.mark() == start { self.absent(field, depth) } else { Ok(()) }
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
            (number, wire_type) => wire.skip(number, wire_type, MAX_DEPTH)?,
        }
    }
    Ok(instant)
}

/// `a_field.b` as `aField.b`; `None` if reading it back would give another path.
fn camel_path(path: &str) -> Option<String> {
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
            'A'..='Z' | ',' => return None,
            _ => camel.push(letter),
        }
    }
    (!raise).then_some(camel)
}

#[cfg(test)]
mod tests {
    use super::camel_path;

    #[test]
    fn only_paths_that_read_back_are_raised() {
        for (path, expected) in [
            ("a_field.b", Some("aField.b")),
            ("_a", Some("A")),
            ("", Some("")),
            ("aB", None),
            ("a__b", None),
            ("a_1", None),
            ("a_", None),
            ("a,b", None),
        ] {
            assert_eq!(camel_path(path).as_deref(), expected, "{path}");
        }
    }
}
