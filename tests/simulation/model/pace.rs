//! Pace: where nothing holds calls up, each takes the time that the service takes, and the way.

use std::time::Duration;

use super::SLACK;
use super::call::Judged;
use super::faults::{does_no_harm, is_tunnel};
use crate::callers::End;
use crate::world::{Service, Shape, World};

impl Judged<'_> {
    /// Once the name of the service leads to its new host, calls arrive there.
    pub(super) fn follows_the_name(&self) -> Option<String> {
        let (world, call, outcome) = (self.world, self.call, self.outcome);
        let is_plain = world.is_prompt()
            && world.service == Service::default()
            && world.options.silence_limit <= Duration::from_secs(3)
            && world.options.rest_connections > world.calls.len()
            && world.proxies.iter().all(|fault| is_tunnel(*fault))
            && call.shape != Shape::Bidi
            && call.answer.error.is_none()
            && call.answer.refused == 0
            && !call.answer.is_endless;
        let moved = self.record.began + world.moved().filter(|_| is_plain)?;
        if outcome.began < moved + FOUND {
            return None;
        }
        let took = outcome.ended - outcome.began;
        match &outcome.end {
            End::Failed(failure) => Some(format!("did not find the new host: {}", failure.text)),
            _ if took > HEAD_START + LONGEST_WAIT => Some(format!("took {took:?} to the new host")),
            _ => None,
        }
    }

    /// No call waits for more than the service, the way to it, and one proof of gRPC.
    pub(super) fn in_good_time(&self) -> Option<String> {
        let (world, call, outcome) = (self.world, self.call, self.outcome);
        if matches!(outcome.end, End::Cancelled) || !is_open(world) {
            return None;
        }
        let (_, conditions) = world.conditions().pop()?;
        let answer = call.answer;
        let (messages, attempts) = (count(answer.messages), self.work.taken.max(1));
        let windows = count((call.size + answer.size * answer.messages) / WINDOW + 1);
        // Where few streams fit on a connection, one after the other is opened.
        let dials = world.service.max_streams.map_or(0, |_| 6 * count(world.calls.len()));
        let attempt = answer.thought
            + answer.pause * messages
            + conditions.latency * (ROUND_TRIPS + 2 * windows + dials)
            + HEAD_START.min(world.options.head_start);
        let waits = (LONGEST_WAIT + answer.asks.unwrap_or_default()) * (attempts - 1);
        let most = attempt * attempts + waits + call.reading * messages + SLACK;
        let took = outcome.ended - outcome.began;
        (took > most).then(|| format!("took {took:?}, {most:?} at most, where nothing is slow"))
    }
}

/// The network is good, and there is room for all.
fn is_open(world: &World) -> bool {
    let is_near = world.conditions().iter().all(|(_, it)| it.rate.is_none() && it.latency <= NEAR);
    let has_room = world.options.rest_connections > world.calls.len();
    let is_harmless = world.proxies.iter().all(|fault| does_no_harm(*fault));
    let service = Service { max_streams: None, ..world.service };
    world.is_calm() && is_near && has_room && is_harmless && service == Service::default()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("small")
}

/// A connection to the old host, where nobody is told of its end, is given up by then.
const FOUND: Duration = Duration::from_secs(45);
const NEAR: Duration = Duration::from_millis(100);
/// To connect, to prove gRPC, and to ask.
const ROUND_TRIPS: u32 = 30;
/// The longest head start that is drawn.
const HEAD_START: Duration = Duration::from_secs(2);
/// Bytes under way at once, at least.
const WINDOW: usize = 60_000;
/// Before another attempt, if the service does not say how long.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
