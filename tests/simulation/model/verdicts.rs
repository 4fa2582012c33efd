//! Verdicts: what is held against gRPC needs a reason, and holds for its time: no less, no more.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ActiveTransport, SymptomKind, Transport};
use tokio::time::Instant;
use tonic::Code;

use super::SLACK;
use super::faults::does_no_harm;
use crate::callers::{End, Outcome};
use crate::run::{Record, transport_of};
use crate::verdicts::SeenVerdict;
use crate::world::{Call, Event, Service, Shape, What, World};

pub(super) fn violations(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for verdict in record.verdicts.iter().filter(|verdict| verdict.is_rash) {
        found.push(format!("a verdict without an answer over REST: {}", verdict.text));
    }
    for verdict in record.verdicts.iter().filter(|verdict| verdict.kind.is_some_and(says_nothing)) {
        found.push(format!("a verdict by an outage: {}", verdict.text));
    }
    let is_unharmed = world.only_cuts()
        && world.is_prompt()
        && world.proxies.iter().all(|fault| does_no_harm(*fault));
    if is_unharmed && !record.verdicts.is_empty() {
        found.push("a verdict, though connections were only cut".to_owned());
    }
    if let Some(outages) = world.only_outages() {
        found.extend(by_outage(world, record, &outages));
    }
    if is_spared(world) && !record.verdicts.is_empty() {
        found.push("a verdict, though the free call passes".to_owned());
    }
    found.extend(record.verdicts.iter().filter_map(|verdict| unfounded(world, record, verdict)));
    found.extend(lengthened(world, record));
    found.extend(unlearnt(world, record));
    found.extend(sent_to_rest(world, record));
    // What was forgotten counts no more.
    let was_reset = world.events.iter().any(|event| event.what == What::Reset);
    if !was_reset {
        found.extend(record.verdicts.iter().filter_map(too_short));
        found.extend(record.verdicts.windows(2).filter_map(no_relapse));
        found.extend(record.verdicts.iter().filter_map(|verdict| unforgiven(record, verdict)));
    }
    found
}

/// What is met where nothing is reached, by REST as by gRPC.
fn says_nothing(kind: SymptomKind) -> bool {
    matches!(
        kind,
        SymptomKind::NameNotFound
            | SymptomKind::ConnectionRefused
            | SymptomKind::Unreachable
            | SymptomKind::ConnectReset
            | SymptomKind::ConnectTimeout
            | SymptomKind::NeverSent
            | SymptomKind::GoAwayGraceful
    ) || kind.name().starts_with("proxy-")
}

/// Where nothing leads anywhere for a while, nothing is held against gRPC, and nothing is to be
/// proven anew.
fn by_outage(world: &World, record: &Record, outages: &[(Duration, Duration)]) -> Vec<String> {
    if !world.proxies.iter().all(|fault| does_no_harm(*fault)) || !world.is_prompt() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let Some(verdict) = record.verdicts.first() {
        found.push(format!("a verdict by an outage: {}", verdict.text));
    }
    let is_proven = outages.iter().all(|(from, _)| *from > MOMENT)
        && outages.first().is_some_and(|(first, _)| {
            world.calls.iter().any(|call| {
                let is_auto = transport_of(world, call) == Transport::Auto;
                is_auto && call.at + Duration::from_secs(5) < *first
            })
        });
    if is_proven && record.probes > 1 {
        found.push(format!("gRPC was proven {} times, though nothing broke it", record.probes));
    }
    found
}

/// All that is wrong hits single methods.
fn is_spared(world: &World) -> bool {
    let spares = |fault: &Fault| {
        let is_selective = matches!(
            fault,
            Fault::UnroutedPage
                | Fault::UnroutedUnimplemented
                | Fault::CallLimited
                | Fault::SlowAnswerPage
                | Fault::SecondMessageReset
                | Fault::LargeAnswerReset
        );
        is_selective || does_no_harm(*fault)
    };
    let is_near = world
        .conditions()
        .iter()
        .all(|(_, it)| it.rate.is_none() && it.latency <= Duration::from_millis(20));
    world.is_calm()
        && is_near
        && world.is_prompt()
        && world.service == Service::default()
        && world.proxies.iter().all(spares)
}

/// REST has answered since gRPC was last put to the proof, which takes its time.
fn unfounded(world: &World, record: &Record, verdict: &SeenVerdict) -> Option<String> {
    let has_slept = !record.slept.is_empty();
    let (from, to) = (verdict.began.checked_sub(PROOF)?, verdict.began);
    let has_arrived = record.received.iter().any(|it| it.is_rest && it.at >= from && it.at <= to);
    let arrivals = record.arrivals();
    let was_answered = world.calls.iter().zip(&record.outcomes).any(|(call, outcome)| {
        let is_rest = arrivals.get(&call.number).is_some_and(|(_, rest)| *rest > 0);
        is_rest && outcome.began <= to && outcome.ended >= from
    });
    (!has_slept && !has_arrived && !was_answered)
        .then(|| format!("a verdict long after REST had answered: {}", verdict.text))
}

/// Only a proof that fails at the service makes a verdict longer.
fn lengthened(world: &World, record: &Record) -> Option<String> {
    let outages = |what: What| matches!(what, What::Conditions(_) | What::Nameless(_));
    let is_meant = world.proxies == [Fault::TrailersStripped]
        && world.breaks.is_empty()
        && world.is_prompt()
        && world.events.iter().all(|event| outages(event.what));
    let failed =
        record.received.iter().filter(|it| it.is_probe && !it.is_rest && it.at < record.healed_at);
    let (row, failed) = (record.row?, failed.count());
    (is_meant && row as usize > failed)
        .then(|| format!("verdict {row} in a row, after {failed} proofs that failed"))
}

/// What breaks gRPC for one call, for certain, breaks no later one that REST can carry.
fn unlearnt(world: &World, record: &Record) -> Option<String> {
    let is_meant = |event: &Event| match event.what {
        What::Conditions(_) => event.at.is_zero(),
        What::FaultAndCut(0, fault) => {
            matches!(fault, Fault::Page502 | Fault::TrailersStripped | Fault::Pass)
        }
        _ => false,
    };
    let is_plain = world.events.iter().all(is_meant)
        && world.breaks.is_empty()
        && world.is_prompt()
        && world.service == Service::default()
        && world.proxies.iter().all(|fault| does_no_harm(*fault));
    if !is_plain {
        return None;
    }
    let changes = world.events.iter().map(|event| record.began + event.at);
    let changes: Vec<Instant> = changes.collect();
    let period = |at: Instant| changes.iter().filter(|change| **change <= at).count();
    let is_whole =
        |it: &&Outcome| changes.iter().all(|at| *at + MOMENT < it.began || *at > it.ended + MOMENT);
    let calls = world.calls.iter().zip(&record.outcomes);
    let failed = calls.filter(|(call, outcome)| {
        let is_broken = matches!(&outcome.end, End::Failed(it) if it.symptom.is_some());
        is_broken
            && call.shape != Shape::Bidi
            && !call.answer.is_endless
            && transport_of(world, call) == Transport::Auto
    });
    let failed: Vec<&Outcome> = failed.map(|(_, outcome)| outcome).collect();
    failed.iter().copied().filter(is_whole).find_map(|later| {
        let known = failed.iter().find(|first| {
            period(first.began) == period(later.began) && first.ended + MOMENT < later.began
        })?;
        let (number, first) = (later.number, known.number);
        Some(format!("call {number} failed by what had broken call {first}"))
    })
}

/// An error that the service says over gRPC, and over REST again, is held against nobody.
fn sent_to_rest(world: &World, record: &Record) -> Option<String> {
    let is_failure = |code: Code| matches!(code, Code::Unavailable | Code::Internal);
    let is_down = world.calls.iter().all(|call| call.answer.error.is_some_and(is_failure));
    let is_plain = world.is_calm()
        && world.is_prompt()
        && world.proxies.iter().all(|fault| does_no_harm(*fault))
        && world.service == Service::default()
        && world.options.attempts == 1
        && world.options.head_start >= Duration::from_millis(300);
    if !is_down || !is_plain {
        return None;
    }
    let arrivals = record.arrivals();
    for shape in [Shape::Unary, Shape::Stream, Shape::Free] {
        let calls = world.calls.iter().zip(&record.outcomes);
        let calls = calls.filter(|(call, _)| {
            call.shape == shape && transport_of(world, call) == Transport::Auto
        });
        let mut calls: Vec<_> = calls.collect();
        calls.sort_by_key(|(_, outcome)| outcome.began);
        for two in calls.windows(2) {
            let are_apart = two[0].1.ended + SLACK < two[1].1.began;
            let is_on_rest = |(call, outcome): &(&Call, &Outcome)| {
                let was_said = matches!(&outcome.end, End::Failed(it) if it.kind.is_none());
                was_said && arrivals.get(&call.number).is_some_and(|(_, rest)| *rest > 0)
            };
            if are_apart && two.iter().all(is_on_rest) {
                return Some(format!("call {} and the next went over REST", two[0].0.number));
            }
        }
    }
    None
}

fn too_short(verdict: &SeenVerdict) -> Option<String> {
    let (held, least) = (verdict.ended? - verdict.began, term(verdict.row));
    (held < least).then(|| format!("a verdict held for {held:?}, not {least:?}"))
}

/// Soon after another, a verdict holds for twice as long.
fn no_relapse(two: &[SeenVerdict]) -> Option<String> {
    let ended = two[0].ended?;
    let is_one = two[1].began < ended + term(1);
    (is_one && two[1].row <= two[0].row)
        .then(|| format!("a relapse counts {} after {}", two[1].row, two[0].row))
}

/// Once gRPC has carried calls for as long as the last verdict held, all is forgiven. That was no
/// longer than all before it and five minutes.
fn unforgiven(record: &Record, verdict: &SeenVerdict) -> Option<String> {
    let (since, until) = verdict.grpc?;
    let forgiven = since + (since - record.began) + term(1);
    let answered = record.outcomes.iter().any(|outcome| {
        outcome.transport == Some(ActiveTransport::Grpc)
            && matches!(outcome.end, End::Complete)
            && outcome.began > forgiven
            && outcome.ended < until
    });
    (answered && verdict.row > 1)
        .then(|| format!("the verdict of long ago still counts: {}", verdict.row))
}

const MOMENT: Duration = Duration::from_secs(10);
/// The longest proof of gRPC.
const PROOF: Duration = Duration::from_secs(45);

/// How long the verdict of this place in a row holds.
fn term(row: u32) -> Duration {
    let doublings = row.saturating_sub(1).min(20);
    (Duration::from_secs(300) * (1 << doublings)).min(Duration::from_secs(24 * 3600))
}
