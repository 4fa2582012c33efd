//! Codec: how the clients write and read messages: as tonic's codec for prost does, but for the
//! buffer that a message is read from.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

/// The codec of the generated clients.
#[derive(Debug)]
pub(crate) struct MessageCodec<T, U>(PhantomData<(T, U)>);

/// Reads a message from a slice: prost goes on byte by byte, which costs several times as much in
/// the buffer that tonic shares with what is still to come.
#[derive(Debug)]
pub(crate) struct MessageDecoder<U>(PhantomData<U>);

/// What is unread of a message.
struct Unread<'a> {
    rest: &'a [u8],
    /// The whole of it, if its large `bytes` are to be shared.
    shared: Option<&'a Bytes>,
}

/// A message up to this size is left in tonic's buffer; `bytes` in it are copied, which also lets
/// go of that buffer.
const COPIED: usize = 4 << 10;

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

impl<U: Message + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let length = buf.remaining();
        let mut message = U::default();
        let is_in_place = length <= COPIED && buf.chunk().len() == length;
        let read = if is_in_place {
            let read = message.merge(Unread { rest: buf.chunk(), shared: None });
            buf.advance(length);
            read
        } else {
            let whole = buf.copy_to_bytes(length);
            message.merge(Unread { rest: &whole, shared: Some(&whole) })
        };
        match read {
            Ok(()) => Ok(Some(message)),
            // gRPC's code for it, as tonic's codec gives it.
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

impl Buf for Unread<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.rest
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        match self.shared {
            Some(whole) if length <= self.rest.len() => {
                let (taken, rest) = self.rest.split_at(length);
                self.rest = rest;
                whole.slice_ref(taken)
            }
            _ => self.rest.copy_to_bytes(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use http_body_util::{BodyExt, Full};
    use tonic::codec::{EncodeBody, Streaming};

    use super::*;
    use crate::proto::google::ai::generativelanguage::v1beta::{Blob, Content, Part, part::Data};

    fn blob(size: usize) -> Content {
        let data = (0..size).map(|n| n.to_le_bytes()[0]).collect::<Vec<u8>>().into();
        let blob = Blob { mime_type: "image/png".into(), data, ..Default::default() };
        let part = Part { data: Some(Data::InlineData(blob)), ..Default::default() };
        Content { role: "user".into(), parts: vec![part, Part::default()], ..Default::default() }
    }

    /// What tonic reads by the codec.
    async fn read(frames: Bytes) -> Result<Vec<Content>, Status> {
        let decoder = MessageCodec::<(), Content>::default().decoder();
        let end = Ok(http::HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("0"),
        )]));
        let body = Full::new(frames).with_trailers(std::future::ready(Some(end)));
        let mut stream =
            Streaming::new_response(decoder, body, http::StatusCode::OK, None, Some(1 << 20));
        let mut found = Vec::new();
        while let Some(message) = stream.message().await? {
            found.push(message);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn messages_of_any_size_come_as_they_were_sent() {
        let sent: Vec<Content> = [0, 1, 4000, COPIED - 30, COPIED, 100_000, 3].map(blob).into();
        let source = tokio_stream::iter(sent.clone().into_iter().map(Ok));
        let encoder = MessageCodec::<Content, ()>::default().encoder();
        let body = EncodeBody::new_client(encoder, source, None, None);
        let frames = body.collect().await.expect("frames").to_bytes();
        assert_eq!(read(frames).await.expect("messages"), sent);
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused_as_by_tonics_codec() {
        for size in [10, COPIED + 10] {
            let mut frame = BytesMut::new();
            frame.put_u8(0);
            frame.put_u32(u32::try_from(size).expect("small"));
            frame.put_bytes(0xff, size);
            let status = read(frame.freeze()).await.expect_err("no message");
            assert_eq!(status.code(), tonic::Code::Internal);
            assert!(status.message().contains("invalid"), "{status}");
        }
    }
}
