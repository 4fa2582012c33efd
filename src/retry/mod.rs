//! Retries: which answers of the service are tried again, by method, within a budget across calls.

mod backoff;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderMap};
use tonic::{Code, Status};

use crate::bridge::options::RetryPolicy;
use crate::call::author::is_forged;
use crate::call::{Answer, Call};
use crate::gemini::Details;
use crate::retry::backoff::{Budget, next_wait};

/// The retry policies of a bridge and their common budget.
pub(crate) struct Retries {
    policies: RetryPolicies,
    budget: Mutex<Budget>,
}

/// Which policy holds for a method.
pub(crate) enum RetryPolicies {
    /// The same for each.
    Fixed(RetryPolicy),
    /// By the service's own configuration, which knows methods by their path.
    ByMethod(fn(&str) -> Option<RetryPolicy>),
}

impl Retries {
    pub(crate) fn new(policies: RetryPolicies) -> Self {
        Self { policies, budget: Mutex::default() }
    }

    /// How long to wait before the next attempt; `None` if `answer` is final.
    ///
    /// Only a status that the service gave counts: not one that an intermediary forged.
    pub(crate) fn wait_before_next(
        &self,
        call: &Call,
        answer: &Answer,
        attempt: u32,
    ) -> Option<Duration> {
        let status =
            Status::from_header_map(answer.headers()).filter(|status| status.code() != Code::Ok);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(status) = status else {
            budget.record_success();
            return None;
        };
        if is_forged(answer.headers()) || !call.message.is_in_hand() {
            return None;
        }
        let policy = self.policy(call)?;
        let asked = asked_wait(&status, answer.headers());
        let wait = next_wait(&policy, status.code(), attempt, asked, random(), call.time_left())?;
        budget.record_failure().then_some(wait)
    }

    fn policy(&self, call: &Call) -> Option<RetryPolicy> {
        if let Some(policy) = &call.options.retry {
            return Some(policy.clone());
        }
        match &self.policies {
            RetryPolicies::Fixed(policy) => Some(policy.clone()),
            RetryPolicies::ByMethod(table) => table(&call.method.as_ref()?.path),
        }
    }
}

/// What the service asks for: `google.rpc.RetryInfo` in the details, else `Retry-After` in seconds.
fn asked_wait(status: &Status, headers: &HeaderMap) -> Option<Duration> {
    let details = Details::of(status);
    let delay = details.retry_info().and_then(|info| info.retry_delay?.try_into().ok());
    delay.or_else(|| {
        let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        Some(Duration::from_secs(seconds.parse().ok()?))
    })
}

/// A number in `0.0..1.0`; the standard library's hash keys are random enough for jitter.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}
