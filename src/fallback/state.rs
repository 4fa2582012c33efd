//! State: whether gRPC works on this network, as a pure machine: `(state, event, now) -> state`.

use std::time::Duration;

use tokio::time::Instant;

use super::remembered::Term;
use crate::symptom::{Mark, Station, Symptom, SymptomKind};

/// What is known about gRPC on this network.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Nothing yet: the next call waits for a probe, or goes over REST.
    Unproven,
    /// gRPC carries the calls.
    OnGrpc,
    /// REST carries the calls, because of `symptom`; after `until` gRPC is proven anew beside them.
    OnRest { until: Instant, symptom: Symptom },
}

/// Where a call goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Grpc,
    Rest,
    /// gRPC if the probe in flight ends well in time, else REST.
    AfterProbe,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A probe of gRPC began.
    ProbeBegan,
    /// gRPC carried the probe and its answer, trailers included.
    ProbeSucceeded,
    /// The probe broke.
    ProbeFailed(Symptom),
    /// The probe ended without a result: its task was dropped.
    ProbeAbandoned,
    /// A call broke on gRPC.
    GrpcBroke(Symptom),
    /// A call was answered over gRPC.
    GrpcAnswered,
    /// A call over gRPC that began then ended at its deadline, unanswered.
    GrpcExpired { began: Instant, symptom: Symptom },
    /// The peer of a call over gRPC let itself be heard, if only to end it at its deadline.
    GrpcHeard,
    /// A call was answered over REST, by the service.
    RestAnswered,
    /// The user asked to forget.
    Reset,
}

/// The state and what it takes to leave it.
#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    since: Instant,
    proving: bool,
    /// The last probe's failure, until REST confirms or refutes that the network is to blame.
    failed_probe: Option<Symptom>,
    /// REST answered since the running or last probe began.
    rest_answered: bool,
    /// gRPC has met an ambiguous symptom, and its probe has not ended since.
    is_suspect: bool,
    /// Since when all calls over gRPC have ended at their deadlines, unanswered.
    silent_since: Option<Instant>,
    /// Verdicts against gRPC in a row; each doubles the expiry.
    verdicts: u32,
    expiry: Expiry,
    pace: Pace,
}

/// How often gRPC may be proven: so many times at once, and then as often as it takes a while.
/// Between them the last result holds.
#[derive(Debug)]
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    const MOST: u32 = 10;
    const WHILE: Duration = Duration::from_secs(5);

    fn new(now: Instant) -> Self {
        Self { left: Self::MOST, since: now }
    }

    fn allows(&self, now: Instant) -> bool {
        self.left > 0 || now >= self.since + Self::WHILE
    }

    fn take(&mut self, now: Instant) {
        while self.left < Self::MOST && now >= self.since + Self::WHILE {
            (self.left, self.since) = (self.left + 1, self.since + Self::WHILE);
        }
        if self.left == Self::MOST {
            self.since = now;
        }
        self.left = self.left.saturating_sub(1);
    }
}

/// How long a verdict against gRPC holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Default for Expiry {
    /// Chromium's rule for a broken alternative service, 5 minutes and doubling, cut at a day.
    fn default() -> Self {
        Self { first: Duration::from_secs(300), longest: Duration::from_secs(24 * 3600) }
    }
}

impl Expiry {
    pub(super) fn after(self, verdicts: u32) -> Duration {
        let doublings = verdicts.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// Silence in which a call, or several one after the other, should have been answered.
const ODD_SILENCE: Duration = Duration::from_secs(3);
/// Pause before gRPC is proven anew when an outage, not gRPC, broke the last probe.
const OUTAGE_PAUSE: Duration = Duration::from_secs(30);

impl Machine {
    pub(crate) fn new(expiry: Expiry, now: Instant) -> Self {
        Self {
            state: State::Unproven,
            since: now,
            proving: false,
            failed_probe: None,
            rest_answered: false,
            is_suspect: false,
            silent_since: None,
            verdicts: 0,
            expiry,
            pace: Pace::new(now),
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// When the present state began.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Whether a probe should begin now, because none runs.
    pub(crate) fn wants_probe(&self, now: Instant) -> bool {
        !self.proving && self.is_probe_due(now)
    }

    /// Whether gRPC needs a probe, also where one runs, and its pace allows one.
    pub(crate) fn is_probe_due(&self, now: Instant) -> bool {
        self.pace.allows(now)
            && match &self.state {
                State::Unproven => true,
                State::OnGrpc => self.is_suspect,
                State::OnRest { until, .. } => *until <= now,
            }
    }

    /// Where the next call goes.
    pub(crate) fn route(&self) -> Route {
        match self.state {
            State::Unproven => Route::AfterProbe,
            State::OnGrpc if self.is_suspect => Route::AfterProbe,
            State::OnGrpc => Route::Grpc,
            State::OnRest { .. } => Route::Rest,
        }
    }

    /// The verdict in force, as it outlives this machine.
    pub(crate) fn verdict(&self) -> Option<(SymptomKind, Term)> {
        match &self.state {
            State::OnRest { until, symptom } => {
                Some((symptom.kind(), Term { until: *until, verdicts: self.verdicts }))
            }
            State::Unproven | State::OnGrpc => None,
        }
    }

    /// `Unproven -> OnRest`, by a verdict of before. Of one that has expired only the count is
    /// left: gRPC is proven first, since whoever starts anew may end before a proof beside the
    /// calls does.
    pub(crate) fn remember(&mut self, symptom: Symptom, term: Term, now: Instant) {
        self.verdicts = term.verdicts;
        if now < term.until {
            let until = term.until.min(now + self.expiry.longest);
            self.enter(State::OnRest { until, symptom }, now, true);
        }
    }

    /// Takes an event; says whether the state changed.
    pub(crate) fn on(&mut self, event: Event, now: Instant) -> bool {
        match event {
            Event::ProbeBegan => self.begin_probe(now),
            Event::ProbeSucceeded => self.prove(now),
            Event::ProbeFailed(symptom) => self.fail_probe(symptom, now),
            Event::ProbeAbandoned => {
                self.proving = false;
                false
            }
            Event::GrpcBroke(symptom) => self.break_grpc(symptom, now),
            Event::GrpcExpired { began, symptom } => self.expire(began, symptom, now),
            Event::GrpcHeard => {
                self.silent_since = None;
                false
            }
            Event::GrpcAnswered => {
                self.silent_since = None;
                self.forgive(now)
            }
            Event::RestAnswered => self.confirm_by_rest(now),
            Event::Reset => {
                *self = Self::new(self.expiry, now);
                true
            }
        }
    }

    fn begin_probe(&mut self, now: Instant) -> bool {
        self.pace.take(now);
        self.proving = true;
        self.failed_probe = None;
        self.rest_answered = false;
        false
    }

    /// `Unproven | OnRest -> OnGrpc`: a free call went there and came back whole.
    fn prove(&mut self, now: Instant) -> bool {
        self.proving = false;
        self.failed_probe = None;
        self.is_suspect = false;
        self.silent_since = None;
        let changed = !matches!(self.state, State::OnGrpc);
        self.enter(State::OnGrpc, now, changed)
    }

    fn fail_probe(&mut self, symptom: Symptom, now: Instant) -> bool {
        self.proving = false;
        self.is_suspect = false;
        let marks = symptom.kind().mark() != Mark::No;
        match &mut self.state {
            // Unproven -> Unproven: broken only once REST shows that the network itself is up.
            State::Unproven if marks => {
                self.failed_probe = Some(symptom);
                self.condemn(now)
            }
            // OnRest -> OnRest: still broken, for twice as long.
            State::OnRest { symptom: known, .. } if marks => {
                *known = symptom;
                self.extend(now)
            }
            // OnRest -> OnRest: an outage says nothing new.
            State::OnRest { until, .. } => {
                *until = now + OUTAGE_PAUSE;
                false
            }
            // OnGrpc -> Unproven: a symptom made gRPC suspect, and its probe is the second one.
            State::OnGrpc if marks => self.doubt(Some(symptom), now),
            State::Unproven | State::OnGrpc => false,
        }
    }

    fn break_grpc(&mut self, symptom: Symptom, now: Instant) -> bool {
        if !matches!(self.state, State::OnGrpc) {
            return false;
        }
        match symptom.kind().mark() {
            Mark::No => return false,
            Mark::Ambiguous => {
                self.is_suspect = true;
                return false;
            }
            Mark::Certain => {}
        }
        // OnGrpc -> Unproven: the next probe decides, unless no connection comes about any more,
        // which is a failed probe already.
        let connects = symptom.station() >= Station::Request;
        self.rest_answered = false;
        self.doubt((!connects).then_some(symptom), now)
    }

    /// A call of 200 ms that gets no answer says nothing; nothing but such calls for some time
    /// does.
    fn expire(&mut self, began: Instant, symptom: Symptom, now: Instant) -> bool {
        let since = *self.silent_since.get_or_insert(began);
        if now < since + ODD_SILENCE {
            return false;
        }
        self.silent_since = None;
        self.break_grpc(symptom, now)
    }

    /// `OnGrpc -> Unproven`, and on to `OnRest` if the probe has failed and REST has answered.
    fn doubt(&mut self, failed_probe: Option<Symptom>, now: Instant) -> bool {
        self.is_suspect = false;
        self.failed_probe = failed_probe;
        self.enter(State::Unproven, now, true);
        self.condemn(now);
        true
    }

    fn confirm_by_rest(&mut self, now: Instant) -> bool {
        self.rest_answered = true;
        matches!(self.state, State::Unproven) && self.condemn(now)
    }

    /// `Unproven -> OnRest`: gRPC failed its probe, and REST works on the same network.
    fn condemn(&mut self, now: Instant) -> bool {
        if !self.rest_answered {
            return false;
        }
        let Some(symptom) = self.failed_probe.take() else {
            return false;
        };
        self.verdicts += 1;
        let until = now + self.expiry.after(self.verdicts);
        self.enter(State::OnRest { until, symptom }, now, true)
    }

    fn extend(&mut self, now: Instant) -> bool {
        self.verdicts += 1;
        let longer = now + self.expiry.after(self.verdicts);
        if let State::OnRest { until, .. } = &mut self.state {
            *until = longer;
        }
        false
    }

    /// Forgets past verdicts once gRPC has carried calls for as long as the last one held.
    fn forgive(&mut self, now: Instant) -> bool {
        let held = self.expiry.after(self.verdicts);
        if matches!(self.state, State::OnGrpc) && now >= self.since + held {
            self.verdicts = 0;
        }
        false
    }

    fn enter(&mut self, state: State, now: Instant, changed: bool) -> bool {
        self.state = state;
        if changed {
            self.since = now;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symptom(kind: SymptomKind) -> Symptom {
        Symptom::new(kind, "proxy")
    }

    /// A machine, its clock, and events told in words.
    struct Story {
        machine: Machine,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            let now = Instant::now();
            Self { machine: Machine::new(Expiry::default(), now), now }
        }

        fn on(mut self, event: Event) -> Self {
            self.machine.on(event, self.now);
            self
        }

        fn wait(mut self, seconds: u64) -> Self {
            self.now += Duration::from_secs(seconds);
            self
        }

        fn failed_probe(self, kind: SymptomKind) -> Self {
            self.on(Event::ProbeBegan).on(Event::ProbeFailed(symptom(kind)))
        }

        fn proven(self) -> Self {
            self.on(Event::ProbeBegan).on(Event::ProbeSucceeded)
        }

        fn state(&self) -> &'static str {
            match self.machine.state {
                State::Unproven => "unproven",
                State::OnGrpc => "grpc",
                State::OnRest { .. } => "rest",
            }
        }

        fn expiry(&self) -> Duration {
            match self.machine.state {
                State::OnRest { until, .. } => until - self.now,
                State::Unproven | State::OnGrpc => Duration::ZERO,
            }
        }
    }

    #[test]
    fn grpc_is_broken_only_after_rest_answered() {
        let story = Story::new().failed_probe(SymptomKind::Http2NotOffered);
        assert_eq!(story.state(), "unproven");
        assert_eq!(story.on(Event::RestAnswered).state(), "rest");
    }

    #[test]
    fn the_answer_of_rest_may_come_before_the_probe_fails() {
        let story = Story::new().on(Event::ProbeBegan).on(Event::RestAnswered);
        let story = story.on(Event::ProbeFailed(symptom(SymptomKind::Unanswered)));
        assert_eq!(story.state(), "rest");
    }

    #[test]
    fn an_outage_poisons_nothing() {
        let mut story = Story::new();
        for _ in 0..10_000 {
            story = story.failed_probe(SymptomKind::ConnectionRefused).on(Event::RestAnswered);
        }
        assert_eq!(story.state(), "unproven");
        let mut story = Story::new().proven();
        for _ in 0..10_000 {
            story = story.on(Event::GrpcBroke(symptom(SymptomKind::ConnectionRefused)));
        }
        assert_eq!(story.state(), "grpc");
    }

    #[test]
    fn a_certain_symptom_counts_at_once_and_an_ambiguous_one_asks_for_a_probe() {
        let certain = Story::new().proven().on(Event::GrpcBroke(symptom(SymptomKind::NotGrpc)));
        assert_eq!(certain.state(), "unproven");
        let suspect =
            || Story::new().proven().on(Event::GrpcBroke(symptom(SymptomKind::StreamReset)));
        let machine = suspect().machine;
        assert_eq!((suspect().state(), machine.route()), ("grpc", Route::AfterProbe));
        assert!(machine.wants_probe(suspect().now));
        let cleared = suspect().proven();
        assert_eq!((cleared.state(), cleared.machine.route()), ("grpc", Route::Grpc));
        let failed = suspect().failed_probe(SymptomKind::StreamReset);
        assert_eq!(failed.state(), "unproven");
        assert_eq!(failed.on(Event::RestAnswered).state(), "rest");
    }

    #[test]
    fn short_calls_that_end_unanswered_count_only_together() {
        let expired = |story: Story, after: u64| {
            let began = story.now;
            let symptom = symptom(SymptomKind::Unanswered);
            story.wait(after).on(Event::GrpcExpired { began, symptom })
        };
        let is_suspect = |story: &Story| story.machine.route() == Route::AfterProbe;
        let two = expired(expired(Story::new().proven(), 1), 1);
        assert!(!is_suspect(&two));
        assert!(is_suspect(&expired(two, 1)), "three seconds of silence");
        assert!(is_suspect(&expired(Story::new().proven(), 3)), "in one call");
        for heard in [|| Event::GrpcHeard, || Event::GrpcAnswered, || Event::ProbeSucceeded] {
            let story = expired(expired(Story::new().proven(), 1), 1).on(heard());
            assert!(!is_suspect(&expired(expired(story, 1), 1)), "{:?}", heard());
        }
    }

    #[test]
    fn calls_lost_in_an_outage_leave_grpc_in_place() {
        let lost = || Event::GrpcBroke(symptom(SymptomKind::ConnectionLost));
        let story = Story::new().proven().on(lost()).on(lost()).on(lost());
        let story = story.failed_probe(SymptomKind::ConnectionRefused);
        assert_eq!((story.state(), story.machine.route()), ("grpc", Route::Grpc));
    }

    #[test]
    fn a_dial_that_finds_no_http2_is_a_failed_probe() {
        let story =
            Story::new().proven().on(Event::GrpcBroke(symptom(SymptomKind::Http2NotOffered)));
        assert_eq!(story.on(Event::RestAnswered).state(), "rest");
    }

    #[test]
    fn a_broken_call_alone_condemns_nothing() {
        let story = Story::new().proven().on(Event::GrpcBroke(symptom(SymptomKind::NotGrpc)));
        assert_eq!(story.on(Event::RestAnswered).state(), "unproven");
    }

    #[test]
    fn what_hits_requests_alone_leaves_the_decision_to_a_probe() {
        let broke = Event::GrpcBroke(symptom(SymptomKind::Http11Required));
        assert_eq!(Story::new().proven().on(broke).on(Event::RestAnswered).state(), "unproven");
    }

    #[test]
    fn an_answer_is_no_reason_to_forgive_before_its_time_or_while_rest_carries_the_calls() {
        let verdict =
            || Story::new().failed_probe(SymptomKind::Http2NotOffered).on(Event::RestAnswered);
        let early = verdict().wait(300).proven().wait(10).on(Event::GrpcAnswered);
        let relapse = early.on(Event::GrpcBroke(symptom(SymptomKind::Http2NotOffered)));
        assert_eq!(relapse.on(Event::RestAnswered).expiry().as_secs(), 600);
        let of_an_old_call = verdict().wait(300).on(Event::GrpcAnswered);
        let still = of_an_old_call.failed_probe(SymptomKind::Http2NotOffered);
        assert_eq!(still.expiry().as_secs(), 600);
    }

    #[test]
    fn the_expiry_doubles_to_a_day_and_calls_stay_on_rest() {
        let mut story =
            Story::new().failed_probe(SymptomKind::Http2NotOffered).on(Event::RestAnswered);
        let mut expected = 300;
        for _ in 0..12 {
            assert_eq!(story.expiry().as_secs(), expected);
            assert!(!story.machine.wants_probe(story.now));
            story = story.wait(expected);
            assert!(story.machine.wants_probe(story.now));
            story = story.failed_probe(SymptomKind::Http2NotOffered);
            assert_eq!(story.state(), "rest");
            expected = (expected * 2).min(24 * 3600);
        }
    }

    #[test]
    fn a_probe_brings_grpc_back_and_a_relapse_starts_higher() {
        let story = Story::new().failed_probe(SymptomKind::Http2NotOffered).on(Event::RestAnswered);
        let story = story.wait(300).proven();
        assert_eq!(story.state(), "grpc");
        let relapse = story.wait(10).on(Event::GrpcBroke(symptom(SymptomKind::Http2NotOffered)));
        assert_eq!(relapse.on(Event::RestAnswered).expiry().as_secs(), 600);
    }

    #[test]
    fn a_long_good_time_is_forgiven() {
        let story = Story::new().failed_probe(SymptomKind::Http2NotOffered).on(Event::RestAnswered);
        let story = story.wait(300).proven().wait(301).on(Event::GrpcAnswered);
        let relapse = story.on(Event::GrpcBroke(symptom(SymptomKind::Http2NotOffered)));
        assert_eq!(relapse.on(Event::RestAnswered).expiry().as_secs(), 300);
    }

    #[test]
    fn an_outage_during_a_new_probe_leaves_the_verdict() {
        let story = Story::new().failed_probe(SymptomKind::Http2NotOffered).on(Event::RestAnswered);
        let story = story.wait(300).failed_probe(SymptomKind::ConnectionRefused);
        assert_eq!((story.state(), story.expiry()), ("rest", OUTAGE_PAUSE));
    }

    #[test]
    fn of_a_verdict_that_has_expired_only_the_count_is_left() {
        let remembering = |seconds: u64| {
            let mut story = Story::new();
            let until = story.now + Duration::from_secs(seconds);
            let term = Term { until, verdicts: 1 };
            story.machine.remember(symptom(SymptomKind::NotGrpc), term, story.now);
            story
        };
        assert_eq!((remembering(1).state(), remembering(1).expiry().as_secs()), ("rest", 1));
        let expired = remembering(0);
        assert_eq!(expired.state(), "unproven");
        let next = expired.failed_probe(SymptomKind::NotGrpc).on(Event::RestAnswered);
        assert_eq!(next.expiry().as_secs(), 600);
        let for_years = remembering(1_000_000_000);
        assert_eq!(for_years.expiry(), Expiry::default().longest);
    }

    #[test]
    fn probes_are_few_however_often_one_is_due() {
        let failing = |mut story: Story| {
            let mut probes = 0;
            while story.machine.wants_probe(story.now) && probes < 1_000 {
                story = story.failed_probe(SymptomKind::ConnectionRefused);
                probes += 1;
            }
            (story, probes)
        };
        let (story, first) = failing(Story::new());
        let (story, soon) = failing(story.wait(5));
        let (_, later) = failing(story.wait(3600));
        assert_eq!((first, soon, later), (10, 1, 10));
    }

    #[test]
    fn one_probe_runs_at_a_time() {
        let story = Story::new().on(Event::ProbeBegan);
        assert!(!story.machine.wants_probe(story.now));
    }
}
