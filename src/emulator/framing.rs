//! Framing: how gRPC sets messages and trailers apart, and gzip.

use std::io::{Read, Write};

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue};
use tonic::Status;

/// Bytes of a frame before its message: a flag and the length.
pub(super) const PREFIX_LENGTH: usize = 5;

/// A message behind its prefix.
pub(super) fn frame(message: &[u8], is_gzip: bool) -> Result<Bytes, Status> {
    let fault = |error: std::io::Error| Status::internal(format!("a frame: {error}"));
    let message = if is_gzip {
        gzip(message).map_err(fault)?.into()
    } else {
        Bytes::copy_from_slice(message)
    };
    let length = u32::try_from(message.len())
        .map_err(|_| Status::internal("a frame cannot state a length over 4 GiB"))?;
    let mut frame = BytesMut::with_capacity(PREFIX_LENGTH + message.len());
    frame.put_u8(u8::from(is_gzip));
    frame.put_u32(length);
    frame.put(message);
    Ok(frame.freeze())
}

/// The trailers of a status, beside those of the script.
pub(super) fn trailers(mut trailers: HeaderMap, status: &Status) -> HeaderMap {
    if let Err(fault) = status.add_header(&mut trailers) {
        // The script's message or metadata cannot be a header: the client is told so.
        trailers.insert("grpc-status", HeaderValue::from(i32::from(fault.code())));
    }
    trailers
}

pub(super) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

pub(super) fn gunzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut whole = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut whole)?;
    Ok(whole.into())
}

/// Whether a list of codings has gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap, name: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| coding.trim() == "gzip")
}
