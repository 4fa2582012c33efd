//! Descriptor fields: an encoded descriptor, read field by field where it lies.
//!
//! A schema has a thousand fields, and all are looked at when it is built; copying them out first
//! would cost more than the look.
#![expect(
    clippy::inline_always,
    reason = "each reader looks for a few parts: in line a schema takes an eighth less time"
)]

use crate::error::{Error, ErrorKind};

/// The fields of an encoded message, in order, each with its number. Nothing follows a fault.
pub(super) struct DescriptorFields<'a> {
    rest: &'a [u8],
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValue<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A number of a fixed size, which no descriptor has where we read it.
    Fixed,
}

impl<'a> DescriptorFields<'a> {
    pub(super) fn of(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }

    #[inline(always)]
    fn read(&mut self) -> Option<(u32, FieldValue<'a>)> {
        let key = u32::try_from(self.varint()?).ok()?;
        let field = match key & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => self.bytes(8).map(|_| FieldValue::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                FieldValue::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| FieldValue::Fixed)?,
            // A group, which no descriptor has, or nothing.
            _ => return None,
        };
        let number = key >> 3;
        (number != 0).then_some((number, field))
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Some(u64::from(*byte));
        }
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for DescriptorFields<'a> {
    type Item = Result<(u32, FieldValue<'a>), Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.rest = &[];
        }
        Some(read.ok_or_else(malformed))
    }
}

#[cold]
pub(super) fn malformed() -> Error {
    Error::new(ErrorKind::Schema, "the bytes are not a descriptor set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_number_and_a_fault_ends_them() {
        // 1: 150; 2: "ab"; 3: a negative number; 4: four bytes; 5: a length beyond the end
        let encoded =
            b"\x08\x96\x01\x12\x02ab\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x25abcd\x2a\x05a";
        let read: Vec<_> = DescriptorFields::of(encoded).map(Result::ok).collect();
        let expected = [
            Some((1, FieldValue::Varint(150))),
            Some((2, FieldValue::Bytes(b"ab"))),
            Some((3, FieldValue::Varint(u64::MAX))),
            Some((4, FieldValue::Fixed)),
            None,
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_field_is_a_fault() {
        for encoded in [
            b"\x08".as_slice(),
            b"\x00\x00",
            b"\x0b\x0c",
            b"\x0f",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            b"\x80\x80\x80\x80\x80\x80\x80\x80\x08\x01",
            b"\x0d123",
        ] {
            assert!(
                DescriptorFields::of(encoded).next().is_some_and(|read| read.is_err()),
                "{encoded:x?}"
            );
        }
    }
}
