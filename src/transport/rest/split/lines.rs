//! Lines: a body cut at its line ends: LF, CR or both.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

/// The bytes that came, and no whole line yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// What is left of the chunk that came last; nearly always it holds whole lines, which are not
    /// copied.
    chunk: Bytes,
    /// A line that goes on in another chunk, and what follows it; then `chunk` is empty.
    gathered: BytesMut,
    /// Bytes of what is held that are known to hold no line end.
    scanned: usize,
    /// The line before ended in CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Lines {
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.chunk = chunk;
            return;
        }
        self.gathered.extend_from_slice(&std::mem::take(&mut self.chunk));
        self.gathered.extend_from_slice(&chunk);
    }

    /// A whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        if self.after_cr && self.len() > 0 {
            self.after_cr = false;
            if self.held().first() == Some(&b'\n') {
                self.skip(1);
            }
        }
        let rest = self.held().get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr2(b'\n', b'\r', rest) else {
            self.scanned = self.len();
            return None;
        };
        self.after_cr = rest.get(found) == Some(&b'\r');
        let line = self.take(self.scanned + found);
        self.skip(1);
        self.scanned = 0;
        Some(line)
    }

    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.held().len()
    }

    /// All that is left.
    pub(crate) fn take_rest(&mut self) -> Bytes {
        self.scanned = 0;
        self.take(self.len())
    }

    fn held(&self) -> &[u8] {
        if self.gathered.is_empty() { &self.chunk } else { &self.gathered }
    }

    fn take(&mut self, length: usize) -> Bytes {
        if self.gathered.is_empty() {
            self.chunk.split_to(length)
        } else {
            self.gathered.split_to(length).freeze()
        }
    }

    fn skip(&mut self, length: usize) {
        if self.gathered.is_empty() {
            self.chunk.advance(length);
        } else {
            self.gathered.advance(length);
        }
    }
}
