//! Fuzz: what must hold for any bytes at all. `fuzz/` runs these for hours, and the tests below
//! over its seeds.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a fuzz target speaks")]

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use http::HeaderValue;
use http::uri::PathAndQuery;
use serde::de::IgnoredAny;

use crate::call::frame::FrameCounter;
use crate::network::fuzzed::{Challenge, ConnectHead, connect_head};
use crate::proto::DESCRIPTORS;
use crate::schema::Schema;
use crate::schema::template::Template;
use crate::transport::carrier::http2::walk_frames;
use crate::transport::rest::{EventStream, Piece, SplitFault, ValueStream, read_status};

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::from_descriptor_set(DESCRIPTORS).expect("our own descriptors"));

/// Chosen by the first byte of an input; together they have nearly every type of field.
const MESSAGES: [&str; 8] = [
    "google.ai.generativelanguage.v1beta.GenerateContentRequest",
    "google.ai.generativelanguage.v1beta.GenerateContentResponse",
    "google.ai.generativelanguage.v1beta.UpdateCachedContentRequest",
    "google.ai.generativelanguage.v1beta.BatchEmbedContentsResponse",
    "google.rpc.Status",
    "google.protobuf.Value",
    "google.protobuf.FileDescriptorSet",
    "google.protobuf.UninterpretedOption",
];

/// JSON is read, or refused with its place; what was read is JSON, and stays the same from then on.
pub fn json_to_wire(data: &[u8]) {
    let Some((name, json)) = choose_message(data) else { return };
    match SCHEMA.message_from_json(name, json) {
        Ok(wire) => {
            assert!(serde_json::from_slice::<IgnoredAny>(json).is_ok(), "this is no JSON");
            assert!(wire.len() <= 16 * json.len(), "the message is far larger than its JSON");
            assert_stays_the_same(name, &wire);
        }
        Err(error) => assert!(error.to_string().contains(" at byte "), "{error}"),
    }
}

/// Wire bytes are written as JSON that reads back, or refused with the place of the fault.
pub fn wire_to_json(data: &[u8]) {
    let Some((name, wire)) = choose_message(data) else { return };
    match SCHEMA.json_from_message(name, wire) {
        Ok(_) => assert_stays_the_same(name, wire),
        Err(error) => assert!(error.to_string().contains(" at byte "), "{error}"),
    }
}

fn choose_message(data: &[u8]) -> Option<(&'static str, &[u8])> {
    let (choice, rest) = data.split_first()?;
    let name = MESSAGES.get(usize::from(*choice) % MESSAGES.len())?;
    Some((name, rest))
}

fn assert_stays_the_same(name: &str, wire: &[u8]) {
    let json = SCHEMA.json_from_message(name, wire).expect("what was read can be written");
    assert!(serde_json::from_slice::<IgnoredAny>(&json).is_ok(), "wrote what is no JSON");
    let again = SCHEMA.message_from_json(name, &json).expect("what was written can be read");
    assert_eq!(SCHEMA.json_from_message(name, &again).ok(), Some(json));
}

/// An event stream is split the same, whatever its chunks; the first byte is their size.
pub fn sse(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    let split = |size: usize| {
        let mut stream = EventStream::new(LIMIT);
        let mut pieces = Vec::new();
        for chunk in body.chunks(size) {
            stream.feed(Bytes::copy_from_slice(chunk));
            while let Some(piece) = stream.next()? {
                pieces.push(text_of(piece));
            }
        }
        while let Some(piece) = stream.finish()? {
            pieces.push(text_of(piece));
        }
        Ok::<_, SplitFault>(pieces)
    };
    assert_eq!(split(usize::from(*size).max(1)), split(usize::MAX));
}

/// A stream of JSON values is split the same, whatever its chunks; the first byte is their size.
pub fn values(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    let split = |size: usize| {
        let mut stream = ValueStream::new(LIMIT);
        let mut pieces = Vec::new();
        for chunk in body.chunks(size) {
            stream.feed(chunk);
            while let Some(piece) = stream.next()? {
                pieces.push(piece);
            }
        }
        stream.finish()?;
        Ok::<_, SplitFault>(pieces)
    };
    assert_eq!(split(usize::from(*size).max(1)), split(usize::MAX));
}

/// No input of a fuzzer is as large, so that only its content decides.
const LIMIT: usize = 1 << 24;

fn text_of(piece: Piece) -> (bool, Vec<u8>) {
    match piece {
        Piece::Message(text) => (true, text.to_vec()),
        Piece::Error(text) => (false, text.to_vec()),
    }
}

/// A template, in the first line, and its values, in the lines below, give a path of a URL or
/// nothing.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let Some(Ok(template)) = lines.next().map(Template::parse) else { return };
    let values: Vec<&str> = lines.collect();
    let Ok(path) = template.expand(|at| values.get(at).copied().map(Cow::Borrowed)) else { return };
    let parsed: PathAndQuery = path.parse().expect("a path");
    assert_eq!((parsed.path(), parsed.query()), (path.as_str(), None));
    assert!(
        !path.split('/').any(|segment| matches!(segment, "." | "..")),
        "{path} leaves its place"
    );
}

/// Frames are counted the same, whatever their chunks; the first byte is their size.
pub fn frame(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    let count = |size: usize| {
        let mut counter = FrameCounter::default();
        let fed: Result<(), _> = body.chunks(size).try_for_each(|chunk| counter.feed(chunk));
        fed.map(|()| (counter.messages(), counter.is_inside()))
    };
    assert_eq!(count(usize::from(*size).max(1)), count(usize::MAX));
}

/// The head of an answer to CONNECT is whole from some byte on, and what comes behind that changes
/// nothing of it.
pub fn connect(data: &[u8]) {
    let mut whole: Option<ConnectHead> = None;
    for end in 0..=data.len().min(MOST_PREFIXES) {
        let Some(head) = connect_head(data.get(..end).unwrap_or_default()) else { continue };
        assert!(head.length <= end, "{head:?} in {end} bytes");
        assert!(head.challenges <= 32 && (100..1_000).contains(&head.status), "{head:?}");
        match &whole {
            None => whole = Some(head),
            Some(first) => assert_eq!(*first, head),
        }
    }
}

/// A prefix is read anew for each byte.
const MOST_PREFIXES: usize = 1 << 10;

/// The challenges of a proxy, a header in each line, are read without a panic, and no more than
/// there may be.
pub fn challenge(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let headers: Vec<_> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let challenges = Challenge::read_all(&headers);
    assert!(challenges.len() <= 32);
    for challenge in challenges {
        let values = ["realm", "nonce", "qop", ""].map(|name| challenge.parameter(name));
        assert!(values.iter().flatten().all(|value| value.len() <= data.len()));
    }
}

/// The frames of a connection are told the same, whatever their chunks; the first byte is their
/// size, and odd for what a server says.
pub fn http2_frames(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let tell = |chunk: usize| {
        let mut told = Vec::new();
        let is_server = size.is_multiple_of(2);
        let walk = walk_frames(bytes.chunks(chunk), !is_server, |frame| told.push(frame));
        (walk, told)
    };
    assert_eq!(tell(usize::from(*size).max(1)), tell(usize::MAX));
}

/// The body of an error, whose first byte chooses the HTTP status, is the service's with a code
/// that is no success, or nobody's.
pub fn error_body(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let http = 400 + u16::from(*choice) % 200;
    if let Some(status) = read_status(&SCHEMA, http, body) {
        assert_ne!(status.code(), tonic::Code::Ok, "{status:?}");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

    use super::*;

    /// Runs a target over its seeds, and over what is left when each is cut or spoilt somewhere.
    fn run(target: &str, check: fn(&[u8])) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seeds/");
        let seeds = std::fs::read_dir(format!("{folder}{target}")).expect("seeds");
        let mut count = 0;
        for seed in seeds {
            let seed = std::fs::read(seed.expect("an entry").path()).expect("a seed");
            check(&seed);
            for at in 0..seed.len() {
                check(&seed[..at]);
                let mut spoilt = seed.clone();
                for byte in [b'"', b'\\', b'{', 0, 0x80, 0xff] {
                    spoilt[at] = byte;
                    check(&spoilt);
                }
            }
            count += 1;
        }
        assert!(count > 0, "no seeds for {target}");
    }

    #[test]
    fn seeds_of_json_hold() {
        run("json_to_wire", json_to_wire);
    }

    #[test]
    fn seeds_of_wire_bytes_hold() {
        run("wire_to_json", wire_to_json);
    }

    #[test]
    fn seeds_of_streams_hold() {
        run("sse", sse);
        run("values", values);
        run("frame", frame);
    }

    #[test]
    fn seeds_of_templates_hold() {
        run("template", template);
    }

    #[test]
    fn seeds_of_proxies_and_peers_hold() {
        run("connect", connect);
        run("challenge", challenge);
        run("http2_frames", http2_frames);
        run("error_body", error_body);
    }
}
