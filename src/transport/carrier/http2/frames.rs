//! HTTP/2 frames of one direction, walked by their headers as the bytes pass by.
//!
//! Only what decides about a connection is read: SETTINGS, GOAWAY and the window of the whole
//! connection. All other payload is stepped over ([RFC 9113, section
//! 4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).

/// What the bytes of one direction tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Any frame begins; its header ends at this place in the stream of bytes.
    Head(Head),
    /// The sender's settings, not the acknowledgement of its peer's.
    Settings(Settings),
    GoAway(GoAway),
    /// The sender takes so many bytes more, on all streams together.
    Window {
        increment: u32,
    },
}

/// What a sender asks of its peer, as far as it says anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) max_streams: Option<u32>,
    /// Bytes of the headers of one request, by the count of RFC 9113, section 6.5.2.
    pub(super) max_header_list: Option<u32>,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 0 for the whole connection.
    pub(super) stream: u32,
    /// Of the payload.
    pub(super) length: u32,
    /// Bytes of the connection up to the end of this frame.
    pub(super) end: u64,
}

impl Head {
    /// Whether it ends what its sender says on the stream.
    pub(super) fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// The peer closes the connection: streams above `last_stream` were not processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoAway {
    pub(crate) last_stream: u32,
    pub(crate) reason: u32,
    /// The first bytes of what the peer says about it.
    pub(crate) text: Box<[u8]>,
}

/// Where in the stream of frames the last byte stood.
#[derive(Debug)]
pub(super) struct FrameWalk {
    part: Part,
    /// Bytes so far.
    walked: u64,
    /// The stream of the current frame.
    stream: u32,
    /// Payload of the current frame that has not come yet.
    left: usize,
    held: [u8; MAX_HELD],
    held_length: usize,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Header,
    Settings,
    GoAway,
    Window,
    Other,
}

impl FrameWalk {
    /// What a server says.
    pub(super) fn new() -> Self {
        Self {
            part: Part::Header,
            walked: 0,
            stream: 0,
            left: 0,
            held: [0; MAX_HELD],
            held_length: 0,
            settings: Settings::default(),
        }
    }

    /// What a client says: frames after the preface.
    pub(super) fn of_client() -> Self {
        Self { part: Part::Other, left: PREFACE_LENGTH, ..Self::new() }
    }

    /// Bytes so far.
    pub(super) fn walked(&self) -> u64 {
        self.walked
    }

    /// The stream whose frame goes on with the next byte; `None` if a frame begins there.
    pub(super) fn open_stream(&self) -> Option<u32> {
        (self.left > 0).then_some(self.stream)
    }

    /// Takes the next bytes and tells each frame of interest once it is complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if let Part::Header = self.part {
                bytes = self.feed_header(bytes, &mut tell);
            } else {
                let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
                self.feed_payload(payload);
                bytes = rest;
            }
            if self.left == 0
                && let Some(frame) = self.finish_frame()
            {
                tell(frame);
            }
        }
    }

    fn feed_header<'a>(&mut self, bytes: &'a [u8], tell: &mut impl FnMut(Frame)) -> &'a [u8] {
        let rest = self.hold(bytes, HEADER_LENGTH);
        self.walked += (bytes.len() - rest.len()) as u64;
        let Some(&[a, b, c, kind, flags, ref stream @ ..]) =
            self.held.first_chunk::<HEADER_LENGTH>()
        else {
            return rest;
        };
        if self.held_length == HEADER_LENGTH {
            let length = u32::from_be_bytes([0, a, b, c]);
            self.held_length = 0;
            self.left = length as usize;
            self.stream = u32::from_be_bytes(*stream) & STREAM_BITS;
            self.part = match kind {
                SETTINGS if flags & ACK == 0 => Part::Settings,
                GOAWAY => Part::GoAway,
                WINDOW_UPDATE if self.stream == 0 => Part::Window,
                _ => Part::Other,
            };
            let end = self.walked + u64::from(length);
            tell(Frame::Head(Head { kind, flags, stream: self.stream, length, end }));
        }
        rest
    }

    fn feed_payload(&mut self, mut payload: &[u8]) {
        self.left -= payload.len();
        self.walked += payload.len() as u64;
        match self.part {
            Part::Settings => {
                while !payload.is_empty() {
                    payload = self.hold(payload, SETTING_LENGTH);
                    self.read_setting();
                }
            }
            Part::GoAway | Part::Window => {
                self.hold(payload, MAX_HELD);
            }
            Part::Header | Part::Other => {}
        }
    }

    fn read_setting(&mut self) {
        if let Some(&[0, name, a, b, c, d]) = self.held.get(..self.held_length) {
            let value = Some(u32::from_be_bytes([a, b, c, d]));
            match name {
                MAX_CONCURRENT_STREAMS => self.settings.max_streams = value,
                MAX_HEADER_LIST_SIZE => self.settings.max_header_list = value,
                _ => {}
            }
        }
        if self.held_length == SETTING_LENGTH {
            self.held_length = 0;
        }
    }

    /// Ends the current frame, if one is open: a frame without payload ends with its header.
    fn finish_frame(&mut self) -> Option<Frame> {
        let part = std::mem::replace(&mut self.part, Part::Header);
        if let Part::Header = part {
            return None;
        }
        let held = self.held.get(..self.held_length).unwrap_or_default();
        let frame = match part {
            Part::Settings => Some(Frame::Settings(std::mem::take(&mut self.settings))),
            Part::GoAway => read_go_away(held).map(Frame::GoAway),
            Part::Window => held.first_chunk().map(|increment| Frame::Window {
                increment: u32::from_be_bytes(*increment) & STREAM_BITS,
            }),
            Part::Header | Part::Other => None,
        };
        self.held_length = 0;
        frame
    }

    /// Holds bytes until `wanted` are there; what is beyond stays outside.
    fn hold<'a>(&mut self, bytes: &'a [u8], wanted: usize) -> &'a [u8] {
        let taken = wanted.saturating_sub(self.held_length).min(bytes.len());
        let (part, rest) = bytes.split_at(taken);
        if let Some(room) = self.held.get_mut(self.held_length..self.held_length + taken) {
            room.copy_from_slice(part);
        }
        self.held_length += taken;
        rest
    }
}

/// Every frame of these chunks, and where the last byte stood; `is_client` says the preface first.
#[cfg(any(test, fuzzing))]
pub(crate) fn walk_frames<'a>(
    chunks: impl Iterator<Item = &'a [u8]>,
    is_client: bool,
    mut tell: impl FnMut(String),
) -> (u64, Option<u32>) {
    let mut walk = if is_client { FrameWalk::of_client() } else { FrameWalk::new() };
    for chunk in chunks {
        walk.feed(chunk, |frame| tell(format!("{frame:?}")));
    }
    (walk.walked(), walk.open_stream())
}

/// `None` if the frame is shorter than the specification allows; h2 fails the connection then.
fn read_go_away(held: &[u8]) -> Option<GoAway> {
    let (last_stream, held) = held.split_first_chunk()?;
    let (reason, text) = held.split_first_chunk()?;
    Some(GoAway {
        last_stream: u32::from_be_bytes(*last_stream) & STREAM_BITS,
        reason: u32::from_be_bytes(*reason),
        text: text.into(),
    })
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstBytes {
    Http2,
    Http1,
    Other,
    TooFew,
}

/// A server opens with SETTINGS
/// ([RFC 9113, section 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)); one that wants no
/// connection at all may send GOAWAY in its place.
pub(crate) fn judge_first_bytes(bytes: &[u8]) -> FirstBytes {
    if bytes.starts_with(b"HTTP/1.") {
        return FirstBytes::Http1;
    }
    let Some(&[a, b, c, kind, flags, stream @ ..]) = bytes.first_chunk::<HEADER_LENGTH>() else {
        return FirstBytes::TooFew;
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    let opens = match kind {
        SETTINGS => flags & ACK == 0 && length.is_multiple_of(SETTING_LENGTH),
        GOAWAY => length >= 8,
        _ => false,
    };
    if opens && stream == [0; 4] && length <= MAX_FIRST_FRAME {
        FirstBytes::Http2
    } else {
        FirstBytes::Other
    }
}

const HEADER_LENGTH: usize = 9;
const SETTING_LENGTH: usize = 6;
pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
/// The highest bit of a stream's number, and of an increment, is reserved.
const STREAM_BITS: u32 = 0x7fff_ffff;
/// `PRI * HTTP/2.0` and what follows it.
const PREFACE_LENGTH: usize = 24;
const MAX_CONCURRENT_STREAMS: u8 = 0x3;
const MAX_HEADER_LIST_SIZE: u8 = 0x6;
/// A header, a setting, or GOAWAY's eight bytes and the beginning of its text.
const MAX_HELD: usize = 72;
/// `SETTINGS_MAX_FRAME_SIZE` as it stands before any SETTINGS.
const MAX_FIRST_FRAME: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS_100: &[u8] = b"\0\0\x0c\x04\0\0\0\0\0\0\x04\0\0\xff\xff\0\x03\0\0\0\x64";
    const SETTINGS_16_KIB: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x06\0\0\x40\0";
    const SETTINGS_EMPTY: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    const DATA: &[u8] = b"\0\0\x05\0\0\0\0\0\x01\0\0\x08\x07\0";
    const GOAWAY_CALM: &[u8] = b"\0\0\x0c\x07\0\0\0\0\0\0\0\0\x05\0\0\0\x0bcalm";

    const WINDOW: &[u8] = b"\0\0\x04\x08\0\0\0\0\0\0\x01\0\0";
    const STREAM_WINDOW: &[u8] = b"\0\0\x04\x08\0\0\0\0\x01\0\x01\0\0";

    fn walk_from(mut walk: FrameWalk, stream: &[u8], size: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        for chunk in stream.chunks(size) {
            walk.feed(chunk, |frame| frames.push(frame));
        }
        assert_eq!((walk.walked(), walk.open_stream()), (stream.len() as u64, None));
        frames
    }

    /// What is told beside the heads.
    fn walk(stream: &[u8], size: usize) -> Vec<Frame> {
        let mut frames = walk_from(FrameWalk::new(), stream, size);
        frames.retain(|frame| !matches!(frame, Frame::Head(_)));
        frames
    }

    #[test]
    fn every_frame_is_told_by_its_head() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let last = b"\0\0\0\0\x01\0\0\0\x03";
        let stream = [&preface[..], SETTINGS_ACK, DATA, last].concat();
        let head = |kind, flags, stream, length, end| Head { kind, flags, stream, length, end };
        let expected =
            [head(SETTINGS, ACK, 0, 0, 33), head(0, 0, 1, 5, 47), head(0, END_STREAM, 3, 0, 56)];
        for size in 1..=stream.len() {
            let told = walk_from(FrameWalk::of_client(), &stream, size);
            assert_eq!(told, expected.map(Frame::Head), "chunks of {size}");
        }
        assert_eq!(expected.map(Head::ends_stream), [false, false, true]);
    }

    #[test]
    fn any_chunking_tells_the_same_frames() {
        let stream = [
            SETTINGS_100,
            SETTINGS_ACK,
            DATA,
            STREAM_WINDOW,
            WINDOW,
            SETTINGS_16_KIB,
            GOAWAY_CALM,
            DATA,
        ]
        .concat();
        let expected = [
            Frame::Settings(Settings { max_streams: Some(100), max_header_list: None }),
            Frame::Window { increment: 65_536 },
            Frame::Settings(Settings { max_streams: None, max_header_list: Some(16_384) }),
            Frame::GoAway(GoAway { last_stream: 5, reason: 11, text: (*b"calm").into() }),
        ];
        for size in 1..=stream.len() {
            assert_eq!(walk(&stream, size), expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_long_farewell_is_cut_and_a_short_frame_ignored() {
        let long = [b"\0\x01\0\x07\0\0\0\0\0".as_slice(), &[b'x'; 256]].concat();
        let frames = walk(&[long.as_slice(), SETTINGS_EMPTY].concat(), 7);
        let lengths = frames.iter().map(|frame| match frame {
            Frame::GoAway(go_away) => Some(go_away.text.len()),
            Frame::Settings(_) | Frame::Window { .. } | Frame::Head(_) => None,
        });
        assert_eq!(lengths.collect::<Vec<_>>(), [Some(MAX_HELD - 8), None]);
        assert_eq!(walk(b"\0\0\x02\x07\0\0\0\0\0ab", 3), []);
    }

    #[test]
    fn first_bytes_tell_the_protocol() {
        let cases: [(&[u8], FirstBytes); 9] = [
            (SETTINGS_100, FirstBytes::Http2),
            (SETTINGS_EMPTY, FirstBytes::Http2),
            (GOAWAY_CALM, FirstBytes::Http2),
            (SETTINGS_ACK, FirstBytes::Other),
            (DATA, FirstBytes::Other),
            (b"HTTP/1.1 400 Bad Request", FirstBytes::Http1),
            (b"<html><body>", FirstBytes::Other),
            (b"HTTP/", FirstBytes::TooFew),
            (b"", FirstBytes::TooFew),
        ];
        for (bytes, expected) in cases {
            assert_eq!(judge_first_bytes(bytes), expected, "{bytes:?}");
        }
    }
}
