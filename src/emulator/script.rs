//! Script: what is answered to which method.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tonic::Status;

/// One answer, the same over gRPC and over REST.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub(super) messages: Vec<Bytes>,
    pub(super) error: Option<Status>,
    pub(super) metadata: HeaderMap,
    pub(super) trailers: HeaderMap,
    pub(super) is_compressed: bool,
    pub(super) is_never: bool,
    thought: Duration,
    pause: Duration,
    gate: Option<Arc<Semaphore>>,
}

impl Reply {
    /// One message.
    pub fn message(message: &impl prost::Message) -> Self {
        Self::encoded(message.encode_to_vec())
    }

    /// One message that is already encoded. Over gRPC its bytes are not checked.
    pub fn encoded(message: impl Into<Bytes>) -> Self {
        Self { messages: vec![message.into()], ..Self::default() }
    }

    /// A stream of messages. If the method is unary, gRPC gets all of them and REST only the first.
    pub fn messages(messages: impl IntoIterator<Item = impl prost::Message>) -> Self {
        let messages = messages.into_iter().map(|message| message.encode_to_vec().into()).collect();
        Self { messages, ..Self::default() }
    }

    /// An error in place of an answer.
    pub fn error(status: Status) -> Self {
        Self { error: Some(status), ..Self::default() }
    }

    /// No answer: the request is read, and nothing is sent back.
    pub fn never() -> Self {
        Self { is_never: true, ..Self::default() }
    }

    /// Ends with this error after the messages. For a unary call over REST, the error replaces the
    /// answer.
    #[must_use]
    pub fn then_error(mut self, status: Status) -> Self {
        self.error = Some(status);
        self
    }

    /// Adds initial metadata: a header, on both transports. A name that ends in `-bin` takes any
    /// bytes.
    ///
    /// # Panics
    /// If `name` or `value` cannot be a header.
    #[must_use]
    pub fn metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        append(&mut self.metadata, name, value.as_ref());
        self
    }

    /// Adds a trailer. Only gRPC has trailers.
    ///
    /// # Panics
    /// If `name` or `value` cannot be a header.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        append(&mut self.trailers, name, value.as_ref());
        self
    }

    /// Waits before the answer begins.
    #[must_use]
    pub fn thinking(mut self, thought: Duration) -> Self {
        self.thought = thought;
        self
    }

    /// Waits before each message after the first.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Waits for a permit of this semaphore before each message, or before an error without
    /// messages.
    #[must_use]
    pub fn gate(mut self, gate: Arc<Semaphore>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Compresses with gzip, if the client accepts it: each message over gRPC, a unary answer over
    /// REST.
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.is_compressed = true;
        self
    }

    /// Waits until the message at `index` is due.
    pub(super) async fn wait_for(&self, index: usize) {
        // Position 0 counts also without a message: an error that comes alone.
        if index >= self.messages.len().max(1) {
            return;
        }
        let wait = if index == 0 { self.thought } else { self.pause };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if let Some(gate) = &self.gate {
            // A closed gate is an open one: the test has ended and nobody would give permits.
            if let Ok(permit) = gate.acquire().await {
                permit.forget();
            }
        }
    }

    /// The error that comes with no message before it.
    pub(super) fn immediate_error(&self) -> Option<&Status> {
        self.error.as_ref().filter(|_| self.messages.is_empty())
    }
}

fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    let is_binary = name.ends_with("-bin");
    let name = HeaderName::try_from(name).expect("a header name");
    let value = if is_binary {
        HeaderValue::try_from(base64_simd::STANDARD_NO_PAD.encode_to_string(value))
    } else {
        HeaderValue::from_bytes(value)
    };
    headers.append(name, value.expect("a header value"));
}

/// The answers that a test has laid down.
#[derive(Debug)]
pub(super) struct Script<R = Reply>(Mutex<HashMap<Box<str>, Lines<R>>>);

#[derive(Debug)]
struct Lines<R> {
    standing: Option<R>,
    queue: VecDeque<R>,
}

impl<R> Default for Script<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<R> Default for Lines<R> {
    fn default() -> Self {
        Self { standing: None, queue: VecDeque::new() }
    }
}

impl<R: Clone> Script<R> {
    pub(super) fn set(&self, method: &str, reply: R) {
        self.lines().entry(method.into()).or_default().standing = Some(reply);
    }

    pub(super) fn push(&self, method: &str, reply: R) {
        self.lines().entry(method.into()).or_default().queue.push_back(reply);
    }

    pub(super) fn clear(&self) {
        self.lines().clear();
    }

    /// The queued answer that is next, else the standing one.
    pub(super) fn take(&self, method: &str) -> Option<R> {
        let mut lines = self.lines();
        let lines = lines.get_mut(method)?;
        lines.queue.pop_front().or_else(|| lines.standing.clone())
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Box<str>, Lines<R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
