//! Weather: how long bytes take, by a plan that is known from the start, so that arrivals can be
//! told when they are sent.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::world::World;

/// The plan, with the clock of one run.
#[derive(Debug)]
pub(crate) struct Weather {
    began: Instant,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    /// From when on which conditions hold, in order; the first ones from the start.
    conditions: Vec<(Duration, Conditions)>,
    /// Nothing passes between these.
    outages: Vec<(Duration, Duration)>,
    /// What is larger than a packet is lost between these.
    narrows: Vec<(Duration, Duration)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// One way.
    pub(crate) latency: Duration,
    /// Bytes a second of each connection, in each direction.
    pub(crate) rate: Option<u64>,
}

pub(crate) struct Arrival {
    /// The last byte has left the sender.
    pub(crate) passed: Instant,
    pub(crate) at: Instant,
    /// It was lost and sent again.
    pub(crate) is_late: bool,
}

impl Weather {
    pub(crate) fn new(world: &World, began: Instant) -> Self {
        let plan = Plan {
            conditions: world.conditions(),
            outages: world.outages(),
            narrows: world.narrows(),
        };
        Self { began, plan: Mutex::new(plan) }
    }

    /// Within one machine.
    pub(crate) fn calm(began: Instant) -> Self {
        let weather = Self { began, plan: Mutex::default() };
        weather.clear(Duration::ZERO);
        weather
    }

    /// Nothing but this latency from here on.
    pub(crate) fn clear(&self, latency: Duration) {
        let conditions = vec![(Duration::ZERO, Conditions { latency, rate: None })];
        *self.plan() = Plan { conditions, ..Plan::default() };
    }

    /// Of so many bytes that are sent now, behind those that have passed at `free_at`.
    pub(crate) fn arrival(&self, now: Instant, free_at: Option<Instant>, length: usize) -> Arrival {
        let start = free_at.map_or(now, |free_at| free_at.max(now));
        let conditions = self.conditions(start - self.began);
        let millis = conditions.rate.map_or(0, |rate| length as u64 * 1_000 / rate.max(1));
        let passed = start + Duration::from_millis(millis);
        let delivered = self.delivered(passed - self.began, FIRST_RETRANSMISSION);
        let at = self.began + delivered + conditions.latency;
        Arrival { passed, at, is_late: at > passed + conditions.latency }
    }

    /// When the network answers who begins to connect now.
    pub(crate) fn connected(&self, now: Instant) -> Instant {
        let began = now - self.began;
        let round_trip = self.conditions(began).latency * 2;
        self.began + self.delivered(began, FIRST_SYN) + round_trip
    }

    /// Whether what is large is lost now.
    pub(crate) fn is_narrow(&self, now: Instant) -> bool {
        let at = now - self.began;
        self.plan().narrows.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("no panic")
    }

    fn conditions(&self, at: Duration) -> Conditions {
        let plan = self.plan();
        let reached = plan.conditions.iter().rev().find(|(from, _)| *from <= at);
        reached.expect("the first ones hold from the start").1
    }

    /// When what is sent then passes: at once, or when TCP sends it again after the outages.
    fn delivered(&self, sent: Duration, first: Duration) -> Duration {
        let plan = self.plan();
        let is_out =
            |at: Duration| plan.outages.iter().any(|(from, to)| (*from..*to).contains(&at));
        let (mut at, mut wait) = (sent, first);
        while is_out(at) {
            at += wait;
            wait = (wait * 2).min(LONGEST_RETRANSMISSION);
        }
        at
    }
}

const FIRST_RETRANSMISSION: Duration = Duration::from_millis(200);
const FIRST_SYN: Duration = Duration::from_secs(1);
const LONGEST_RETRANSMISSION: Duration = Duration::from_secs(120);
