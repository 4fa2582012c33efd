//! Tasks: everything that runs for a peer, ended with it; a panic among them is not lost.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// The running tasks; clones share them. They run until [`abort_all`](Self::abort_all).
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Inner>);

#[derive(Default)]
struct Inner {
    running: Mutex<JoinSet<()>>,
    have_panicked: AtomicBool,
}

impl Tasks {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let alarm = Alarm(self.clone());
        self.with(|running| {
            while running.try_join_next().is_some() {}
            running.spawn(async move {
                let _alarm = alarm;
                work.await;
            });
        });
    }

    /// Ends all of them, and with them their connections.
    pub(super) fn abort_all(&self) {
        self.with(JoinSet::abort_all);
    }

    pub(super) fn have_panicked(&self) -> bool {
        self.0.have_panicked.load(Ordering::SeqCst)
    }

    fn with(&self, act: impl FnOnce(&mut JoinSet<()>)) {
        act(&mut self.0.running.lock().unwrap_or_else(PoisonError::into_inner));
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

/// Notices that it is dropped by a panic.
struct Alarm(Tasks);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.have_panicked.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_noticed() {
        let tasks = Tasks::default();
        let (started, mut ended) = watch::channel(());
        tasks.spawn(async move {
            let _started = started;
            tokio::task::yield_now().await;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(ended.changed().await.is_err());
        assert!(tasks.have_panicked());
    }

    #[tokio::test]
    async fn tasks_end_with_their_peer() {
        let tasks = Tasks::default();
        let (started, mut ended) = watch::channel(());
        tasks.spawn(async move {
            let _started = started;
            std::future::pending::<()>().await;
        });
        tasks.abort_all();
        assert!(ended.changed().await.is_err());
        assert!(!tasks.have_panicked());
    }
}
