//! Tasks: what is run beside calls, such as the drivers of connections; waited for, and ended, when
//! a bridge is closed.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Tasks of any runtime. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    handles: Mutex<Handles>,
}

#[derive(Debug, Default)]
struct Handles {
    all: Vec<AbortHandle>,
    /// With so many, those of tasks that have ended are let go.
    sweep_at: usize,
}

impl Tasks {
    /// Runs a task on the caller's runtime.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn_on(task, &Handle::current())
    }

    /// Runs a task on a runtime, from anywhere.
    pub(crate) fn spawn_on<F>(&self, task: F, runtime: &Handle) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let task = self.0.tracker.spawn_on(task, runtime);
        let mut handles = self.handles();
        if handles.all.len() >= handles.sweep_at {
            handles.all.retain(|handle| !handle.is_finished());
            handles.sweep_at = handles.all.len() * 2 + FEW;
        }
        handles.all.push(task.abort_handle());
        drop(handles);
        task
    }

    /// Ends all tasks now.
    pub(crate) fn abort(&self) {
        let handles = std::mem::take(&mut *self.handles());
        handles.all.iter().for_each(AbortHandle::abort);
    }

    /// Waits until all tasks have ended, and aborts those that have not after a while.
    pub(crate) async fn end(&self) {
        let tracker = &self.0.tracker;
        tracker.close();
        if timeout(GRACE, tracker.wait()).await.is_ok() {
            return;
        }
        self.abort();
        // A runtime that nobody drives ends none of its tasks.
        let _ = timeout(GRACE, tracker.wait()).await;
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.0.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As hyper's connections of HTTP/2 run theirs.
impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.spawn(task));
    }
}

const FEW: usize = 32;
/// For a peer to take the last bytes of a connection.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_is_waited_for_and_another_is_aborted() {
        let (tasks, began) = (Tasks::default(), Instant::now());
        tasks.spawn(sleep(GRACE / 2));
        tasks.end().await;
        assert_eq!(began.elapsed(), GRACE / 2);
        tasks.spawn(pending::<()>());
        tasks.end().await;
        assert_eq!(began.elapsed(), GRACE / 2 + GRACE);
        assert!(tasks.0.tracker.is_empty());
    }

    #[tokio::test]
    async fn tasks_that_have_ended_are_forgotten() {
        let tasks = Tasks::default();
        for _ in 0..1_000 {
            tasks.spawn(async {});
            tokio::task::yield_now().await;
        }
        assert!(tasks.handles().all.len() <= FEW * 2);
    }
}
