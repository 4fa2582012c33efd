//! Normalise: puts a message in order whose fields come again, as a parser would merge them.

use std::collections::HashMap;

use super::fault::Result;
use super::wire::{Wire, WireField, push_varint};
use crate::schema::{Field, Kind, Message, Shape};

/// One field of the message as it stood on the wire.
struct Record<'a> {
    field: &'a Field,
    wire: WireField<'a>,
}

/// The same message with each field once, in the order of their numbers: of a scalar the last value counts,
/// messages are merged, and of a oneof only the last member stays
/// ([last one wins](https://protobuf.dev/programming-guides/encoding/#last-one-wins)).
#[cold]
pub(crate) fn normalise(message: &Message, wire: Wire<'_>, depth: u32) -> Result<Vec<u8>> {
    let mut records = read_records(message, wire, depth)?;
    drop_cleared_members(&mut records);
    records.sort_by_key(|record| record.field.number);
    let mut ordered = Vec::with_capacity(wire.rest().len());
    for run in records.chunk_by(|one, two| one.field.number == two.field.number) {
        write_run(run, &mut ordered)?;
    }
    Ok(ordered)
}

fn read_records<'a>(
    message: &'a Message,
    mut wire: Wire<'a>,
    depth: u32,
) -> Result<Vec<Record<'a>>> {
    let mut records = Vec::new();
    while !wire.is_empty() {
        let found = wire.next_field(depth)?;
        let field = message.field_of_number(found.number);
        if let Some(field) = field.filter(|field| field.accepts(found.wire_type)) {
            records.push(Record { field, wire: found });
        }
    }
    Ok(records)
}

/// Setting a member of a oneof clears the others, so that only the last run of one member counts.
fn drop_cleared_members(records: &mut Vec<Record<'_>>) {
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
    records.retain(|_| kept.next().unwrap_or(true));
}

fn write_run(run: &[Record<'_>], out: &mut Vec<u8>) -> Result<()> {
    let Some(last) = run.last() else { return Ok(()) };
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
        (Shape::Explicit, Kind::Message(_)) if run.len() > 1 => {
            let mut merged = Vec::new();
            for record in run {
                merged.extend_from_slice(Wire::new(record.wire.value).delimited()?);
            }
            out.extend_from_slice(last.field.tag.as_bytes());
            push_varint(out, merged.len() as u64);
            out.extend_from_slice(&merged);
        }
        (Shape::Explicit, Kind::Group(_)) if run.len() > 1 => {
            out.extend_from_slice(last.field.tag.as_bytes());
            for record in run {
                let mut value = Wire::new(record.wire.value);
                out.extend_from_slice(
                    value.group(last.field.number, super::wire::MAX_DEPTH)?.rest(),
                );
            }
            push_varint(out, u64::from(last.field.number) << 3 | 4);
        }
        (Shape::Implicit | Shape::Explicit, _) => out.extend_from_slice(last.wire.whole),
    }
    Ok(())
}
