//! On gRPC: where nothing speaks against gRPC, no call of `Transport::Auto` leaves it.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ActiveTransport, Transport};

use super::call::Judged;
use super::faults::{does_no_harm, is_tunnel};
use crate::callers::End;
use crate::run::transport_of;
use crate::world::{Call, Event, Service, Shape, What};

impl Judged<'_> {
    /// Calls that are quick, on a network that is near, and that harms none of their kind: at most,
    /// it ends connections.
    pub(super) fn stays_on_grpc(&self) -> Option<String> {
        let world = self.world;
        let is_good = world.is_calm() || world.only_cuts();
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

    /// A connection that a firewall forgot is found out before TCP gives it up: by one that is idle
    /// no call is lost.
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
            && self.is_auto()
            && self.is_rest_idle();
        if !is_meant {
            return None;
        }
        let took = outcome.ended - outcome.began;
        if took > silence * 4 + NOTICED {
            return Some(format!("took {took:?} on a network that forgets"));
        }
        let End::Failed(failure) = &outcome.end else { return None };
        let is_alone = self.record.outcomes.iter().all(|other| {
            other.number == outcome.number
                || other.ended + IDLE < outcome.began
                || other.began > outcome.ended
        });
        let forgot = |event: &Event| {
            let at = self.record.began + event.at;
            event.what == What::Forget && at >= outcome.began && at <= outcome.ended
        };
        let is_hit = world.events.iter().any(forgot);
        (is_alone && !is_hit).then(|| format!("failed on a forgotten connection: {}", failure.text))
    }

    /// No call takes REST but by its own choice: of a silent connection of REST, TCP alone tells.
    fn is_rest_idle(&self) -> bool {
        let is_chosen = |call: &&Call| transport_of(self.world, call) == Transport::Rest;
        let chosen = self.world.calls.iter().filter(is_chosen).count() as u64;
        self.record.stats.attempts(ActiveTransport::Rest) <= chosen
    }

    /// Whether its connection may have been cut, or the one that was to show whether gRPC works.
    fn is_hit(&self) -> bool {
        let (began, ended) = (self.outcome.began, self.outcome.ended);
        let cuts = self.world.events.iter().filter(|event| matches!(event.what, What::Cut(_)));
        cuts.map(|event| self.record.began + event.at)
            .any(|cut| began < cut + AROUND && ended + AROUND > cut)
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
/// A connection that was idle for so long is asked before it gets a call.
const IDLE: Duration = Duration::from_secs(4);
