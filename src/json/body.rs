//! Body: a JSON text whose large `bytes` fields are not written yet.
//!
//! Base64 of an inline image is a third larger than the image, which the caller's message holds
//! already. So the text keeps a gap for it, and the base64 is made block by block as the socket
//! drains.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::base64::base64_length;

/// A JSON text with gaps for base64.
#[derive(Debug, Clone, Default)]
pub(crate) struct JsonBody {
    text: Bytes,
    /// In order: where in the text a gap stands, and what it holds.
    gaps: Vec<(usize, Bytes)>,
}

/// Bytes encoded at once; a multiple of 3, so that blocks join without padding.
const BLOCK: usize = 48 * 1024;

impl JsonBody {
    pub(super) fn new(text: Vec<u8>, gaps: Vec<(usize, Bytes)>) -> Self {
        Self { text: text.into(), gaps }
    }

    /// Length of the whole text in bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
            + self.gaps.iter().map(|(_, bytes)| base64_length(bytes.len())).sum::<usize>()
    }

    /// The whole text in one piece.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        if self.gaps.is_empty() {
            return self.text;
        }
        let mut whole = Vec::with_capacity(self.len());
        while let Some(part) = self.next_part() {
            whole.extend_from_slice(&part);
        }
        whole.into()
    }

    fn next_part(&mut self) -> Option<Bytes> {
        match self.gaps.first_mut() {
            Some((0, bytes)) => {
                let block = bytes.split_to(bytes.len().min(BLOCK));
                if bytes.is_empty() {
                    self.gaps.remove(0);
                }
                Some(base64_simd::STANDARD.encode_type::<Vec<u8>>(&block).into())
            }
            Some((at, _)) => {
                let length = std::mem::take(at);
                for (later, _) in self.gaps.iter_mut().skip(1) {
                    *later -= length;
                }
                Some(self.text.split_to(length))
            }
            None if self.text.is_empty() => None,
            None => Some(std::mem::take(&mut self.text)),
        }
    }
}

impl HttpBody for JsonBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.next_part().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_empty() && self.gaps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_in_order_and_the_length_is_exact() {
        for size in [1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 2] {
            let image = Bytes::from(vec![7; size]);
            let gaps = vec![(2, image.clone()), (4, image.clone())];
            let body = JsonBody::new(b"[\"\"\"]".to_vec(), gaps);
            let encoded = base64_simd::STANDARD.encode_to_string(&image);
            let expected = format!("[\"{encoded}\"\"{encoded}]");
            assert_eq!(body.len(), expected.len());
            assert_eq!(body.into_bytes(), expected);
        }
    }
}
