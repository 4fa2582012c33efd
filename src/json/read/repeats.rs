//! Repeats: in an answer, of a name that comes twice, and of two members of a oneof, the last one counts.

use std::collections::HashMap;

use super::{Mode, Reader};
use crate::json::fault::{Fault, Result};
use crate::json::lenience::Lenience;
use crate::json::wire::{MAX_DEPTH, Wire};
use crate::schema::{Field, Message};

/// A member of an object that replaces what stands before it.
pub(super) struct Repeat {
    replaced: Replaced,
    /// Where it begins in what was written.
    from: usize,
}

#[derive(PartialEq, Eq, Hash)]
enum Replaced {
    Field(u32),
    /// All members, by their slot.
    Oneof(u16),
}

impl Repeat {
    /// The field has come before; `from` is where its new value will be written.
    pub(super) fn of_field(field: &Field, from: usize) -> Self {
        Self { replaced: Replaced::Field(field.number), from }
    }

    /// A member of its oneof has come before.
    pub(super) fn of_oneof(field: &Field, from: usize) -> Self {
        Self { replaced: Replaced::Oneof(field.slot), from }
    }
}

impl Reader<'_> {
    /// Takes a repeat in an answer, and refuses it elsewhere: it is a fault of the text at `at`.
    #[cold]
    pub(super) fn repeat(&mut self, repeat: Repeat, what: &'static str, at: usize) -> Result<()> {
        if self.mode != Mode::Answer {
            return Err(Fault::new(what, at));
        }
        self.scan.met.add(Lenience::RepeatedName);
        self.repeats.push(repeat);
        Ok(())
    }

    /// Drops the fields of an object that later members replace: the repeats from `first` on are its own, and its bytes
    /// begin at `start`.
    #[cold]
    pub(super) fn keep_last(
        &mut self,
        message: &Message,
        first: usize,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let repeats = self.repeats.drain(first..);
        let last: HashMap<Replaced, usize> =
            repeats.map(|repeat| (repeat.replaced, repeat.from)).collect();
        let written = out.split_off(start);
        let mut wire = Wire::new(&written);
        while !wire.is_empty() {
            let at = start + written.len() - wire.rest().len();
            let record = wire.next_field(MAX_DEPTH)?;
            let comes_later = |replaced| last.get(&replaced).is_some_and(|from| at < *from);
            let is_replaced = message.field_of_number(record.number).is_some_and(|field| {
                comes_later(Replaced::Field(field.number))
                    || field.in_oneof && comes_later(Replaced::Oneof(field.slot))
            });
            if !is_replaced {
                out.extend_from_slice(record.whole);
            }
        }
        Ok(())
    }
}
