//! Tasks: everything that a proxy runs for its connections, so that nothing outlives it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// The running tasks; clones share them.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.with(|tasks| {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(work);
        });
    }

    /// Ends all of them, and with them their connections.
    pub(super) fn abort_all(&self) {
        self.with(JoinSet::abort_all);
    }

    fn with(&self, act: impl FnOnce(&mut JoinSet<()>)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// hyper runs a task for each stream of an HTTP/2 connection.
impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, work: F) {
        self.spawn(async move {
            work.await;
        });
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}
