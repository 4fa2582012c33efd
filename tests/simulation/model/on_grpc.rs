//! On gRPC: where nothing speaks against gRPC, no call of `Transport::Auto` leaves it.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ActiveTransport, Transport};
use tokio::time::Instant;

use super::call::Judged;
use super::faults::{does_no_harm, is_tunnel};
use crate::callers::{End, Outcome};
use crate::run::transport_of;
use crate::world::{Call, Service, Shape, What};

impl Judged<'_> {
    /// Calls that are quick, on a network that is near, and that harms none of their kind: at most,
    /// it ends connections.
    pub(super) fn stays_on_grpc(&self) -> Option<String> {
        let world = self.world;
        let is_good = world.is_calm() || world.only_cuts() || world.only_outages().is_some();
        let (_, conditions) = world.conditions().pop()?;
        let is_near = conditions.latency <= NEAR && conditions.rate.is_none();
        let has_time = world.options.head_start >= HEAD_START;
        let has_room = world.service.max_streams.is_none_or(|streams| streams >= 100);
        let is_quiet = world.is_prompt()
            && world
                .calls
                .iter()
                .all(|call| call.answer.error.is_none() && call.answer.refused == 0);
        let is_spared = world.proxies.iter().all(|fault| self.spares(*fault));
        // A proxy that reads along has one connection to the service for each of its own.
        let ages = world.service.connection_age.is_some();
        let is_young = !ages || world.proxies.iter().all(|fault| is_tunnel(*fault));
        let is_meant =
            is_good && is_near && has_time && has_room && is_quiet && is_spared && is_young;
        if !is_meant || !self.is_auto() || self.is_hit() {
            return None;
        }
        if self.rest > 0 {
            return Some("left gRPC, which works".to_owned());
        }
        let End::Failed(failure) = &self.outcome.end else { return None };
        Some(format!("failed although gRPC works: {}", failure.text))
    }

    /// A connection of gRPC that a firewall forgot is found out before TCP gives it up: by one that
    /// is idle no call is lost. Of a silent connection of REST, TCP alone tells.
    pub(super) fn finds_out_in_time(&self) -> Option<String> {
        let (world, outcome) = (self.world, self.outcome);
        let silence = world.options.silence_limit;
        let is_meant = world.only_forgets()
            && !world.is_calm()
            && world.is_prompt()
            && world.proxies.iter().all(|fault| is_tunnel(*fault))
            && world.service == Service::default()
            && silence <= Duration::from_secs(3)
            && self.call.answer.error.is_none()
            && self.call.answer.refused == 0
            && self.is_auto();
        if !is_meant {
            return None;
        }
        let is_rest_idle = self.is_rest_idle();
        let until = if is_rest_idle { None } else { Some(self.rest_is_good_until()?) };
        let ended = until.map_or(outcome.ended, |until| outcome.ended.min(until));
        let took = ended.saturating_duration_since(outcome.began);
        if took > silence * 4 + NOTICED {
            return Some(format!("took {took:?} on a network that forgets"));
        }
        let most = world.options.head_start + DOUBTED;
        if took > most && self.has_a_stuck_forerunner(silence) {
            return Some(format!("took {took:?}, beside a call that a silent connection holds"));
        }
        let End::Failed(failure) = &outcome.end else { return None };
        let is_alone = self.record.outcomes.iter().all(|other| {
            other.number == outcome.number
                || other.ended + IDLE < outcome.began
                || other.began > outcome.ended
        });
        let is_hit = self.forgets().any(|at| at >= outcome.began && at <= outcome.ended);
        (is_rest_idle && is_alone && !is_hit)
            .then(|| format!("failed on a forgotten connection: {}", failure.text))
    }

    /// Whether another call was unanswered for so long that its connection was given up.
    fn has_a_stuck_forerunner(&self, silence: Duration) -> bool {
        let Some(first) = self.forgets().next() else { return false };
        let began = self.outcome.began;
        let others = self.world.calls.iter().zip(&self.record.outcomes);
        others
            .filter(|(call, _)| transport_of(self.world, call) == Transport::Auto)
            .any(|(_, it)| it.began > first && it.began + silence * 2 < began && it.ended >= began)
    }

    /// No call takes REST but by its own choice.
    fn is_rest_idle(&self) -> bool {
        let is_chosen = |call: &&Call| transport_of(self.world, call) == Transport::Rest;
        let chosen = self.world.calls.iter().filter(is_chosen).count() as u64;
        self.record.stats.attempts(ActiveTransport::Rest) <= chosen
    }

    /// REST had no connection when those of before were forgotten, so all that it has are good
    /// until that happens again.
    fn rest_is_good_until(&self) -> Option<Instant> {
        let mut forgets = self.forgets();
        let first = forgets.next()?;
        let second = forgets.next().unwrap_or(self.record.healed_at);
        let is_close = |at: Instant| at <= first && at + CLOSED >= first;
        let is_open = self.record.received.iter().any(|it| it.is_rest && is_close(it.at))
            || self.world.calls.iter().zip(&self.record.outcomes).any(|(call, outcome)| {
                transport_of(self.world, call) == Transport::Rest
                    && outcome.began <= first
                    && outcome.ended + CLOSED >= first
            });
        (!is_open).then_some(second)
    }

    fn forgets(&self) -> impl Iterator<Item = Instant> {
        let events = self.world.events.iter().filter(|event| event.what == What::Forget);
        events.map(|event| self.record.began + event.at)
    }

    /// Where one connection alone breaks streams, the next one is tried before REST is.
    pub(super) fn leaves_the_bad_connection(&self) -> Option<String> {
        let world = self.world;
        let mended = world.mended()?;
        let has_time = world.options.head_start >= HEAD_START;
        if !has_time || world.service != Service::default() || !self.is_auto() {
            return None;
        }
        if self.rest > 0 {
            return Some("left gRPC for one bad connection".to_owned());
        }
        // The first one that fails, and those beside it, did not know.
        let is_stream = |call: &Call| call.shape == Shape::Stream;
        let streams = || world.calls.iter().zip(&self.record.outcomes);
        let failed = |outcome: &&Outcome| matches!(outcome.end, End::Failed(_));
        let outcome = self.outcome;
        let before = |other: &Outcome| other.ended + AROUND < outcome.began;
        let forgotten = streams().filter(|(_, it)| before(it) && !failed(it)).count() >= 10;
        let earlier = streams().any(|(call, it)| is_stream(call) && failed(&it) && before(it));
        let is_again = is_stream(self.call) && failed(&outcome) && earlier && !forgotten;
        (is_again && outcome.began > self.record.began + mended)
            .then(|| "failed by a connection that had failed another".to_owned())
    }

    /// Whether its connection may have been cut, or the one that was to show whether gRPC works.
    fn is_hit(&self) -> bool {
        let (began, ended) = (self.outcome.began, self.outcome.ended);
        let cuts = self.world.events.iter().filter(|event| matches!(event.what, What::Cut(_)));
        let mut cuts = cuts.map(|event| self.record.began + event.at);
        let outages = self.world.only_outages().unwrap_or_default();
        let is_out = |(from, to): &(Duration, Duration)| {
            began < self.record.began + *to + PACED && ended > self.record.began + *from
        };
        cuts.any(|cut| began < cut + AROUND && ended + AROUND > cut) || outages.iter().any(is_out)
    }

    /// Whether this fault leaves calls like this one alone.
    fn spares(&self, fault: Fault) -> bool {
        let is_short = matches!(self.call.shape, Shape::Unary | Shape::Free);
        match fault {
            Fault::CallLimited | Fault::SlowAnswerPage => true,
            Fault::SecondMessageReset | Fault::LargeAnswerReset => is_short,
            _ => does_no_harm(fault),
        }
    }
}

const NEAR: Duration = Duration::from_millis(20);
const HEAD_START: Duration = Duration::from_millis(300);
const AROUND: Duration = Duration::from_secs(1);
/// To ask an idle connection in vain, and to open another one, beside the silence and as long a one
/// again.
const NOTICED: Duration = Duration::from_secs(6);
/// To ask a connection in vain, and to open another one.
const DOUBTED: Duration = Duration::from_secs(4);
/// After many proofs in vain the next one is 5 s later.
const PACED: Duration = Duration::from_secs(6);
/// An idle connection of REST is closed by then.
const CLOSED: Duration = Duration::from_secs(10);
/// A connection that was idle for so long is asked before it gets a call.
const IDLE: Duration = Duration::from_secs(4);
