//! SSE: cuts an event stream into JSON texts, whatever its chunks ([server-sent
//! events](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)).
//!
//! What a client of an API need not have is left out: ids, reconnection, and event types but two
//! that gateways use: `ping`, which keeps a connection alive, and `error`.

use bytes::{Buf, Bytes, BytesMut};

use crate::transport::rest::split::framing::{DONE, Framing, begins_as_json, without_mark};
use crate::transport::rest::split::piece::{Piece, SplitFault};

/// An event stream, cut as it arrives.
#[derive(Debug)]
pub(crate) struct EventStream {
    framing: Framing,
    state: State,
    event: Event,
    /// What is no part of an event stream.
    foreign: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first line.
    Start,
    /// Before the first field.
    Opening,
    Stream,
    /// After a line that is no field. Readers pass over such lines; as the last thing in a body it
    /// is the text of an intermediary that broke the stream.
    Foreign,
}

/// What an event is, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Message,
    /// It keeps the connection alive, and says nothing.
    Ping,
    Error,
}

impl EventStream {
    /// `limit` is the most bytes of one event.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            framing: Framing::new(limit),
            state: State::Start,
            event: Event::Message,
            foreign: BytesMut::new(),
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        self.framing.feed(chunk);
    }

    /// The next event, or `None` until more was fed.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, SplitFault> {
        while !self.framing.is_raw() {
            let Some(line) = self.framing.next_line()? else { return Ok(None) };
            if let Some(event) = self.take_line(line)? {
                return Ok(Some(event));
            }
        }
        self.next_raw()
    }

    /// What is left when the body has ended well. A last event needs no empty line after it: JSON
    /// shows for itself whether it is whole.
    pub(crate) fn finish(&mut self) -> Result<Option<Piece>, SplitFault> {
        if let Some(line) = self.framing.last_line() {
            let is_whole =
                is_comment(&line) || value_of(&line).is_some_and(|value| !value.is_empty());
            if let Some(event) = self.take_line(line)? {
                return Ok(Some(event));
            }
            if !is_whole && !self.framing.is_raw() {
                return Err(SplitFault::Truncated);
            }
        }
        if let Some(event) = self.end_event() {
            return Ok(Some(event));
        }
        if let Some(error) = self.next_raw()? {
            return Ok(Some(error));
        }
        if !self.framing.is_raw() && self.state == State::Foreign {
            return Err(SplitFault::NotAStream);
        }
        self.framing.finish_raw().map(|()| None)
    }

    /// An event, if the line ended one.
    fn take_line(&mut self, mut line: Bytes) -> Result<Option<Piece>, SplitFault> {
        if self.state == State::Start {
            self.state = State::Opening;
            line = without_mark(line);
        }
        if line.is_empty() {
            return Ok(self.end_event());
        }
        if let Some(value) = value_of(&line) {
            self.state = State::Stream;
            let before = line.len() - value.len();
            line.advance(before);
            self.framing.add_data(line);
            return Ok(None);
        }
        if is_comment(&line) {
            return Ok(None);
        }
        if is_other_field(&line) {
            self.state = State::Stream;
            if let Some(name) = line.strip_prefix(b"event:") {
                self.event = Event::named(name.trim_ascii());
            }
            return Ok(None);
        }
        if begins_as_json(&line) {
            self.framing.begin_raw(&line);
            return Ok(self.end_event());
        }
        if self.foreign.len() < MAX_FOREIGN {
            self.foreign.extend_from_slice(&line);
            self.foreign.extend_from_slice(b"\n");
        }
        if self.state == State::Opening {
            return Err(SplitFault::NotAStream);
        }
        self.state = State::Foreign;
        Ok(None)
    }

    /// What is no part of an event stream, as far as it was kept.
    pub(crate) fn foreign(&self) -> &[u8] {
        &self.foreign
    }

    fn end_event(&mut self) -> Option<Piece> {
        let event = std::mem::replace(&mut self.event, Event::Message);
        let data = self.framing.take_data()?;
        let text = data.trim_ascii();
        match event {
            Event::Message if !text.is_empty() && text != DONE => Some(Piece::Message(data)),
            Event::Error => Some(Piece::Error(data)),
            Event::Message | Event::Ping => None,
        }
    }

    fn next_raw(&mut self) -> Result<Option<Piece>, SplitFault> {
        Ok(self.framing.next_raw()?.map(Piece::Error))
    }
}

impl Event {
    fn named(name: &[u8]) -> Self {
        match name {
            b"ping" => Self::Ping,
            b"error" => Self::Error,
            _ => Self::Message,
        }
    }
}

/// The value of a `data` field.
fn value_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

fn is_comment(line: &[u8]) -> bool {
    line.first() == Some(&b':')
}

/// Whether the line is a field that says nothing about the data.
fn is_other_field(line: &[u8]) -> bool {
    [&b"event"[..], b"id", b"retry"].iter().any(|name| {
        line.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b":"))
    })
}

/// Most bytes that are kept of what is no part of a stream, but for its last line.
const MAX_FOREIGN: usize = 1 << 12;

#[cfg(test)]
#[path = "../../../../tests/shared_data/sse.rs"]
mod shared_data;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::rest::split::framing::MAX_RAW;

    /// Events as text; an error is marked with `!`, and ends the stream.
    pub(crate) fn cut(body: &[u8], chunk: usize) -> Result<Vec<String>, SplitFault> {
        let mut stream = EventStream::new(1 << 16);
        let mut found = Vec::new();
        let mut chunks = body.chunks(chunk);
        let mut ended = false;
        loop {
            let cut = if ended { stream.finish()? } else { stream.next()? };
            match cut {
                Some(Piece::Message(event)) => found.push(String::from_utf8_lossy(&event).into()),
                Some(Piece::Error(error)) => {
                    found.push(format!("!{}", String::from_utf8_lossy(error.trim_ascii())));
                    return Ok(found);
                }
                None if ended => return Ok(found),
                None => match chunks.next() {
                    Some(chunk) => stream.feed(Bytes::copy_from_slice(chunk)),
                    None => ended = true,
                },
            }
        }
    }

    fn check_whatever_the_chunks(body: &str, expected: &Result<Vec<String>, SplitFault>) {
        for chunk in 1..=body.len().max(1) {
            assert_eq!(cut(body.as_bytes(), chunk), *expected, "{body:?} by {chunk}");
        }
    }

    #[test]
    fn events_are_cut_by_the_rules() {
        let cases: &[(&str, &[&str])] = &[
            ("data: {}\n\n", &["{}"]),
            ("data:{}\r\n\r\ndata: 1\r\rdata: 2\n\n", &["{}", "1", "2"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("data: a\ndata\ndata:b\n\n", &["a\n\nb"]),
            ("\u{feff}data: 1\n\n", &["1"]),
            (": note\nevent: x\nid: 7\nretry: 1\ndata: 1\n\n", &["1"]),
            ("data: \u{2028}\n\n", &["\u{2028}"]),
            ("data: 1\n\ndata: [DONE]\n\n", &["1"]),
            ("data: 1\n\ndata: [DONE]", &["1"]),
            ("data: 1\n\ndata: 2", &["1", "2"]),
            ("data: 1\n\ndata: 2\n", &["1", "2"]),
            ("data: 1\n\n: note", &["1"]),
            ("\n\n\ndata\n\ndata: 1\n\n", &["1"]),
            ("data:  two spaces\n\n", &[" two spaces"]),
            ("data: 1\nno field\n\n other: 2\ndata: 3\n\n", &["1", "3"]),
            (
                "data: 1\n\n{\n \"error\": {\"a\": \"}\"}\n}\n",
                &["1", "!{\n \"error\": {\"a\": \"}\"}\n}"],
            ),
            ("data: 1\r\n{\r\n\"error\":{}}", &["1", "!{\n\n\"error\":{}}"]),
            ("event: ping\ndata: x\n\ndata: 1\n\n", &["1"]),
            ("event:ping\ndata: x\n\nevent: other\ndata: 1\n\n", &["1"]),
            ("data: 1\n\nevent: error\ndata: no\n\n", &["1", "!no"]),
            ("event: error\nevent: ping\n\ndata: 1\n\n", &["1"]),
            ("{\"error\":{}}", &["!{\"error\":{}}"]),
            ("[{\"error\":{}}]\n", &["!{\"error\":{}}"]),
            ("", &[]),
            ("\n", &[]),
        ];
        for (body, expected) in cases {
            check_whatever_the_chunks(
                body,
                &Ok(expected.iter().map(ToString::to_string).collect()),
            );
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_an_error() {
        for (body, fault) in [
            ("<html>\n", SplitFault::NotAStream),
            ("Bad gateway", SplitFault::NotAStream),
            ("data: 1\n\nupstream connect error\n", SplitFault::NotAStream),
            ("data: 1\n\nupstream connect error", SplitFault::Truncated),
            ("data: 1\n\n{\"error\":", SplitFault::Truncated),
            ("data: 1\n\n{\"error\":\n", SplitFault::Truncated),
            ("data: 1\n\nda", SplitFault::Truncated),
            ("data: 1\n\ndata", SplitFault::Truncated),
            ("data: 1\n\ndata: ", SplitFault::Truncated),
            ("data: 1\n\nid: 7", SplitFault::Truncated),
        ] {
            check_whatever_the_chunks(body, &Err(fault));
        }
    }

    #[test]
    fn what_is_foreign_is_kept_for_the_error_and_not_without_end() {
        let foreign = |body: &[u8]| {
            let mut stream = EventStream::new(1 << 16);
            stream.feed(Bytes::copy_from_slice(body));
            while let Ok(Some(_)) = stream.next() {}
            stream.foreign().to_vec()
        };
        assert_eq!(foreign(b"data: 1\n\nupstream\nconnect error\n"), b"upstream\nconnect error\n");
        assert_eq!(foreign(b"<html>\n"), b"<html>\n");
        assert!(foreign(b"data: 1\n\n").is_empty());
        let line = [b"x".repeat(99).as_slice(), b"\n"].concat();
        let long = foreign(&[b"data: 1\n\n", line.repeat(1_000).as_slice()].concat());
        assert!((MAX_FOREIGN..MAX_FOREIGN + line.len()).contains(&long.len()), "{}", long.len());
    }

    #[test]
    fn no_body_is_held_without_limit() {
        let line = vec![b'x'; 1 << 17];
        let event = b"data: x\n".repeat(1 << 16);
        let error = [b"data: 1\n\n{\n", b" ".repeat(MAX_RAW).as_slice()].concat();
        let whole = [b"data: ", line.as_slice(), b"\n\n"].concat();
        for (name, body) in [("line", line), ("event", event), ("error", error), ("whole", whole)] {
            for chunk in [1 << 10, body.len()] {
                assert!(cut(&body, chunk) == Err(SplitFault::TooLarge), "{name} by {chunk}");
            }
        }
    }

    /// Each of its lines could be the last one; it is read once all the same.
    #[test]
    fn an_error_outside_the_framing_costs_its_size() {
        let error = format!("{{\"error\":[\n{}0]}}\n", "{},\n".repeat(MAX_RAW / 4 - 10));
        let found = cut(format!("data: 1\n\n{error}").as_bytes(), 1).expect("a stream");
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [1, error.len()]);
    }

    proptest::proptest! {
        #[test]
        fn any_chunking_gives_the_same(body in "(data:? ?[a-z{}\u{e9}]{0,4}|[\r\n:]|\\{\"a\":1\\}|x){0,20}", chunk in 1_usize..9) {
            proptest::prop_assert_eq!(cut(body.as_bytes(), chunk), cut(body.as_bytes(), usize::MAX));
        }
    }
}
