//! Files: uploads and downloads, over the bridge's own network.

mod download;
mod progress;
mod session;
mod source;
mod upload;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tonic::{Code, Status};

pub use download::Download;
pub use progress::{Progress, Transferred};
pub use upload::Upload;

use crate::bridge::json::JsonRequest;
use crate::bridge::poll::Pauses;
use crate::carry::Core;
use crate::error::Error;
use crate::gemini;
use crate::proto::google::ai::generativelanguage::v1beta::File;
use crate::proto::google::ai::generativelanguage::v1beta::file::State;
use source::Source;

/// The files of the API; made by [`Bridge::files`](crate::Bridge::files).
///
/// ```no_run
/// # async fn example(bridge: genai_bridge::Bridge) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let files = bridge.files();
/// let file = files.upload("talk.mp4").mime_type("video/mp4").display_name("A talk").send().await?;
/// let file = files.wait_until_active(&file.name, Duration::from_secs(300)).await?;
/// println!("{}", file.uri);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Files {
    core: Arc<Core>,
    version: &'static str,
}

impl Files {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, version: "v1beta" }
    }

    /// Uses version v1 of the API. Default: v1beta.
    #[must_use]
    pub fn v1(mut self) -> Self {
        self.version = "v1";
        self
    }

    /// Uploads the file at a path. Set its MIME type with [`Upload::mime_type`].
    pub fn upload(&self, path: impl AsRef<Path>) -> Upload {
        Upload::new(Arc::clone(&self.core), self.version, path.as_ref().into())
    }

    /// Uploads bytes in memory.
    pub fn upload_bytes(&self, bytes: impl Into<Bytes>) -> Upload {
        Upload::new(Arc::clone(&self.core), self.version, Source::Bytes(bytes.into()))
    }

    /// Uploads what a reader gives: `length` bytes, or with `None` everything up to its end.
    pub fn upload_from(
        &self,
        reader: impl AsyncRead + Send + 'static,
        length: Option<u64>,
    ) -> Upload {
        let source = Source::Reader { reader: Box::pin(reader), length };
        Upload::new(Arc::clone(&self.core), self.version, source)
    }

    /// Downloads the content of `files/my-file`. The service allows this only for files that it has
    /// made itself, such as a generated video.
    pub fn download(&self, name: &str) -> Download {
        let target = format!("/{}/{name}:download?alt=media", self.version);
        Download::new(Arc::clone(&self.core), target)
    }

    /// Returns the metadata of `files/my-file`.
    ///
    /// # Errors
    /// As for [`JsonRequest::send`].
    pub async fn get(&self, name: &str) -> Result<File, Status> {
        let answer = self.request(http::Method::GET, name).send().await?;
        Ok(gemini::read_json("google.ai.generativelanguage.v1beta.File", answer.bytes())?)
    }

    /// Deletes `files/my-file`.
    ///
    /// # Errors
    /// As for [`JsonRequest::send`].
    pub async fn delete(&self, name: &str) -> Result<(), Status> {
        self.request(http::Method::DELETE, name).send().await.map(drop)
    }

    /// Polls `files/my-file` until the service has processed it: at once, and then with pauses that
    /// grow from 1 s to 10 s.
    ///
    /// # Errors
    /// The service could not process the file (the error has the service's code and message). The
    /// service still processes it after `limit` (`DEADLINE_EXCEEDED`). Or as for
    /// [`get`](Self::get).
    pub async fn wait_until_active(&self, name: &str, limit: Duration) -> Result<File, Status> {
        let mut pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(10), limit);
        loop {
            let file = self.get(name).await?;
            match State::try_from(file.state) {
                Ok(State::Active) => return Ok(file),
                Ok(State::Failed) => return Err(failure_of(&file)),
                Ok(State::Processing | State::Unspecified) | Err(_) => {
                    pauses
                        .pause("the service still processes the file")
                        .await
                        .map_err(wait_longer)?;
                }
            }
        }
    }

    fn request(&self, verb: http::Method, name: &str) -> JsonRequest {
        JsonRequest::new(Arc::clone(&self.core), verb, &format!("/{}/{name}", self.version))
    }
}

fn wait_longer(late: Error) -> Status {
    late.with_remedy("wait longer: give `Files::wait_until_active` a longer limit").into()
}

fn failure_of(file: &File) -> Status {
    match &file.error {
        Some(error) => Status::new(Code::from_i32(error.code), &error.message),
        None => Status::failed_precondition("the service could not process the file"),
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("version", &self.version).finish_non_exhaustive()
    }
}
