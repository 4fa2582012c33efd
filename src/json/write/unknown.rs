//! Unknown members, written: the text that was kept of an object goes back into it.

use super::Writer;
use crate::json::fault::Result;
use crate::json::read::read_field;
use crate::json::slot_set::SlotSet;
use crate::json::unknown::{Kept, kept};
use crate::json::wire::{MAX_DEPTH, Wire};
use crate::schema::{Field, Kind, Message, Shape, WireType};

impl Writer<'_> {
    /// Writes the members behind the fields of an object, whose text begins at `first`. A member of
    /// a field that is set was overtaken by it and is left out; but where the field still is what
    /// the member reads as, such as -1 for a name of an enum that is newer than the schema, the
    /// message without the field is returned, to be written in its place.
    #[cold]
    pub(super) fn unknown(
        &mut self,
        message: &Message,
        text: &[u8],
        whole: Wire<'_>,
        seen: &SlotSet,
        first: usize,
    ) -> Result<Option<Vec<u8>>> {
        if self.only.is_some() && self.trail.is_empty() {
            return Ok(None);
        }
        let mut replaced = Vec::new();
        for Kept { name, value, whole: member } in kept(text)? {
            match message.field_of_name(&name).filter(|field| seen.has(field.slot)) {
                Some(field) if self.stands_for(field, value, whole)? => replaced.push(field.number),
                Some(_) => {}
                None => {
                    self.out.push(if self.out.len() == first { b'{' } else { b',' });
                    self.out.extend_from_slice(member);
                }
            }
        }
        if replaced.is_empty() {
            return Ok(None);
        }
        let mut rest = Vec::with_capacity(whole.rest().len());
        let mut wire = whole;
        while !wire.is_empty() {
            let found = wire.next_field(MAX_DEPTH)?;
            if !replaced.contains(&found.number) {
                rest.extend_from_slice(found.whole);
            }
        }
        Ok(Some(rest))
    }

    /// Whether the message holds of this field, an enum, what the text reads as.
    fn stands_for(&self, field: &Field, text: &[u8], message: Wire<'_>) -> Result<bool> {
        let is_list_or_one = field.shape != Shape::Map;
        if !matches!(field.kind, Kind::Enum(_)) || !is_list_or_one {
            return Ok(false);
        }
        let mut read = Vec::new();
        if read_field(self.schema, field, text, &mut read).is_err() {
            return Ok(false);
        }
        Ok(values_of(field, Wire::new(&read))? == values_of(field, message)?)
    }
}

/// All values of an enum, single, listed or packed.
fn values_of(field: &Field, mut message: Wire<'_>) -> Result<Vec<u64>> {
    let mut values = Vec::new();
    while !message.is_empty() {
        let found = message.next_field(MAX_DEPTH)?;
        if found.number != field.number || !field.accepts(found.wire_type) {
            continue;
        }
        let mut run = Wire::new(found.value);
        if found.wire_type == WireType::Delimited {
            run = run.delimited_wire()?;
        }
        while !run.is_empty() {
            values.push(run.varint()?);
        }
    }
    Ok(values)
}
