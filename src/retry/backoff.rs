//! Retry: when an answer of the service is asked for again, and how long to wait before.

use std::time::Duration;

use tonic::Code;

use crate::bridge::options::RetryPolicy;

/// The wait before the next attempt, or `None` to return the answer in hand.
///
/// `attempt` counts from 1, the one just answered; `asked` is the service's own wish
/// (`google.rpc.RetryInfo`, else `Retry-After`) and wins over backoff; `random` is in `0.0..1.0`
/// and gives full jitter; a wait that would end after the deadline is not begun.
pub(crate) fn next_wait(
    policy: &RetryPolicy,
    code: Code,
    attempt: u32,
    asked: Option<Duration>,
    random: f64,
    left: Option<Duration>,
) -> Option<Duration> {
    if attempt >= policy.max_attempts || !policy.codes.contains(&code) {
        return None;
    }
    let wait = asked.unwrap_or_else(|| backoff(policy, attempt, random));
    left.is_none_or(|left| wait < left).then_some(wait)
}

fn backoff(policy: &RetryPolicy, attempt: u32, random: f64) -> Duration {
    let longest = policy.max_backoff.as_secs_f64();
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = policy.initial_backoff.as_secs_f64() * policy.multiplier.powi(exponent);
    Duration::try_from_secs_f64(grown.min(longest) * random).unwrap_or(policy.max_backoff)
}

/// A budget across calls, so that retries do not pile onto a service that is down.
///
/// gRPC's retry throttling ([gRFC
/// A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs)):
/// a failed attempt costs a token, a success earns a tenth, and no retry starts below half.
#[derive(Debug)]
pub(crate) struct Budget {
    tenths: u32,
}

const FULL: u32 = 1000;
const FAILURE_COSTS: u32 = 10;

impl Default for Budget {
    fn default() -> Self {
        Self { tenths: FULL }
    }
}

impl Budget {
    pub(crate) fn record_success(&mut self) {
        self.tenths = (self.tenths + 1).min(FULL);
    }

    /// Pays for a failed attempt; says whether a retry may follow.
    pub(crate) fn record_failure(&mut self) -> bool {
        self.tenths = self.tenths.saturating_sub(FAILURE_COSTS);
        self.tenths > FULL / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(attempt: u32, asked: Option<u64>, left: Option<u64>) -> Option<Duration> {
        let policy = RetryPolicy::google();
        let seconds = |n: Option<u64>| n.map(Duration::from_secs);
        next_wait(&policy, Code::Unavailable, attempt, seconds(asked), 1.0, seconds(left))
    }

    #[test]
    fn backoff_grows_by_a_third_to_ten_seconds() {
        assert_eq!(wait(1, None, None), Some(Duration::from_secs(1)));
        assert_eq!(wait(2, None, None), Some(Duration::from_millis(1300)));
        assert_eq!(wait(5, None, None), None);
        let many = RetryPolicy::google().max_attempts(100);
        let late = next_wait(&many, Code::Unavailable, 50, None, 1.0, None);
        assert_eq!(late, Some(Duration::from_secs(10)));
    }

    #[test]
    fn the_wish_of_the_service_wins() {
        assert_eq!(wait(1, Some(7), None), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_deadline_too_near_ends_at_once() {
        assert_eq!(wait(1, Some(7), Some(7)), None);
        assert_eq!(wait(1, Some(7), Some(8)), Some(Duration::from_secs(7)));
    }

    #[test]
    fn other_codes_are_final() {
        let policy = RetryPolicy::google();
        assert_eq!(next_wait(&policy, Code::Internal, 1, None, 1.0, None), None);
    }

    #[test]
    fn the_budget_ends_retries_until_successes_refill_it() {
        let mut budget = Budget::default();
        let allowed = (0..100).filter(|_| budget.record_failure()).count();
        assert_eq!(allowed, 49);
        (0..2000).for_each(|_| budget.record_success());
        assert!(budget.record_failure());
    }

    #[test]
    fn absurd_policies_do_not_panic() {
        let policy = RetryPolicy::google().max_attempts(u32::MAX).backoff(
            Duration::MAX,
            f64::INFINITY,
            Duration::MAX,
        );
        for attempt in [1, 2, u32::MAX - 1] {
            next_wait(&policy, Code::Unavailable, attempt, None, f64::NAN, None);
        }
    }
}
