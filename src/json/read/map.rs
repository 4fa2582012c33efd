//! Maps, read: the members of an object as entries.

use super::value::write_integer;
use super::{Mode, Reader};
use crate::json::fault::{Fault, Result};
use crate::json::keys::Keys;
use crate::json::lenience::Lenience;
use crate::json::wire::Wire;
use crate::schema::{Field, Kind};

impl Reader<'_> {
    #[inline(never)]
    pub(super) fn map(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let Kind::Message(id) = field.kind else {
            return Err(self.scan.fault("a map without entries"));
        };
        let entry = self.schema.message(id);
        let (Some(key), Some(value)) = (entry.field_of_number(1), entry.field_of_number(2)) else {
            return Err(self.scan.fault("a map without key and value"));
        };
        self.scan.skip_space();
        let at = self.scan.offset();
        self.scan.expect(b'{')?;
        if self.scan.eat(b'}') {
            return Ok(());
        }
        let dynamic = self.dynamic_kind(value.kind);
        let mut keys = Keys::default();
        let mut may_repeat = false;
        let first = out.len();
        loop {
            let start = out.len();
            field.tag.append_to(out);
            let length = self.open(out);
            let key_start = out.len();
            self.key(key, out)?;
            may_repeat |= keys.may_repeat(out.get(key_start..).unwrap_or_default());
            self.scan.expect(b':')?;
            value.tag.append_to(out);
            let before = out.len();
            match dynamic {
                Some(of) => self.dynamic_inside(of, depth, out)?,
                None if self.scan.is_next(b'n') && !self.null_is_value(value.kind) => {
                    self.null_value()?;
                }
                None => self.value(value.kind, depth, out)?,
            }
            if out.len() > before {
                self.close(length, out)?;
            } else {
                out.truncate(start);
            }
            if !self.scan.comma_or(b'}')? {
                break;
            }
        }
        if !may_repeat {
            return Ok(());
        }
        match check_keys(out.get(first..).unwrap_or_default(), field, at) {
            // Of entries of one key, a parser takes the last.
            Err(_) if self.mode == Mode::Answer => {
                self.scan.met.add(Lenience::RepeatedName);
                Ok(())
            }
            checked => checked,
        }
    }

    /// `null` in place of an entry's value.
    #[cold]
    fn null_value(&mut self) -> Result<()> {
        if self.mode != Mode::Answer {
            return Err(self.scan.fault("`null` in a map"));
        }
        self.scan.met.add(Lenience::NullElement);
        self.scan.word("null")
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
            (kind, text) => {
                let number = key_number(kind, text).ok_or_else(|| Fault::new(NO_KEY, at))?;
                write_integer(kind, Some(number), at, out)?;
            }
        }
        Ok(())
    }
}

/// A key is its digits, as other readers take it: zeros may stand before them, but no plus; a
/// fraction or an exponent is no key.
fn key_number(kind: Kind, text: &[u8]) -> Option<i128> {
    let digits = text.strip_prefix(b"-").filter(|_| !kind.is_unsigned()).unwrap_or(text);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

const NO_KEY: &str = "no integer as a map key";

/// Two members of one name are refused; looked for only where two keys may be equal.
#[cold]
fn check_keys(entries: &[u8], field: &Field, at: usize) -> Result<()> {
    let mut keys = Vec::new();
    let mut wire = Wire::new(entries);
    while wire.skip_tag(field.tag) {
        let mut entry = wire.delimited_wire()?;
        let before = entry.rest();
        let (number, wire_type) = entry.tag()?;
        entry.skip(number, wire_type, 0)?;
        keys.push(before.get(..before.len() - entry.rest().len()));
    }
    keys.sort_unstable();
    if keys.is_sorted_by(|one, next| one != next) {
        return Ok(());
    }
    Err(Fault::new("a map with a key that comes twice", at))
}
