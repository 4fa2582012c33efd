//! Values, read: scalars in every form that JSON has for them.

use super::{Mode, Reader};
use crate::json::base64::decode_base64;
use crate::json::block::append_short;
use crate::json::fault::{Fault, Result};
use crate::json::lenience::Lenience;
use crate::json::number::{Number, double_of, float_of, parse_non_finite};
use crate::json::scan::Start;
use crate::json::wire::{push_varint, zigzag_encode};
use crate::schema::{Enum, EnumId, Kind, MessageId};

impl Reader<'_> {
    /// One value, with its length where it has one; nothing, if it is an unknown enum name. Each
    /// kind has a function of its own, so that none pays for what another keeps at hand.
    #[inline]
    pub(super) fn value(&mut self, kind: Kind, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        match kind {
            Kind::String => self.text(out),
            Kind::Bytes => self.bytes(out),
            Kind::Message(id) => self.message_inside(id, depth, out),
            Kind::Group(id) => self.message(id, depth, out),
            Kind::Enum(id) => self.enumeration(id, out),
            Kind::Bool => self.bool(out),
            Kind::Double => self.wide_float(out),
            Kind::Float => self.narrow_float(out),
            _ => self.integer(kind, out),
        }
    }

    /// A message with its length.
    #[inline(never)]
    fn message_inside(&mut self, id: MessageId, depth: u32, out: &mut Vec<u8>) -> Result<()> {
        let length = self.open(out);
        self.message(id, depth, out)?;
        self.close(length, out)
    }

    #[inline(never)]
    fn wide_float(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let at = self.scan.offset();
        let value = self.float(double_of, |value| value)?;
        self.append_float(value.map(f64::to_le_bytes), at, out)
    }

    #[inline(never)]
    fn narrow_float(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let at = self.scan.offset();
        let value = self.float(float_of, narrow)?;
        self.append_float(value.map(f32::to_le_bytes), at, out)
    }

    #[inline(never)]
    pub(super) fn bool(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let value = self.scan.is_next(b't');
        let word = self.scan.word(if value { "true" } else { "false" });
        word.map_err(|_| self.scan.fault("no bool"))?;
        out.push(u8::from(value));
        Ok(())
    }

    #[inline]
    pub(super) fn double(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let at = self.scan.offset();
        let value = self.float(double_of, |value| value)?;
        let value = value.ok_or_else(|| Fault::new(TOO_LARGE, at))?;
        out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    /// Nothing for a number too large in an answer: like an integer it leaves its field out.
    #[inline]
    fn append_float<const N: usize>(
        &mut self,
        bytes: Option<[u8; N]>,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match bytes {
            Some(bytes) => out.extend_from_slice(&bytes),
            None if self.mode == Mode::Answer && !self.in_list => {
                self.scan.met.add(Lenience::NumberLeftOut);
                self.says_more = true;
            }
            None => return Err(Fault::new(TOO_LARGE, at)),
        }
        Ok(())
    }

    #[inline(never)]
    fn integer(&mut self, kind: Kind, out: &mut Vec<u8>) -> Result<()> {
        if let Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 = kind
            && let Some(value) = self.scan.small_integer()
        {
            push_varint(out, value.into());
            return Ok(());
        }
        self.other_integer(kind, out)
    }

    /// An integer in any form.
    #[inline(never)]
    fn other_integer(&mut self, kind: Kind, out: &mut Vec<u8>) -> Result<()> {
        let is_quoted = self.scan.is_next(b'"');
        let at = self.scan.offset();
        let written = if is_quoted {
            let text = self.scan.string()?;
            match quoted_number(&text, at) {
                Err(fault) if parse_non_finite(&text).is_none() => return Err(fault),
                number => {
                    number.and_then(|number| write_integer(kind, number.to_integer(), at, out))
                }
            }
        } else {
            match self.scan.number() {
                Err(fault) if self.scan.bare_non_finite().is_none() => return Err(fault),
                number => {
                    number.and_then(|number| write_integer(kind, number.to_integer(), at, out))
                }
            }
        };
        match written {
            Err(_) if self.mode == Mode::Answer && !self.in_list => {
                self.scan.met.add(Lenience::NumberLeftOut);
                self.says_more = true;
                Ok(())
            }
            written => written,
        }
    }

    /// `None`: it is too large.
    #[inline]
    fn float<T>(
        &mut self,
        convert: impl Fn(Number<'_>) -> Option<T>,
        not_finite: impl Fn(f64) -> T,
    ) -> Result<Option<T>> {
        if !self.scan.is_next(b'"') {
            return self.bare_float(convert, not_finite);
        }
        let at = self.scan.offset();
        let text = self.scan.string()?;
        match parse_non_finite(&text) {
            Some(value) => Ok(Some(not_finite(value))),
            None => Ok(convert(quoted_number(&text, at)?)),
        }
    }

    /// The same without quotes.
    #[inline]
    pub(super) fn bare_float<T>(
        &mut self,
        convert: impl Fn(Number<'_>) -> Option<T>,
        not_finite: impl Fn(f64) -> T,
    ) -> Result<Option<T>> {
        match self.scan.number() {
            Ok(number) => Ok(convert(number)),
            Err(fault) => match self.scan.bare_non_finite() {
                Some(value) => Ok(Some(not_finite(value))),
                None => Err(fault),
            },
        }
    }

    #[inline(never)]
    fn enumeration(&mut self, id: EnumId, out: &mut Vec<u8>) -> Result<()> {
        let of = self.schema.enumeration(id);
        let number = match self.scan.start()? {
            Start::Null if of.is_null => {
                self.scan.word("null")?;
                0
            }
            Start::String => {
                let at = self.scan.offset();
                let name = self.scan.string()?;
                match of.number_of(&name) {
                    Some(number) => number,
                    None => match self.mode {
                        Mode::Answer => self.unknown_name(of),
                        Mode::PassUnknown => {
                            self.says_more = true;
                            return Ok(());
                        }
                        Mode::Strict => {
                            let name = String::from_utf8_lossy(&name).into_owned();
                            let what = format!("`{}` has no value `{name}`", of.name);
                            return Err(Fault::new(what, at));
                        }
                    },
                }
            }
            _ => {
                let at = self.scan.offset();
                let number = self.scan.number()?.to_integer();
                match number.and_then(|number| i32::try_from(number).ok()) {
                    Some(number) => number,
                    None if self.mode == Mode::Answer => self.unknown_name(of),
                    None => return Err(Fault::new("no enum value", at)),
                }
            }
        };
        push_varint(out, i64::from(number).cast_unsigned());
        Ok(())
    }

    #[cold]
    fn unknown_name(&mut self, of: &Enum) -> i32 {
        self.says_more = true;
        self.scan.met.add(Lenience::UnknownEnumName);
        of.unknown
    }

    /// A string with its length.
    #[inline(never)]
    pub(super) fn text(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if let Some(plain) = self.scan.plain_string() {
            push_varint(out, plain.len() as u64);
            append_short(plain, out);
            return Ok(());
        }
        let length = self.open(out);
        self.scan.unescape_into(out)?;
        self.close(length, out)
    }

    /// Base64 of either alphabet, padded or not, with its length. Some services escape the padding,
    /// so what stands before the first escape is taken as it is.
    #[inline(never)]
    fn bytes(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.scan.skip_space();
        let at = self.scan.offset();
        let (plain, escaped) = self.scan.long_string()?;
        if decode_base64(plain, &escaped, out) || self.decode_odd(plain, &escaped, out) {
            Ok(())
        } else {
            Err(Fault::new("no base64", at))
        }
    }

    /// The same with line ends or blanks in it, or with too much or too little padding.
    #[cold]
    fn decode_odd(&mut self, plain: &[u8], escaped: &[u8], out: &mut Vec<u8>) -> bool {
        if self.mode != Mode::Answer {
            return false;
        }
        self.scan.met.add(Lenience::OddBase64);
        let both = plain.iter().chain(escaped).copied();
        let mut text: Vec<u8> = both.filter(|byte| !byte.is_ascii_whitespace()).collect();
        while text.last() == Some(&b'=') {
            text.pop();
        }
        decode_base64(&text, &[], out)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "NaN and infinity keep their meaning")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

pub(super) const TOO_LARGE: &str = "a number too large for its field";

/// A quoted number follows the same grammar as a bare one.
fn quoted_number(text: &[u8], at: usize) -> Result<Number<'_>> {
    Number::read_whole(text).ok_or_else(|| Fault::new("no number", at))
}

/// Writes an integer in the form of its type.
pub(super) fn write_integer(
    kind: Kind,
    value: Option<i128>,
    at: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let refused = || Fault::new("no integer, or one too large for its field", at);
    let value = value.ok_or_else(refused)?;
    let written = match kind {
        Kind::Int32 => {
            i32::try_from(value).map(|value| push_varint(out, i64::from(value).cast_unsigned()))
        }
        Kind::Int64 => i64::try_from(value).map(|value| push_varint(out, value.cast_unsigned())),
        Kind::Uint32 => u32::try_from(value).map(|value| push_varint(out, value.into())),
        Kind::Uint64 => u64::try_from(value).map(|value| push_varint(out, value)),
        Kind::Sint32 => {
            i32::try_from(value).map(|value| push_varint(out, zigzag_encode(value.into())))
        }
        Kind::Sint64 => i64::try_from(value).map(|value| push_varint(out, zigzag_encode(value))),
        Kind::Fixed32 => {
            u32::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        Kind::Sfixed32 => {
            i32::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        Kind::Fixed64 => {
            u64::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        Kind::Sfixed64 => {
            i64::try_from(value).map(|value| out.extend_from_slice(&value.to_le_bytes()))
        }
        _ => return Err(refused()),
    };
    written.map_err(|_| refused())
}
