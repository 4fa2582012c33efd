//! Session: one upload at the service, in the words of `X-Goog-Upload-*`.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use tokio::runtime::Handle;
use tonic::Status;

use crate::bridge::json::{Collected, JsonRequest};
use crate::bridge::options::{CallOptions, ResendPolicy, RetryPolicy};
use crate::carry::Core;
use crate::error::{Error, ErrorKind};
use crate::transport::rest::Target;

/// An upload that the service has begun. Dropped before its end, it is cancelled there.
pub(super) struct Session {
    core: Arc<Core>,
    url: Target,
    /// Where the upload is asked about, and cancelled.
    control: Target,
    /// What is not the last piece has a multiple of so many bytes; at least 1.
    pub(super) granularity: usize,
    is_over: bool,
}

/// What the service says of an upload.
pub(super) enum Standing {
    /// It goes on; `received` is told by a query alone.
    Active {
        received: Option<u64>,
    },
    /// It is whole, and this is the answer.
    Final(Bytes),
    Cancelled,
    /// Nothing: whoever answered does not speak of uploads.
    Unsaid,
}

impl Session {
    /// Begins an upload. It may be begun twice: what is not continued is forgotten by the service.
    ///
    /// # Errors
    /// The service refused it, or named a place of another host for the bytes.
    pub(super) async fn start(request: JsonRequest, core: Arc<Core>) -> Result<Self, Status> {
        let twice = CallOptions::new().resend(ResendPolicy::WhenUnanswered);
        let request = request.options(twice.retry(RetryPolicy::google()));
        let answer = request
            .header("x-goog-upload-protocol", "resumable")
            .header("x-goog-upload-command", "start")
            .collect()
            .await?;
        let headers = &answer.headers;
        let url = text_of(headers, "x-goog-upload-url");
        let url = url.ok_or_else(|| malformed("names no place for the bytes of an upload"))?;
        let url = core.target_of(url)?;
        let control = match text_of(headers, "x-goog-upload-control-url") {
            Some(control) => core.target_of(control)?,
            None => url.clone(),
        };
        let granularity = match text_of(headers, "x-goog-upload-chunk-granularity") {
            None => 1,
            Some(text) => {
                text.parse().ok().filter(|bytes| (1..=MAX_GRANULARITY).contains(bytes)).ok_or_else(
                    || malformed("names a granularity of uploads that cannot be kept"),
                )?
            }
        };
        Ok(Self { core, url, control, granularity, is_over: false })
    }

    /// Sends a piece once.
    ///
    /// # Errors
    /// The network broke it, or it was refused.
    pub(super) async fn send(
        &mut self,
        offset: u64,
        piece: Bytes,
        is_last: bool,
    ) -> Result<Standing, Status> {
        let command = if is_last { "upload, finalize" } else { "upload" };
        let request = self.command(&self.url, command);
        let request = request.header("x-goog-upload-offset", offset.to_string()).body(piece);
        let standing = standing_of(request.collect().await?);
        self.note(&standing);
        Ok(standing)
    }

    /// Asks how much has arrived.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub(super) async fn query(&mut self) -> Result<Standing, Status> {
        let standing = standing_of(self.command(&self.control, "query").collect().await?);
        self.note(&standing);
        Ok(standing)
    }

    fn note(&mut self, standing: &Standing) {
        self.is_over |= matches!(standing, Standing::Final(_) | Standing::Cancelled);
    }

    /// What the network breaks is asked about, not sent again.
    fn command(&self, target: &Target, command: &str) -> JsonRequest {
        let options = CallOptions::new().resend(ResendPolicy::Never).retry(RetryPolicy::none());
        JsonRequest::to(Arc::clone(&self.core), http::Method::POST, Ok(target.clone()))
            .without_content_type()
            .options(options)
            .header("x-goog-upload-command", command)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let runtime = Handle::try_current();
        if let Some(runtime) = runtime.ok().filter(|_| !self.is_over) {
            let cancel = self.command(&self.control, "cancel");
            // What it is answered changes nothing.
            runtime.spawn(async move { cancel.collect().await.map(drop) });
        }
    }
}

fn standing_of(answer: Collected) -> Standing {
    match text_of(&answer.headers, "x-goog-upload-status") {
        Some("active") => {
            let received = text_of(&answer.headers, "x-goog-upload-size-received");
            Standing::Active { received: received.and_then(|received| received.parse().ok()) }
        }
        Some("final") => Standing::Final(answer.bytes),
        Some("cancelled") => Standing::Cancelled,
        Some(_) | None => Standing::Unsaid,
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

pub(super) fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::MalformedAnswer, format!("the service {what}"))
}

/// A piece is held in memory.
const MAX_GRANULARITY: usize = 256 * 1024 * 1024;
