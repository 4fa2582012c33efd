//! Retries: which answers of the service are tried again, by method, within a budget across calls.

mod backoff;

use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderMap};
use rustc_hash::FxHasher;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::bridge::options::RetryPolicy;
use crate::call::{Call, Judged};
use crate::gemini::Details;
use crate::retry::backoff::{Budget, next_wait};

/// The retry policies of a bridge and their common budget.
pub(crate) struct Retries {
    policies: RetryPolicies,
    budget: Mutex<Budget>,
    jitter: Mutex<Jitter>,
}

/// Which policy holds for a method.
pub(crate) enum RetryPolicies {
    /// The same for each.
    Fixed(RetryPolicy),
    /// By the service's own configuration, which knows methods by their path.
    ByMethod(fn(&str) -> Option<RetryPolicy>),
    /// By the configuration that came with the schema.
    OfSchema,
}

impl Retries {
    pub(crate) fn new(policies: RetryPolicies) -> Self {
        Self { policies, budget: Mutex::default(), jitter: Mutex::new(Jitter::new()) }
    }

    /// How long to wait before the next attempt; `None` if the answer is final.
    ///
    /// Only a status that the service gave counts: not one that an intermediary forged.
    pub(crate) fn wait_before_next(
        &self,
        call: &Call,
        judged: &Judged,
        attempt: u32,
    ) -> Option<Duration> {
        let status = judged.code.filter(|code| *code != Code::Ok);
        let status = status.and_then(|_| Status::from_header_map(judged.answer.headers()));
        let Some(status) = status else {
            self.note_success();
            return None;
        };
        if judged.author.is_forged() || !call.message.is_in_hand() {
            return None;
        }
        self.wait_after(&self.policy(call)?, &status, call.time_left(), attempt)
    }

    /// How long to wait before a request that was refused with this status is sent again; `None` if
    /// that is final. `left` is the time before its deadline.
    pub(crate) fn wait_after(
        &self,
        policy: &RetryPolicy,
        refusal: &Status,
        left: Option<Duration>,
        attempt: u32,
    ) -> Option<Duration> {
        let asked = asked_wait(refusal, refusal.metadata().as_ref());
        let random = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).next();
        let wait = next_wait(policy, refusal.code(), attempt, asked, random, left)?;
        self.budget().record_failure().then_some(wait)
    }

    /// A request was answered well.
    pub(crate) fn note_success(&self) {
        self.budget().record_success();
    }

    /// For a request without a method: a verb that may be repeated is, by Google's configuration;
    /// another only where the bridge was told so for all calls.
    pub(crate) fn policy_of_verb(&self, verb: &http::Method) -> RetryPolicy {
        match &self.policies {
            RetryPolicies::Fixed(policy) => policy.clone(),
            RetryPolicies::ByMethod(_) if verb.is_idempotent() => RetryPolicy::google(),
            RetryPolicies::ByMethod(_) | RetryPolicies::OfSchema => RetryPolicy::none(),
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self, call: &Call) -> Option<RetryPolicy> {
        if let Some(policy) = &call.options.retry {
            return Some(policy.clone());
        }
        match &self.policies {
            RetryPolicies::Fixed(policy) => Some(policy.clone()),
            RetryPolicies::ByMethod(table) => table(&call.method.as_ref()?.path),
            RetryPolicies::OfSchema => call.method.as_ref()?.config.retry.clone(),
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

/// Jitter: by the nanosecond of its use, which no two programs share, and for two uses at once by
/// their number. Where time is virtual, it comes the same again.
#[derive(Debug)]
pub(crate) struct Jitter {
    began: Instant,
    used: u64,
}

impl Jitter {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), used: 0 }
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn next(&mut self) -> f64 {
        self.used += 1;
        let mut hasher = FxHasher::default();
        (self.used, self.began.elapsed().as_nanos()).hash(&mut hasher);
        let bits = mix(hasher.finish()) >> 32;
        f64::from(u32::try_from(bits).unwrap_or_default()) / VALUES
    }
}

/// So many values a number of 32 bits has.
const VALUES: f64 = 4_294_967_296.0;

/// Each bit of the outcome depends on all bits: the last step of `SplitMix64`.
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::uri::PathAndQuery;
    use prost::Message as _;
    use prost_types::Any;
    use tonic::body::Body;

    use super::*;
    use crate::bridge::options::CallOptions;
    use crate::call::Message;
    use crate::call::author::Author;
    use crate::call::deadline::Deadline;
    use crate::call::frame::Frame;
    use crate::rpc;
    use crate::schema::Schema;

    const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";

    fn call() -> Call {
        let frame = Frame::wrap(b"").expect("a frame");
        Call::of_message(PathAndQuery::from_static(GENERATE), None, HeaderMap::new(), frame)
    }

    fn call_of_the_schema() -> Call {
        let schema = Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("a schema");
        Call { method: schema.method(GENERATE).map(Arc::clone), ..call() }
    }

    fn judged(status: &Status) -> Judged {
        Judged::of(status.clone().into_http::<Body>())
    }

    fn busy() -> Status {
        Status::unavailable("a moment, please")
    }

    fn fixed() -> Retries {
        Retries::new(RetryPolicies::Fixed(RetryPolicy::google()))
    }

    /// Asks for 7 s as Google does.
    fn asks_in_its_details() -> Status {
        let delay = Some(prost_types::Duration { seconds: 7, nanos: 0 });
        let info = rpc::RetryInfo { retry_delay: delay };
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
        let details = vec![Any { type_url, value: info.encode_to_vec() }];
        let packed = rpc::Status { code: 14, message: String::new(), details };
        Status::with_details(Code::Unavailable, "", Bytes::from(packed.encode_to_vec()))
    }

    /// Asks for 7 s as HTTP does.
    fn asks_in_a_header() -> Status {
        let mut status = busy();
        status.metadata_mut().insert("retry-after", "7".parse().expect("a value"));
        status
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_the_service_that_invites_another_attempt_is_followed_by_one() {
        let after = |judged: &Judged| fixed().wait_before_next(&call(), judged, 1);
        assert!(after(&judged(&busy())).is_some_and(|wait| wait < Duration::from_secs(1)));
        assert_eq!(after(&judged(&Status::invalid_argument(""))), None);
        assert_eq!(after(&judged(&Status::ok(""))), None);
        assert_eq!(after(&Judged::of(http::Response::new(Body::default()))), None);
        let author = Author::Forged(Code::Unavailable);
        assert_eq!(after(&Judged { author, ..judged(&busy()) }), None, "nobody asked for another");
        let is_last = fixed().wait_before_next(&call(), &judged(&busy()), 5).is_none();
        assert!(is_last, "the fifth one is the last");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_given_away_is_not_sent_again() {
        let given_away = Call { message: Message::Stream(None), ..call() };
        assert_eq!(fixed().wait_before_next(&given_away, &judged(&busy()), 1), None);
        let in_hand = Call { message: Message::Stream(Some(Body::default())), ..call() };
        assert!(fixed().wait_before_next(&in_hand, &judged(&busy()), 1).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_says_how_long_to_wait() {
        let seven = Duration::from_secs(7);
        for status in [asks_in_its_details(), asks_in_a_header()] {
            assert_eq!(fixed().wait_before_next(&call(), &judged(&status), 1), Some(seven));
            let late = Call { deadline: Deadline::after(seven), ..call() };
            assert_eq!(fixed().wait_before_next(&late, &judged(&status), 1), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_a_failure_earns_a_part_of_a_retry() {
        let retries = fixed();
        let failing = || retries.wait_before_next(&call(), &judged(&busy()), 1).is_some();
        while failing() {}
        let good = judged(&Status::ok(""));
        (0..30).for_each(|_| assert_eq!(retries.wait_before_next(&call(), &good, 1), None));
        assert!(failing(), "ten answers pay for one");
    }

    #[tokio::test(start_paused = true)]
    async fn the_policy_is_the_calls_own_or_else_that_of_its_method() {
        let none = || CallOptions::new().retry(RetryPolicy::none());
        let google = || CallOptions::new().retry(RetryPolicy::google());
        let by_method =
            || RetryPolicies::ByMethod(|path| (path == GENERATE).then(RetryPolicy::google));
        let by_nothing = || RetryPolicies::ByMethod(|_| None);
        let default = CallOptions::new;
        for (policies, call, is_retried) in [
            (RetryPolicies::Fixed(RetryPolicy::google()), call(), true),
            (RetryPolicies::Fixed(RetryPolicy::none()), call(), false),
            (
                RetryPolicies::Fixed(RetryPolicy::google()),
                Call { options: none(), ..call() },
                false,
            ),
            (RetryPolicies::OfSchema, Call { options: google(), ..call() }, true),
            (RetryPolicies::OfSchema, Call { options: default(), ..call_of_the_schema() }, false),
            (by_method(), call_of_the_schema(), true),
            (by_method(), call(), false),
            (by_nothing(), call_of_the_schema(), false),
        ] {
            let wait = Retries::new(policies).wait_before_next(&call, &judged(&busy()), 1);
            assert_eq!(wait.is_some(), is_retried);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_a_method_is_sent_again_by_its_verb() {
        let by_method = Retries::new(RetryPolicies::ByMethod(|_| None));
        let of_schema = Retries::new(RetryPolicies::OfSchema);
        for (retries, verb, is_retried) in [
            (&fixed(), http::Method::POST, true),
            (&by_method, http::Method::GET, true),
            (&by_method, http::Method::POST, false),
            (&of_schema, http::Method::GET, false),
        ] {
            let wait = retries.wait_after(&retries.policy_of_verb(&verb), &busy(), None, 1);
            assert_eq!(wait.is_some(), is_retried, "{verb}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_refill_the_budget_that_failures_empty() {
        let policy = RetryPolicy::google();
        let retries = Retries::new(RetryPolicies::Fixed(policy.clone()));
        let refusal = Status::unavailable("a moment, please");
        let is_retried = || retries.wait_after(&policy, &refusal, None, 1).is_some();
        assert_eq!((0..60).filter(|_| is_retried()).count(), 49, "half of a hundred tokens");
        (0..1_000).for_each(|_| retries.note_success());
        assert!(is_retried());
    }

    /// The first numbers of the reference implementation, from its seed 1234567.
    #[test]
    fn bits_are_mixed_as_split_mix_64_mixes_them() {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let drawn = (1..=5).map(|step: u64| mix(step.wrapping_mul(STEP).wrapping_add(1_234_567)));
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert!(drawn.eq(published));
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_is_spread_over_its_range_also_within_a_moment() {
        let mut jitter = Jitter::new();
        let drawn: Vec<f64> = (0..1_000).map(|_| jitter.next()).collect();
        for tenth in 0..10 {
            let low = f64::from(tenth) / 10.0;
            let count = drawn.iter().filter(|drawn| (low..low + 0.1).contains(drawn)).count();
            assert!((50..150).contains(&count), "{count} of 1,000 from {low}");
        }
    }
}
