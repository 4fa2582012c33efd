//! Repeats: in an answer, of a name that comes twice, and of two members of a oneof, the last one
//! counts.

use std::collections::HashMap;

use super::{Mode, Reader};
use crate::json::fault::{Fault, Result};
use crate::json::lenience::Lenience;
use crate::json::slot_set::{Repeat, Replaced, SlotSet};
use crate::json::wire::{MAX_DEPTH, Wire};
use crate::schema::Message;

impl Reader<'_> {
    /// Takes a repeat in an answer, and refuses it elsewhere, as a fault of the text at `at`. Its
    /// bytes begin at `from`.
    #[cold]
    pub(super) fn repeat(
        &mut self,
        seen: &mut SlotSet,
        replaced: Replaced,
        from: usize,
        at: usize,
    ) -> Result<()> {
        if self.mode == Mode::Answer {
            self.scan.met.add(Lenience::RepeatedName);
            seen.add_repeat(replaced, from);
            return Ok(());
        }
        Err(Fault::new(
            match replaced {
                Replaced::Field(_) => "the field comes twice",
                Replaced::Oneof(_) => "two members of one oneof",
            },
            at,
        ))
    }

    /// Drops the fields of an object that later members replace; its bytes begin at `start`.
    #[cold]
    pub(super) fn keep_last(
        message: &Message,
        repeats: Vec<Repeat>,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let repeats = repeats.into_iter().map(|repeat| (repeat.replaced, repeat.from));
        let last: HashMap<Replaced, usize> = repeats.collect();
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
