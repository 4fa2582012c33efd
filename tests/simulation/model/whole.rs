//! Whole: what must hold of a run as a whole: its counters, its log, what is left of it.

use std::collections::BTreeMap;
use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ActiveTransport, SymptomKind, Transport};
use tokio::time::Instant;
use tonic::Code;

use super::SLACK;
use super::faults::{does_no_harm, is_seen_by_a_free_call};
use crate::arrival::Arrival;
use crate::callers::{End, Outcome};
use crate::run::{HEALED_CALLS, KEY, Left, Record, transport_of};
use crate::service::invites_another;
use crate::world::{Call, Shape, What, World};

pub(super) fn violations(world: &World, record: &Record) -> Vec<String> {
    let checks = [
        counted(world, record),
        received(world, record),
        logins(world, record),
        ended(record),
        switched(record),
        asked_seldom(world, record),
        learnt(world, record),
        spread(world, record),
        after_healing(world, record),
    ];
    checks.into_iter().flatten().collect()
}

fn counted(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    require(record.panics == 0, format!("{} panics", record.panics));
    require(!record.log.contains(KEY), "the key stands in the log".to_owned());
    require(record.left == Left::default(), format!("left: {:?}", record.left));
    let stats = &record.stats;
    let calls = (world.calls.len() + HEALED_CALLS) as u64;
    require(stats.calls() == calls, format!("{} calls counted, {calls} made", stats.calls()));
    let attempts = stats.attempts(ActiveTransport::Grpc) + stats.attempts(ActiveTransport::Rest);
    let most = calls + stats.resends() + stats.retries();
    let most = most + record.logins.refusals;
    require(attempts <= most, format!("{attempts} attempts of {most}"));
    // Each attempt that the service invites may be sent again four times, the switch among them.
    let most = (calls + stats.retries() + record.logins.refusals) * 4;
    require(stats.resends() <= most, format!("{} resends, {most} at most", stats.resends()));
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
    // Those of before a reset are not counted.
    let resets = world.events.iter().filter(|event| event.what == What::Reset).count();
    let most = world.options.rest_connections * (1 + resets);
    let seen = record.most_connections;
    require(seen <= most, format!("{seen} connections of REST, {most} allowed"));
    let refused = stats.symptoms(SymptomKind::StreamRefused);
    require(world.has_proxy() || refused == 0, format!("{refused} streams too many"));
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
    let is_shut = world.service.window == Some(0);
    let wanted = match world.options.transport {
        // The service's gRPC stays as it is.
        Transport::Grpc if is_shut => return Vec::new(),
        Transport::Auto if is_shut => ActiveTransport::Rest,
        Transport::Rest => ActiveTransport::Rest,
        _ => ActiveTransport::Grpc,
    };
    // Of each shape the second one.
    for outcome in record.healed.iter().skip(HEALED_CALLS / 2) {
        if !matches!(outcome.end, End::Failed(_)) && outcome.transport != Some(wanted) {
            let (number, transport) = (outcome.number, outcome.transport);
            found.push(format!("on a good network call {number} goes over {transport:?}"));
        }
    }
    found
}

/// Nobody comes without a login; a key is good for ever, and a token as long as nobody says
/// otherwise.
fn logins(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let logins = record.logins;
    if logins.strangers > 0 {
        found.push(format!("{} requests without a login", logins.strangers));
    }
    if world.service.token_life.is_some() && !world.service.tells_life {
        let most = logins.refusals + 1;
        if logins.given > most {
            found.push(format!("asked for {} tokens, {most} at most", logins.given));
        }
    }
    if let Some(life) = world.service.token_life.filter(|_| world.service.tells_life) {
        // It is used for three quarters of its life.
        let used = (record.ended - record.began).as_millis() / (life * 3 / 4).as_millis().max(1);
        let most = logins.refusals + 2 + u64::try_from(used).unwrap_or(u64::MAX);
        if logins.given > most {
            found.push(format!("asked for {} tokens, {most} at most", logins.given));
        }
        let is_calm = world.is_calm() && world.options.attempts == 1 && world.has_room();
        let is_near = world.conditions().iter().all(|(_, it)| it.latency <= NEAR);
        if is_calm && is_near && life >= LONG && logins.refusals > 2 + logins.given / 4 {
            let (refusals, given) = (logins.refusals, logins.given);
            found.push(format!("{refusals} refusals of {given} tokens whose life was told"));
        }
    }
    found.extend(record.remembered.iter().map(|it| format!("told to forget, it knows: {it}")));
    found
}

const NEAR: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(30);

/// What the service was told with each call.
fn received(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    for it in record.received.iter().filter(|it| !it.is_probe && it.number.is_some()) {
        require(it.number == it.marked, format!("call {:?} is marked {:?}", it.number, it.marked));
        let call = world.calls.iter().find(|call| Some(call.number) == it.number);
        let has_limit = call.is_some_and(|call| call.timeout.is_some());
        require(
            !has_limit || it.timeout.is_some(),
            format!("call {:?} brings no deadline", it.number),
        );
    }
    found.extend(early_deadlines(world, record));
    found.extend(late_deadlines(world, record));
    found
}

/// The service has all the time that the caller gives.
fn early_deadlines(world: &World, record: &Record) -> Vec<String> {
    let early = record.received.iter().filter_map(|it| {
        let place = world.calls.iter().position(|call| Some(call.number) == it.number)?;
        let outcome = record.outcomes.get(place)?;
        let deadline = outcome.began + world.calls[place].timeout?;
        let told = it.at + it.timeout?;
        let early = deadline.checked_duration_since(told).filter(|early| !early.is_zero())?;
        Some(format!("the service hears of a deadline that is {early:?} too early"))
    });
    early.collect()
}

/// What the service hears of a deadline is the time that is left: also with a second attempt.
fn late_deadlines(world: &World, record: &Record) -> Vec<String> {
    let (_, conditions) = world.conditions().pop().expect("the first ones");
    if !world.is_calm() || conditions.rate.is_some() || !world.has_room() {
        return Vec::new();
    }
    let on_the_way = conditions.latency * 20 + SLACK;
    let late = record.received.iter().filter_map(|it| {
        let place = world.calls.iter().position(|call| Some(call.number) == it.number)?;
        let outcome = record.outcomes.get(place)?;
        let deadline = outcome.began + world.calls[place].timeout?;
        // REST is told of whole seconds.
        let rounded = Duration::from_secs(u64::from(it.is_rest));
        let told = it.at + it.timeout?.saturating_sub(rounded);
        let late = told.checked_duration_since(deadline + on_the_way)?;
        Some(format!("the service hears of a deadline that is {late:?} too late"))
    });
    late.collect()
}

/// Each call that failed is counted, by its code.
fn ended(record: &Record) -> Vec<String> {
    let mut codes: BTreeMap<i32, u64> = BTreeMap::new();
    let mut cancelled = 0;
    for outcome in record.outcomes.iter().chain(&record.healed) {
        match &outcome.end {
            End::Failed(failure) => *codes.entry(failure.code.into()).or_default() += 1,
            End::Cancelled => cancelled += 1,
            End::Complete => {}
        }
    }
    let mut found = Vec::new();
    // The end of a call and its caller's patience may come at one time.
    for code in (1..=16).map(Code::from) {
        let (seen, counted) =
            (codes.get(&code.into()).copied().unwrap_or(0), record.stats.failures(code));
        if !(seen..=seen + cancelled).contains(&counted) {
            found.push(format!("{seen} calls ended with {code:?}, {counted} counted"));
        }
    }
    found
}

/// A call that was seen on both transports changed its transport, or was asked for twice.
fn switched(record: &Record) -> Vec<String> {
    let both = record.arrivals().values().filter(|(grpc, rest)| *grpc > 0 && *rest > 0).count();
    let stats = &record.stats;
    let told = stats.switches() + stats.retries() + record.logins.refusals;
    let is_told = both as u64 <= told;
    if is_told { Vec::new() } else { vec![format!("{both} calls on both transports, {told} told")] }
}

/// Where gRPC stays broken and REST works, it is proven ever more seldom.
fn asked_seldom(world: &World, record: &Record) -> Vec<String> {
    let is_broken = world.proxies.len() == 1 && is_seen_by_a_free_call(world.fault());
    let is_still = world.is_calm() && world.is_prompt() && !does_no_harm(world.fault());
    let is_auto = world.options.transport == Transport::Auto;
    let probes = record.probes;
    let last = record.outcomes.iter().map(|outcome| outcome.ended).max();
    let took = last.map_or(Duration::ZERO, |last| last - record.began);
    // A call that has no other way may ask several times whether its connection lives.
    let has_to =
        |call: &&Call| call.shape == Shape::Bidi || transport_of(world, call) == Transport::Grpc;
    let questions = 4 * world.calls.iter().filter(has_to).count() as u64;
    let paced = PROBES_AT_ONCE + took.as_secs() / 5 + questions;
    if world.is_calm() && world.is_prompt() && probes > paced {
        return vec![format!("gRPC was proven {probes} times in {took:?}")];
    }
    if is_broken && is_still && is_auto && probes > MOST_PROBES + questions {
        return vec![format!("gRPC, which is broken, was proven {probes} times")];
    }
    Vec::new()
}

/// Where gRPC breaks all calls of a method, few of them fail before REST carries the others, and
/// after two in a row the next one is carried: however far they are apart.
fn learnt(world: &World, record: &Record) -> Vec<String> {
    let is_unrouted = matches!(world.fault(), Fault::UnroutedPage | Fault::UnroutedUnimplemented);
    if !(is_unrouted && world.proxies.len() == 1 && world.is_calm() && world.is_prompt()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for shape in [Shape::Unary, Shape::Stream] {
        let calls = world.calls.iter().zip(&record.outcomes).filter(|(call, _)| {
            call.shape == shape
                && call.answer.error.is_none()
                && transport_of(world, call) == Transport::Auto
        });
        let mut calls: Vec<&Outcome> = calls.map(|(_, outcome)| outcome).collect();
        calls.sort_by_key(|outcome| outcome.began);
        let failed = calls.iter().filter(|outcome| matches!(outcome.end, End::Failed(_)));
        let mut times: Vec<Instant> = failed.map(|outcome| outcome.began).collect();
        // Those at one time did not know of each other.
        times.dedup_by(|later, first| *later < *first + Duration::from_secs(1));
        if times.len() > MOST_FAILURES {
            let failed = times.len();
            found.push(format!("{failed} calls of {shape:?} failed by the same fault"));
        }
        let are_apart = |two: &[&Outcome]| two[0].ended + SLACK < two[1].began;
        let in_a_row = calls.windows(3).find(|three| {
            three.windows(2).all(are_apart) && three.iter().all(|it| is_unrouted_call(it))
        });
        if let Some(three) = in_a_row {
            found.push(format!("call {} and the next two were not routed", three[0].number));
        }
    }
    found
}

/// The gateway answered it in place of the service.
fn is_unrouted_call(outcome: &Outcome) -> bool {
    matches!(&outcome.end, End::Failed(failure)
        if failure.symptom.is_some() || failure.code == Code::Unimplemented)
}

/// The first ones, and one with each expiry, which doubles.
const MOST_PROBES: u64 = 14;
const MOST_FAILURES: usize = 12;
/// Of calls that come together, ten; the next ones are 5 s apart.
const PROBES_AT_ONCE: u64 = 11;

/// Callers who are refused at one time do not come back at one time.
fn spread(world: &World, record: &Record) -> Vec<String> {
    let refused = world.calls.iter().filter_map(|call| {
        let work = record.account.of(call.number);
        let two = work.times.get(..2).filter(|_| work.refused > 0)?;
        Some(two[1] - two[0])
    });
    let waits: Vec<Duration> = refused.collect();
    let is_even = |waits: &[Duration]| {
        let (least, most) = (waits.iter().min(), waits.iter().max());
        least.zip(most).is_some_and(|(least, most)| *most < *least + Duration::from_millis(10))
    };
    // What waits for a place, for what is sent before it, or for a far connection goes on at one
    // time with others.
    let is_queued = !world.has_room()
        || world.conditions().iter().any(|(_, it)| it.rate.is_some() || it.latency > NEAR);
    let is_odd = world.is_calm() && !is_queued && waits.len() >= 4 && is_even(&waits);
    if is_odd { vec![format!("asked again all at one time: {waits:?}")] } else { Vec::new() }
}
