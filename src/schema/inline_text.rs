//! Inline text: texts of the tables that are copied into an output again and again.

/// A short text that is copied often: held in place and cut to length, which spares a call of
/// memcpy.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct InlineText<const N: usize> {
    inline: [u8; N],
    length: u8,
    long: Option<Box<[u8]>>,
}

/// A field's tag, encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    bytes: [u8; 5],
    length: u8,
}

impl<const N: usize> InlineText<N> {
    /// Bytes that are looked at where the text is a short one.
    pub(super) const SHORT: usize = N + 1;

    pub(super) fn new(text: &[u8]) -> Self {
        let mut inline = [0; N];
        match inline.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                Self { inline, length: u8::try_from(text.len()).unwrap_or_default(), long: None }
            }
            None => Self { inline, length: 0, long: Some(text.into()) },
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.long
            .as_deref()
            .or_else(|| self.inline.get(..usize::from(self.length)))
            .unwrap_or_default()
    }

    /// The text behind its first byte, with others behind it, and its length; if it is a long one,
    /// a length that no text in place has.
    #[inline]
    pub(super) fn second_part<const M: usize>(&self) -> (&[u8; M], usize) {
        const { assert!(M < N && N < u8::MAX as usize) };
        let part = self.inline.get(1..).and_then(<[u8]>::first_chunk);
        (part.unwrap_or(&[0; M]), self.length.wrapping_sub(1).into())
    }

    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        if self.length == 0 {
            return self.append_long_to(out);
        }
        let end = out.len() + usize::from(self.length);
        out.extend_from_slice(&self.inline);
        out.truncate(end);
    }

    #[cold]
    fn append_long_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Tag {
    pub(super) fn new(mut value: u32) -> Self {
        let mut bytes = [0; 5];
        let mut length = 0;
        for byte in &mut bytes {
            length += 1;
            *byte = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        Self { bytes, length }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Most tags have one byte.
    #[inline]
    pub(crate) const fn single_byte(self) -> Option<u8> {
        match self.bytes {
            [byte, ..] if self.length == 1 => Some(byte),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn append_to(self, out: &mut Vec<u8>) {
        match self.single_byte() {
            Some(byte) => out.push(byte),
            None => self.append_long_to(out),
        }
    }

    /// A function of its own, so that only long tags have to stand in memory.
    #[inline(never)]
    fn append_long_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}
