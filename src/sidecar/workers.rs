//! Workers: who serves the connections. Threads with a runtime each, or the runtime that accepts.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The runtimes that take the connections in turn.
///
/// Each has one thread. On it, a connection writes what all calls have to send at once; on a
/// runtime of several threads each call is written alone, because a task that another one wakes
/// runs next.
#[derive(Debug)]
pub(super) struct Workers {
    runtimes: Vec<Handle>,
    /// Dropped, it ends the threads.
    _end: DropGuard,
}

impl Workers {
    /// The runtime of the caller.
    pub(super) fn caller() -> Self {
        Self { runtimes: vec![Handle::current()], _end: CancellationToken::new().drop_guard() }
    }

    /// So many threads; none: the runtime of the caller.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        if threads == 0 {
            return Ok(Self::caller());
        }
        let end = CancellationToken::new();
        let mut workers = Self { runtimes: Vec::new(), _end: end.clone().drop_guard() };
        for number in 0..threads {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.runtimes.push(runtime.handle().clone());
            let end = end.clone();
            thread::Builder::new().name(format!("sidecar-{number}")).spawn(move || {
                runtime.block_on(end.cancelled());
                // A look-up of a name cannot be cancelled, and must not be waited for.
                runtime.shutdown_background();
            })?;
        }
        Ok(workers)
    }

    /// Whose turn it is, for ever.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Handle> {
        self.runtimes.iter().cycle()
    }
}
