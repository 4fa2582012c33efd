//! Compression: the message of a call as it is without `grpc-encoding`.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use http::header::HeaderValue;

use super::frame::{Frame, too_large};
use crate::error::{Error, ErrorKind};

/// The message of a frame, decompressed.
///
/// # Errors
/// It is compressed in a way that only gRPC knows, damaged, or larger than `limit` bytes.
pub(crate) fn plain_message(
    frame: &Frame,
    encoding: Option<&HeaderValue>,
    limit: usize,
) -> Result<Bytes, Error> {
    let message = frame.message();
    if !frame.is_compressed() {
        return Ok(message);
    }
    match encoding.map(HeaderValue::as_bytes) {
        Some(b"gzip") => decompress(GzDecoder::new(message.as_ref()), limit),
        // HTTP's name for the format of zlib.
        Some(b"deflate") => decompress(ZlibDecoder::new(message.as_ref()), limit),
        Some(_) => Err(Error::new(
            ErrorKind::Unsupported,
            "the request is compressed in a way that REST cannot carry; use gzip, deflate or none",
        )),
        None => Err(Error::invalid_request(
            "the request's frame is compressed, but `grpc-encoding` is missing",
        )),
    }
}

fn decompress(decoder: impl Read, limit: usize) -> Result<Bytes, Error> {
    let mut plain = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut plain).map_err(|error| {
        Error::invalid_request("the request cannot be decompressed").with_source(error)
    })?;
    if plain.len() > limit { Err(too_large(plain.len(), limit)) } else { Ok(plain.into()) }
}
