//! A hundred thousand calls on a network that changes at random, in virtual time.
#![allow(
    clippy::indexing_slicing,
    reason = "a step or call that is not there is the test's own fault"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

use super::state::{Event, Expiry, Machine, Route, State};
use super::{OtherTransport, ResendState};
use crate::bridge::options::{ActiveTransport, ResendPolicy};
use crate::symptom::{Delivery, Mark, Symptom, SymptomKind};
use ActiveTransport::{Grpc, Rest};

const CALLS: usize = 100_000;
const SEEDS: [u64; 3] = [1, 2_026, 0xdead_beef];
const HEAD_START: Duration = Duration::from_millis(300);

/// `SplitMix64`: the same numbers for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn millis(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.below(limit))
    }

    fn kind(&mut self) -> SymptomKind {
        let kinds = SymptomKind::ALL;
        kinds[usize::try_from(self.below(kinds.len() as u64)).expect("small")]
    }
}

/// What the network is like for a while.
#[derive(Clone, Copy)]
enum Weather {
    Good,
    /// gRPC meets this.
    Bad(SymptomKind),
    /// Both transports meet it.
    Outage(SymptomKind),
    /// Each attempt meets anything, or nothing.
    Wild,
}

impl Weather {
    fn roll(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::Good,
            1 => Self::Bad(dice.kind()),
            2 => Self::Outage(dice.kind()),
            _ => Self::Wild,
        }
    }

    fn meets(self, transport: ActiveTransport, dice: &mut Dice) -> Option<SymptomKind> {
        match self {
            Self::Bad(kind) if transport == Grpc => Some(kind),
            Self::Good | Self::Bad(_) => None,
            Self::Outage(kind) => Some(kind),
            Self::Wild => dice.one_in(2).then(|| dice.kind()),
        }
    }
}

struct Call {
    deadline: Instant,
    policy: ResendPolicy,
    has_rest_form: bool,
    resends: Option<ResendState>,
    /// How often it left, and how often the service did its work.
    left: u32,
    processed: u32,
    switches: u32,
    has_ended: bool,
}

enum Step {
    Begin,
    /// The call's first transport is known by now.
    Choose(usize),
    /// An attempt has ended: in an answer, or broken by something.
    Attempted(usize, Option<SymptomKind>),
    Proven(Option<SymptomKind>),
    Change,
}

/// The machine, the network, and what is to happen, soonest first.
struct World {
    dice: Dice,
    now: Instant,
    weather: Weather,
    machine: Machine,
    calls: Vec<Call>,
    steps: Vec<Option<Step>>,
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
    probe_ends: Instant,
    /// What must hold before a verdict against gRPC.
    has_failed_probe: bool,
    rest_answered: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let mut world = Self {
            dice: Dice(seed),
            now,
            weather: Weather::Good,
            machine: Machine::new(Expiry::default(), now),
            calls: Vec::new(),
            steps: Vec::new(),
            queue: BinaryHeap::new(),
            probe_ends: now,
            has_failed_probe: false,
            rest_answered: false,
        };
        world.plan(now, Step::Begin);
        world.plan(now, Step::Change);
        world
    }

    fn plan(&mut self, at: Instant, step: Step) {
        self.queue.push(Reverse((at, self.steps.len())));
        self.steps.push(Some(step));
    }

    fn run(&mut self) {
        while let Some(Reverse((at, number))) = self.queue.pop() {
            assert!(at >= self.now, "time runs forward");
            self.now = at;
            match self.steps[number].take().expect("each step once") {
                Step::Begin => self.begin(),
                Step::Choose(call) => self.choose(call),
                Step::Attempted(call, met) => self.judge(call, met),
                Step::Proven(met) => self.end_probe(met),
                Step::Change if self.calls.len() < CALLS => {
                    self.weather = Weather::roll(&mut self.dice);
                    let lasts = self.dice.millis(30 * 60_000);
                    self.plan(self.now + lasts, Step::Change);
                }
                Step::Change => self.weather = Weather::Good,
            }
        }
    }

    fn begin(&mut self) {
        let policies = [
            ResendPolicy::WhenUnprocessed,
            ResendPolicy::WhenUnprocessed,
            ResendPolicy::Never,
            ResendPolicy::WhenUnanswered,
        ];
        let policy = policies[usize::try_from(self.dice.below(4)).expect("small")];
        let deadline = self.now + Duration::from_millis(1) + self.dice.millis(60_000);
        let has_rest_form = !self.dice.one_in(20);
        let call = self.calls.len();
        self.calls.push(Call {
            deadline,
            policy,
            has_rest_form,
            resends: None,
            left: 0,
            processed: 0,
            switches: 0,
            has_ended: false,
        });
        self.begin_probe_if_due();
        let patience = match (self.machine.route(), has_rest_form) {
            (Route::AfterProbe, true) => self.probe_ends.min(self.now + HEAD_START),
            (Route::AfterProbe, false) => self.probe_ends,
            (Route::Grpc | Route::Rest, _) => self.now,
        };
        self.plan(patience.max(self.now).min(deadline), Step::Choose(call));
        if self.calls.len() < CALLS {
            let pause = if self.dice.one_in(3) { self.dice.millis(60_000) } else { Duration::ZERO };
            self.plan(self.now + pause, Step::Begin);
        }
    }

    fn begin_probe_if_due(&mut self) {
        if !self.machine.wants_probe(self.now) {
            return;
        }
        if let State::OnRest { until, .. } = self.machine.state() {
            assert!(*until <= self.now, "a verdict holds until it expires");
        }
        self.on(Event::ProbeBegan);
        (self.has_failed_probe, self.rest_answered) = (false, false);
        let met = self.weather.meets(Grpc, &mut self.dice);
        self.probe_ends = self.now + self.dice.millis(5_000);
        self.plan(self.probe_ends, Step::Proven(met));
    }

    fn end_probe(&mut self, met: Option<SymptomKind>) {
        match met {
            None => self.on(Event::ProbeSucceeded),
            Some(kind) => {
                self.has_failed_probe |= kind.mark() != Mark::No;
                self.on(Event::ProbeFailed(symptom(kind)));
            }
        }
    }

    fn choose(&mut self, number: usize) {
        let call = &self.calls[number];
        let is_on_grpc = self.machine.route() == Route::Grpc;
        let transport = if is_on_grpc || !call.has_rest_form { Grpc } else { Rest };
        self.calls[number].resends = Some(ResendState::new(transport, call.policy, true));
        self.attempt(number);
    }

    /// Sends a call; when it fails, the service has seen it or not, as its symptom proves.
    fn attempt(&mut self, number: usize) {
        let transport = self.calls[number].resends.as_ref().expect("chosen").transport();
        let met = self.weather.meets(transport, &mut self.dice);
        let ends = self.now + self.dice.millis(20_000);
        let delivery = met.map_or(Delivery::Processed, SymptomKind::delivery);
        let is_processed = match delivery {
            Delivery::Processed => true,
            Delivery::Answered | Delivery::Unknown => self.dice.one_in(2),
            Delivery::NotSent | Delivery::Refused => false,
        };
        let call = &mut self.calls[number];
        call.left += u32::from(delivery != Delivery::NotSent);
        call.processed += u32::from(is_processed);
        let (ends, met) = if ends < call.deadline { (ends, met) } else { (call.deadline, None) };
        self.plan(ends, Step::Attempted(number, met));
    }

    fn judge(&mut self, number: usize, met: Option<SymptomKind>) {
        assert!(!self.calls[number].has_ended, "a call ends once");
        let has_expired = self.now >= self.calls[number].deadline;
        let transport = self.calls[number].resends.as_ref().expect("chosen").transport();
        match (transport, met) {
            (Grpc, None) if has_expired => self.break_grpc(SymptomKind::Unanswered),
            (Grpc, None) => self.on(Event::GrpcAnswered),
            (Grpc, Some(kind)) => self.break_grpc(kind),
            (Rest, None) if !has_expired => {
                self.rest_answered = true;
                self.on(Event::RestAnswered);
            }
            (Rest, _) => {}
        }
        let is_on_grpc = matches!(self.machine.state(), State::OnGrpc);
        let call = &mut self.calls[number];
        let other = OtherTransport { has_rest_form: call.has_rest_form, is_on_grpc };
        let resends = call.resends.as_mut().expect("chosen");
        match met.and_then(|kind| resends.after(&symptom(kind), other)) {
            Some(next) => {
                call.switches += u32::from(next != transport);
                self.attempt(number);
            }
            None => self.end(number),
        }
    }

    /// An ambiguous symptom asks for a probe; one before the request is a failed probe itself.
    fn break_grpc(&mut self, kind: SymptomKind) {
        let is_certain = kind.mark() == Mark::Certain;
        if is_certain && matches!(self.machine.state(), State::OnGrpc) {
            (self.has_failed_probe, self.rest_answered) =
                (kind.delivery() == Delivery::NotSent, false);
        }
        self.on(Event::GrpcBroke(symptom(kind)));
        self.begin_probe_if_due();
    }

    fn on(&mut self, event: Event) {
        let was_on_rest = matches!(self.machine.state(), State::OnRest { .. });
        self.machine.on(event, self.now);
        let is_on_rest = matches!(self.machine.state(), State::OnRest { .. });
        if is_on_rest && !was_on_rest {
            assert!(self.has_failed_probe, "REST took over though gRPC had not failed");
            assert!(self.rest_answered, "REST took over though it had not answered");
        }
    }

    fn end(&mut self, number: usize) {
        let call = &mut self.calls[number];
        call.has_ended = true;
        assert!(self.now <= call.deadline, "a call outlived its deadline");
        assert!(call.switches <= 1, "a call went to and fro");
        match call.policy {
            ResendPolicy::Never => assert!(call.left <= 1, "a call left twice"),
            ResendPolicy::WhenUnprocessed => assert!(call.processed <= 1, "a call was paid twice"),
            ResendPolicy::WhenUnanswered => {}
        }
    }
}

fn symptom(kind: SymptomKind) -> Symptom {
    Symptom::new(kind, "proxy")
}

#[test]
fn no_call_is_paid_twice_or_outlives_its_deadline_whatever_the_network_does() {
    for seed in SEEDS {
        let mut world = World::new(seed);
        world.run();
        assert_eq!(world.calls.len(), CALLS);
        assert!(world.calls.iter().all(|call| call.has_ended), "seed {seed}: a call was lost");
    }
}

#[test]
fn grpc_comes_back_once_the_network_is_good_again() {
    for seed in SEEDS {
        let mut world = World::new(seed);
        world.run();
        // The longest verdict is a day; the probe after it ends well.
        world.now += Duration::from_secs(25 * 3600);
        world.weather = Weather::Good;
        world.begin_probe_if_due();
        world.run();
        assert_eq!(world.machine.route(), Route::Grpc, "seed {seed}");
    }
}
