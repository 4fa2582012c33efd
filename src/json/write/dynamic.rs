//! Dynamic values, written: `google.protobuf.Struct`, `Value` and `ListValue`, the JSON that a
//! message can hold.

use super::{Writer, in_order, next_field};
use crate::json::fault::{Fault, Result};
use crate::json::text::{write_f64, write_string};
use crate::json::wire::{TOO_DEEP, Wire};
use crate::schema::{Kind, Message, Special};

/// Tags of the fields of `google.protobuf.Value` that are scalars.
const NUMBER: u8 = 0x11;
const STRING: u8 = 0x1a;
const BOOL: u8 = 0x20;

impl<'a> Writer<'a> {
    /// `google.protobuf.Struct`: the object of its one field, a map.
    #[inline(never)]
    pub(super) fn structure(
        &mut self,
        message: &Message,
        mut wire: Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        let Some(field) = message.field_of_number(1) else {
            return Err(wire.fault("a Struct without fields"));
        };
        let whole = wire;
        if !self.out_of_order && wire.skip_tag(field.tag) {
            let start = self.mark();
            self.map(field, &mut wire, depth)?;
            if wire.is_empty() {
                return Ok(());
            }
            self.rewind(start);
            self.out_of_order = true;
        }
        // Something else stands before or between the entries.
        in_order(self.schema, message, whole, depth, |mut ordered| {
            if ordered.skip_tag(field.tag) {
                return self.map(field, &mut ordered, depth);
            }
            self.out.extend_from_slice(b"{}");
            Ok(())
        })
    }

    /// `google.protobuf.ListValue`: the array of its one field.
    #[inline(never)]
    pub(super) fn list(&mut self, message: &Message, mut wire: Wire<'_>, depth: u32) -> Result<()> {
        let Some(field) = message.field_of_number(1) else {
            return Err(wire.fault("a ListValue without values"));
        };
        let of = self.dynamic_kind(field.kind);
        self.out.push(b'[');
        while !wire.is_empty() {
            let (number, wire_type) = wire.tag()?;
            if number != field.number || !field.accepts(wire_type) {
                wire.skip(number, wire_type, depth)?;
                continue;
            }
            match of {
                Some(of) => self.dynamic_inside(of, &mut wire, depth)?,
                None => self.value(field.kind, field.number, &mut wire, depth)?,
            }
            self.out.push(b',');
        }
        match self.out.last_mut() {
            Some(comma) if *comma == b',' => *comma = b']',
            _ => self.out.push(b']'),
        }
        Ok(())
    }

    /// `google.protobuf.Value`: any JSON value; the last member set counts, and what it was set to
    /// before is merged.
    pub(super) fn dynamic(&mut self, message: &Message, wire: Wire<'_>, depth: u32) -> Result<()> {
        if self.usual_scalar(wire)? {
            return Ok(());
        }
        let mut rest = wire;
        if !rest.is_empty() {
            let (number, wire_type) = rest.tag()?;
            rest.skip(number, wire_type, depth)?;
        }
        if rest.is_empty() {
            return self.member(message, wire, depth);
        }
        in_order(self.schema, message, wire, depth, |ordered| self.member(message, ordered, depth))
    }

    /// The one member of a `Value`; `null` without one.
    fn member(&mut self, message: &Message, mut wire: Wire<'_>, depth: u32) -> Result<()> {
        let member = match wire.peek() {
            Some(byte) => next_field(message, byte, &mut wire, depth)?,
            None => None,
        };
        let Some((field, _)) = member else {
            self.out.extend_from_slice(b"null");
            return Ok(());
        };
        if field.kind == Kind::Double && is_not_finite(wire.rest()) {
            return Err(Fault::unwritable("a Value that is not a finite number", wire.rest()));
        }
        self.value(field.kind, field.number, &mut wire, depth)
    }

    /// The message of a kind, if it is a `Value`, whose many scalars need no detour by way of its
    /// table.
    #[inline]
    pub(super) fn dynamic_kind(&self, kind: Kind) -> Option<&'a Message> {
        let Kind::Message(id) = kind else { return None };
        Some(self.schema.message(id)).filter(|message| message.special == Special::Value)
    }

    /// A `Value` with its length.
    #[inline]
    pub(super) fn dynamic_inside(
        &mut self,
        of: &Message,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<()> {
        let inside = wire.delimited_wire()?;
        let depth = depth.checked_sub(1).ok_or_else(|| inside.fault(TOO_DEEP))?;
        self.dynamic(of, inside, depth)
    }

    /// A `Value` of one scalar, as encoders write it; `false` if it is something else.
    #[inline]
    fn usual_scalar(&mut self, mut wire: Wire<'_>) -> Result<bool> {
        match wire.rest() {
            [STRING, length, text @ ..] if text.len() == usize::from(*length) && *length < 0x80 => {
                write_string(text, &mut self.out)?;
            }
            [NUMBER, number @ ..] if number.len() == 8 && !is_not_finite(number) => {
                wire.skip_byte();
                write_f64(f64::from_le_bytes(wire.fixed()?), &mut self.out);
            }
            [BOOL, 0] => self.out.extend_from_slice(b"false"),
            [BOOL, 1] => self.out.extend_from_slice(b"true"),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn is_not_finite(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|bytes| !f64::from_le_bytes(*bytes).is_finite())
}
