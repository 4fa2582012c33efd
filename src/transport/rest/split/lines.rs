//! Lines: a body cut at its line ends: LF, CR or both.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The bytes that came, and no whole line yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    held: BytesMut,
    /// Bytes of `held` known to hold no line end.
    scanned: usize,
    /// The line before ended in CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Lines {
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    /// A whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        if self.after_cr && !self.held.is_empty() {
            self.after_cr = false;
            if self.held.first() == Some(&b'\n') {
                drop(self.held.split_to(1));
            }
        }
        let rest = self.held.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr2(b'\n', b'\r', rest) else {
            self.scanned = self.held.len();
            return None;
        };
        self.after_cr = rest.get(found) == Some(&b'\r');
        let mut line = self.held.split_to(self.scanned + found + 1);
        line.truncate(line.len() - 1);
        self.scanned = 0;
        Some(line.freeze())
    }

    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// All that is left.
    pub(crate) fn take_rest(&mut self) -> Bytes {
        self.scanned = 0;
        self.held.split().freeze()
    }
}
