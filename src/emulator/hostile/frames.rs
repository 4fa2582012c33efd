//! Frames: HTTP/2 passed on frame by frame, until GOAWAY takes the place of a request.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::Mutex;

use super::ending::Stream;
use super::stages::GoAway;
use super::tally::Tally;

/// What a client says first ([RFC 9113, section
/// 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a web server says that takes the preface for a request.
pub(super) const HTTP_1_BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Not the beginning of any protocol.
pub(super) const GARBAGE: &[u8] = &[0xfe; 64];

/// SETTINGS that leave all as it is.
pub(super) const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// SETTINGS with `MAX_CONCURRENT_STREAMS` 0.
pub(super) const NO_STREAMS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\0";

/// SETTINGS, and GOAWAY with this reason and no stream processed.
pub(super) const fn settings_and_go_away(reason: u8) -> [u8; 26] {
    let mut frames = *b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
    frames[25] = reason;
    frames
}

/// Passes HTTP/2 on until one side closes, or until GOAWAY covers a request.
///
/// Frames of refused requests go nowhere. They may break the header compression of later ones, but
/// there are no later ones after GOAWAY.
///
/// # Errors
/// One side broke its connection.
pub(super) async fn relay(
    client: Stream,
    target: Stream,
    go_away: GoAway,
    tally: &Tally,
) -> io::Result<()> {
    let (from_client, to_client) = split(client);
    let (from_target, to_target) = split(target);
    let to_client = Mutex::new(to_client);
    let requests = Requests { go_away, tally, passed: 0, last_seen: 0, last_passed: None };
    tokio::select! {
        biased;
        ended = requests.pass(from_client, to_target, &to_client) => ended,
        ended = pass_answers(from_target, &to_client) => ended,
    }
}

async fn pass_answers(
    mut from_target: impl AsyncRead + Unpin,
    to_client: &Mutex<impl AsyncWrite + Unpin>,
) -> io::Result<()> {
    while let Some(frame) = Frame::read(&mut from_target).await? {
        frame.write(&mut *to_client.lock().await).await?;
    }
    Ok(())
}

/// The client's side of a relayed connection.
struct Requests<'a> {
    go_away: GoAway,
    tally: &'a Tally,
    passed: usize,
    last_seen: u32,
    /// The last stream that passes, once GOAWAY was sent.
    last_passed: Option<u32>,
}

impl Requests<'_> {
    async fn pass(
        mut self,
        mut from_client: impl AsyncRead + Unpin,
        mut to_target: impl AsyncWrite + Unpin,
        to_client: &Mutex<impl AsyncWrite + Unpin>,
    ) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        from_client.read_exact(&mut preface).await?;
        to_target.write_all(&preface).await?;
        while let Some(frame) = Frame::read(&mut from_client).await? {
            let is_new = frame.kind() == HEADERS && frame.stream() > self.last_seen;
            if is_new && self.is_refused(frame.stream()) {
                self.refuse(frame.stream(), &mut *to_client.lock().await).await?;
                if self.go_away.covers_request {
                    return Ok(());
                }
            }
            if self.last_passed.is_none_or(|last| frame.stream() <= last) {
                frame.write(&mut to_target).await?;
            }
        }
        Ok(())
    }

    /// Counts the request that opens this stream.
    fn is_refused(&mut self, stream: u32) -> bool {
        self.tally.grpc_request();
        if self.last_passed.is_some() || self.passed == self.go_away.after {
            return true;
        }
        self.passed += 1;
        self.last_seen = stream;
        false
    }

    async fn refuse(
        &mut self,
        stream: u32,
        to_client: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let last_passed = self.last_seen;
        self.last_seen = stream;
        if self.last_passed.replace(last_passed).is_some() {
            return Ok(());
        }
        self.tally.strike();
        let last = if self.go_away.covers_request { stream } else { last_passed };
        let reason = u32::from(self.go_away.reason);
        let payload = [&last.to_be_bytes(), &reason.to_be_bytes(), self.go_away.text].concat();
        let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
        let header = [0, 0, length, GO_AWAY, 0, 0, 0, 0, 0];
        Frame { header, payload }.write(to_client).await
    }
}

/// A frame as it stands on the wire ([RFC 9113, section
/// 4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).
struct Frame {
    header: [u8; 9],
    payload: Vec<u8>,
}

impl Frame {
    /// `None` at the end of the stream.
    async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut header = [0; 9];
        if from.read(header.split_at_mut(1).0).await? == 0 {
            return Ok(None);
        }
        from.read_exact(header.split_at_mut(1).1).await?;
        let [a, b, c, ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        from.read_exact(&mut payload).await?;
        Ok(Some(Self { header, payload }))
    }

    async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&self.header).await?;
        to.write_all(&self.payload).await?;
        to.flush().await
    }

    fn kind(&self) -> u8 {
        let [_, _, _, kind, ..] = self.header;
        kind
    }

    fn stream(&self) -> u32 {
        let [.., a, b, c, d] = self.header;
        u32::from_be_bytes([a, b, c, d])
    }
}

const HEADERS: u8 = 1;
const GO_AWAY: u8 = 7;
