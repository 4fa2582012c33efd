//! Progress: the bytes of a transfer so far, for its watchers.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

/// The progress of a transfer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    bytes: u64,
    total: Option<u64>,
}

impl Transferred {
    /// Bytes that have arrived.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes in all, if known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

/// A [`Stream`] of a transfer's progress. Each item is the newest state; states in between may be
/// skipped. It ends with the transfer.
pub struct Progress {
    shared: Arc<Shared>,
    seen: u64,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    bytes: u64,
    total: Option<u64>,
    /// How often it has changed.
    changes: u64,
    has_ended: bool,
    wakers: Vec<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.changes += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Progress {
    /// Waits for progress; `None` when the transfer has ended.
    pub async fn next(&mut self) -> Option<Transferred> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Transferred>> {
        let mut state = self.shared.state();
        if state.changes > self.seen {
            self.seen = state.changes;
            return Poll::Ready(Some(Transferred { bytes: state.bytes, total: state.total }));
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        state.wakers.push(context.waker().clone());
        Poll::Pending
    }
}

impl Stream for Progress {
    type Item = Transferred;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Transferred>> {
        self.poll(context)
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("bytes", &self.shared.state().bytes)
            .finish_non_exhaustive()
    }
}

/// The transfer's side of it. Dropped, it ends the stream.
#[derive(Default)]
pub(super) struct Reporter(Arc<Shared>);

impl Reporter {
    pub(super) fn watch(&self) -> Progress {
        Progress { shared: Arc::clone(&self.0), seen: 0 }
    }

    pub(super) fn begin(&self, total: Option<u64>) {
        self.0.change(|state| state.total = total);
    }

    pub(super) fn arrived(&self, bytes: u64) {
        self.0.change(|state| state.bytes = bytes);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.has_ended = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}
