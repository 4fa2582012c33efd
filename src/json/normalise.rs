//! Normalise: puts a message in order whose fields come again, as a parser would merge them.

use std::collections::HashMap;

use super::fault::{Fault, NOT_UTF8, Result};
use super::wire::{TOO_DEEP, Wire, WireField, fields_of_value, push_varint};
use crate::schema::{Field, Kind, Message, Schema, Shape};

/// One field of the message as it stood on the wire.
struct Record<'a> {
    field: &'a Field,
    wire: WireField<'a>,
}

/// The same message with each field once, in the order of their numbers: of a scalar the last value
/// counts, messages are merged, and of a oneof only the last member stays ([last one
/// wins](https://protobuf.dev/programming-guides/encoding/#last-one-wins)).
#[cold]
pub(crate) fn normalise(
    schema: &Schema,
    message: &Message,
    wire: Wire<'_>,
    depth: u32,
) -> Result<Vec<u8>> {
    let mut records = read_records(schema, message, wire, depth)?;
    for cleared in drop_cleared_members(&mut records) {
        check_replaced(schema, cleared.field, cleared.wire.value, depth)?;
    }
    records.sort_by_key(|record| record.field.number);
    let mut ordered = Vec::with_capacity(wire.rest().len());
    for run in records.chunk_by(|one, two| one.field.number == two.field.number) {
        write_run(schema, run, depth, &mut ordered)?;
    }
    Ok(ordered)
}

fn read_records<'a>(
    schema: &Schema,
    message: &'a Message,
    mut wire: Wire<'a>,
    depth: u32,
) -> Result<Vec<Record<'a>>> {
    let mut records = Vec::new();
    while !wire.is_empty() {
        let found = wire.next_field(depth)?;
        let field = message.field_of_number(found.number);
        if let Some(field) = field.filter(|field| field.accepts(found.wire_type))
            && (field.shape == Shape::Repeated || is_known(schema, field, found.value)?)
        {
            records.push(Record { field, wire: found });
        }
    }
    Ok(records)
}

/// Whether a value is one of its field: a number without a name is none of a closed enum, and
/// replaces nothing.
pub(super) fn is_known(schema: &Schema, field: &Field, value: &[u8]) -> Result<bool> {
    let Kind::Enum(id) = field.kind else { return Ok(true) };
    #[expect(clippy::cast_possible_truncation, reason = "enums keep the low 32 bits")]
    let number = Wire::new(value).varint()? as i32;
    let of = schema.enumeration(id);
    Ok(!of.closed || of.name_of(number).is_some())
}

/// Setting a member of a oneof clears the others, so that only the last run of one member counts.
/// Gives the others.
fn drop_cleared_members<'a>(records: &mut Vec<Record<'a>>) -> Vec<Record<'a>> {
    // By oneof: the member set last, and whether another one was met before it.
    let mut last: HashMap<u16, (u32, bool)> = HashMap::new();
    let is_kept = |record: &Record<'_>| {
        if !record.field.in_oneof {
            return true;
        }
        let (member, ended) = last.entry(record.field.slot).or_insert((record.field.number, false));
        *ended |= *member != record.field.number;
        !*ended
    };
    let kept: Vec<bool> = records.iter().rev().map(is_kept).collect();
    let mut kept = kept.into_iter().rev();
    records.extract_if(.., |_| !kept.next().unwrap_or(true)).collect()
}

/// A parser reads also what is replaced later, and refuses what it cannot read.
pub(super) fn check_replaced(
    schema: &Schema,
    field: &Field,
    value: &[u8],
    depth: u32,
) -> Result<()> {
    if let Kind::String = field.kind {
        let text = Wire::new(value).delimited()?;
        let is_fine = !field.checked_utf8 || std::str::from_utf8(text).is_ok();
        return if is_fine { Ok(()) } else { Err(Fault::at(NOT_UTF8, text)) };
    }
    let Some(id) = field.kind.message() else { return Ok(()) };
    let mut inside = Wire::new(fields_of_value(field, value)?);
    let depth = depth.checked_sub(1).ok_or_else(|| inside.fault(TOO_DEEP))?;
    let message = schema.message(id);
    while !inside.is_empty() {
        let found = inside.next_field(depth)?;
        if let Some(field) = message.field_of_number(found.number)
            && field.accepts(found.wire_type)
        {
            check_replaced(schema, field, found.value, depth)?;
        }
    }
    Ok(())
}

fn write_run(schema: &Schema, run: &[Record<'_>], depth: u32, out: &mut Vec<u8>) -> Result<()> {
    let Some((last, replaced)) = run.split_last() else { return Ok(()) };
    match (last.field.shape, last.field.kind) {
        (Shape::Repeated | Shape::Map, _) => {
            for record in run {
                if last.field.kind.is_packable() {
                    // Packed or not, so with the tag that it came with.
                    out.extend_from_slice(record.wire.whole);
                } else {
                    // A run goes on by the tag in its shortest form.
                    last.field.tag.append_to(out);
                    out.extend_from_slice(record.wire.value);
                }
            }
        }
        (Shape::Explicit, Kind::Message(_) | Kind::Group(_)) if run.len() > 1 => {
            let mut merged = Vec::new();
            for record in run {
                // Each part by itself: one that is cut would go on in the next.
                check_replaced(schema, record.field, record.wire.value, depth)?;
                merged.extend_from_slice(fields_of_value(last.field, record.wire.value)?);
            }
            last.field.tag.append_to(out);
            if let Kind::Group(_) = last.field.kind {
                out.extend_from_slice(&merged);
                push_varint(out, u64::from(last.field.number) << 3 | 4);
            } else {
                push_varint(out, merged.len() as u64);
                out.extend_from_slice(&merged);
            }
        }
        (Shape::Implicit | Shape::Explicit | Shape::Unknown, _) => {
            for record in replaced {
                check_replaced(schema, record.field, record.wire.value, depth)?;
            }
            out.extend_from_slice(last.wire.whole);
        }
    }
    Ok(())
}
