//! Model: what must hold of every run, told from the plan of the world and from the service's own
//! account.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ActiveTransport, Delivery, ErrorKind, ResendPolicy, SymptomKind, Transport};
use tokio::time::Instant;
use tonic::Code;

use crate::callers::{End, Failure, Outcome};
use crate::run::{Arrival, HEALED_CALLS, KEY, Left, Record, transport_of};
use crate::service::invites_another;
use crate::world::{Call, Shape, What, World};

/// What was broken in a run; nothing, if all held.
pub(crate) fn violations(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let arrivals = record.arrivals();
    for (call, outcome) in world.calls.iter().zip(&record.outcomes) {
        let (grpc, rest) = arrivals.get(&call.number).copied().unwrap_or_default();
        let of = Judged { world, record, call, outcome, grpc, rest };
        found.extend(
            of.violations().into_iter().map(|what| format!("call {}: {what}", call.number)),
        );
    }
    found.extend(of_the_whole(world, record));
    found.extend(after_healing(world, record));
    found
}

struct Judged<'a> {
    world: &'a World,
    record: &'a Record,
    call: &'a Call,
    outcome: &'a Outcome,
    /// How often it reached the service.
    grpc: u32,
    rest: u32,
}

impl Judged<'_> {
    fn violations(&self) -> Vec<String> {
        let checks = [
            self.paid_once(),
            self.in_time(),
            self.whole(),
            self.true_delivery(),
            self.on_its_transport(),
            self.own_words(),
            self.carried(),
            self.not_held_up(),
            self.not_stalled(),
            self.marked(),
        ];
        checks.into_iter().flatten().collect()
    }

    fn arrived(&self) -> u32 {
        self.grpc + self.rest
    }

    fn resend(&self) -> ResendPolicy {
        self.call.resend.unwrap_or(self.world.options.resend)
    }

    /// How often the service may have been asked, as often as its own answers invited that.
    fn invited(&self) -> u32 {
        let work = self.record.account.of(self.call.number);
        let is_repeatable = self.call.answer.error.is_some_and(invites_another);
        let ends = if is_repeatable { work.taken.saturating_sub(work.refused) } else { 1 };
        (work.refused + ends.max(1)).min(self.world.options.attempts.max(1))
    }

    fn paid_once(&self) -> Option<String> {
        let is_allowed =
            self.resend() == ResendPolicy::WhenUnanswered && self.call.shape != Shape::Bidi;
        let (arrived, invited) = (self.arrived(), self.invited());
        (arrived > invited && !is_allowed)
            .then(|| format!("reached the service {arrived} times, {invited} allowed"))
    }

    /// By its deadline, or as soon as its caller looks again, or the machine wakes.
    fn in_time(&self) -> Option<String> {
        let limit = self.call.timeout.or(match self.call.shape {
            Shape::Unary | Shape::Stream => Some(Duration::from_secs(600)),
            Shape::Free => Some(Duration::from_secs(60)),
            Shape::Bidi => None,
        })?;
        let deadline = self.outcome.began + limit;
        let slept = |of: &&(Instant, Instant)| (of.0..=of.1).contains(&deadline);
        let woke = self.record.slept.iter().find(slept).map(|slept| slept.1);
        let latest = deadline.max(self.outcome.looked).max(woke.unwrap_or(deadline)) + SLACK;
        let late = self.outcome.ended.checked_duration_since(latest)?;
        (!late.is_zero())
            .then(|| format!("ended {late:?} after its deadline: {:?}", self.outcome.end))
    }

    /// Messages in order, none lost or doubled; complete only with all of them.
    fn whole(&self) -> Option<String> {
        let expected = |index: usize| format!("{}/{index}/", self.call.number);
        let messages = &self.outcome.messages;
        let is_prefix =
            messages.iter().enumerate().all(|(index, message)| *message == expected(index));
        if !is_prefix {
            return Some(format!("messages {messages:?}"));
        }
        let all = self.call.answer.messages;
        let is_complete = matches!(self.outcome.end, End::Complete);
        if is_complete && (messages.len() != all || self.call.answer.error.is_some()) {
            return Some(format!("complete with {} of {all} messages", messages.len()));
        }
        (messages.len() > all).then(|| format!("{} of {all} messages", messages.len()))
    }

    /// What a failure says of the request is what the service knows.
    fn true_delivery(&self) -> Option<String> {
        let End::Failed(failure) = &self.outcome.end else { return None };
        let (kind, delivery) = failure.symptom?;
        let work = self.record.account.of(self.call.number);
        let was_unprocessed = |it: Delivery| matches!(it, Delivery::NotSent | Delivery::Refused);
        let is_wrong = match delivery {
            _ if self.resend() == ResendPolicy::WhenUnanswered => false,
            Delivery::NotSent | Delivery::Refused => {
                failure.first.is_none_or(was_unprocessed)
                    && !self.call.answer.error.is_some_and(invites_another)
                    && self.arrived() > work.refused
            }
            Delivery::Processed => self.arrived() == 0,
            _ => false,
        };
        is_wrong
            .then(|| format!("{kind} says {delivery:?}, and it arrived {} times", self.arrived()))
    }

    fn on_its_transport(&self) -> Option<String> {
        let (on, strays) = match transport_of(self.world, self.call) {
            Transport::Grpc => ("gRPC", self.rest),
            Transport::Rest => ("REST", self.grpc),
            _ => return None,
        };
        (strays > 0).then(|| format!("left {on}"))
    }

    /// What is said to be the service's word is.
    fn own_words(&self) -> Option<String> {
        let End::Failed(failure) = &self.outcome.end else { return None };
        if failure.kind.is_some() || self.is_planned(failure) {
            return None;
        }
        let may_be_forged = self.world.has_proxy || self.call.shape == Shape::Bidi;
        (!may_be_forged).then(|| format!("the service never said {}", failure.text))
    }

    fn is_planned(&self, failure: &Failure) -> bool {
        let is_error = self.call.answer.error == Some(failure.code);
        let is_refusal = self.call.answer.refused > 0 && failure.code == Code::Unavailable;
        // The service keeps the deadline, too.
        let is_expired = failure.code == Code::DeadlineExceeded;
        is_error || is_refusal || is_expired
    }

    /// On a network that does no harm, and stays so, no call fails but by the service; where gRPC
    /// alone is broken, as the free call shows, no call that may take REST.
    fn carried(&self) -> Option<String> {
        let End::Failed(failure) = &self.outcome.end else { return None };
        let fault = self.world.fault;
        let is_auto = transport_of(self.world, self.call) == Transport::Auto;
        let has_rest = is_auto && self.call.shape != Shape::Bidi && is_seen_by_a_free_call(fault);
        if !self.world.is_calm() || !(does_no_harm(fault) || has_rest) || self.is_planned(failure) {
            return None;
        }
        // REST has no form for some calls.
        let is_due = [ErrorKind::DeadlineExceeded, ErrorKind::Unsupported];
        let is_due = failure.kind.is_some_and(|kind| is_due.contains(&kind));
        let is_slow = is_due || self.longest_wait() >= self.world.options.stream_idle_limit;
        (!is_slow).then(|| format!("failed though the network carries it: {}", failure.text))
    }

    /// The service's longest silence.
    fn longest_wait(&self) -> Duration {
        self.call.answer.pause.max(self.call.answer.thought)
    }

    /// A silent gRPC holds a call up no longer than its head start.
    fn not_held_up(&self) -> Option<String> {
        let Call { shape, answer, .. } = self.call;
        let is_auto = transport_of(self.world, self.call) == Transport::Auto;
        let is_plain = *shape == Shape::Unary && answer.error.is_none() && answer.refused == 0;
        let has_room = self.world.options.rest_connections > self.world.calls.len();
        let is_complete = matches!(self.outcome.end, End::Complete);
        let is_on_rest = is_silent(self.world.fault) && self.world.is_calm();
        if !(is_on_rest && is_auto && is_plain && has_room && is_complete) {
            return None;
        }
        let conditions = self.world.conditions();
        let (_, conditions) = conditions.last()?;
        let bytes = (self.call.size + answer.size) as u64;
        let sending = Duration::from_millis(conditions.rate.map_or(0, |rate| 2_000 * bytes / rate));
        let most =
            self.world.options.head_start + conditions.latency * 8 + answer.thought + sending;
        let took = self.outcome.ended - self.outcome.began;
        (took > most + HELD_UP).then(|| format!("took {took:?}, {most:?} at most"))
    }

    /// A stream that is silent for longer than its limit ends.
    fn not_stalled(&self) -> Option<String> {
        let Call { shape, answer, .. } = self.call;
        let is_silent = *shape == Shape::Stream
            && answer.messages > 1
            && answer.pause > self.world.options.stream_idle_limit + SLACK;
        let is_complete = matches!(self.outcome.end, End::Complete);
        let has_slept = !self.record.slept.is_empty();
        (is_silent && is_complete && self.call.reading.is_zero() && !has_slept)
            .then(|| format!("was silent for {:?}", answer.pause))
    }

    /// Metadata goes both ways.
    fn marked(&self) -> Option<String> {
        let is_complete = matches!(self.outcome.end, End::Complete);
        (is_complete && self.outcome.mark != Some(self.call.number))
            .then(|| format!("its answer is marked {:?}", self.outcome.mark))
    }
}

/// For what is done in several steps.
const HELD_UP: Duration = Duration::from_millis(500);
/// Timers fire on whole milliseconds, one after the other.
const SLACK: Duration = Duration::from_millis(100);

fn of_the_whole(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    require(record.panics == 0, format!("{} panics", record.panics));
    require(!record.log.contains(KEY), "the key stands in the log".to_owned());
    let rash = record.rash_verdict.clone().unwrap_or_default();
    require(rash.is_empty(), format!("a verdict without an answer over REST: {rash}"));
    require(record.left == Left::default(), format!("left: {:?}", record.left));
    let stats = &record.stats;
    let calls = (world.calls.len() + HEALED_CALLS) as u64;
    require(stats.calls() == calls, format!("{} calls counted, {calls} made", stats.calls()));
    let attempts = stats.attempts(ActiveTransport::Grpc) + stats.attempts(ActiveTransport::Rest);
    let most = calls + stats.resends() + stats.retries();
    require(attempts <= most, format!("{attempts} attempts of {most}"));
    for (transport, is_rest) in [(ActiveTransport::Grpc, false), (ActiveTransport::Rest, true)] {
        let paid = |it: &&Arrival| it.number.is_some() && it.is_rest == is_rest;
        let arrived = record.received.iter().filter(paid).count() as u64;
        let sent = stats.attempts(transport);
        require(arrived <= sent, format!("{arrived} arrived over {transport}, {sent} counted"));
        let free = |it: &&Arrival| it.is_probe && it.is_rest == is_rest;
        let arrived = record.received.iter().filter(free).count() as u64;
        let sent = stats.probes(transport);
        // What is sent again of these is not counted anew.
        require(
            arrived <= sent * 4,
            format!("{arrived} free calls over {transport}, {sent} counted"),
        );
    }
    for it in record.received.iter().filter(|it| !it.is_probe && it.number.is_some()) {
        require(it.number == it.marked, format!("call {:?} is marked {:?}", it.number, it.marked));
        let call = world.calls.iter().find(|call| Some(call.number) == it.number);
        let has_limit = call.is_some_and(|call| call.timeout.is_some());
        require(!has_limit || it.has_timeout, format!("call {:?} brings no deadline", it.number));
    }
    let was_reset = world.events.iter().any(|event| event.what == What::Reset);
    if let Some(held) = record.short_verdict {
        require(was_reset, format!("a verdict held for {held:?} only"));
    }
    let most = world.options.rest_connections;
    let seen = record.most_connections;
    require(seen <= most, format!("{seen} connections of REST, {most} allowed"));
    let refused = stats.symptoms(SymptomKind::StreamRefused);
    require(world.has_proxy || refused == 0, format!("{refused} streams too many"));
    let failed = |it: &&Outcome| matches!(&it.end, End::Failed(why) if why.symptom.is_some());
    let failed = record.outcomes.iter().filter(failed).count() as u64;
    let counted: u64 = SymptomKind::ALL.iter().map(|kind| stats.symptoms(*kind)).sum();
    require(failed <= counted, format!("{failed} calls failed, {counted} symptoms counted"));
    let taken: u32 = world.calls.iter().map(|call| record.account.of(call.number).refused).sum();
    require(
        stats.retries() <= u64::from(taken) + again(world, record),
        "retries without an invitation".into(),
    );
    found
}

/// How often the service may have invited another attempt by its planned error.
fn again(world: &World, record: &Record) -> u64 {
    let calls = world.calls.iter().filter(|call| call.answer.error.is_some_and(invites_another));
    calls.map(|call| u64::from(record.account.of(call.number).taken)).sum()
}

/// On a good network, once the longest verdict is over, calls go over gRPC again.
fn after_healing(world: &World, record: &Record) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for outcome in &record.healed {
        if let End::Failed(failure) = &outcome.end {
            found.push(format!("fails on a good network: {}", failure.text));
        }
    }
    let wanted = match world.options.transport {
        Transport::Rest => ActiveTransport::Rest,
        _ => ActiveTransport::Grpc,
    };
    let last = record.healed.last().and_then(|outcome| outcome.transport);
    if found.is_empty() && last != Some(wanted) {
        found.push(format!("on a good network calls go over {last:?}"));
    }
    found
}

/// Faults that hit the free call as they hit others, and spare REST.
pub(crate) fn is_seen_by_a_free_call(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Pass
            | Fault::ConnectHttp10
            | Fault::ConnectCreated
            | Fault::ConnectSplit
            | Fault::Inspect
            | Fault::Http1Answer
            | Fault::PrefaceGarbage
            | Fault::ClosedAfterPreface
            | Fault::ResetAfterPreface
            | Fault::PrefaceSwallowed
            | Fault::SettingsThenSilence
            | Fault::NoStreams
            | Fault::GoAwayAtStart
            | Fault::GoAwayAtStartHttp11Required
            | Fault::GoAwayAtStartEnhanceYourCalm
            | Fault::StreamRefused
            | Fault::StreamResetNoError
            | Fault::StreamResetProtocolError
            | Fault::StreamResetInternalError
            | Fault::StreamResetCancel
            | Fault::StreamResetEnhanceYourCalm
            | Fault::StreamResetHttp11Required
            | Fault::Page200
            | Fault::Page403
            | Fault::Page502
            | Fault::Page504
            | Fault::Empty503
            | Fault::Redirected
            | Fault::JsonAnswer
            | Fault::EmptyAnswer
            | Fault::ForgedUnavailable
            | Fault::TrailersStripped
            | Fault::CallSwallowed
            | Fault::AnswerSwallowed
            | Fault::ClosedBeforeAnswer
            | Fault::ResetBeforeAnswer
            | Fault::ClosedAfterHead
            | Fault::ResetAfterHead
            | Fault::StreamResetAfterHead
            | Fault::StalledAfterHead
    )
}

/// They let everything pass that is no TLS.
fn does_no_harm(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Pass
            | Fault::ConnectHttp10
            | Fault::ConnectCreated
            | Fault::ConnectSplit
            | Fault::Inspect
    )
}

/// They leave gRPC without an answer, and REST alone.
fn is_silent(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::PrefaceSwallowed
            | Fault::SettingsThenSilence
            | Fault::NoStreams
            | Fault::CallSwallowed
            | Fault::AnswerSwallowed
            | Fault::StalledAfterHead
    )
}
