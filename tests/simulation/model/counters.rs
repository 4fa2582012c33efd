//! Counters: what the bridge counts is what happened, no less and no more.

use std::time::Duration;

use genai_bridge::{ActiveTransport, Delivery, ResendPolicy, SymptomKind, Transport};

use super::faults::does_no_harm;
use crate::run::{HEALED_CALLS, Record};
use crate::world::World;

pub(super) fn violations(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    let stats = &record.stats;
    let calls = (world.calls.len() + HEALED_CALLS) as u64;
    let both = [ActiveTransport::Grpc, ActiveTransport::Rest];
    let attempts: u64 = both.iter().map(|transport| stats.attempts(*transport)).sum();
    let probes: u64 = both.iter().map(|transport| stats.probes(*transport)).sum();
    let (resends, retries) = (stats.resends(), stats.retries());
    let completed = record.completed() as u64;
    require(
        attempts >= completed + resends + retries,
        format!(
            "{attempts} attempts for {completed} answers, {resends} resends, {retries} retries"
        ),
    );
    // How often a call was begun, or begun anew.
    let begun = calls + retries + record.logins.refusals;
    let switches = stats.switches();
    require(switches <= begun, format!("{switches} switches of {begun} at most"));
    let symptoms: u64 = SymptomKind::ALL.iter().map(|kind| stats.symptoms(*kind)).sum();
    // Each of these meets one at most; a call may wait for a probe that does.
    let most = begun + attempts + probes;
    require(symptoms <= most, format!("{symptoms} symptoms of {most} at most"));
    // One tenth of a token for each answer that begins well, and half of a hundred to begin with.
    let most = 50 + attempts / 10;
    require(retries <= most, format!("{retries} retries, and the budget has {most}"));
    let never = |resend: Option<ResendPolicy>| resend.is_none_or(|it| it == ResendPolicy::Never);
    if world.options.resend == ResendPolicy::Never && world.calls.iter().all(|it| never(it.resend))
    {
        let unsent = SymptomKind::ALL.iter().filter(|it| it.delivery() == Delivery::NotSent);
        let unsent: u64 = unsent.map(|kind| stats.symptoms(*kind)).sum();
        require(resends <= unsent, format!("{resends} resends of {unsent} calls that were unsent"));
    }
    found.extend(where_all_is_well(world, record));
    found.extend(as_told(record));
    found
}

/// The log has a line for each of these.
fn as_told(record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let told = |line: &str| record.log.matches(line).count() as u64;
    let switched = told("the call changes its transport");
    let resent = told("the call is sent again");
    let retried = told("the service's answer is tried again");
    let stats = &record.stats;
    for (what, counted, told) in [
        ("switches", stats.switches(), switched..=switched),
        // A call that waited for a probe changes its transport before it is sent.
        ("resends", stats.resends(), resent..=resent + switched),
        ("retries", stats.retries(), retried..=retried),
    ] {
        if !told.contains(&counted) {
            found.push(format!("{counted} {what} counted, {told:?} told"));
        }
    }
    found
}

/// Where nothing is wrong, nothing is found to be.
fn where_all_is_well(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    if !is_well(world) {
        return found;
    }
    let stats = &record.stats;
    for kind in SymptomKind::ALL {
        let count = stats.symptoms(*kind);
        if count > 0 {
            found.push(format!("{count} times {kind}, though all is well"));
        }
    }
    let counted = stats.probes(ActiveTransport::Grpc);
    let arrived = record.received.iter().filter(|it| it.is_probe && !it.is_rest).count() as u64;
    if counted != arrived {
        found.push(format!("{arrived} free calls over gRPC arrived, {counted} counted"));
    }
    if !record.verdicts.is_empty() && world.options.transport == Transport::Auto {
        found.push("a verdict, though all is well".to_owned());
    }
    found
}

/// The network does no harm, nor does the service, and no answer pauses for longer than it may.
fn is_well(world: &World) -> bool {
    let service = world.service;
    let is_plain = service.window.is_none()
        && service.connection_age.is_none()
        && service.token_life.is_none()
        && service.max_streams.is_none();
    let conditions = world.conditions();
    let is_near = conditions.iter().all(|(_, it)| it.latency <= NEAR && it.rate.is_none());
    let is_short = world.calls.iter().all(|call| {
        let answer = call.answer;
        !answer.is_endless && answer.pause.max(answer.thought) < world.options.stream_idle_limit
    });
    let does_no_harm = world.proxies.iter().all(|fault| does_no_harm(*fault));
    world.is_calm() && is_plain && is_near && is_short && does_no_harm
}

const NEAR: Duration = Duration::from_millis(100);
