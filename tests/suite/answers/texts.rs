//! Texts: what the rows are made of.

use std::io::Write as _;

use super::{Called, End, Row};
use flate2::write::{DeflateEncoder, GzEncoder};

/// With status 200, as JSON.
pub(super) fn json(body: &str) -> Vec<u8> {
    page("200 OK", "application/json; charset=UTF-8", body)
}

pub(super) fn events(body: &str) -> Vec<u8> {
    page("200 OK", "text/event-stream", body)
}

pub(super) fn page(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    crate::peers::answer_of(status, content_type, body).into_bytes()
}

pub(super) fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub(super) fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

pub(super) fn deflate(body: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// One chunk of a model's stream.
pub(super) const ONE: &str = r#"{"candidates":[{"content":{"parts":[{"text":"one"}]}}]}"#;
/// The last one.
pub(super) const END: &str =
    r#"{"candidates":[{"content":{"parts":[{"text":"two"}]},"finishReason":"STOP"}]}"#;
pub(super) const BOTH: &[&str] = &["\"one\"", "\"two\""];

pub(super) fn ok(count: usize, has: &'static [&'static str]) -> End {
    End::Ok(count, has, &[], None)
}

pub(super) fn row(what: &'static str, called: Called, answer: Vec<u8>, end: End) -> Row {
    Row { what, called, answer, end }
}
