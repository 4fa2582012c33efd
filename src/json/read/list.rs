//! Lists, read: the elements of an array, in one run where they are packed.

use super::{Mode, Reader};
use crate::json::fault::Result;
use crate::json::lenience::Lenience;
use crate::schema::{Field, Kind, Special};

impl Reader<'_> {
    #[inline(never)]
    pub(super) fn repeated(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        self.scan.expect(b'[')?;
        if self.scan.eat(b']') {
            return Ok(());
        }
        let dynamic = self.dynamic_kind(field.kind);
        let start = out.len();
        let length = field.packed.then(|| {
            field.tag.append_to(out);
            self.open(out)
        });
        self.in_list = self.is_list_of_numbers(field.kind);
        loop {
            if self.scan.is_next(b'n') && !self.null_is_value(field.kind) {
                self.null_element(field.kind)?;
            } else if field.packed && field.kind == Kind::Float {
                self.floats(out)?;
            } else if field.packed {
                self.value(field.kind, depth, out)?;
            } else if let Some(of) = dynamic {
                field.tag.append_to(out);
                self.dynamic_inside(of, depth, out)?;
            } else {
                self.tagged_value(field, depth, out)?;
            }
            if !self.scan.comma_or(b']')? {
                break;
            }
        }
        self.in_list = false;
        match length {
            Some(at) if self.slot.is_empty(at, out) => out.truncate(start),
            Some(at) => self.close(at, out)?,
            None => {}
        }
        Ok(())
    }

    /// Whether the elements are numbers, in wrappers or not: nothing but a number can stand within
    /// them.
    fn is_list_of_numbers(&self, kind: Kind) -> bool {
        kind.is_packable() || self.special(kind) == Some(Special::Wrapper)
    }

    /// Skips `null` in a list of messages; a list of scalars must not lose its order.
    #[cold]
    fn null_element(&mut self, kind: Kind) -> Result<()> {
        if self.mode != Mode::Answer || kind.message().is_none() || self.in_list {
            return Err(self.scan.fault("`null` in a list"));
        }
        self.scan.met.add(Lenience::NullElement);
        self.scan.word("null")
    }
}
