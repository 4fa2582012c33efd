//! Record: the calls that came in, and how many of them the client gave up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use tokio::sync::watch;
use tokio::time::Instant;

/// A call as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    method: Box<str>,
    is_rest: bool,
    version: Version,
    target: Box<str>,
    verb: Method,
    headers: HeaderMap,
    message: Bytes,
    at: Instant,
}

impl Received {
    pub(super) fn new(method: &str, is_rest: bool, head: &Parts, message: Bytes) -> Self {
        let target = match head.uri.path_and_query() {
            // HTTP/2 has no request target; path and query are what came.
            Some(path) if head.version == Version::HTTP_2 => path.to_string(),
            _ => head.uri.to_string(),
        };
        Self {
            method: method.into(),
            is_rest,
            version: head.version,
            target: target.into(),
            verb: head.method.clone(),
            headers: head.headers.clone(),
            message,
            at: Instant::now(),
        }
    }

    /// The method's gRPC path, also if the call came over REST. Empty if a REST request matches no
    /// HTTP rule.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether it came over REST.
    pub fn is_rest(&self) -> bool {
        self.is_rest
    }

    /// The HTTP version of the request.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Path and query, exactly as received.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The HTTP verb.
    pub fn verb(&self) -> &Method {
        &self.verb
    }

    /// All headers of the request.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The time at which the request had arrived completely.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// The message in protobuf, decompressed. Empty if the request has none that can be read. For a
    /// path that [`on_path`](super::Emulator::on_path) answers, it is the body as received.
    pub fn message(&self) -> &Bytes {
        &self.message
    }
}

/// Everything that came in since the start, or since it was last cleared.
#[derive(Debug, Default)]
pub(super) struct Record {
    calls: Mutex<Vec<Received>>,
    counts: watch::Sender<Counts>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    received: usize,
    cancelled: usize,
}

/// How long a test waits for what does not come, before it fails on what is there.
const PATIENCE: Duration = Duration::from_secs(20);

impl Record {
    pub(super) fn add(&self, call: Received) {
        self.calls().push(call);
        self.counts.send_modify(|counts| counts.received += 1);
    }

    pub(super) fn clear(&self) {
        self.calls().clear();
        self.counts.send_modify(|counts| *counts = Counts::default());
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.calls().clone()
    }

    pub(super) fn cancelled(&self) -> usize {
        self.counts.borrow().cancelled
    }

    pub(super) async fn received_when(&self, count: usize) -> Vec<Received> {
        self.wait_until(|counts| counts.received >= count).await;
        self.received()
    }

    pub(super) async fn cancelled_when(&self, count: usize) -> usize {
        self.wait_until(|counts| counts.cancelled >= count).await;
        self.cancelled()
    }

    /// Follows a call from here until it ends, one way or the other.
    pub(super) fn attend(self: &Arc<Self>) -> Attendance {
        Attendance { record: Arc::clone(self), is_open: true }
    }

    async fn wait_until(&self, reached: impl Fn(&Counts) -> bool) {
        let mut counts = self.counts.subscribe();
        let wait = counts.wait_for(|counts| reached(counts));
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            tracing::debug!("what a test waits for did not come");
        }
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Received>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. Dropped before [`Attendance::finish`], the client gave it up.
#[derive(Debug)]
pub(super) struct Attendance {
    record: Arc<Record>,
    is_open: bool,
}

impl Attendance {
    /// All of the answer was handed over.
    pub(super) fn finish(&mut self) {
        self.is_open = false;
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if self.is_open {
            self.record.counts.send_modify(|counts| counts.cancelled += 1);
        }
    }
}
