//! Call: what must hold of each call.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ActiveTransport, Delivery, ErrorKind, ResendPolicy, Transport};
use tonic::Code;

use super::SLACK;
use super::faults::{does_no_harm, is_seen_by_a_free_call, is_silent, is_tunnel, lets_heads_pass};
use crate::callers::{End, Failure, Outcome};
use crate::run::{Record, transport_of};
use crate::service::{REFUSAL, WORD, Work, invites_another};
use crate::world::{Call, Event, Shape, What, World};

pub(super) struct Judged<'a> {
    pub(super) world: &'a World,
    pub(super) record: &'a Record,
    pub(super) call: &'a Call,
    pub(super) outcome: &'a Outcome,
    pub(super) work: Work,
    /// How often it reached the service, also where that refused its login.
    pub(super) grpc: u32,
    pub(super) rest: u32,
}

impl Judged<'_> {
    pub(super) fn violations(&self) -> Vec<String> {
        let checks = [
            self.paid_once(),
            self.in_time(),
            self.whole(),
            self.true_delivery(),
            self.on_its_transport(),
            self.own_words(),
            self.word_for_word(),
            self.carried(),
            self.not_held_up(),
            self.not_stalled(),
            self.marked(),
            self.told_of_its_transport(),
            self.at_its_hop(),
            self.asked_again_in_time(),
            self.stays_on_grpc(),
            self.finds_out_in_time(),
            self.leaves_the_bad_connection(),
            self.in_good_time(),
            self.follows_the_name(),
        ];
        checks.into_iter().flatten().collect()
    }

    /// How often the service took it up.
    fn taken(&self) -> u32 {
        self.work.taken
    }

    fn resend(&self) -> ResendPolicy {
        self.call.resend.unwrap_or(self.world.options.resend)
    }

    /// How often the service may have been asked, as often as its own answers invited that.
    fn invited(&self) -> u32 {
        let work = &self.work;
        let is_repeatable = self.call.answer.error.is_some_and(invites_another);
        let ends = if is_repeatable { work.taken.saturating_sub(work.refused) } else { 1 };
        (work.refused + ends.max(1)).min(self.world.options.attempts.max(1))
    }

    fn paid_once(&self) -> Option<String> {
        // Where the trailers alone are lost, all was answered.
        let unhurt = |event: &Event| matches!(event.what, What::Conditions(_) | What::Nameless(_));
        let lost = self.world.proxies == [Fault::TrailersStripped]
            && self.world.breaks.is_empty()
            && self.world.events.iter().all(unhurt);
        let is_allowed = self.resend() == ResendPolicy::WhenUnanswered
            && self.call.shape != Shape::Bidi
            && !lost;
        let (taken, invited) = (self.taken(), self.invited());
        (taken > invited && !is_allowed)
            .then(|| format!("was taken up {taken} times, {invited} allowed"))
    }

    /// By its deadline, or as soon as its caller looks again, or the machine wakes.
    fn in_time(&self) -> Option<String> {
        let limit = self.call.timeout.or(match self.call.shape {
            Shape::Unary | Shape::Stream => Some(Duration::from_secs(600)),
            Shape::Free => Some(Duration::from_secs(60)),
            Shape::Bidi => None,
        })?;
        let is_away = matches!(self.outcome.end, End::Cancelled) && !self.call.reading.is_zero();
        let deadline = self.outcome.began + limit;
        let mut latest = deadline.max(self.outcome.looked) + SLACK;
        for (began, ended) in &self.record.slept {
            if (*began..=*ended).contains(&latest) || (*began..=*ended).contains(&deadline) {
                latest = latest.max(*ended + SLACK);
            }
        }
        let late = self.outcome.ended.checked_duration_since(latest)?;
        (!late.is_zero() && !is_away)
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
        // Over REST, the messages alone say that a stream is whole.
        let is_on_rest = self.outcome.transport == Some(ActiveTransport::Rest);
        if is_complete && is_on_rest && self.call.answer.is_endless {
            return Some("complete over REST, though no message said so".to_owned());
        }
        (messages.len() > all).then(|| format!("{} of {all} messages", messages.len()))
    }

    /// What a failure says of the request is what the service knows.
    fn true_delivery(&self) -> Option<String> {
        let End::Failed(failure) = &self.outcome.end else { return None };
        let (kind, delivery) = failure.symptom?;
        let was_unprocessed = |it: Delivery| matches!(it, Delivery::NotSent | Delivery::Refused);
        let is_wrong = match delivery {
            _ if self.resend() == ResendPolicy::WhenUnanswered => false,
            Delivery::NotSent | Delivery::Refused => {
                failure.first.is_none_or(was_unprocessed)
                    && !self.call.answer.error.is_some_and(invites_another)
                    && self.taken() > self.work.refused
            }
            Delivery::Processed => self.grpc + self.rest == 0,
            _ => false,
        };
        is_wrong.then(|| {
            format!("{kind} says {delivery:?}, and it was taken up {} times", self.taken())
        })
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
        let may_be_forged = self.world.has_proxy() || self.call.shape == Shape::Bidi;
        (!may_be_forged).then(|| format!("the service never said {}", failure.text))
    }

    /// The service's own words arrive as it said them, and what stands beside them.
    fn word_for_word(&self) -> Option<String> {
        let End::Failed(failure) = &self.outcome.end else { return None };
        let is_planned = self.call.answer.error == Some(failure.code);
        let is_refusal = self.call.answer.refused > 0 && failure.code == Code::Unavailable;
        if failure.kind.is_some() || self.world.has_proxy() || !(is_planned || is_refusal) {
            return None;
        }
        let is_said = is_planned && failure.text.ends_with(WORD)
            || is_refusal && failure.text.ends_with(REFUSAL);
        if !is_said {
            return Some(format!("the service never said {}", failure.text));
        }
        // REST has no trailers.
        let is_marked = self.rest > 0 || self.outcome.mark_at_end == Some(self.call.number);
        (!is_marked).then(|| format!("its error is marked {:?}", self.outcome.mark_at_end))
    }

    fn is_planned(&self, failure: &Failure) -> bool {
        let is_error = self.call.answer.error == Some(failure.code);
        let is_refusal = self.call.answer.refused > 0 && failure.code == Code::Unavailable;
        // The service keeps the deadline, too.
        let is_expired = failure.code == Code::DeadlineExceeded;
        is_error || is_refusal || is_expired || self.is_login_lost(failure)
    }

    /// A call is authorised anew once: not where the client writes it, or where tokens die on the
    /// way.
    fn is_login_lost(&self, failure: &Failure) -> bool {
        let is_revoked = self.world.events.iter().any(|event| event.what == What::Revoke);
        let has_slept = !self.record.slept.is_empty();
        let is_asked_once = self.call.shape == Shape::Bidi;
        let wants_tokens = self.world.service.token_life.is_some();
        let is_possible = self.has_short_tokens() || is_revoked || has_slept || is_asked_once;
        failure.code == Code::Unauthenticated && wants_tokens && is_possible
    }

    /// They may expire on the way.
    fn has_short_tokens(&self) -> bool {
        self.world.service.token_life.is_some_and(|life| life < LONG_LIFE)
    }

    /// On a network that does no harm, and stays so, no call fails but by the service; where gRPC
    /// alone is broken, as the free call shows, no call that may take REST.
    fn carried(&self) -> Option<String> {
        let End::Failed(failure) = &self.outcome.end else { return None };
        let is_auto = self.is_auto();
        let has_rest = is_auto && self.call.shape != Shape::Bidi;
        let window = self.world.service.window.unwrap_or(u32::MAX);
        let is_passed = |fault: &Fault| does_no_harm(*fault) && window >= LEAST_WINDOW;
        // The refusal of a login is a head alone, and proves gRPC.
        let is_shown = |fault: Fault| {
            is_seen_by_a_free_call(fault) && !(self.has_short_tokens() && lets_heads_pass(fault))
        };
        let is_on_rest =
            |fault: &Fault| has_rest && is_shown(*fault) && (window == 0 || window >= LEAST_WINDOW);
        let carries = |fault: &Fault| is_passed(fault) || is_on_rest(fault);
        let is_open = [Fault::Pass].iter().chain(&self.world.proxies).all(carries);
        if !self.world.is_calm() || !is_open || self.is_planned(failure) {
            return None;
        }
        if self.is_hit_by_age() || self.call.answer.is_endless {
            return None;
        }
        // REST has no form for some calls.
        let is_due = [ErrorKind::DeadlineExceeded, ErrorKind::Unsupported];
        let is_due = failure.kind.is_some_and(|kind| is_due.contains(&kind));
        // The client's own silence may be what the service waits for.
        let has_limit = self.call.shape != Shape::Bidi;
        let far = self.world.conditions().iter().map(|(_, it)| it.latency * 4).max();
        let longest = self.longest_wait() + far.unwrap_or_default();
        let is_silent = longest >= self.world.options.stream_idle_limit;
        let is_slow = is_due || has_limit && is_silent;
        (!is_slow).then(|| format!("failed though the network carries it: {}", failure.text))
    }

    /// A connection of HTTP/1.1 that its server ends may do so just as a call is on its way; so may
    /// one of a proxy that reads along.
    fn is_hit_by_age(&self) -> bool {
        let is_on_grpc = transport_of(self.world, self.call) == Transport::Grpc;
        let reads_along = self.world.proxies.iter().any(|fault| !is_tunnel(*fault));
        self.world.service.connection_age.is_some() && (!is_on_grpc || reads_along)
    }

    /// The service's longest silence.
    fn longest_wait(&self) -> Duration {
        self.call.answer.pause.max(self.call.answer.thought)
    }

    /// A silent gRPC holds a call up no longer than its head start.
    fn not_held_up(&self) -> Option<String> {
        let Call { shape, answer, .. } = self.call;
        let is_auto = self.is_auto();
        let is_plain = *shape == Shape::Unary && answer.error.is_none() && answer.refused == 0;
        let has_room = self.world.options.rest_connections > self.world.calls.len();
        let is_complete = matches!(self.outcome.end, End::Complete);
        let is_alone = self.world.proxies.len() == 1 && self.world.service.token_life.is_none();
        let is_on_rest = is_alone && is_silent(self.world.fault()) && self.world.is_calm();
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

    pub(super) fn is_auto(&self) -> bool {
        transport_of(self.world, self.call) == Transport::Auto
    }

    /// A stream that is silent for longer than its limit ends.
    fn not_stalled(&self) -> Option<String> {
        let Call { shape, answer, .. } = self.call;
        let is_silent = *shape == Shape::Stream
            && answer.messages > 1
            && answer.pause > self.world.options.stream_idle_limit + SLACK;
        let is_complete = matches!(self.outcome.end, End::Complete);
        let has_slept = !self.record.slept.is_empty();
        // What comes at once was silent for nobody.
        let is_buffered = self.world.times_of(Fault::AnswerBuffered) > 0;
        (is_silent && is_complete && self.call.reading.is_zero() && !has_slept && !is_buffered)
            .then(|| format!("was silent for {:?}", answer.pause))
    }

    /// Metadata goes both ways.
    fn marked(&self) -> Option<String> {
        if !matches!(self.outcome.end, End::Complete) {
            return None;
        }
        let Outcome { mark, mark_at_end, transport, .. } = self.outcome;
        let number = Some(self.call.number);
        let has_end = *transport == Some(ActiveTransport::Grpc);
        let is_marked = *mark == number && (!has_end || *mark_at_end == number);
        (!is_marked).then(|| format!("its answer is marked {mark:?}, at its end {mark_at_end:?}"))
    }

    /// The caller hears which transport brought the answer.
    fn told_of_its_transport(&self) -> Option<String> {
        let is_complete = matches!(self.outcome.end, End::Complete);
        let arrived = match self.outcome.transport {
            Some(ActiveTransport::Grpc) => self.grpc,
            Some(ActiveTransport::Rest) => self.rest,
            _ => 0,
        };
        (is_complete && arrived == 0)
            .then(|| format!("came over {:?}, it is said", self.outcome.transport))
    }

    /// What failed on the way to the proxy, or at it, is told of the proxy; nothing is where there
    /// is none.
    fn at_its_hop(&self) -> Option<String> {
        let End::Failed(Failure { symptom: Some((kind, _)), hop: Some(hop), .. }) =
            &self.outcome.end
        else {
            return None;
        };
        let is_of_proxy = kind.name().starts_with("proxy-") && self.world.has_proxy();
        let is_told = hop.contains("proxy.test");
        let is_wrong = is_told && !self.world.has_proxy() || is_of_proxy && !is_told;
        is_wrong.then(|| format!("{kind} is told of {hop}"))
    }

    /// The wait before an attempt that was invited grows, and is bounded.
    fn asked_again_in_time(&self) -> Option<String> {
        let world = self.world;
        let (_, conditions) = world.conditions().pop()?;
        let is_plain = world.is_calm() && conditions.rate.is_none() && world.has_room();
        let is_open = world.proxies.iter().all(|fault| does_no_harm(*fault));
        if !is_plain || !is_open || self.call.size > 20_000 {
            return None;
        }
        let refused = usize::try_from(self.work.refused).expect("few");
        let times = self.work.times.windows(2).take(refused);
        let waits: Vec<Duration> = times.map(|two| two[1] - two[0]).collect();
        let mut longest = Duration::from_secs(1);
        let asks = self.call.answer.asks;
        for wait in &waits {
            let on_the_way = conditions.latency * 12 + world.service.token_delay;
            let most = asks.unwrap_or(longest) + on_the_way + SLACK;
            let least = asks.unwrap_or_default();
            if *wait > most || *wait < least {
                return Some(format!("asked again after {wait:?}, {least:?} to {most:?} allowed"));
            }
            longest = longest.mul_f64(1.3);
        }
        let in_all: Duration = waits.iter().sum();
        let is_hasty =
            asks.is_none() && waits.len() >= 4 && in_all < conditions.latency * 8 + HASTE;
        is_hasty.then(|| format!("asked again and again within {in_all:?}"))
    }
}

/// Four random waits of up to a second and more are longer together.
const HASTE: Duration = Duration::from_millis(50);
/// For what is done in several steps.
const HELD_UP: Duration = Duration::from_millis(150);
/// Tokens that live so long do not die on their way in a network that is good.
const LONG_LIFE: Duration = Duration::from_secs(900);
/// Bytes of a stream at once: with fewer, a large request takes for ever.
const LEAST_WINDOW: u32 = 16_000;
