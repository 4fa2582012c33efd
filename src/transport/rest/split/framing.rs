//! Framing: what every reader of an event stream does: it takes lines within a limit, gathers the
//! data of an event, and cuts the JSON that may follow outside of the framing.

use bytes::{Bytes, BytesMut};

use crate::transport::rest::split::lines::Lines;
use crate::transport::rest::split::piece::SplitFault;
use crate::transport::rest::split::values::ValueStream;

/// The lines of an event stream, and the JSON that may follow them.
#[derive(Debug)]
pub(super) struct Framing {
    lines: Lines,
    data: Option<Data>,
    /// The body turned into plain JSON: an error, which the service writes without any framing.
    raw: Option<ValueStream>,
    limit: usize,
}

/// The data of an event so far. Nearly always it is one line, which is not copied.
#[derive(Debug)]
enum Data {
    Line(Bytes),
    Lines(BytesMut),
}

impl Framing {
    /// `limit` is the most bytes of one event.
    pub(super) fn new(limit: usize) -> Self {
        Self { lines: Lines::default(), data: None, raw: None, limit }
    }

    /// Takes the next bytes of the body.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        match &mut self.raw {
            Some(raw) => raw.feed(&chunk),
            None => self.lines.feed(chunk),
        }
    }

    /// Whether the body has turned into plain JSON.
    pub(super) fn is_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// A whole line, or `None` until more was fed.
    ///
    /// # Errors
    /// The event is over the limit with it.
    pub(super) fn next_line(&mut self) -> Result<Option<Bytes>, SplitFault> {
        let line = self.lines.next();
        let length = line.as_ref().map_or(self.lines.len(), Bytes::len);
        if length + self.data.as_ref().map_or(0, Data::len) > self.limit {
            return Err(SplitFault::TooLarge);
        }
        Ok(line)
    }

    /// The line that the body ended in, if it did so inside one.
    pub(super) fn last_line(&mut self) -> Option<Bytes> {
        let has_one = self.raw.is_none() && self.lines.len() > 0;
        has_one.then(|| self.lines.take_rest())
    }

    /// Adds a line to the data of the event.
    pub(super) fn add_data(&mut self, value: Bytes) {
        self.data = Some(match self.data.take() {
            None => Data::Line(value),
            Some(data) => {
                let mut lines = data.into_lines();
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&value);
                Data::Lines(lines)
            }
        });
    }

    /// The data of the event that ends here, if it has some.
    pub(super) fn take_data(&mut self) -> Option<Bytes> {
        self.data.take().map(Data::into_bytes)
    }

    /// From this line on the body is plain JSON.
    pub(super) fn begin_raw(&mut self, line: &[u8]) {
        let mut raw = ValueStream::new(MAX_RAW);
        raw.feed(line);
        raw.feed(b"\n");
        raw.feed(&self.lines.take_rest());
        self.raw = Some(raw);
    }

    /// The next JSON text outside of the framing.
    pub(super) fn next_raw(&mut self) -> Result<Option<Bytes>, SplitFault> {
        let Some(raw) = &mut self.raw else { return Ok(None) };
        raw.next()
    }

    /// Takes the end of the body.
    ///
    /// # Errors
    /// It ended within a text outside of the framing.
    pub(super) fn finish_raw(&self) -> Result<(), SplitFault> {
        self.raw.as_ref().map_or(Ok(()), ValueStream::finish)
    }
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Line(line) => line.len(),
            Self::Lines(lines) => lines.len(),
        }
    }

    fn into_lines(self) -> BytesMut {
        match self {
            Self::Line(line) => BytesMut::from(line),
            Self::Lines(lines) => lines,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Line(line) => line,
            Self::Lines(lines) => lines.freeze(),
        }
    }
}

/// The first line without a byte order mark.
pub(super) fn without_mark(line: Bytes) -> Bytes {
    if line.starts_with(BYTE_ORDER_MARK) { line.slice(BYTE_ORDER_MARK.len()..) } else { line }
}

/// Whether a body that starts so is JSON without any framing.
pub(super) fn is_plain_json(start: &[u8]) -> bool {
    begins_as_json(start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start))
}

/// Whether a text begins as a JSON object or list does.
pub(super) fn begins_as_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The end mark of other services; tolerated.
pub(super) const DONE: &[u8] = b"[DONE]";
/// Most bytes of an error outside the framing.
pub(super) const MAX_RAW: usize = 1 << 20;
