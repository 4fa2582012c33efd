//! Well-known types, read: messages whose JSON form is their own.
//!
//! Forms: [ProtoJSON](https://protobuf.dev/programming-guides/json/).

use super::{Mode, Reader};
use crate::json::fault::{Fault, Result};
use crate::json::lenience::Lenience;
use crate::json::time::{Instant, parse_duration, parse_timestamp};
use crate::json::wire::{TOO_DEEP, push_varint};
use crate::schema::{Message, MessageId, Schema, Special};

/// Tags of the fields of `google.protobuf.Any`, `Timestamp`, `Duration` and `FieldMask`.
const FIELD_1_VARINT: u8 = 0x08;
const FIELD_1: u8 = 0x0a;
const FIELD_2_VARINT: u8 = 0x10;
const FIELD_2: u8 = 0x12;

impl Reader<'_> {
    /// `google.protobuf.Any`. In an answer, one whose type nobody here knows, or that has none,
    /// must not cost the message around it.
    #[inline(never)]
    pub(super) fn any(&mut self, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let (scan, start) = (self.scan, out.len());
        match self.typed_any(depth, out) {
            Err(_) if self.mode == Mode::Answer => {
                self.scan = scan;
                self.scan.met.add(Lenience::UnknownAny);
                self.forget_value(self.scan.offset());
                out.truncate(start);
                self.kept_any(depth, out)
            }
            read => read,
        }
    }

    /// Keeps any JSON as what holds it: `google.protobuf.Struct` an object, `google.protobuf.Value`
    /// all else. The schema need not have these types.
    fn kept_any(&mut self, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let name = if self.scan.is_next(b'{') { STRUCT } else { VALUE };
        let own = Schema::own().and_then(|schema| Some((schema, schema.message_id(name)?)));
        let (schema, id) = own.ok_or_else(|| self.scan.fault("no type for it"))?;
        open_any(&[b"type.googleapis.com/", name.as_bytes()].concat(), out);
        let length = self.open(out);
        let own = std::mem::replace(&mut self.schema, schema);
        let read = self.message(id, depth, out);
        self.schema = own;
        read?;
        self.close(length, out)
    }

    /// The type may stand anywhere among the fields.
    fn typed_any(&mut self, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let start = self.scan;
        let at = self.scan.offset();
        let Some(found) = self.find_type()? else { return Ok(()) };
        let name = std::str::from_utf8(&found)
            .ok()
            .and_then(|url| url.rsplit_once('/'))
            .map(|(_, name)| name);
        let Some(id) = name.and_then(|name| self.schema.message_id(name)) else {
            let text = format!("type `{}` is not in the schema", String::from_utf8_lossy(&found));
            return Err(Fault::new(text, at));
        };
        self.scan = start;
        open_any(&found, out);
        let length = self.open(out);
        let message = self.schema.message(id);
        if message.special == Special::No {
            let depth = depth.checked_sub(1).ok_or_else(|| self.scan.fault(TOO_DEEP))?;
            self.object(message, depth, Some(TYPE), out)?;
        } else {
            self.wrapped_value(id, depth, out)?;
        }
        self.close(length, out)
    }

    /// Reads an object to its end for its `@type`; `None` if it is empty.
    fn find_type(&mut self) -> Result<Option<Vec<u8>>> {
        self.scan.expect(b'{')?;
        if self.scan.eat(b'}') {
            return Ok(None);
        }
        let mut found = None;
        loop {
            self.scan.skip_space();
            let at = self.scan.offset();
            let name = self.scan.string()?;
            self.scan.expect(b':')?;
            if *name != *TYPE {
                self.scan.skip_value()?;
            } else if found.replace(self.scan.string()?.into_owned()).is_some() {
                return Err(Fault::new("`@type` comes twice", at));
            }
            if !self.scan.comma_or(b'}')? {
                return found.map(Some).ok_or_else(|| Fault::new("an Any without `@type`", at));
            }
        }
    }

    /// `{"@type": .., "value": ..}`
    fn wrapped_value(&mut self, id: MessageId, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        self.scan.expect(b'{')?;
        let mut has_value = false;
        loop {
            self.scan.skip_space();
            let at = self.scan.offset();
            let name = self.scan.string()?;
            self.scan.expect(b':')?;
            match name.as_ref() {
                b"value" if has_value => return Err(Fault::new("`value` comes twice", at)),
                b"value" => {
                    self.message(id, depth, out)?;
                    // The value stays, if as an empty one.
                    self.left_out = false;
                    has_value = true;
                }
                other if *other == *TYPE || self.mode != Mode::Strict => {
                    self.scan.skip_value()?;
                }
                _ => return Err(Fault::new("an Any of this type holds `value` alone", at)),
            }
            if !self.scan.comma_or(b'}')? {
                return if has_value {
                    Ok(())
                } else {
                    Err(Fault::new("an Any without `value`", at))
                };
            }
        }
    }

    #[inline(never)]
    pub(super) fn timestamp(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.instant(parse_timestamp, "no timestamp (RFC 3339)", out)
    }

    #[inline(never)]
    pub(super) fn duration(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.instant(parse_duration, "no duration (such as 1.5s)", out)
    }

    fn instant(
        &mut self,
        parse: fn(&str) -> Option<Instant>,
        what: &'static str,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.scan.skip_space();
        let at = self.scan.offset();
        let text = self.scan.string()?;
        let instant = std::str::from_utf8(&text).ok().and_then(parse);
        let Instant { seconds, nanos } = instant.ok_or_else(|| Fault::new(what, at))?;
        for (tag, value) in [(FIELD_1_VARINT, seconds), (FIELD_2_VARINT, i64::from(nanos))] {
            if value != 0 {
                out.push(tag);
                push_varint(out, value.cast_unsigned());
            }
        }
        Ok(())
    }

    /// `google.protobuf.FieldMask`: camelCase paths become the names of the proto.
    #[inline(never)]
    pub(super) fn field_mask(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.scan.skip_space();
        let at = self.scan.offset();
        let text = self.scan.string()?;
        let paths = std::str::from_utf8(&text).unwrap_or_default();
        for path in paths.split(',').filter(|_| !paths.is_empty()) {
            let path = snake_path(path).ok_or_else(|| Fault::new("no field mask", at))?;
            out.push(FIELD_1);
            push_varint(out, path.len() as u64);
            out.extend_from_slice(path.as_bytes());
        }
        Ok(())
    }

    /// `google.protobuf.Int32Value` and its like.
    #[inline(never)]
    pub(super) fn wrapper(
        &mut self,
        message: &Message,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(field) = message.field_of_number(1) else {
            return Err(self.scan.fault("a wrapper without a value"));
        };
        let before = out.len();
        self.tagged_value(field, depth, out)?;
        self.left_out = out.len() == before;
        Ok(())
    }
}

/// Writes the type of an `Any`, and the tag of its value.
fn open_any(url: &[u8], out: &mut Vec<u8>) {
    out.push(FIELD_1);
    push_varint(out, url.len() as u64);
    out.extend_from_slice(url);
    out.push(FIELD_2);
}

const TYPE: &[u8] = b"@type";
const STRUCT: &str = "google.protobuf.Struct";
const VALUE: &str = "google.protobuf.Value";

/// `aField.b` as `a_field.b`; `None` if it holds what no camelCase path holds.
fn snake_path(path: &str) -> Option<String> {
    let mut snake = String::with_capacity(path.len() + 4);
    for letter in path.chars() {
        match letter {
            '_' => return None,
            'A'..='Z' => {
                snake.push('_');
                snake.push(letter.to_ascii_lowercase());
            }
            _ => snake.push(letter),
        }
    }
    Some(snake)
}
