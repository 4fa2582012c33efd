//! Ledger: which calls stand on a connection, read from the bytes that pass both ways.

use std::collections::HashSet;

/// The calls of one connection that have begun and not ended.
pub(super) enum Ledger {
    Http1 { is_open: bool, answer: Answer },
    Http2 { open: HashSet<u32>, from_client: FrameHeads, from_service: FrameHeads },
}

impl Ledger {
    pub(super) fn new(is_http2: bool) -> Self {
        if is_http2 {
            let from_client = FrameHeads { head: Vec::new(), skip: PREFACE_LENGTH };
            Self::Http2 { open: HashSet::new(), from_client, from_service: FrameHeads::default() }
        } else {
            Self::Http1 { is_open: false, answer: Answer::default() }
        }
    }

    /// What the client sent, as soon as it has left the client.
    pub(super) fn requests(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1 { is_open, .. } => *is_open = true,
            Self::Http2 { open, from_client, .. } => from_client.read(bytes, |head| {
                if head.kind == HEADERS {
                    open.insert(head.stream);
                } else if head.kind == RST_STREAM {
                    open.remove(&head.stream);
                }
            }),
        }
    }

    /// What the client has been sent.
    pub(super) fn answers(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1 { is_open, answer } => *is_open &= !answer.ends_with(bytes),
            Self::Http2 { open, from_service, .. } => from_service.read(bytes, |head| {
                let carries_end = head.kind == HEADERS || head.kind == DATA;
                if head.kind == RST_STREAM || carries_end && head.flags & END_STREAM != 0 {
                    open.remove(&head.stream);
                }
            }),
        }
    }

    pub(super) fn calls(&self) -> usize {
        match self {
            Self::Http1 { is_open, .. } => usize::from(*is_open),
            Self::Http2 { open, .. } => open.len(),
        }
    }
}

/// The head of an HTTP/2 frame ([RFC 9113, section
/// 4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).
struct FrameHead {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// Finds the heads of frames in bytes that come in any pieces.
#[derive(Default)]
pub(super) struct FrameHeads {
    head: Vec<u8>,
    skip: usize,
}

impl FrameHeads {
    fn read(&mut self, mut bytes: &[u8], mut see: impl FnMut(FrameHead)) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let wanted = (9 - self.head.len()).min(bytes.len() - skipped);
            self.head.extend(&bytes[skipped..skipped + wanted]);
            bytes = &bytes[skipped + wanted..];
            if let [a, b, c, kind, flags, d, e, f, g] = self.head[..] {
                see(FrameHead { kind, flags, stream: u32::from_be_bytes([d, e, f, g]) });
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                self.head.clear();
            }
        }
    }
}

/// Finds the end of each answer of HTTP/1.1.
#[derive(Default)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    /// Whether these bytes end an answer.
    fn ends_with(&mut self, bytes: &[u8]) -> bool {
        self.0.extend(bytes);
        let ended = self.is_whole();
        if ended {
            self.0.clear();
        }
        ended
    }

    fn is_whole(&self) -> bool {
        let Some(end) = self.0.windows(4).position(|window| window == b"\r\n\r\n") else {
            return false;
        };
        let head = String::from_utf8_lossy(&self.0[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        match length {
            Some(length) => {
                let length: usize = length.trim().parse().expect("a length");
                self.0.len() >= end + 4 + length
            }
            None => self.0.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

const PREFACE_LENGTH: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
