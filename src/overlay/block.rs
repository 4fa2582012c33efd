//! Block: the numbers that only the overlay has, and one look for them.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The numbers of fields. Values of enums begin at eight times the first: as varints of five bytes,
/// the tags of the former and the latter end alike.
pub(super) const BLOCK: Range<u32> = 266_000_000..266_000_384;

/// Whether the bytes hold the end of such a number. Its second byte is in no UTF-8 text, so only
/// bytes of another kind can look like one, by chance.
pub(super) fn may_hold_rest_only(bytes: &[u8]) -> bool {
    static END_OF_NUMBER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&END));
    END_OF_NUMBER.find(bytes).is_some()
}

const END: [u8; 3] = [0xda, 0xf6, 0x07];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::push_varint;

    #[test]
    fn every_number_of_the_block_ends_like_all_others_and_no_text_does() {
        let tags = BLOCK.flat_map(|number| (0..6).map(move |wire_type| number << 3 | wire_type));
        for number in tags.chain(BLOCK.start * 8..BLOCK.start * 8 + 3072) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, number.into());
            assert!(bytes.ends_with(&END) && bytes.len() == 5, "{number}");
            assert!(i32::try_from(number).is_ok(), "an enum value");
        }
        for near in [BLOCK.start - 1665, BLOCK.end] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, (near << 3).into());
            assert!(!may_hold_rest_only(&bytes), "{near}");
        }
        for before in
            [&b"a"[..], "\u{7ff}".as_bytes(), "\u{ffff}".as_bytes(), "\u{10ffff}".as_bytes()]
        {
            assert!(std::str::from_utf8(&[before, &END].concat()).is_err());
        }
    }
}
