//! Pool: where all calls go over REST, its few connections serve them in their order, and are used
//! again.

use std::time::Duration;

use genai_bridge::Transport;
use tokio::time::Instant;

use super::SLACK;
use super::faults::is_tunnel;
use crate::callers::{End, Outcome};
use crate::run::Record;
use crate::world::{Call, World};

pub(super) fn violations(world: &World, record: &Record) -> Vec<String> {
    let is_on_rest = world.options.transport == Transport::Rest
        && world.calls.iter().all(|call| call.transport.is_none());
    let is_near = world.conditions().iter().all(|(_, it)| it.rate.is_none() && it.latency <= NEAR);
    let is_plain = world.service.connection_age.is_none() && world.service.token_life.is_none();
    let is_passed = world.proxies.iter().all(|fault| is_tunnel(*fault));
    if !(is_on_rest && is_near && is_plain && is_passed && world.is_calm()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(opened_anew(record));
    found.extend(overtaken(world, record));
    found.extend(unqueued(world, record));
    found
}

/// A call that comes soon after another has ended, and alone, gets its connection.
fn opened_anew(record: &Record) -> Option<String> {
    let outcomes = &record.outcomes;
    let is_clean = |it: &Outcome| matches!(it.end, End::Complete);
    outcomes.iter().filter(|it| is_clean(it)).find_map(|call| {
        let before = outcomes.iter().filter(|other| other.ended + SLACK < call.began);
        let last = before.max_by_key(|other| other.ended)?;
        let is_alone = outcomes.iter().all(|other| {
            other.number == call.number
                || other.ended + SLACK < call.began
                || other.began > call.ended
        });
        let is_soon = is_clean(last) && call.began < last.ended + SOON;
        let opened = record.opened.iter().any(|at| (call.began..=call.ended).contains(at));
        (is_alone && is_soon && opened)
            .then(|| format!("call {} opened a connection, though one was idle", call.number))
    })
}

/// Who comes a second later is not served first.
fn overtaken(world: &World, record: &Record) -> Option<String> {
    let first = |call: &Call| record.account.of(call.number).times.first().copied();
    let served = world.calls.iter().zip(&record.outcomes);
    // Nobody knows when a long request is whole.
    let served = served.filter(|(call, _)| call.size <= 20_000);
    let mut served: Vec<(Instant, Instant, usize)> =
        served.filter_map(|(call, it)| Some((it.began, first(call)?, call.number))).collect();
    served.sort_by_key(|(_, served, _)| *served);
    let mut latest: Option<(Instant, usize)> = None;
    for (began, _, number) in served {
        if let Some((later, other)) = latest.filter(|(later, _)| began + LATER < *later) {
            let ahead = later - began;
            return Some(format!("call {other}, {ahead:?} younger, was served before {number}"));
        }
        if latest.is_none_or(|(later, _)| began > later) {
            latest = Some((began, number));
        }
    }
    None
}

/// Whoever waits long for a connection is counted.
fn unqueued(world: &World, record: &Record) -> Option<String> {
    let waited = world.calls.iter().zip(&record.outcomes).filter(|(call, outcome)| {
        let times = record.account.of(call.number).times;
        call.size <= 20_000 && times.first().is_some_and(|first| *first > outcome.began + LATER)
    });
    let (waited, counted) = (waited.count() as u64, record.stats.queued());
    (waited > counted).then(|| format!("{waited} calls waited for a connection, {counted} counted"))
}

const NEAR: Duration = Duration::from_millis(20);
/// An idle connection is kept for three.
const SOON: Duration = Duration::from_millis(2_500);
/// To connect, and to send.
const LATER: Duration = Duration::from_secs(1);
