//! Gate: counts the calls in flight, and lets none in once the bridge is closed.

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::{Error, ErrorKind};

/// Of all clones of a bridge.
#[derive(Debug, Default)]
pub(super) struct Gate(TaskTracker);

/// One call in flight, to the end of its answer.
#[derive(Debug)]
pub(crate) struct Pass {
    _token: TaskTrackerToken,
}

impl Gate {
    /// # Errors
    /// The bridge is closed.
    pub(super) fn enter(&self) -> Result<Pass, Error> {
        // Counted first: one that is let in is waited for.
        let pass = Pass { _token: self.0.token() };
        if self.0.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the bridge is closed"));
        }
        Ok(pass)
    }

    /// From here on nobody is let in.
    pub(super) fn close(&self) {
        self.0.close();
    }

    /// Waits for the end of the calls that are in, once it is closed.
    pub(super) async fn until_empty(&self) {
        self.0.wait().await;
    }
}
