//! Ended: the stream of the answer that was read last, until the connection's task runs anyway.
//!
//! h2 wakes that task to forget a stream that nobody holds any more. Behind a call that comes alone
//! this is a third of the task's runs, so the stream waits for the next request.

use std::sync::{Mutex, PoisonError};

use h2::RecvStream;

/// At most one: of calls side by side, most streams end while the task is to run.
#[derive(Default)]
pub(super) struct Ended(Mutex<Option<RecvStream>>);

impl Ended {
    /// Keeps a stream that is over on both sides; dropping any other one resets it, which cannot
    /// wait.
    pub(super) fn keep(&self, stream: RecvStream) {
        self.put(Some(stream));
    }

    pub(super) fn release(&self) {
        self.put(None);
    }

    /// Drops the one before, without the lock: h2 takes its own.
    fn put(&self, stream: Option<RecvStream>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *kept, stream);
        drop(kept);
        drop(before);
    }
}
