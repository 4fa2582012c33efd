//! Poll: the pauses between two looks at what takes its time, ever longer, inside one limit.

use std::time::Duration;

use tokio::time::sleep;

use crate::call::deadline::{Deadline, expired};
use crate::error::Error;
use crate::retry::Jitter;

/// From one look to the next.
pub(crate) struct Pauses {
    next: Duration,
    longest: Duration,
    limit: Option<Deadline>,
    jitter: Jitter,
}

impl Pauses {
    /// The first one is `first`; each is half as long again as the one before.
    pub(crate) fn new(first: Duration, longest: Duration, limit: Duration) -> Self {
        Self { next: first, longest, limit: Deadline::after(limit), jitter: Jitter::new() }
    }

    /// Time that is left; `None` where the clock ends before the limit.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.limit.map(Deadline::time_left)
    }

    /// Waits, with jitter of a quarter.
    ///
    /// # Errors
    /// The limit would pass: `what` says what is not ready.
    pub(crate) async fn pause(&mut self, what: &str) -> Result<(), Error> {
        let pause = self.next.mul_f64(0.75 + 0.5 * self.jitter.next());
        if self.time_left().is_some_and(|left| left <= pause) {
            return Err(expired(&format!(": {what}")));
        }
        sleep(pause).await;
        self.next = self.next.mul_f64(1.5).min(self.longest);
        Ok(())
    }
}
