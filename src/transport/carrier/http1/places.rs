//! Places: how many connections there may be, how many there are, and how many calls waited for
//! one.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tracing::warn;

/// The connections of one client, counted over all runtimes.
#[derive(Debug)]
pub(super) struct Places {
    /// Most connections of each runtime.
    pub(super) limit: usize,
    open: AtomicUsize,
    queued: AtomicU64,
    is_told: AtomicBool,
}

/// Most connections, unless the program says it: a model that thinks for seconds holds one all that
/// time, so few connections are few calls a second. Each takes a file descriptor, and the program
/// needs some for itself.
pub(crate) fn default_connections() -> usize {
    connections_of(descriptors())
}

fn connections_of(descriptors: u64) -> usize {
    usize::try_from(descriptors / SHARE).unwrap_or(MOST).clamp(1, MOST)
}

/// How many the process may open.
#[cfg(unix)]
fn descriptors() -> u64 {
    rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
fn descriptors() -> u64 {
    u64::MAX
}

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        let (open, queued, is_told) = Default::default();
        Self { limit, open, queued, is_told }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// A call waits, because all connections are in use. The first one is told: a limit that was
    /// set too low looks like a slow service.
    pub(super) fn note_queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        if !self.is_told.swap(true, Ordering::Relaxed) {
            warn!(
                connections = self.limit,
                "all REST connections are in use, so calls wait: raise the limit for REST connections"
            );
        }
    }

    pub(super) fn note_opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

const MOST: usize = 1024;
/// Of the descriptors, one in so many.
const SHARE: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_descriptors_is_the_limit() {
        for (descriptors, connections) in
            [(0, 1), (64, 16), (1024, 256), (4096, 1024), (1 << 20, 1024), (u64::MAX, 1024)]
        {
            assert_eq!(connections_of(descriptors), connections);
        }
        assert!((1..=MOST).contains(&default_connections()));
    }
}
