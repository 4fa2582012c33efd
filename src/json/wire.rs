//! Wire: reads and writes the parts of protobuf's encoding.
//!
//! Format: [encoding](https://protobuf.dev/programming-guides/encoding/).

use super::fault::{Fault, Result};
use crate::schema::{Field, Kind, Tag, WireType};

/// A cursor over encoded bytes.
#[derive(Clone, Copy)]
pub(crate) struct Wire<'a> {
    rest: &'a [u8],
}

/// One field as it stands on the wire.
#[derive(Clone, Copy)]
pub(crate) struct WireField<'a> {
    pub(crate) number: u32,
    pub(crate) wire_type: WireType,
    /// Tag and value.
    pub(crate) whole: &'a [u8],
    /// The value, without its tag.
    pub(crate) value: &'a [u8],
}

/// Messages inside messages beyond this are refused, as in every protobuf runtime.
pub(crate) const MAX_DEPTH: u32 = 100;

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline]
    pub(crate) fn skip_byte(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Skips the tag of a field if it stands next.
    #[inline]
    pub(crate) fn skip_tag(&mut self, tag: Tag) -> bool {
        let after = match (tag.single_byte(), self.rest) {
            (Some(byte), [next, after @ ..]) if byte == *next => Some(after),
            (Some(_), _) => None,
            (None, rest) => rest.strip_prefix(tag.as_bytes()),
        };
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (byte, at) in self.rest.iter().zip(0..10) {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            self.truncated()
        } else {
            self.fault("a varint over 10 bytes")
        })
    }

    /// Field number and wire type.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<(u32, WireType)> {
        let start = *self;
        let tag = self.varint()?;
        let tag = u32::try_from(tag).ok().filter(|tag| tag >> 3 != 0);
        let parts = tag.and_then(|tag| Some((tag >> 3, WireType::of_tag(tag)?)));
        parts.ok_or_else(|| start.fault("a field tag that does not exist"))
    }

    #[inline]
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(*bytes)
    }

    /// The bytes of a length-delimited value.
    #[inline]
    pub(crate) fn delimited(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// The same, as a cursor.
    #[inline]
    pub(crate) fn delimited_wire(&mut self) -> Result<Self> {
        self.delimited().map(Self::new)
    }

    /// The next field, read past.
    #[inline]
    pub(crate) fn next_field(&mut self, depth: u32) -> Result<WireField<'a>> {
        let start = *self;
        let (number, wire_type) = self.tag()?;
        let value = self.value(number, wire_type, depth)?;
        Ok(WireField { number, wire_type, whole: start.until(*self), value })
    }

    /// The value of a field whose tag was read, as it is encoded.
    #[inline]
    pub(crate) fn value(
        &mut self,
        number: u32,
        wire_type: WireType,
        depth: u32,
    ) -> Result<&'a [u8]> {
        let start = *self;
        self.skip(number, wire_type, depth)?;
        Ok(start.until(*self))
    }

    /// The bytes from here to where `later` stands.
    fn until(self, later: Self) -> &'a [u8] {
        self.rest.get(..self.rest.len() - later.rest.len()).unwrap_or_default()
    }

    /// The fields of a group whose start tag was read, without its end tag.
    pub(crate) fn group(&mut self, number: u32, depth: u32) -> Result<Self> {
        let start = *self;
        let mut before = *self;
        loop {
            let (found, wire_type) = self.tag()?;
            if wire_type == WireType::GroupEnd {
                if found != number {
                    return Err(before.fault("the end of another group"));
                }
                return Ok(Self::new(start.until(before)));
            }
            self.skip(found, wire_type, depth)?;
            before = *self;
        }
    }

    /// Skips the value of a field whose tag was read.
    #[inline]
    pub(crate) fn skip(&mut self, number: u32, wire_type: WireType, depth: u32) -> Result<()> {
        match wire_type {
            WireType::Varint => drop(self.varint()?),
            WireType::Fixed64 => drop(self.fixed::<8>()?),
            WireType::Delimited => drop(self.delimited()?),
            WireType::Fixed32 => drop(self.fixed::<4>()?),
            WireType::GroupStart => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.fault(TOO_DEEP))?;
                self.group(number, depth)?;
            }
            WireType::GroupEnd => return Err(self.fault("the end of no group")),
        }
        Ok(())
    }

    #[cold]
    pub(crate) fn fault(&self, what: &'static str) -> Box<Fault> {
        Fault::at(what, self.rest)
    }

    #[cold]
    pub(crate) fn truncated(&self) -> Box<Fault> {
        self.fault("the message ends in the middle of a field")
    }
}

/// The fields inside the value of a message, without its length or the end of its group.
pub(crate) fn fields_of_value<'a>(field: &Field, value: &'a [u8]) -> Result<&'a [u8]> {
    let mut wire = Wire::new(value);
    match field.kind {
        Kind::Group(_) => wire.group(field.number, MAX_DEPTH).map(|inside| inside.rest()),
        _ => wire.delimited(),
    }
}

pub(crate) const TOO_DEEP: &str = "more than 100 messages inside each other";

#[inline]
pub(crate) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

#[inline]
const fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

#[inline]
pub(crate) const fn zigzag_encode(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
pub(crate) const fn zigzag_decode(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_end() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(Wire::new(&bytes).varint().expect("whole"), value);
            bytes.pop();
            assert!(Wire::new(&bytes).varint().is_err());
        }
        assert!(Wire::new(&[0x80; 11]).varint().is_err());
    }

    #[test]
    fn groups_nest_and_must_close() {
        // field 1 group { field 2 group {} field 3 varint }
        let bytes = [0x0b, 0x13, 0x14, 0x18, 0x05, 0x0c];
        let mut wire = Wire::new(&bytes);
        assert_eq!(wire.tag().expect("tag"), (1, WireType::GroupStart));
        assert_eq!(wire.group(1, 10).expect("closed").rest(), &[0x13, 0x14, 0x18, 0x05]);
        assert!(wire.is_empty());
        let mut open = Wire::new(&bytes[1..5]);
        assert!(open.group(1, 10).is_err());
        let mut deep = Wire::new(&[0x0b; 300]);
        assert!(deep.skip(1, WireType::GroupStart, MAX_DEPTH).is_err());
    }

    #[test]
    fn zigzag_round_trips() {
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(zigzag_decode(zigzag_encode(value)), value);
        }
    }
}
