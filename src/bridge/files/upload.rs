//! Upload: the bytes of a source reach the service once, despite interruptions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tonic::{Code, Status};
use tracing::debug;

use super::progress::{Progress, Reporter};
use super::session::{Session, Standing, malformed};
use super::source::{Pieces, Source};
use crate::bridge::json::JsonRequest;
use crate::bridge::poll::Pauses;
use crate::carry::Core;
use crate::error::{Error, ErrorKind};
use crate::gemini;
use crate::json::member;
use crate::proto::google::ai::generativelanguage::v1beta;
use crate::proto::google::longrunning::Operation;

/// An upload that has not begun yet; made by [`Files::upload`](crate::files::Files::upload).
///
/// It sends the file in pieces and holds one piece in memory. After an interruption it asks the
/// service how much has arrived, and sends only the rest. If the upload fails or is dropped, it is
/// cancelled at the service.
#[must_use = "an upload does nothing before it is sent"]
pub struct Upload {
    core: Arc<Core>,
    version: &'static str,
    source: Source,
    mime_type: String,
    about: Map<String, Value>,
    piece_size: usize,
    patience: Duration,
    reporter: Reporter,
}

impl Upload {
    pub(super) fn new(core: Arc<Core>, version: &'static str, source: Source) -> Self {
        Self {
            core,
            version,
            source,
            mime_type: "application/octet-stream".to_owned(),
            about: Map::new(),
            piece_size: PIECE_SIZE,
            patience: PATIENCE,
            reporter: Reporter::default(),
        }
    }

    /// The MIME type. Default: `application/octet-stream`, which models do not read.
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = mime_type.into();
        self
    }

    /// The name that people see.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        self.about("displayName", name.into())
    }

    /// The resource name, `files/my-file`. Default: the service chooses one.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.about("name", name.into())
    }

    /// Sets any other member of the request that begins the upload, such as `customMetadata` or
    /// `chunkingConfig` for a store.
    pub fn about(mut self, member: impl Into<String>, value: impl Into<Value>) -> Self {
        self.about.insert(member.into(), value.into());
        self
    }

    /// The size of a piece in bytes, rounded to a multiple that the service accepts. Default: 8
    /// MiB.
    pub fn piece_size(mut self, bytes: usize) -> Self {
        self.piece_size = bytes.max(1);
        self
    }

    /// How long the upload may go on without progress. Within this time, interruptions are retried.
    /// Default: 2 minutes.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The bytes that have arrived so far, as a stream. It ends with the upload.
    pub fn progress(&self) -> Progress {
        self.reporter.watch()
    }

    /// Uploads the file. The service may process it afterwards: wait with
    /// [`wait_until_active`](crate::files::Files::wait_until_active).
    ///
    /// # Errors
    /// The service refused the upload. Or, with an [`Error`]: the source cannot be read or has
    /// another length than announced, there was no progress for longer than
    /// [`patience`](Self::patience), or the service named another host for the bytes.
    pub async fn send(mut self) -> Result<v1beta::File, Status> {
        let file = std::mem::take(&mut self.about);
        let target = format!("/upload/{}/files", self.version);
        let answer = self.run(&target, Some(file)).await?;
        let file = member(&answer, "file").ok_or_else(|| malformed("did not describe the file"))?;
        Ok(gemini::read_json("google.ai.generativelanguage.v1beta.File", file)?)
    }

    /// Uploads a document to a store, `fileSearchStores/my-store`. The operation is done when the
    /// document is indexed.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn send_to_store(self, store: &str) -> Result<Operation, Status> {
        let target = format!("/upload/{}/{store}:uploadToFileSearchStore", self.version);
        let answer = self.run(&target, None).await?;
        Ok(gemini::read_json("google.longrunning.Operation", &answer)?)
    }

    async fn run(self, target: &str, file: Option<Map<String, Value>>) -> Result<Bytes, Status> {
        let file_name = self.source.file_name();
        let mut pieces = self.source.open().await?;
        let about = about(&self.mime_type, self.about, file, pieces.length);
        let mut request = JsonRequest::new(Arc::clone(&self.core), http::Method::POST, target)
            .header("x-goog-upload-header-content-type", &self.mime_type)
            .value(&about);
        if let Some(length) = pieces.length {
            request = request.header("x-goog-upload-header-content-length", length.to_string());
        }
        if let Some(name) = file_name.filter(|name| name.bytes().all(is_visible)) {
            request = request.header("x-goog-upload-file-name", name);
        }
        self.reporter.begin(pieces.length);
        let session = Session::start(request, self.core).await?;
        let unit = session.granularity;
        let piece_size = (self.piece_size / unit * unit).max(unit);
        let reporter = self.reporter;
        let mut transfer = Transfer {
            session,
            offset: 0,
            piece_size,
            patience: self.patience,
            pauses: None,
            reporter,
        };
        transfer.run(&mut pieces).await
    }
}

fn is_visible(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// What the upload says of itself: of a file within `file`, of a document for a store as it is.
fn about(
    mime_type: &str,
    mut outside: Map<String, Value>,
    file: Option<Map<String, Value>>,
    length: Option<u64>,
) -> Value {
    let Some(mut file) = file else {
        outside.insert("mimeType".to_owned(), mime_type.into());
        return outside.into();
    };
    file.insert("mimeType".to_owned(), mime_type.into());
    if let Some(length) = length {
        file.insert("sizeBytes".to_owned(), length.into());
    }
    outside.insert("file".to_owned(), file.into());
    outside.into()
}

/// An upload under way.
struct Transfer {
    session: Session,
    /// Bytes that have arrived.
    offset: u64,
    piece_size: usize,
    patience: Duration,
    /// Since the last byte that arrived.
    pauses: Option<Pauses>,
    reporter: Reporter,
}

impl Transfer {
    async fn run(&mut self, pieces: &mut Pieces) -> Result<Bytes, Status> {
        loop {
            let (piece, is_last) = pieces.next(self.piece_size).await?;
            let length = piece.len();
            match self.session.send(self.offset, piece, is_last).await {
                Ok(Standing::Final(answer)) if is_last => {
                    self.arrived(pieces, length);
                    return Ok(answer);
                }
                Ok(Standing::Final(_)) => return Err(self.ended_early()),
                Ok(Standing::Cancelled) => return Err(cancelled()),
                Ok(Standing::Active { .. }) if !is_last => self.arrived(pieces, length),
                Ok(Standing::Active { .. } | Standing::Unsaid) => {
                    let broken = malformed("did not say that the upload is whole").into();
                    if let Some(answer) = self.resume(pieces, length, is_last, broken).await? {
                        return Ok(answer);
                    }
                }
                Err(status) => {
                    if let Some(answer) = self.resume(pieces, length, is_last, status).await? {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    /// After a break: asks how much of the piece has arrived. The answer of an upload that is
    /// whole, where it is.
    async fn resume(
        &mut self,
        pieces: &mut Pieces,
        length: usize,
        is_last: bool,
        mut broken: Status,
    ) -> Result<Option<Bytes>, Status> {
        loop {
            if !may_go_on(&broken) {
                return Err(broken);
            }
            debug!(offset = self.offset, error = broken.message(), "an upload broke");
            let patience = self.patience;
            let pauses = self
                .pauses
                .get_or_insert_with(|| Pauses::new(FIRST_PAUSE, LONGEST_PAUSE, patience));
            if pauses.pause("").await.is_err() {
                return Err(broken);
            }
            broken = match self.session.query().await {
                Ok(Standing::Active { received: Some(received) }) => {
                    let arrived = received.checked_sub(self.offset).and_then(|arrived| {
                        usize::try_from(arrived).ok().filter(|arrived| *arrived <= length)
                    });
                    let lost = || malformed("lost bytes of the upload that it had confirmed");
                    self.arrived(pieces, arrived.ok_or_else(lost)?);
                    return Ok(None);
                }
                Ok(Standing::Final(answer)) if is_last && !answer.is_empty() => {
                    self.arrived(pieces, length);
                    return Ok(Some(answer));
                }
                Ok(Standing::Final(_)) => return Err(self.ended_early()),
                Ok(Standing::Cancelled) => return Err(cancelled()),
                Ok(Standing::Active { received: None } | Standing::Unsaid) => {
                    malformed("did not say how much of the upload has arrived").into()
                }
                Err(status) => status,
            };
        }
    }

    fn arrived(&mut self, pieces: &mut Pieces, length: usize) {
        if length > 0 {
            self.pauses = None;
        }
        pieces.advance(length);
        self.offset += length as u64;
        self.reporter.arrived(self.offset);
    }

    fn ended_early(&self) -> Status {
        let text =
            format!("the service ended the upload after {} bytes, before its end", self.offset);
        Error::new(ErrorKind::MalformedAnswer, text).into()
    }
}

/// Whether another try may fare better: after what the network broke, and after what a service says
/// that is busy.
fn may_go_on(status: &Status) -> bool {
    let Some(error) = Error::of(status) else {
        return matches!(
            status.code(),
            Code::Unavailable
                | Code::Internal
                | Code::Unknown
                | Code::ResourceExhausted
                | Code::DeadlineExceeded
                | Code::Aborted
        );
    };
    let http = error.symptom().and_then(|symptom| symptom.evidence().status());
    match (error.kind(), http.map(|status| status.as_u16())) {
        (ErrorKind::ForeignAnswer, Some(http)) => http >= 500 || matches!(http, 408 | 412 | 429),
        (ErrorKind::InvalidRequest | ErrorKind::Configuration | ErrorKind::Credentials, _) => false,
        _ => true,
    }
}

fn cancelled() -> Status {
    Status::cancelled("the upload was cancelled at the service")
}

/// Nothing but the kind of source.
impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("mime_type", &self.mime_type).finish_non_exhaustive()
    }
}

const PIECE_SIZE: usize = 8 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
