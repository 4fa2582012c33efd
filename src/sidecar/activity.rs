//! Activity: the calls on a connection, and how long there have been none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// The calls on a connection, and since when there are that many.
///
/// Nobody is woken when a call begins or ends.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Calls>>);

/// One call on a connection, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Visit(Arc<Mutex<Calls>>);

#[derive(Debug)]
struct Calls {
    open: usize,
    since: Instant,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Calls { open: 0, since: Instant::now() })))
    }

    pub(super) fn begin(&self) -> Visit {
        change(&self.0, |open| open + 1);
        Visit(Arc::clone(&self.0))
    }

    /// Ends when there has been no call for so long, counted from `beginning` at the earliest.
    pub(super) async fn idle_for(&self, limit: Duration, beginning: Instant) {
        loop {
            match self.free_since() {
                Some(since) => {
                    let end = since.max(beginning) + limit;
                    sleep_until(end).await;
                    if self.free_since() == Some(since) {
                        return;
                    }
                }
                // However soon the last call ends, the time is not up before.
                None => sleep(limit.max(LEAST_WAIT)).await,
            }
        }
    }

    /// Since when there is no call.
    fn free_since(&self) -> Option<Instant> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (calls.open == 0).then_some(calls.since)
    }
}

fn change(calls: &Mutex<Calls>, count: impl FnOnce(usize) -> usize) {
    let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    *calls = Calls { open: count(calls.open), since: Instant::now() };
}

impl Drop for Visit {
    fn drop(&mut self) {
        change(&self.0, |open| open - 1);
    }
}

/// A limit of nothing does not spin.
const LEAST_WAIT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// The seconds until it ends, where calls begin and end at these seconds.
    async fn idle_after(calls: &[(u64, u64)]) -> f64 {
        let activity = Activity::new();
        let began = Instant::now();
        let story = async {
            for &(from, to) in calls {
                sleep_until(began + Duration::from_secs(from)).await;
                let visit = activity.begin();
                sleep_until(began + Duration::from_secs(to)).await;
                drop(visit);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = activity.idle_for(LIMIT, began) => began.elapsed().as_secs_f64(),
            () = story => 0.0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_without_a_call_counts_from_the_end_of_the_last_one() {
        advance(Duration::from_secs(100)).await;
        let cases: [(&[(u64, u64)], f64); 4] =
            [(&[], 5.0), (&[(1, 2)], 7.0), (&[(4, 12)], 17.0), (&[(1, 2), (6, 6), (10, 30)], 35.0)];
        for (calls, expected) in cases {
            let ended = idle_after(calls).await;
            assert!((ended - expected).abs() < 0.1, "{calls:?}: {ended}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_beginning_counts_where_it_is_later() {
        let activity = Activity::new();
        let beginning = Instant::now() + LIMIT;
        activity.idle_for(LIMIT, beginning).await;
        assert!(Instant::now() >= beginning + LIMIT);
    }
}
