//! Dynamic values, read: `google.protobuf.Struct`, `Value` and `ListValue`, which take any JSON.

use super::Reader;
use super::length::varint_length;
use crate::json::block::append_short;
use crate::json::fault::Result;
use crate::json::scan::Start;
use crate::json::wire::{TOO_DEEP, push_varint};
use crate::schema::{Kind, Message, Special};

/// Tags of the fields of `google.protobuf.Value` that are scalars.
const NULL: u8 = 0x08;
const NUMBER: u8 = 0x11;
const STRING: u8 = 0x1a;
const BOOL: u8 = 0x20;

impl<'a> Reader<'a> {
    /// `google.protobuf.Struct` and `ListValue`: the JSON of their one field.
    #[inline(never)]
    pub(super) fn only_field(
        &mut self,
        message: &Message,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match message.field_of_number(1) {
            Some(field) => self.field(field, depth, out),
            None => Err(self.scan.fault("a message without its field")),
        }
    }

    /// `google.protobuf.Value`: the member of its oneof that the JSON value asks for.
    #[inline(never)]
    pub(super) fn dynamic(
        &mut self,
        message: &Message,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let number = match self.scan.start()? {
            Start::Null => 1,
            Start::Number => 2,
            Start::String => 3,
            Start::True | Start::False => 4,
            Start::Object => 5,
            Start::Array => 6,
        };
        match message.field_of_number(number) {
            Some(field) => self.tagged_value(field, depth, out),
            None => Err(self.scan.fault("a Value without this kind")),
        }
    }

    /// The message of a kind, if it is a `Value`, whose many scalars need no detour by way of its
    /// table.
    #[inline]
    pub(super) fn dynamic_kind(&self, kind: Kind) -> Option<&'a Message> {
        let Kind::Message(id) = kind else { return None };
        Some(self.schema.message(id)).filter(|message| message.special == Special::Value)
    }

    /// A `Value` with its length, which is known before if it is a scalar.
    pub(super) fn dynamic_inside(
        &mut self,
        of: &Message,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.scan.fault(TOO_DEEP))?;
        match self.scan.start()? {
            Start::Number => {
                out.extend_from_slice(&[9, NUMBER]);
                return self.double(out);
            }
            Start::True | Start::False => {
                out.extend_from_slice(&[2, BOOL]);
                return self.bool(out);
            }
            Start::Null => {
                out.extend_from_slice(&[2, NULL, 0]);
                return self.scan.word("null");
            }
            Start::String => {
                if let Some(plain) = self.scan.plain_string() {
                    push_varint(out, (1 + varint_length(plain.len()) + plain.len()) as u64);
                    out.push(STRING);
                    push_varint(out, plain.len() as u64);
                    append_short(plain, out);
                    return Ok(());
                }
            }
            Start::Object | Start::Array => {}
        }
        let length = self.open(out);
        self.dynamic(of, depth, out)?;
        self.close(length, out)
    }
}
