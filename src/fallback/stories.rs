//! What becomes of a method whose calls gRPC breaks although its probe passes, told in words.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use super::methods::{MethodRoute, Methods, Observed, Outcome};
use super::state::Expiry;
use crate::symptom::Mark;

const GENERATE: &str = "/a.Service/Generate";
const LIST: &str = "/a.Service/List";
const BROKEN: Outcome = Outcome::Broken { mark: Mark::Ambiguous, said: None };
const REST_OK: Outcome = Outcome::RestCarried { said: Code::Ok };

/// Methods, a clock, and the call that is told of.
struct Story {
    methods: Methods,
    now: Instant,
    call: Observed,
}

impl Story {
    fn new() -> Self {
        let now = Instant::now();
        let call = Observed { began: now, is_trial: false, was_late: false };
        Self { methods: Methods::new(Expiry::default()), now, call }
    }

    fn wait(mut self, seconds: u64) -> Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// A new call, a second later; a trial if the route says so.
    fn call(mut self) -> Self {
        self.now += Duration::from_secs(1);
        let is_trial = self.route() == MethodRoute::Trial;
        if is_trial {
            self.methods.begin_trial(GENERATE);
        }
        self.call = Observed { began: self.now, is_trial, was_late: false };
        self
    }

    fn ends(mut self, outcome: Outcome) -> Self {
        self.methods.tell(GENERATE, self.call, outcome, self.now);
        self.call.was_late |= outcome == Outcome::Late;
        self
    }

    fn breaks(self) -> Self {
        self.call().ends(BROKEN)
    }

    fn carried(self) -> Self {
        self.call().answered_after(0)
    }

    fn answered_after(self, seconds: u64) -> Self {
        let took = Duration::from_secs(seconds);
        self.wait(seconds).ends(Outcome::Carried { took })
    }

    fn on_rest() -> Self {
        Self::new().breaks().breaks().call().ends(REST_OK)
    }

    fn route(&self) -> MethodRoute {
        self.methods.route(GENERATE, self.now)
    }

    /// How long REST keeps the calls.
    fn expiry(&self) -> u64 {
        let after = |seconds| self.now + Duration::from_secs(seconds);
        let is_over =
            |seconds: &u64| self.methods.route(GENERATE, after(*seconds)) == MethodRoute::Trial;
        (0..=24 * 3600).find(is_over).expect("it ends within a day")
    }

    /// How a call ends on a gateway that breaks the method over gRPC, while REST is good.
    fn behind_a_bad_gateway(self) -> (Self, bool) {
        let story = self.call();
        let is_rest = !story.call.is_trial && story.route() == MethodRoute::Rest;
        (story.ends(if is_rest { REST_OK } else { BROKEN }), is_rest)
    }
}

#[test]
fn two_failures_send_the_next_call_over_rest_and_its_answer_keeps_them_there() {
    let story = Story::new().breaks();
    assert_eq!(story.route(), MethodRoute::Younger(story.now), "on a connection of its own");
    let story = story.breaks();
    assert_eq!(story.route(), MethodRoute::Rest);
    let story = story.call().ends(REST_OK);
    let left = 299;
    assert_eq!((story.route(), story.expiry()), (MethodRoute::Rest, left), "since it failed");
    assert_eq!(
        story.methods.route(LIST, story.now),
        MethodRoute::Open,
        "another method is not to blame"
    );
}

#[test]
fn a_certain_symptom_needs_no_second_one() {
    let certain = Outcome::Broken { mark: Mark::Certain, said: None };
    let story = Story::new().call().ends(certain);
    assert_eq!(story.route(), MethodRoute::Rest);
}

#[test]
fn a_suspicion_waits_for_its_proof_and_an_old_one_sends_one_call_over_rest_at_most() {
    let suspected = |seconds| Story::new().breaks().breaks().wait(seconds);
    for seconds in [299, 300, 600, 24 * 3600, 400 * 24 * 3600] {
        assert_eq!(suspected(seconds).route(), MethodRoute::Rest, "{seconds}");
    }
    assert_eq!(suspected(200).call().ends(REST_OK).expiry(), 99, "it counts from the failure");
    let old = suspected(24 * 3600).call().ends(REST_OK);
    assert_eq!(old.route(), MethodRoute::Trial, "the network may be another by now");
    assert_eq!(old.carried().route(), MethodRoute::Open);
    let both = suspected(24 * 3600).call().ends(Outcome::RestBroken);
    assert!(matches!(both.route(), MethodRoute::Younger(_)), "gRPC is not to blame");
}

#[test]
fn a_bad_gateway_breaks_few_calls_however_far_they_are_apart() {
    const DAY: u64 = 24 * 3600;
    for (pause, calls, most_broken) in [
        (1, 1_000, 4),
        (60, 1_440, 10),
        (301, 300, 11),
        (600, 144, 10),
        (3600, 24, 10),
        (DAY, 30, 16),
        (400 * DAY, 30, 16),
    ] {
        let mut story = Story::new();
        let (mut broken, mut in_a_row, mut longest) = (0, 0, 0);
        for _ in 0..calls {
            let (next, is_carried) = story.behind_a_bad_gateway();
            in_a_row = if is_carried { 0 } else { in_a_row + 1 };
            (broken, longest) = (broken + usize::from(!is_carried), longest.max(in_a_row));
            story = next.wait(pause - 1);
        }
        assert!(broken <= most_broken, "{broken} of {calls} calls, {pause} s apart");
        assert_eq!(longest, 2, "no more than the first two in a row, {pause} s apart");
    }
}

#[test]
fn after_a_trial_that_breaks_rest_has_the_next_call_whether_it_carries_it_or_not() {
    for ended in [REST_OK, Outcome::RestBroken] {
        let broken = || Story::on_rest().wait(300).breaks().wait(24 * 3600);
        assert_eq!(broken().route(), MethodRoute::Rest);
        assert_eq!(broken().call().ends(Outcome::Unknown).route(), MethodRoute::Rest);
        assert_eq!(broken().call().ends(ended).route(), MethodRoute::Trial, "{ended:?}");
    }
}

#[test]
fn what_says_nothing_of_grpc_changes_nothing() {
    let story = Story::new().call().ends(Outcome::Broken { mark: Mark::No, said: None });
    let story =
        story.call().ends(Outcome::Unknown).call().ends(REST_OK).call().ends(Outcome::RestBroken);
    assert_eq!(story.route(), MethodRoute::Open);
}

#[test]
fn the_calls_on_one_lost_connection_are_one_failure() {
    let mut story = Story::new().call();
    for _ in 0..50 {
        story = story.ends(BROKEN);
    }
    assert!(matches!(story.route(), MethodRoute::Younger(_)));
}

#[test]
fn ten_answers_make_up_for_a_failure_and_fewer_do_not() {
    for (answers, route) in [(9, MethodRoute::Rest), (10, MethodRoute::Open)] {
        let mut story = Story::new().breaks();
        for _ in 0..answers {
            story = story.carried();
        }
        let story = if route == MethodRoute::Open { story } else { story.breaks() };
        assert_eq!(story.route(), route, "{answers}");
    }
}

#[test]
fn an_outage_poisons_nothing() {
    let mut story = Story::new().breaks().breaks();
    for _ in 0..100 {
        story = story.call().ends(Outcome::RestBroken);
        assert!(matches!(story.route(), MethodRoute::Younger(_)), "gRPC's turn");
        story = story.breaks();
        assert_eq!(story.route(), MethodRoute::Rest, "REST's turn");
    }
    let story = story.call().ends(Outcome::RestCarried { said: Code::Unavailable });
    assert!(
        matches!(story.route(), MethodRoute::Younger(_)),
        "a gateway's word is no answer of the service"
    );
}

#[test]
fn a_status_that_both_transports_bring_is_the_services_own() {
    let said = |code| Outcome::Broken { mark: Mark::Ambiguous, said: Some(code) };
    let told = || {
        let story = Story::new().call().ends(said(Code::Unimplemented));
        story.call().ends(said(Code::Unimplemented))
    };
    let same = told().call().ends(Outcome::RestCarried { said: Code::Unimplemented });
    assert_eq!(same.route(), MethodRoute::Open);
    let other = told().call().ends(REST_OK);
    assert_eq!(other.route(), MethodRoute::Rest, "it was forged");
    let refused = told().call().ends(Outcome::RestCarried { said: Code::InvalidArgument });
    assert_eq!(refused.route(), MethodRoute::Rest, "the service read the call");
}

#[test]
fn one_call_at_a_time_tries_grpc_anew_after_the_expiry() {
    let story = Story::on_rest().wait(300);
    assert_eq!(story.route(), MethodRoute::Trial);
    let story = story.call();
    assert_eq!(story.route(), MethodRoute::Rest, "the others do not wait for it");
    let given_up = story.ends(Outcome::Unknown);
    assert_eq!(given_up.route(), MethodRoute::Trial, "the next one tries");
    let back = given_up.carried();
    assert_eq!(back.route(), MethodRoute::Open);
}

#[test]
fn a_trial_that_rest_had_to_end_leaves_the_next_call_to_try() {
    for ended in [Outcome::RestCarried { said: Code::Ok }, Outcome::RestBroken] {
        let story = Story::on_rest().wait(300).call().ends(ended);
        assert_eq!(story.route(), MethodRoute::Trial, "{ended:?}");
    }
}

#[test]
fn a_trial_that_breaks_doubles_the_expiry_to_a_day() {
    let mut story = Story::on_rest();
    let mut expected = 300;
    for _ in 0..12 {
        story = story.wait(expected).breaks();
        assert_eq!(story.route(), MethodRoute::Rest);
        expected = (expected * 2).min(24 * 3600);
        story = story.ends(REST_OK);
        assert_eq!(story.expiry(), expected);
    }
}

#[test]
fn a_relapse_needs_one_failure_until_grpc_was_good_for_as_long_as_the_verdict_held() {
    let back = || Story::on_rest().wait(300).carried();
    let relapse = back().breaks();
    assert_eq!(relapse.route(), MethodRoute::Rest);
    assert_eq!(relapse.call().ends(REST_OK).expiry(), 599);
    let soon = back().carried().wait(290).carried().breaks();
    assert_eq!(soon.route(), MethodRoute::Rest, "answers alone are not enough");
    let forgiven = back().wait(301).carried().breaks();
    assert!(matches!(forgiven.route(), MethodRoute::Younger(_)));
    assert_eq!(forgiven.breaks().call().ends(REST_OK).expiry(), 299);
}

#[test]
fn an_answer_to_an_older_call_does_not_bring_grpc_back() {
    let story = Story::new().call();
    let old = story.call;
    let mut story = story.breaks().breaks().call().ends(REST_OK);
    story.call = old;
    assert_eq!(story.answered_after(1).route(), MethodRoute::Rest);
}

#[test]
fn patience_is_far_longer_than_a_methods_calls_took() {
    let patience = |story: &Story| story.methods.patience(GENERATE).as_secs();
    assert_eq!(patience(&Story::new()), 30);
    assert_eq!(patience(&Story::new().carried()), 10);
    let slow = Story::new().call().answered_after(20);
    assert_eq!(patience(&slow), 80);
    let mut quick = slow;
    for _ in 0..100 {
        quick = quick.carried();
    }
    assert_eq!(patience(&quick), 10, "what was long ago is forgotten");
}

#[test]
fn a_call_that_is_late_sends_the_next_one_over_rest_if_rest_answers() {
    let mut story = Story::new().carried().call().wait(10);
    assert!(story.methods.begin_question(GENERATE, story.now));
    let asks_after = |seconds| {
        let mut methods = Story::new().carried().methods;
        assert!(methods.begin_question(GENERATE, story.now));
        methods.begin_question(GENERATE, story.now + Duration::from_secs(seconds))
    };
    let asked = [0, 9, 10].map(asks_after);
    assert_eq!(asked, [false, false, true], "one asks for all, until its patience is over again");
    assert_eq!(story.route(), MethodRoute::Open, "a question alone changes nothing");
    let late = story.ends(Outcome::Late);
    assert_eq!(late.route(), MethodRoute::Rest);
    let call = late.call;
    let mut on_rest = late.call().ends(REST_OK);
    assert_eq!(on_rest.route(), MethodRoute::Rest);
    on_rest.call = call;
    let only_slow = on_rest.answered_after(600);
    assert_eq!(only_slow.route(), MethodRoute::Open, "the late call was answered after all");
    assert!(
        matches!(only_slow.breaks().route(), MethodRoute::Younger(_)),
        "and no verdict is left"
    );
}

#[test]
fn a_late_call_that_is_answered_before_the_next_one_leaves_no_suspicion() {
    let late = Story::new().carried().call().wait(10).ends(Outcome::Late);
    assert_eq!(late.route(), MethodRoute::Rest);
    assert_eq!(late.answered_after(1).route(), MethodRoute::Open);
}

#[test]
fn only_the_answer_to_the_late_call_shows_that_it_was_slow() {
    let story = Story::new().carried().call();
    let prompt = story.call;
    let late = story.call().wait(10).ends(Outcome::Late);
    let answered = |mut story: Story| {
        story.call = prompt;
        story.answered_after(1).route()
    };
    let on_rest = late.call().ends(REST_OK);
    assert_eq!(answered(on_rest), MethodRoute::Rest, "another call was never late");
    let suspected = Story::new().carried().call().wait(10).ends(Outcome::Late);
    assert_eq!(answered(suspected), MethodRoute::Rest, "nor does it end the suspicion");
}

#[test]
fn a_trial_whose_answer_is_late_is_no_reason_to_ask() {
    let mut story = Story::on_rest().wait(300).call().wait(60);
    assert!(!story.methods.begin_question(GENERATE, story.now), "REST carries the others already");
}
