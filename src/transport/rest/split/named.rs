//! Named: a streamed body cut into events with type and id, as their reader wants them
//! ([server-sent
//! events](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)).

use bytes::Bytes;

use crate::transport::rest::split::framing::{
    DONE, Framing, begins_as_json, is_plain_json, without_mark,
};
use crate::transport::rest::split::piece::SplitFault;
use crate::transport::rest::split::values::ValueStream;

/// A piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NamedPiece {
    /// An event; of a body that is JSON values, one of them.
    Event { event: Option<Bytes>, id: Option<Bytes>, data: Bytes },
    /// `[DONE]`: the end mark of some services.
    Done,
    /// JSON outside the framing, which is how the service ends a stream with an error.
    Error(Bytes),
}

/// A streamed body, cut as it arrives.
#[derive(Debug)]
pub(crate) enum NamedSplitter {
    Events(NamedEvents),
    Values(ValueStream),
}

impl NamedSplitter {
    /// By the first byte of the body that says something.
    pub(crate) fn for_body(start: &[u8], limit: usize) -> Self {
        if is_plain_json(start) {
            Self::Values(ValueStream::new(limit))
        } else {
            Self::Events(NamedEvents::new(limit))
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        match self {
            Self::Events(events) => events.framing.feed(Bytes::copy_from_slice(chunk)),
            Self::Values(values) => values.feed(chunk),
        }
    }

    /// The next piece, or `None` until more was fed.
    ///
    /// # Errors
    /// The body is no stream, or a piece is over the limit.
    pub(crate) fn next(&mut self) -> Result<Option<NamedPiece>, SplitFault> {
        match self {
            Self::Events(events) => events.next(),
            Self::Values(values) => Ok(values.next()?.map(as_event)),
        }
    }

    /// What is left when the body has ended well.
    ///
    /// # Errors
    /// The body ended within a piece.
    pub(crate) fn finish(&mut self) -> Result<Option<NamedPiece>, SplitFault> {
        match self {
            Self::Events(events) => events.finish(),
            Self::Values(values) => values.finish().map(|()| None),
        }
    }
}

/// An event stream.
#[derive(Debug)]
pub(crate) struct NamedEvents {
    framing: Framing,
    is_first_line: bool,
    event: Option<Bytes>,
    /// Holds for the events that follow, too.
    id: Option<Bytes>,
    /// The last line was no field: as the last thing in a body it is the text of whoever broke the
    /// stream.
    is_foreign: bool,
}

impl NamedEvents {
    fn new(limit: usize) -> Self {
        let framing = Framing::new(limit);
        Self { framing, is_first_line: true, event: None, id: None, is_foreign: false }
    }

    fn next(&mut self) -> Result<Option<NamedPiece>, SplitFault> {
        while !self.framing.is_raw() {
            let Some(line) = self.framing.next_line()? else { return Ok(None) };
            if let Some(piece) = self.take_line(line)? {
                return Ok(Some(piece));
            }
        }
        self.next_raw()
    }

    fn finish(&mut self) -> Result<Option<NamedPiece>, SplitFault> {
        if let Some(line) = self.framing.last_line()
            && let Some(piece) = self.take_line(line)?
        {
            return Ok(Some(piece));
        }
        if let Some(piece) = self.next_raw()? {
            return Ok(Some(piece));
        }
        if let Some(piece) = self.end_event() {
            // Events show no end of their own; JSON that is cut is no event.
            return match &piece {
                NamedPiece::Event { data, .. } if is_cut_json(data) => Err(SplitFault::Truncated),
                _ => Ok(Some(piece)),
            };
        }
        if !self.framing.is_raw() && self.is_foreign {
            return Err(SplitFault::NotAStream);
        }
        self.framing.finish_raw().map(|()| None)
    }

    /// An event, if the line ended one.
    fn take_line(&mut self, mut line: Bytes) -> Result<Option<NamedPiece>, SplitFault> {
        let is_first = std::mem::replace(&mut self.is_first_line, false);
        if is_first {
            line = without_mark(line);
        }
        if line.is_empty() {
            return Ok(self.end_event());
        }
        if line.first() == Some(&b':') {
            return Ok(None);
        }
        let (name, value) = field_of(&line);
        match name {
            b"data" => self.framing.add_data(line.slice_ref(value)),
            b"event" => self.event = Some(line.slice_ref(value)).filter(|event| !event.is_empty()),
            b"id" if !value.contains(&0) => {
                self.id = Some(line.slice_ref(value)).filter(|id| !id.is_empty());
            }
            b"id" | b"retry" => {}
            _ if begins_as_json(&line) => {
                self.framing.begin_raw(&line);
                return Ok(self.end_event());
            }
            _ if is_first => return Err(SplitFault::NotAStream),
            _ => {
                self.is_foreign = true;
                return Ok(None);
            }
        }
        self.is_foreign = false;
        Ok(None)
    }

    fn end_event(&mut self) -> Option<NamedPiece> {
        let event = self.event.take();
        let data = self.framing.take_data()?;
        if data.trim_ascii() == DONE {
            return Some(NamedPiece::Done);
        }
        Some(NamedPiece::Event { event, id: self.id.clone(), data })
    }

    fn next_raw(&mut self) -> Result<Option<NamedPiece>, SplitFault> {
        Ok(self.framing.next_raw()?.map(NamedPiece::Error))
    }
}

/// `name: value`, or a name alone.
fn field_of(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr::memchr(b':', line) else { return (line, &[]) };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    (name, value.strip_prefix(b" ").unwrap_or(value))
}

/// Whether a text begins as a JSON object or list and ends before it does.
fn is_cut_json(data: &[u8]) -> bool {
    if !begins_as_json(data) {
        return false;
    }
    let whole = serde_json::from_slice::<serde::de::IgnoredAny>(data);
    whole.is_err_and(|error| error.is_eof())
}

fn as_event(data: Bytes) -> NamedPiece {
    NamedPiece::Event { event: None, id: None, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each piece as text: `event/id/data`, `done`, or `!error`.
    fn cut(body: &[u8], chunk: usize) -> Result<Vec<String>, SplitFault> {
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        let told = |piece| match piece {
            NamedPiece::Event { event, id, data } => {
                let [event, id] = [event, id].map(|part| part.map(text).unwrap_or_default());
                format!("{event}/{id}/{}", text(data))
            }
            NamedPiece::Done => "done".to_owned(),
            NamedPiece::Error(error) => format!("!{}", text(error).trim()),
        };
        let mut cutter = NamedSplitter::for_body(body, 1 << 10);
        let mut found = Vec::new();
        for chunk in body.chunks(chunk.max(1)) {
            cutter.feed(chunk);
            while let Some(piece) = cutter.next()? {
                found.push(told(piece));
            }
        }
        while let Some(piece) = cutter.finish()? {
            found.push(told(piece));
        }
        Ok(found)
    }

    #[test]
    fn events_keep_their_type_and_id() {
        let cases: &[(&str, &[&str])] = &[
            (
                "event: interaction.start\ndata: {}\n\nid: 7\nevent: delta\ndata: 1\n\ndata: 2\n\n",
                &["interaction.start//{}", "delta/7/1", "/7/2"],
            ),
            ("event: done\ndata: [DONE]\n\n", &["done"]),
            ("data: 1\r\n\r\ndata: [DONE]", &["//1", "done"]),
            ("data: 1\n\nevent: last\ndata: 2", &["//1", "last//2"]),
            ("data: 1\nno field\n\n other: 2\ndata: 3\n\n", &["//1", "//3"]),
            ("data: {\"a\":[1]}", &["//{\"a\":[1]}"]),
            (": hi\nretry: 1\nevent: ping\ndata:\n\n", &["ping//"]),
            ("data: a\ndata:b\n\n", &["//a\nb"]),
            ("event: x\n\ndata: 1\n\n", &["//1"]),
            ("id: a\u{0}b\ndata: 1\n\n", &["//1"]),
            ("id: 7\ndata: 1\n\nid\ndata: 2\n\n", &["/7/1", "//2"]),
            ("event: x\nevent:\ndata: 1\n\n", &["//1"]),
            ("\u{feff}data: 1\n\n{\n\"error\":{}}\n", &["//1", "!{\n\"error\":{}}"]),
            ("[{\"a\":1}\n,{}]", &["//{\"a\":1}", "//{}"]),
            ("{\"a\":1}{}", &["//{\"a\":1}", "//{}"]),
            ("", &[]),
        ];
        for (body, expected) in cases {
            for chunk in 1..=body.len().max(1) {
                let found = cut(body.as_bytes(), chunk);
                let expected = expected.iter().map(ToString::to_string).collect();
                assert_eq!(found, Ok(expected), "{body:?} by {chunk}");
            }
        }
    }

    #[test]
    fn what_is_cut_or_no_stream_is_an_error() {
        for (body, fault) in [
            ("data: {\"a\":", SplitFault::Truncated),
            ("[{}", SplitFault::Truncated),
            ("data: 1\n\n{\"error\":", SplitFault::Truncated),
            ("upstream timed out", SplitFault::NotAStream),
            ("upstream timed out\ndata: 1\n\n", SplitFault::NotAStream),
            ("upstream timed out\n\n", SplitFault::NotAStream),
            ("data: 1\n\nupstream timed out", SplitFault::NotAStream),
        ] {
            assert_eq!(cut(body.as_bytes(), 3), Err(fault), "{body}");
        }
        let large = format!("data: {}\n\n", "x".repeat(1 << 11));
        assert_eq!(cut(large.as_bytes(), 100), Err(SplitFault::TooLarge));
    }

    proptest::proptest! {
        #[test]
        fn any_chunking_gives_the_same(body in "(data|event|id|: |:|\\n|\\r|\\{|\\}|\"|a|\\[DONE\\]){0,30}", chunk in 1_usize..9) {
            proptest::prop_assert_eq!(cut(body.as_bytes(), chunk), cut(body.as_bytes(), usize::MAX));
        }
    }
}
