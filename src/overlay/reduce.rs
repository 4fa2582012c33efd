//! Reduce: a message without what only REST has.

use super::block::{BLOCK, may_hold_rest_only};
use crate::json::{Fault, MAX_DEPTH, TOO_DEEP, Wire, WireField, push_varint};
use crate::schema::{
    EnumId, Field, Kind, Message, MessageId, RestOnly, Schema, Shape, Special, WireType,
};

/// Why nothing of a message is left.
pub(super) enum Stop {
    /// The names of a field that pins, innermost first until it leaves the reducer.
    Pinned(Vec<String>),
    Fault(Box<Fault>),
}

impl From<Box<Fault>> for Stop {
    fn from(fault: Box<Fault>) -> Self {
        Self::Fault(fault)
    }
}

impl Stop {
    /// The entries of a map are messages that nobody wrote: their `value` is no name.
    fn outside_entry(mut self, shape: Shape) -> Self {
        if let (Self::Pinned(names), Shape::Map) = (&mut self, shape) {
            names.pop();
        }
        self
    }
}

type Result<T> = std::result::Result<T, Stop>;

pub(super) struct Reducer<'a> {
    schema: &'a Schema,
    pub(super) left_out: u64,
}

/// What a message held, as far as it decides whether it may lose some of it.
#[derive(Default)]
struct Held {
    /// The name of the first field that was left out.
    lost: Option<String>,
    /// Members that not even the overlay knows: one of them may be the value of a oneof.
    has_unknown: bool,
    has_member_of_oneof: bool,
}

impl Held {
    /// Whether the message may not go without what was left out: nothing else was in it, or what is
    /// unknown may be the value of its oneof, such as the data of a part.
    fn means_nothing(&self, message: &Message, rest: &[u8]) -> bool {
        let has_oneof = || message.fields.iter().any(|field| field.in_oneof);
        rest.is_empty() || self.has_unknown && !self.has_member_of_oneof && has_oneof()
    }
}

impl<'a> Reducer<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, left_out: 0 }
    }

    /// The message without what REST alone has.
    pub(super) fn outermost(&mut self, id: MessageId, wire: Wire<'_>) -> Result<Vec<u8>> {
        self.message(id, wire, MAX_DEPTH).map_err(|stop| match stop {
            Stop::Pinned(mut names) => {
                names.reverse();
                Stop::Pinned(names)
            }
            stop @ Stop::Fault(_) => stop,
        })
    }

    fn message(&mut self, id: MessageId, mut wire: Wire<'_>, depth: u32) -> Result<Vec<u8>> {
        let depth = depth.checked_sub(1).ok_or_else(|| wire.fault(TOO_DEEP))?;
        let message = self.schema.message(id);
        if message.special == Special::Any {
            return self.any(wire.rest(), depth);
        }
        let mut out = Vec::with_capacity(wire.rest().len());
        let mut held = Held::default();
        while !wire.is_empty() {
            let found = wire.next_field(depth)?;
            let field = message.field_of_number(found.number);
            let field = field.filter(|field| field.accepts(found.wire_type));
            self.field(field, found, depth, &mut held, &mut out).map_err(|stop| match stop {
                Stop::Pinned(mut names) => {
                    names.extend(field.map(name_of));
                    Stop::Pinned(names)
                }
                stop @ Stop::Fault(_) => stop,
            })?;
        }
        match held.lost.take() {
            Some(lost) if held.means_nothing(message, &out) => Err(Stop::Pinned(vec![lost])),
            Some(_) | None => Ok(out),
        }
    }

    /// Appends the field, or what is left of it.
    fn field(
        &mut self,
        field: Option<&Field>,
        found: WireField<'_>,
        depth: u32,
        held: &mut Held,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(field) = field else {
            // A number of the block that the schema does not know, or not with such a value:
            // nobody's field.
            if BLOCK.contains(&found.number) {
                self.lose(held, || found.number.to_string());
            } else {
                out.extend_from_slice(found.whole);
            }
            return Ok(());
        };
        match field.rest_only {
            RestOnly::Pins => return Err(Stop::Pinned(Vec::new())),
            RestOnly::Unknown if found.value == [0] => return Ok(()),
            RestOnly::Drops | RestOnly::Unknown => {
                held.has_unknown |= field.rest_only == RestOnly::Unknown;
                held.has_member_of_oneof |= field.in_oneof;
                self.lose(held, || name_of(field));
                return Ok(());
            }
            RestOnly::No => {}
        }
        held.has_member_of_oneof |= field.in_oneof;
        if !may_hold_rest_only(found.value) {
            out.extend_from_slice(found.whole);
            return Ok(());
        }
        match field.kind {
            Kind::Message(id) => {
                let inside = Wire::new(found.value).delimited_wire()?;
                let rest = self.message(id, inside, depth);
                let rest = rest.map_err(|stop| stop.outside_entry(field.shape))?;
                field.tag.append_to(out);
                push_varint(out, rest.len() as u64);
                out.extend_from_slice(&rest);
            }
            Kind::Group(id) => {
                let inside = Wire::new(found.value).group(field.number, depth)?;
                let rest = self.message(id, inside, depth)?;
                field.tag.append_to(out);
                out.extend_from_slice(&rest);
                push_varint(out, u64::from(field.number) << 3 | 4);
            }
            Kind::Enum(id) => self.values(field, id, found, held, out)?,
            _ => out.extend_from_slice(found.whole),
        }
        Ok(())
    }

    /// Appends the values of an enum that are published, one or a packed run.
    fn values(
        &mut self,
        field: &Field,
        id: EnumId,
        found: WireField<'_>,
        held: &mut Held,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut run = Wire::new(found.value);
        if found.wire_type == WireType::Delimited {
            run = run.delimited_wire()?;
        }
        let of = self.schema.enumeration(id);
        while !run.is_empty() {
            let value = run.varint()?;
            #[expect(clippy::cast_possible_truncation, reason = "enums keep the low 32 bits")]
            match of.rest_only(value as i32) {
                RestOnly::Pins => return Err(Stop::Pinned(Vec::new())),
                RestOnly::Drops | RestOnly::Unknown => self.lose(held, || name_of(field)),
                RestOnly::No => {
                    push_varint(out, u64::from(field.number) << 3);
                    push_varint(out, value);
                }
            }
        }
        Ok(())
    }

    /// The message inside an `Any`, if its type is known.
    fn any(&mut self, any: &[u8], depth: u32) -> Result<Vec<u8>> {
        let (mut url, mut value) = (&[][..], None);
        let mut wire = Wire::new(any);
        while !wire.is_empty() {
            let found = wire.next_field(depth)?;
            match (found.number, found.wire_type) {
                (1, WireType::Delimited) => url = Wire::new(found.value).delimited()?,
                (2, WireType::Delimited) => value = Some(Wire::new(found.value).delimited_wire()?),
                _ => {}
            }
        }
        let name = url.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let id = std::str::from_utf8(name).ok().and_then(|name| self.schema.message_id(name));
        let (Some(id), Some(value)) = (id, value) else { return Ok(any.to_vec()) };
        if !may_hold_rest_only(value.rest()) {
            return Ok(any.to_vec());
        }
        let rest = self.message(id, value, depth)?;
        let mut out = Vec::with_capacity(any.len());
        for (tag, bytes) in [(1 << 3 | 2, url), (2 << 3 | 2, &rest)] {
            out.push(tag);
            push_varint(&mut out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        Ok(out)
    }

    fn lose(&mut self, held: &mut Held, name: impl FnOnce() -> String) {
        self.left_out += 1;
        held.lost.get_or_insert_with(name);
    }
}

fn name_of(field: &Field) -> String {
    field.name.to_string()
}
