//! Deadline: when a call must have ended, and which ends that others make of it mean the same.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};
use tonic::Code;

use super::author::Author;
use crate::error::{Error, ErrorKind};
use crate::network::HopName;
use crate::symptom::{Delivery, Symptom};

/// The time by which a call must have ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    /// What the call was given in all.
    budget: Duration,
}

impl Deadline {
    /// `None` where the clock ends before it.
    pub(crate) fn after(budget: Duration) -> Option<Self> {
        Some(Self { at: Instant::now().checked_add(budget)?, budget })
    }

    pub(crate) fn at(self) -> Instant {
        self.at
    }

    fn has_passed(self) -> bool {
        Instant::now() >= self.at
    }

    pub(crate) fn time_left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Rounded up: the service must not give up before the caller does.
    pub(crate) fn whole_seconds_left(self) -> u64 {
        whole_seconds(self.time_left())
    }

    /// When the call began.
    pub(crate) fn began(self) -> Instant {
        self.at - self.budget
    }

    /// Whether what ends the call now ends it about its deadline.
    ///
    /// A peer's timer for the call runs on what was left when the call was sent, so it fires with
    /// ours or later. It fires early only by what the peer rounds off, by how its clock differs,
    /// and by how late we wake ourselves.
    fn is_near(self) -> bool {
        self.time_left() <= (self.budget / 10).clamp(LEAST_NEARNESS, MOST_NEARNESS)
    }

    /// What a failure about the deadline is: the deadline. Somebody's timer for it gave the call up
    /// before ours did: a server resets the stream (`CANCEL`, or `NO_ERROR` without a status), a
    /// gateway closes the connection or answers with a page. Where it was the network after all, no
    /// time is left to make anything of that.
    ///
    /// What proves that the service did not take the call keeps its meaning.
    pub(crate) fn judge(self, symptom: &Symptom) -> Option<Error> {
        let may_be_taken = !matches!(symptom.delivery(), Delivery::NotSent | Delivery::Refused);
        let is_its_end = may_be_taken && self.is_near();
        is_its_end.then(|| expired(&format!(": {symptom}")))
    }

    /// The same for a status: one that an intermediary wrote, or `CANCELLED`, which is what some
    /// servers call their own timer for the call (tonic's among them). Nobody else has cancelled
    /// it.
    pub(crate) fn judge_status(self, code: Option<Code>, author: Author) -> Option<Error> {
        let code = code?;
        let may_be_its_end = code == Code::Cancelled || (author.is_forged() && code != Code::Ok);
        (may_be_its_end && self.is_near()).then(|| expired(": the call was given up on the way"))
    }
}

fn whole_seconds(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// The error of a call whose deadline passed; `when` goes on with the sentence.
pub(crate) fn expired(when: &str) -> Error {
    Error::new(ErrorKind::DeadlineExceeded, format!("the call's deadline passed{when}"))
}

/// Rounding to whole milliseconds, and a busy machine of either side.
const LEAST_NEARNESS: Duration = Duration::from_millis(10);
/// Rounding to whole seconds.
const MOST_NEARNESS: Duration = Duration::from_secs(1);

/// What a call is busy with, and with whom; told when its deadline passes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Busy<'a> {
    Reading,
    Authorising,
    Proving(&'a HopName),
    Connecting(&'a HopName),
    OnGrpc(&'a HopName),
    OnRest(&'a HopName),
}

impl fmt::Display for Busy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reading => f.write_str("while the request was read"),
            Self::Authorising => f.write_str("while credentials were fetched"),
            Self::Proving(hop) => write!(f, "while gRPC was proven to {hop}"),
            Self::Connecting(hop) => write!(f, "while a gRPC connection was opened to {hop}"),
            Self::OnGrpc(hop) => write!(f, "before {hop} had answered over gRPC"),
            Self::OnRest(hop) => write!(f, "before {hop} had answered over REST"),
        }
    }
}

/// Ends `work` at the call's deadline, with an error that says what it was busy with. What is large
/// is handed over pinned, so that it stays where it is.
pub(crate) async fn within<T>(
    deadline: Option<Deadline>,
    busy: Busy<'_>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(deadline) = deadline else { return work.await };
    let expired = || expired(&format!(" {busy}"));
    // The timer alone would let the work begin, and send.
    if deadline.has_passed() {
        return Err(expired());
    }
    until(deadline.at(), work).await.unwrap_or_else(|| Err(expired()))
}

/// Ends `work` at that time, with `None`. Work that is done at once, as most is, makes no timer.
pub(crate) async fn until<T>(at: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut timer = pin!(None);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        if timer.is_none() {
            // Work that never rests uses up the task's budget, which the timer must not need.
            timer.set(Some(unconstrained(sleep_until(at))));
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(context).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::task::consume_budget;
    use tokio::time::advance;

    use super::*;
    use crate::symptom::SymptomKind;

    fn kind_after(budget: u64, passed: u64, symptom: SymptomKind) -> ErrorKind {
        let deadline = Deadline {
            at: Instant::now() + Duration::from_millis(budget - passed),
            budget: Duration::from_millis(budget),
        };
        let symptom = Symptom::new(symptom, "host a:1");
        deadline.judge(&symptom).unwrap_or_else(|| symptom.into()).kind()
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (left, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(left)), seconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn about_the_deadline_is_its_last_tenth_within_bounds() {
        use ErrorKind::{DeadlineExceeded, Interrupted};
        for (budget, passed, expected) in [
            (50, 39, Interrupted),
            (50, 40, DeadlineExceeded),
            (50, 50, DeadlineExceeded),
            (200, 179, Interrupted),
            (200, 180, DeadlineExceeded),
            (600_000, 598_999, Interrupted),
            (600_000, 599_000, DeadlineExceeded),
        ] {
            let found = kind_after(budget, passed, SymptomKind::StreamReset);
            assert_eq!(found, expected, "{passed} of {budget} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_call_that_may_have_been_taken_ends_by_its_deadline() {
        for kind in SymptomKind::ALL {
            let is_deadline = kind_after(100, 100, *kind) == ErrorKind::DeadlineExceeded;
            let may_be_taken = !matches!(kind.delivery(), Delivery::NotSent | Delivery::Refused);
            assert_eq!(is_deadline, may_be_taken, "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_statuses_only_a_cancellation_and_a_forged_one_are_timers() {
        let deadline = Deadline::after(Duration::from_millis(100)).expect("a time");
        let (forged, other) = (Author::Forged(Code::Unknown), Author::Service);
        let judge = |code, author| deadline.judge_status(Some(code), author).is_some();
        assert!(!judge(Code::Cancelled, other) && !judge(Code::Unavailable, forged), "it is early");
        advance(Duration::from_millis(95)).await;
        assert!(judge(Code::Cancelled, other) && judge(Code::Unavailable, forged));
        assert!(!judge(Code::Unavailable, other) && !judge(Code::Ok, forged));
        assert!(!judge(Code::DeadlineExceeded, other));
        assert!(deadline.judge_status(None, forged).is_none());
    }

    #[tokio::test]
    async fn a_deadline_ends_work_that_never_rests() {
        let work = async {
            loop {
                consume_budget().await;
            }
        };
        let deadline = Deadline::after(Duration::from_millis(10));
        let ended: Result<(), Error> = within(deadline, Busy::Reading, work).await;
        assert_eq!(ended.expect_err("no end").kind(), ErrorKind::DeadlineExceeded);
    }
}
