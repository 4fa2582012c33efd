//! Model: what must hold of every run, told from the plan of the world and from the service's own
//! account.

mod call;
mod counters;
mod faults;
mod on_grpc;
mod pace;
mod pool;
mod verdicts;
mod whole;

use std::time::Duration;

use crate::run::Record;
use crate::world::World;
use call::Judged;

/// What was broken in a run; nothing, if all held.
pub(crate) fn violations(world: &World, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    let arrivals = record.arrivals();
    for (call, outcome) in world.calls.iter().zip(&record.outcomes) {
        let (grpc, rest) = arrivals.get(&call.number).copied().unwrap_or_default();
        let work = record.account.of(call.number);
        let of = Judged { world, record, call, outcome, work, grpc, rest };
        found.extend(
            of.violations().into_iter().map(|what| format!("call {}: {what}", call.number)),
        );
    }
    found.extend(whole::violations(world, record));
    found.extend(counters::violations(world, record));
    found.extend(pool::violations(world, record));
    found.extend(verdicts::violations(world, record));
    found
}

/// Timers fire on whole milliseconds, one after the other.
const SLACK: Duration = Duration::from_millis(100);
