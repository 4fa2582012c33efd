//! Activity: the calls on a connection, and how long there have been none.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The calls on a connection, and since when there are that many.
pub(super) struct Activity(watch::Sender<(usize, Instant)>);

/// One call on a connection, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Visit(watch::Sender<(usize, Instant)>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new((0, Instant::now())))
    }

    pub(super) fn begin(&self) -> Visit {
        self.0.send_modify(|(calls, since)| {
            *calls += 1;
            *since = Instant::now();
        });
        Visit(self.0.clone())
    }

    /// Ends when there has been no call for so long, counted from `beginning` at the earliest.
    pub(super) async fn idle_for(&self, limit: Duration, beginning: Instant) {
        let mut changes = self.0.subscribe();
        loop {
            let (calls, since) = *changes.borrow_and_update();
            let idle = async {
                match calls {
                    0 => sleep_until(since.max(beginning) + limit).await,
                    _ => pending().await,
                }
            };
            tokio::select! {
                () = idle => return,
                told = changes.changed() => if told.is_err() { return },
            }
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.send_modify(|(calls, since)| {
            *calls -= 1;
            *since = Instant::now();
        });
    }
}
