//! Tasks: everything that runs for an emulator, ended with it; a panic among them is not lost.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::rt::Executor;
use tokio::sync::watch;

/// Spawns tasks that end when the emulator does.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    stopped: watch::Receiver<()>,
    has_panicked: Arc<AtomicBool>,
}

impl Tasks {
    /// The tasks run until the sender is dropped.
    pub(super) fn new() -> (watch::Sender<()>, Self) {
        let (running, stopped) = watch::channel(());
        (running, Self { stopped, has_panicked: Arc::default() })
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut stopped = self.stopped.clone();
        let alarm = Alarm(Arc::clone(&self.has_panicked));
        tokio::spawn(async move {
            let _alarm = alarm;
            tokio::select! {
                _ = stopped.changed() => {}
                () = work => {}
            }
        });
    }

    pub(super) fn have_panicked(&self) -> bool {
        self.has_panicked.load(Ordering::SeqCst)
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, work: F) {
        self.spawn(work);
    }
}

/// Notices that it is dropped by a panic.
struct Alarm(Arc<AtomicBool>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_noticed() {
        let (_running, tasks) = Tasks::new();
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
    async fn tasks_end_with_the_emulator() {
        let (running, tasks) = Tasks::new();
        let (started, mut ended) = watch::channel(());
        tasks.spawn(async move {
            let _started = started;
            std::future::pending::<()>().await;
        });
        drop(running);
        assert!(ended.changed().await.is_err());
        assert!(!tasks.have_panicked());
    }
}
