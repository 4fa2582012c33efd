//! Page: the body behind a refusal, read for what it says, or to its end so that the connection can
//! be used again.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::answer::{Framing, Head};
use crate::symptom::Evidence;

/// What was read of a page.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Its first bytes, with the marks between its chunks.
    pub(super) first: Vec<u8>,
    /// It ended, and nothing stands behind it.
    pub(super) is_whole: bool,
}

impl Page {
    /// Reads what explains a refusal; a slow page is not waited for, nor is the end of a connection
    /// that the proxy keeps open behind it.
    pub(super) async fn skim<S: AsyncRead + Unpin>(
        stream: &mut S,
        head: &Head,
        after: BytesMut,
        deadline: Instant,
    ) -> Self {
        let patience = deadline.min(Instant::now() + SKIM_PATIENCE);
        Self::read(stream, head, after, Evidence::MAX_FIRST_BYTES, patience).await
    }

    /// Reads the page to its end, if that comes soon.
    pub(super) async fn drain<S: AsyncRead + Unpin>(
        stream: &mut S,
        head: &Head,
        after: BytesMut,
        deadline: Instant,
    ) -> Self {
        let patience = deadline.min(Instant::now() + DRAIN_PATIENCE);
        Self::read(stream, head, after, MAX_PAGE, patience).await
    }

    async fn read<S: AsyncRead + Unpin>(
        stream: &mut S,
        head: &Head,
        mut unread: BytesMut,
        limit: usize,
        patience: Instant,
    ) -> Self {
        let (mut page, mut end) = (Self::default(), End::new(head.framing()));
        let mut room = limit;
        let reading = async {
            loop {
                let kept = Evidence::MAX_FIRST_BYTES.saturating_sub(page.first.len());
                page.first.extend(unread.iter().take(kept));
                room = room.saturating_sub(unread.len());
                match end.feed(&mut unread) {
                    Ok(true) => {
                        page.is_whole = unread.is_empty();
                        return;
                    }
                    Ok(false) if room > 0 => {}
                    Ok(false) | Err(Unreadable) => return,
                }
                if !matches!(read_some(stream, &mut unread, room).await, Ok(1..)) {
                    return;
                }
            }
        };
        // Whatever was read until then is kept.
        let _ = timeout_at(patience, reading).await;
        page
    }
}

/// Looks for the end of a page.
#[derive(Debug)]
enum End {
    Length(u64),
    Chunk(Chunk),
    Never,
}

/// What is expected next of a page in chunks.
#[derive(Debug)]
enum Chunk {
    Size,
    Data(u64),
    /// The line end behind a chunk.
    Gap,
    Trailers,
}

/// The page breaks the rules of chunks.
#[derive(Debug)]
struct Unreadable;

impl End {
    fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunk(Chunk::Size),
            Framing::Open => Self::Never,
        }
    }

    /// Takes what belongs to the page; true at its end.
    fn feed(&mut self, bytes: &mut BytesMut) -> Result<bool, Unreadable> {
        match self {
            Self::Length(left) => {
                take(bytes, left);
                Ok(*left == 0)
            }
            Self::Chunk(chunk) => chunk.feed(bytes),
            Self::Never => {
                bytes.clear();
                Ok(false)
            }
        }
    }
}

impl Chunk {
    fn feed(&mut self, bytes: &mut BytesMut) -> Result<bool, Unreadable> {
        loop {
            if let Self::Data(left) = self {
                take(bytes, left);
                if *left > 0 {
                    return Ok(false);
                }
                *self = Self::Gap;
            }
            let Some(line) = take_line(bytes)? else { return Ok(false) };
            match self {
                Self::Size => {
                    *self = match read_size(&line).ok_or(Unreadable)? {
                        0 => Self::Trailers,
                        size => Self::Data(size),
                    }
                }
                Self::Gap if line.is_empty() => *self = Self::Size,
                Self::Trailers if line.is_empty() => return Ok(true),
                Self::Trailers => {}
                Self::Gap | Self::Data(_) => return Err(Unreadable),
            }
        }
    }
}

fn take(bytes: &mut BytesMut, left: &mut u64) {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    bytes.advance(length);
    *left = left.saturating_sub(length as u64);
}

/// A line without its end; `None` while it is incomplete.
fn take_line(bytes: &mut BytesMut) -> Result<Option<BytesMut>, Unreadable> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return if bytes.len() > MAX_LINE { Err(Unreadable) } else { Ok(None) };
    };
    let mut line = bytes.split_to(end + 1);
    line.truncate(end);
    if line.ends_with(b"\r") {
        line.truncate(end - 1);
    }
    Ok(Some(line))
}

/// The size of a chunk, without its extensions.
fn read_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
    let digits = size.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(size).ok().filter(|_| digits)?;
    u64::from_str_radix(text, 16).ok()
}

pub(super) async fn read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    room: usize,
) -> io::Result<usize> {
    let mut chunk = [0; 2048];
    let end = room.min(chunk.len());
    let chunk = chunk.get_mut(..end).unwrap_or_default();
    let length = stream.read(chunk).await?;
    buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
    Ok(length)
}

/// How long the page of a refusal is waited for, once its head is known.
pub(in crate::network) const SKIM_PATIENCE: Duration = Duration::from_millis(200);
/// How long the end of a page is waited for before a new connection is the better way.
pub(in crate::network) const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
/// Pages of 85 KB are known; beyond this a new connection is cheaper.
pub(in crate::network) const MAX_PAGE: usize = 256 * 1024;
const MAX_LINE: usize = 4096;

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;
    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    /// Whether the page ended, how much was left unread, or that it cannot be read.
    fn feed(framing: Framing, pieces: &[&[u8]]) -> Option<(bool, usize)> {
        let (mut end, mut unread) = (End::new(framing), BytesMut::new());
        let mut is_over = false;
        for piece in pieces {
            unread.extend_from_slice(piece);
            is_over = end.feed(&mut unread).ok()?;
        }
        Some((is_over, unread.len()))
    }

    #[test]
    fn the_end_of_a_page_is_found() {
        for (framing, page, expected) in [
            (Framing::Length(0), "", Some((true, 0))),
            (Framing::Length(4), "page", Some((true, 0))),
            (Framing::Length(4), "pag", Some((false, 0))),
            (Framing::Length(4), "page and more", Some((true, 9))),
            (Framing::Open, "page", Some((false, 0))),
            (Framing::Chunked, "0\r\n\r\n", Some((true, 0))),
            (Framing::Chunked, "4\r\npage\r\n0\r\n\r\n", Some((true, 0))),
            (
                Framing::Chunked,
                "4;a=b\r\npage\r\n00\r\nTrailer: x\r\nB: y\r\n\r\n",
                Some((true, 0)),
            ),
            (Framing::Chunked, "A\npage\n page\n0\n\n", Some((true, 0))),
            (Framing::Chunked, "0\r\n\r\nmore", Some((true, 4))),
            (Framing::Chunked, "4\r\npage\r\n", Some((false, 0))),
            (Framing::Chunked, "4\r\npagemore\r\n", None),
            (Framing::Chunked, "-4\r\npage", None),
            (Framing::Chunked, "\r\n", None),
            (Framing::Chunked, "fffffffffffffffff\r\n", None),
        ] {
            assert_eq!(feed(framing, &[page.as_bytes()]), expected, "{framing:?} {page:?}");
        }
        let line = [b'0'; MAX_LINE + 1];
        assert_eq!(feed(Framing::Chunked, &[&line[1..]]), Some((false, MAX_LINE)));
        assert_eq!(feed(Framing::Chunked, &[&line]), None);
    }

    fn head(lines: &str) -> Head {
        let text = format!("HTTP/1.1 407 Login\r\n{lines}\r\n\r\n");
        Head::parse(text.as_bytes()).expect("legal").expect("whole")
    }

    /// What a peer sent on a connection that it keeps open.
    struct Sent<'a>(&'a [u8]);

    impl AsyncRead for Sent<'_> {
        /// As a socket does, it waits where it has nothing to give.
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let length = self.0.len().min(buffer.remaining());
            if length == 0 {
                return Poll::Pending;
            }
            let (given, left) = self.0.split_at(length);
            buffer.put_slice(given);
            self.0 = left;
            Poll::Ready(Ok(()))
        }
    }

    /// What is read of a page, of which the head brought the beginning, and how long it takes.
    async fn read(lines: &str, with_head: &[u8], later: &[u8], limit: usize) -> (Page, Duration) {
        let began = Instant::now();
        let patience = began + Duration::from_secs(5);
        let page =
            Page::read(&mut Sent(later), &head(lines), with_head.into(), limit, patience).await;
        (page, began.elapsed())
    }

    /// The connection stays open behind each.
    #[tokio::test(start_paused = true)]
    async fn a_page_is_waited_for_to_its_end_or_its_limit() {
        let (none, all) = (Duration::ZERO, Duration::from_secs(5));
        for (lines, with_head, later, is_whole, took) in [
            ("Content-Length: 8", "pagepage", "", true, none),
            ("Content-Length: 8", "page", "page", true, none),
            ("Content-Length: 8", "page", "pag", false, all),
            ("Content-Length: 9", "page", "page", false, none),
            ("Content-Length: 4", "pagepage", "", false, none),
            ("Via: x", "page", "pag", false, all),
            ("Via: x", "pagepage", "", false, none),
            ("Via: x", "page", "page and more", false, none),
            ("Transfer-Encoding: chunked", "x\r\n", "", false, none),
        ] {
            let (page, waited) = read(lines, with_head.as_bytes(), later.as_bytes(), 8).await;
            let case = format!("{lines}, {with_head} {later}");
            assert_eq!((page.is_whole, waited), (is_whole, took), "{case}");
            let sent = format!("{with_head}{later}");
            assert_eq!(page.first, &sent.as_bytes()[..sent.len().min(8)], "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_of_a_long_page_are_kept() {
        let long = [b'x'; 2 * Evidence::MAX_FIRST_BYTES];
        let (begin, rest) = long.split_at(1_000);
        let (page, _) = read("Content-Length: 2048", begin, rest, MAX_PAGE).await;
        assert!(page.is_whole);
        assert_eq!(page.first.len(), Evidence::MAX_FIRST_BYTES);
    }

    proptest! {
        #[test]
        fn a_page_ends_at_the_same_place_however_it_is_cut(page in "([0-9a-f]{1,2}|\r\n|x){0,40}", cut in 0_usize..80) {
            let page = page.as_bytes();
            let (before, after) = page.split_at(cut.min(page.len()));
            // In one piece the end is not looked for twice.
            if feed(Framing::Chunked, &[before]).is_some_and(|(is_over, _)| !is_over) {
                prop_assert_eq!(feed(Framing::Chunked, &[page]), feed(Framing::Chunked, &[before, after]));
            }
        }
    }
}
