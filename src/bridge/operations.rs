//! Operations: what takes the service minutes, looked at until it is done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::bridge::json::JsonRequest;
use crate::bridge::poll::Pauses;
use crate::carry::Core;
use crate::error::{Error, ErrorKind};
use crate::gemini;
use crate::proto::google::longrunning::Operation;
use crate::proto::google::longrunning::operation::Result as Outcome;

/// The API's long-running operations, whichever call began them; made by
/// [`Bridge::operations`](crate::Bridge::operations).
///
/// It requests them over REST, where an operation's name is its path. So it also reaches operations
/// of stores and batches, for which gRPC has no method.
///
/// ```no_run
/// # async fn example(bridge: genai_bridge::Bridge) -> Result<(), tonic::Status> {
/// use std::time::Duration;
///
/// let upload = bridge.files().upload("a.txt").mime_type("text/plain");
/// let operation = upload.send_to_store("fileSearchStores/mine").await?;
/// let done = bridge.operations().wait(&operation.name, Duration::from_secs(300)).await?;
/// println!("{}", done.name);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Operations {
    core: Arc<Core>,
    version: &'static str,
}

impl Operations {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, version: "v1beta" }
    }

    /// Uses version v1 of the API. Default: v1beta.
    #[must_use]
    pub fn v1(mut self) -> Self {
        self.version = "v1";
        self
    }

    /// Returns the current state of an operation.
    ///
    /// # Errors
    /// As for [`JsonRequest::send`].
    pub async fn get(&self, name: &str) -> Result<Operation, Status> {
        let answer = self.request(http::Method::GET, name, "").send().await?;
        Ok(gemini::read_json("google.longrunning.Operation", answer.bytes())?)
    }

    /// Polls an operation until it is done: at once, and then with pauses that grow from 1 s to 20
    /// s. Dropping the future ends the wait, not the operation.
    ///
    /// # Errors
    /// The operation failed: the error has the operation's code, message and details. The operation
    /// is not done after `limit` (`DEADLINE_EXCEEDED`). Or as for [`get`](Self::get).
    pub async fn wait(&self, name: &str, limit: Duration) -> Result<Operation, Status> {
        self.wait_with(name, limit, |_| {}).await
    }

    /// As [`wait`](Self::wait), and hands each state to `on_look`. Its metadata may have the
    /// progress.
    ///
    /// # Errors
    /// As for [`wait`](Self::wait).
    pub async fn wait_with(
        &self,
        name: &str,
        limit: Duration,
        mut on_look: impl FnMut(&Operation),
    ) -> Result<Operation, Status> {
        let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE, limit);
        loop {
            let operation = self.get(name).await?;
            on_look(&operation);
            match operation {
                Operation { result: Some(Outcome::Error(error)), .. } => {
                    let details = Bytes::from(error.encode_to_vec());
                    let code = Code::from_i32(error.code);
                    return Err(Status::with_details(code, error.message, details));
                }
                operation if operation.done => return Ok(operation),
                _ => pauses.pause("the operation is not done").await.map_err(wait_longer)?,
            }
        }
    }

    /// Asks the service to cancel an operation.
    ///
    /// # Errors
    /// As for [`JsonRequest::send`].
    pub async fn cancel(&self, name: &str) -> Result<(), Status> {
        self.request(http::Method::POST, name, ":cancel").send().await.map(drop)
    }

    fn request(&self, verb: http::Method, name: &str, custom: &str) -> JsonRequest {
        let target = format!("/{}/{name}{custom}", self.version);
        JsonRequest::new(Arc::clone(&self.core), verb, &target)
    }
}

/// Decodes the metadata or the response of an operation. `name` is the expected type, such as
/// `google.ai.generativelanguage.v1beta.CreateTunedModelMetadata`.
///
/// A type that the crate does not know arrives as a `google.protobuf.Struct` with its JSON. Decode
/// it as [`prost_types::Struct`], with that name.
///
/// # Errors
/// It is of another type, or cannot be read ([`ErrorKind::MalformedAnswer`]).
pub fn unpack<M: Message + Default>(any: &Any, name: &str) -> Result<M, Error> {
    let malformed = |text: String| Error::new(ErrorKind::MalformedAnswer, text);
    let found = any.type_url.rsplit('/').next().unwrap_or_default();
    if found != name {
        return Err(malformed(format!("the message is a `{found}`, not a `{name}`")));
    }
    M::decode(any.value.as_slice()).map_err(|error| {
        malformed(format!("the message cannot be read as `{name}`")).with_source(error)
    })
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").field("version", &self.version).finish_non_exhaustive()
    }
}

fn wait_longer(late: Error) -> Error {
    late.with_remedy("wait longer: give `Operations::wait` a longer limit")
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
