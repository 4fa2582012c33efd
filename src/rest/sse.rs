//! SSE: cuts an event stream into JSON texts, whatever its chunks
//! ([server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)).
//!
//! What a client of an API need not have is left out: event types, ids, and reconnection.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::cut::{Cut, CutFault};

/// An event stream, cut as it arrives.
#[derive(Debug)]
pub(crate) struct EventStream {
    held: BytesMut,
    /// Bytes of `held` known to hold no line end.
    scanned: usize,
    /// The line before ended in CR: an LF that follows belongs to it.
    after_cr: bool,
    begun: bool,
    data: Option<BytesMut>,
    /// The body turned into plain JSON: an error, which the service writes without any framing.
    in_raw: bool,
    limit: usize,
}

impl EventStream {
    /// `limit` is the most bytes of one event.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            held: BytesMut::new(),
            scanned: 0,
            after_cr: false,
            begun: false,
            data: None,
            in_raw: false,
            limit,
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    /// The next event, or `None` until more was fed.
    pub(crate) fn next(&mut self) -> Result<Option<Cut>, CutFault> {
        while !self.in_raw {
            let Some(line) = self.next_line() else {
                let held = self.held.len() + self.data.as_ref().map_or(0, BytesMut::len);
                return if held > self.limit { Err(CutFault::TooLarge) } else { Ok(None) };
            };
            if let Some(event) = self.take_line(line)? {
                return Ok(Some(Cut::Message(event)));
            }
        }
        self.next_raw()
    }

    /// What is left when the body has ended well.
    pub(crate) fn finish(&mut self) -> Result<Option<Cut>, CutFault> {
        if !self.in_raw && !self.held.is_empty() {
            let line = self.held.split().freeze();
            if let Some(event) = self.take_line(line)? {
                return Ok(Some(Cut::Message(event)));
            }
        }
        match self.end_event() {
            Some(event) => Ok(Some(Cut::Message(event))),
            None if self.in_raw && !self.held.trim_ascii().is_empty() => Err(CutFault::Truncated),
            None => Ok(None),
        }
    }

    /// A whole line, without its end.
    fn next_line(&mut self) -> Option<Bytes> {
        if self.after_cr && !self.held.is_empty() {
            self.after_cr = false;
            if self.held.first() == Some(&b'\n') {
                drop(self.held.split_to(1));
            }
        }
        let rest = self.held.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr2(b'\n', b'\r', rest) else {
            self.scanned = self.held.len();
            return None;
        };
        self.after_cr = rest.get(found) == Some(&b'\r');
        let mut line = self.held.split_to(self.scanned + found + 1);
        line.truncate(line.len() - 1);
        self.scanned = 0;
        Some(line.freeze())
    }

    /// An event, if the line ended one.
    fn take_line(&mut self, mut line: Bytes) -> Result<Option<Bytes>, CutFault> {
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(BYTE_ORDER_MARK) {
            line = line.slice(BYTE_ORDER_MARK.len()..);
        }
        if line.is_empty() {
            return Ok(self.end_event());
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            let value = line.slice_ref(value);
            match &mut self.data {
                None => self.data = Some(value.into()),
                Some(data) => {
                    data.extend_from_slice(b"\n");
                    data.extend_from_slice(&value);
                }
            }
            return Ok(None);
        }
        if line.first() == Some(&b':') || is_field(&line) {
            return Ok(None);
        }
        match line.trim_ascii_start().first() {
            Some(b'{' | b'[') if self.data.is_none() => {
                self.in_raw = true;
                let mut whole = BytesMut::from(line);
                whole.extend_from_slice(b"\n");
                whole.extend_from_slice(&self.held);
                self.held = whole;
                Ok(None)
            }
            Some(_) => Err(CutFault::NotAStream),
            None => Ok(None),
        }
    }

    fn end_event(&mut self) -> Option<Bytes> {
        let data = self.data.take()?.freeze();
        let is_empty = data.trim_ascii().is_empty() || *data == *DONE;
        (!is_empty).then_some(data)
    }

    /// Plain JSON is whole once it parses; it is the last thing in a body, and small.
    fn next_raw(&mut self) -> Result<Option<Cut>, CutFault> {
        let held = self.held.trim_ascii();
        if held.len() > MAX_RAW {
            return Err(CutFault::TooLarge);
        }
        let may_be_whole = matches!(held.last(), Some(b'}' | b']'));
        if may_be_whole && serde_json::from_slice::<serde::de::IgnoredAny>(held).is_ok() {
            return Ok(Some(Cut::Error(self.held.split().freeze())));
        }
        Ok(None)
    }
}

/// Whether the line is a field that says nothing about the data.
fn is_field(line: &[u8]) -> bool {
    [&b"event"[..], b"id", b"retry", b"data"].iter().any(|name| {
        line.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b":"))
    })
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The end mark of other services; tolerated.
const DONE: &[u8] = b"[DONE]";
/// Most bytes of an error outside the framing.
const MAX_RAW: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Events as text; an error is marked with `!`.
    fn cut(body: &[u8], chunk: usize) -> Result<Vec<String>, CutFault> {
        let mut stream = EventStream::new(1 << 16);
        let mut found = Vec::new();
        let text = |cut: Cut| match cut {
            Cut::Message(event) => String::from_utf8_lossy(&event).into_owned(),
            Cut::Error(error) => format!("!{}", String::from_utf8_lossy(error.trim_ascii())),
        };
        for chunk in body.chunks(chunk) {
            stream.feed(chunk);
            while let Some(cut) = stream.next()? {
                found.push(text(cut));
            }
        }
        while let Some(cut) = stream.finish()? {
            found.push(text(cut));
        }
        Ok(found)
    }

    #[test]
    fn events_are_cut_by_the_rules() {
        let cases: &[(&str, &[&str])] = &[
            ("data: {}\n\n", &["{}"]),
            ("data:{}\r\n\r\ndata: 1\r\rdata: 2\n\n", &["{}", "1", "2"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("\u{feff}data: 1\n\n", &["1"]),
            (": note\nevent: x\nid: 7\nretry: 1\ndata: 1\n\n", &["1"]),
            ("data: \u{2028}\n\n", &["\u{2028}"]),
            ("data: 1\n\ndata: [DONE]\n\n", &["1"]),
            ("data: 1\n\ndata: 2", &["1", "2"]),
            ("data: 1\n\ndata: 2\n", &["1", "2"]),
            ("\n\n\ndata\n\ndata: 1\n\n", &["1"]),
            ("data:  two spaces\n\n", &[" two spaces"]),
            (
                "data: 1\n\n{\n \"error\": {\"a\": \"}\"}\n}\n",
                &["1", "!{\n \"error\": {\"a\": \"}\"}\n}"],
            ),
            ("{\"error\":{}}", &["!{\"error\":{}}"]),
            ("[{\"error\":{}}]\n", &["![{\"error\":{}}]"]),
            ("", &[]),
        ];
        for (body, expected) in cases {
            for chunk in 1..=body.len().max(1) {
                let found = cut(body.as_bytes(), chunk);
                assert_eq!(
                    found.as_deref(),
                    Ok(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                    "{body:?} by {chunk}"
                );
            }
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_an_error() {
        for (body, fault) in
            [("<html>\n", CutFault::NotAStream), ("data: 1\n\n{\"error\":", CutFault::Truncated)]
        {
            for chunk in 1..=body.len() {
                assert_eq!(cut(body.as_bytes(), chunk), Err(fault), "{body:?} by {chunk}");
            }
        }
        assert_eq!(cut(&[b'x'; 1 << 17], 1 << 10), Err(CutFault::TooLarge));
    }

    proptest::proptest! {
        #[test]
        fn any_chunking_gives_the_same(body in "(data:? ?[a-z{}\u{e9}]{0,4}|[\r\n:]|\\{\"a\":1\\}|x){0,20}", chunk in 1_usize..9) {
            proptest::prop_assert_eq!(cut(body.as_bytes(), chunk), cut(body.as_bytes(), usize::MAX));
        }
    }
}
