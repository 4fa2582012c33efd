//! Download: the bytes of a file as they arrive; after an interruption only the rest is requested.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tonic::Status;
use tracing::debug;

use super::progress::{Progress, Reporter};
use super::session::malformed;
use crate::bridge::json::JsonRequest;
use crate::bridge::poll::Pauses;
use crate::carry::Core;
use crate::carry::exchange::WatchedBytes;
use crate::error::{Error, ErrorKind};
use crate::transport::rest::Expected;

/// A download that has not begun yet; made by [`Files::download`](crate::files::Files::download).
#[must_use = "a download does nothing before it is written somewhere"]
pub struct Download {
    core: Arc<Core>,
    target: String,
    patience: Duration,
    reporter: Reporter,
}

impl Download {
    pub(super) fn new(core: Arc<Core>, target: String) -> Self {
        Self { core, target, patience: PATIENCE, reporter: Reporter::default() }
    }

    /// How long the download may go on without a new byte. Within this time, interruptions are
    /// retried. Default: 2 minutes.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The bytes that have arrived so far, as a stream. It ends with the download.
    pub fn progress(&self) -> Progress {
        self.reporter.watch()
    }

    /// Writes the bytes as they arrive, in constant memory. Returns the file's length.
    ///
    /// # Errors
    /// The service refused the download. Or, with an [`Error`]: the service was not reached at all,
    /// the writer failed, nothing arrived for longer than [`patience`](Self::patience), or the file
    /// changed during the download. What was written by then is incomplete.
    pub async fn write_to(self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<u64, Status> {
        let mut copy =
            Copy { download: self, written: 0, has_begun: false, total: None, tag: None };
        let mut pauses = None;
        loop {
            let before = copy.written;
            let broken = match copy.carry_on(writer).await {
                Ok(()) => {
                    writer.flush().await.map_err(unwritten)?;
                    return Ok(copy.written);
                }
                Err(broken) => broken,
            };
            if copy.written > before {
                pauses = None;
            }
            if !copy.may_go_on(&broken) {
                return Err(broken);
            }
            debug!(written = copy.written, error = broken.message(), "a download broke");
            let patience = copy.download.patience;
            let pauses =
                pauses.get_or_insert_with(|| Pauses::new(FIRST_PAUSE, LONGEST_PAUSE, patience));
            if pauses.pause("").await.is_err() {
                return Err(broken);
            }
        }
    }

    /// Writes to a file. An existing file is replaced. If the download fails, the file is removed.
    ///
    /// # Errors
    /// As for [`write_to`](Self::write_to).
    pub async fn write_to_path(self, path: impl AsRef<Path>) -> Result<u64, Status> {
        let path = path.as_ref();
        let mut file = tokio::fs::File::create(path).await.map_err(|error| {
            Error::invalid_request(format!("cannot write {}", path.display()))
                .with_source(error)
                .with_remedy("check the path, and that this user may write the file")
        })?;
        let written = self.write_to(&mut file).await;
        if written.is_err() {
            drop(file);
            if let Err(error) = tokio::fs::remove_file(path).await {
                debug!(%error, "a part of a download is left");
            }
        }
        written
    }
}

/// A download under way.
struct Copy {
    download: Download,
    written: u64,
    /// The service has answered: what breaks now is an interruption.
    has_begun: bool,
    total: Option<u64>,
    /// The validator of the file, if the service gives one.
    tag: Option<String>,
}

impl Copy {
    /// One request, to the end of the file or to a break.
    async fn carry_on(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Status> {
        let core = Arc::clone(&self.download.core);
        let mut request = JsonRequest::new(core, http::Method::GET, &self.download.target);
        if self.written > 0 {
            request = request.header("range", format!("bytes={}-", self.written));
            if let Some(tag) = self.tag.as_ref().filter(|tag| is_strong(tag)) {
                request = request.header("if-range", tag);
            }
        }
        let (head, mut bytes) = request.exchange(Expected::Bytes).await?.into_parts();
        self.has_begun = true;
        let skipped = self.begin(&head)?;
        skip(&mut bytes, skipped).await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            writer.write_all(&piece).await.map_err(unwritten)?;
            self.written += piece.len() as u64;
            self.download.reporter.arrived(self.written);
        }
        match self.total {
            Some(total) if total != self.written => {
                let text = format!("of a file of {total} bytes {} came", self.written);
                Err(Error::new(ErrorKind::Truncated, text).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the head of an answer: how many of its bytes are here already.
    fn begin(&mut self, head: &http::response::Parts) -> Result<u64, Status> {
        let (length, tag) = (length_of(&head.headers), tag_of(&head.headers));
        if self.written == 0 {
            // Whatever file it was before, nothing of it was written.
            self.total = length;
            self.tag = tag;
            self.download.reporter.begin(length);
            return Ok(0);
        }
        let changed = || Status::from(Error::new(ErrorKind::Truncated, CHANGED));
        let same_tag = self.tag.as_ref().zip(tag.as_ref()).map(|(known, tag)| known == tag);
        if head.status == StatusCode::PARTIAL_CONTENT {
            let (start, total) = range_of(&head.headers)
                .ok_or_else(|| malformed("did not say which part of the file it sends"))?;
            let is_length = self.total.is_none_or(|known| total.is_none_or(|total| total == known));
            // A service may have passed over `If-Range`.
            let is_same = start == self.written && is_length && same_tag != Some(false);
            return if is_same { Ok(0) } else { Err(changed()) };
        }
        // The whole file once more; only a sign that it is the same makes its bytes the same.
        let is_same = match same_tag {
            Some(false) => false,
            Some(true) if self.tag.as_deref().is_some_and(is_strong) => true,
            Some(true) | None => self.total.is_some() && self.total == length,
        };
        if is_same { Ok(self.written) } else { Err(changed()) }
    }

    /// Whether the rest may come by another request: not after a refusal, or where the file is
    /// another by now.
    fn may_go_on(&self, broken: &Status) -> bool {
        let Some(error) = Error::of(broken) else {
            return matches!(
                broken.code(),
                tonic::Code::Unavailable | tonic::Code::ResourceExhausted
            );
        };
        match error.kind() {
            ErrorKind::Connect => self.has_begun,
            ErrorKind::Interrupted | ErrorKind::DeadlineExceeded => true,
            ErrorKind::Truncated => error.symptom().is_some(),
            ErrorKind::ForeignAnswer => {
                let status = error.symptom().and_then(|symptom| symptom.evidence().status());
                self.written > 0 && status.is_some_and(|status| status.is_server_error())
            }
            _ => false,
        }
    }
}

/// Reads so many bytes, and drops them.
async fn skip(bytes: &mut WatchedBytes, mut count: u64) -> Result<(), Status> {
    while count > 0 {
        let Some(piece) = bytes.next().await else { break };
        let piece = piece?;
        let length = piece.len() as u64;
        if length > count {
            bytes.put_back(piece.slice(usize::try_from(count).unwrap_or(usize::MAX)..));
        }
        count = count.saturating_sub(length);
    }
    Ok(())
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `bytes 5-9/10`: the first byte, and the length of the whole.
fn range_of(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

fn tag_of(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(header::ETAG)?.to_str().ok()?.to_owned())
}

/// Whether files with this tag are the same byte for byte.
fn is_strong(tag: &str) -> bool {
    !tag.starts_with("W/")
}

fn unwritten(error: std::io::Error) -> Status {
    Error::invalid_request("the download cannot be written").with_source(error).into()
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").finish_non_exhaustive()
    }
}

const CHANGED: &str = "the file changed while it was downloaded";
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
