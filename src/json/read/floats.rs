//! Lists of floats, read: an embedding is thousands of short decimals, each behind the same white
//! space.

use super::Reader;
use super::value::{TOO_LARGE, narrow};
use crate::json::fault::{Fault, Result};
use crate::json::number::{float_of, plain_float};
use crate::json::scan::Start;
use crate::schema::Kind;

impl Reader<'_> {
    /// Elements of a packed list, up to its end or to one that is no bare number.
    pub(super) fn floats(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut separator = Separator::default();
        loop {
            let value = match plain_float(self.scan.rest) {
                Some((value, length)) => {
                    self.scan.advance(length);
                    value
                }
                None if self.scan.start()? == Start::Number => {
                    let at = self.scan.offset();
                    let value = self.bare_float(float_of, narrow)?;
                    value.ok_or_else(|| Fault::new(TOO_LARGE, at))?
                }
                None => return self.value(Kind::Float, 0, out),
            };
            out.extend_from_slice(&value.to_le_bytes());
            if let Some(rest) = separator.skip(self.scan.rest) {
                self.scan.rest = rest;
                continue;
            }
            let before = self.scan;
            if !self.scan.eat(b',') || self.scan.start()? != Start::Number {
                self.scan = before;
                return Ok(());
            }
            separator = Separator::between(before.rest, self.scan.rest);
        }
    }
}

/// The comma and white space met last, compared in one step where they are short.
#[derive(Default)]
struct Separator {
    bytes: u128,
    mask: u128,
    length: usize,
}

impl Separator {
    fn between(text: &[u8], after: &[u8]) -> Self {
        let length = text.len() - after.len();
        match text.first_chunk::<16>() {
            Some(bytes) if (1..=16).contains(&length) => {
                let mask = u128::MAX >> (128 - 8 * length);
                Self { bytes: u128::from_le_bytes(*bytes) & mask, mask, length }
            }
            _ => Self::default(),
        }
    }

    /// What follows the separator, if the text begins with it.
    #[inline]
    fn skip<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let word = u128::from_le_bytes(*text.first_chunk()?);
        let is_next = self.length > 0 && word & self.mask == self.bytes;
        text.get(self.length..).filter(|_| is_next)
    }
}
