//! What the calls of a bridge share of all that: who probes, who waits, and what is to be seen.

use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, advance};
use tonic::Code;

use super::*;
use crate::call::author::Author;
use crate::error::ErrorKind;
use crate::schema::Schema;

const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";

fn fresh() -> Fallback {
    Fallback::new(Expiry::default(), None)
}

fn symptom(kind: SymptomKind) -> Symptom {
    Symptom::new(kind, "a proxy")
}

fn method() -> Arc<Method> {
    let schema = Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("a schema");
    Arc::clone(schema.method(GENERATE).expect("a method"))
}

/// Of a probe that is due.
fn begin(fallback: &Fallback) -> RunningProbe {
    fallback.route(None).1.expect("a probe is due")
}

fn fail(fallback: &Fallback, kind: SymptomKind) {
    let running = begin(fallback);
    fallback.end_probe(&running, Event::ProbeFailed(symptom(kind)));
}

fn prove(fallback: &Fallback) {
    let running = begin(fallback);
    fallback.end_probe(&running, Event::ProbeSucceeded);
}

fn condemn(fallback: &Fallback) {
    fail(fallback, SymptomKind::Http2NotOffered);
    fallback.record(Event::RestAnswered);
}

/// The transport, and why.
fn told(fallback: &Fallback) -> (Option<ActiveTransport>, Option<SymptomKind>) {
    let state = fallback.transport_state();
    (state.transport(), state.symptom().map(Symptom::kind))
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_and_an_answer_over_rest_are_a_verdict_that_all_see() {
    let fallback = fresh();
    let mut watch = fallback.watch();
    assert_eq!(fallback.transport_state().to_string(), "not settled yet");
    advance(Duration::from_secs(7)).await;
    condemn(&fallback);
    assert!(watch.has_changed().expect("it lives"));
    let seen = watch.borrow_and_update().clone();
    assert_eq!(seen.since(), Instant::now());
    let kind = Some(SymptomKind::Http2NotOffered);
    assert_eq!(told(&fallback), (Some(ActiveTransport::Rest), kind));
    assert!(seen.to_string().starts_with("REST, because a proxy"), "{seen}");
    assert_eq!(fallback.route(None).0, Route::Rest);
    assert!(!fallback.is_on_grpc());
    assert!(!fallback.takes(None));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ends_well_opens_grpc() {
    let fallback = fresh();
    assert_eq!(fallback.route(None).0, Route::AfterProbe);
    assert!(!fallback.takes(None));
    let other = fresh();
    prove(&other);
    assert_eq!(told(&other), (Some(ActiveTransport::Grpc), None));
    assert_eq!(other.transport_state().to_string(), "gRPC");
    assert!(other.is_on_grpc() && other.takes(None));
    assert_eq!(other.route(None).0, Route::Grpc);
}

#[tokio::test(start_paused = true)]
async fn one_probe_runs_for_all_calls_and_they_hear_of_its_end() {
    let fallback = Arc::new(fresh());
    let running = begin(&fallback);
    assert!(fallback.route(None).1.is_none(), "one runs");
    assert!(fallback.failed_probe().is_none());
    let waiting = tokio::spawn({
        let fallback = Arc::clone(&fallback);
        async move { fallback.probe_failure().await.expect("no login").map(|it| it.kind()) }
    });
    advance(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    let kind = SymptomKind::Http2NotOffered;
    fallback.end_probe(&running, Event::ProbeFailed(symptom(kind)));
    assert_eq!(waiting.await.expect("no panic"), Some(kind));
    assert_eq!(fallback.failed_probe().map(|it| it.kind()), Some(kind));
    let again = begin(&fallback);
    assert!(fallback.failed_probe().is_none(), "another one runs");
    fallback.end_probe(&again, Event::ProbeAbandoned);
    assert!(fallback.probe_failure().await.expect("no login").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_ends_the_calls_that_wait() {
    let fallback = fresh();
    fail(&fallback, SymptomKind::ProxyAuthenticationRequired);
    let error = fallback.probe_failure().await.expect_err("refused");
    let kind = error.symptom().map(Symptom::kind);
    assert_eq!(kind, Some(SymptomKind::ProxyAuthenticationRequired));
}

/// A probe that began on another runtime, which stands still by now.
fn begin_elsewhere(fallback: &Arc<Fallback>) -> RunningProbe {
    let fallback = Arc::clone(fallback);
    let begun = move || {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async { begin(&fallback) })
    };
    thread::spawn(begun).join().expect("no panic")
}

#[tokio::test]
async fn of_two_probes_the_older_ones_failure_says_nothing_and_its_success_does() {
    for (event, transport) in [
        (Event::ProbeFailed(symptom(SymptomKind::Http2NotOffered)), None),
        (Event::ProbeSucceeded, Some(ActiveTransport::Grpc)),
    ] {
        let fallback = Arc::new(fresh());
        let older = begin_elsewhere(&fallback);
        let younger = begin(&fallback);
        fallback.end_probe(&older, event);
        fallback.record(Event::RestAnswered);
        assert_eq!(told(&fallback).0, transport);
        fallback.end_probe(&younger, Event::ProbeAbandoned);
    }
}

#[tokio::test(start_paused = true)]
async fn to_forget_ends_the_wait_for_a_probe_and_what_that_finds_counts_no_more() {
    let fallback = fresh();
    let observer = fallback.observer(&method());
    prove(&fallback);
    let mut changes = fallback.watch();
    fallback.record(Event::Reset);
    assert!(changes.has_changed().expect("it lives"));
    assert_eq!(changes.borrow_and_update().to_string(), "not settled yet");
    let of_before = begin(&fallback);
    fallback.record(Event::Reset);
    assert!(fallback.probe_failure().await.expect("no login").is_none(), "nobody waits for it");
    let kind = SymptomKind::Http2NotOffered;
    fallback.end_probe(&of_before, Event::ProbeFailed(symptom(kind)));
    fallback.record(Event::RestAnswered);
    assert_eq!(told(&fallback), (None, None));
    drop(observer);
}

#[tokio::test(start_paused = true)]
async fn what_is_learnt_is_not_seen_while_the_user_has_chosen() {
    let fallback = fresh();
    let mut was_set = false;
    fallback.fix(Some(ActiveTransport::Rest), || was_set = true);
    assert!(was_set);
    assert_eq!(told(&fallback), (Some(ActiveTransport::Rest), None));
    assert_eq!(fallback.transport_state().to_string(), "REST");
    prove(&fallback);
    assert_eq!(told(&fallback), (Some(ActiveTransport::Rest), None));
    fallback.fix(None, || {});
    assert_eq!(told(&fallback), (Some(ActiveTransport::Grpc), None), "and known afterwards");
    let chosen = Fallback::new(Expiry::default(), Some(ActiveTransport::Grpc));
    condemn(&chosen);
    assert_eq!(told(&chosen), (Some(ActiveTransport::Grpc), None));
}

/// Two calls that gRPC breaks, and one that REST carries.
async fn condemn_method(fallback: &Fallback) {
    for _ in 0..2 {
        advance(Duration::from_secs(1)).await;
        let broken = Error::from(symptom(SymptomKind::StreamReset));
        fallback.observer(&method()).failed(ActiveTransport::Grpc, &broken, Duration::ZERO);
    }
    advance(Duration::from_secs(1)).await;
    let (author, took) = (Author::Service, Duration::ZERO);
    fallback.observer(&method()).answered(ActiveTransport::Rest, author, Code::Ok, took);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_grpc_breaks_goes_over_rest_and_the_others_do_not() {
    let fallback = fresh();
    prove(&fallback);
    condemn_method(&fallback).await;
    let mut observer = fallback.observer(&method());
    assert_eq!(fallback.route(Some(&mut observer)).0, Route::Rest);
    assert!(!fallback.takes(Some(&mut observer)));
    assert_eq!(fallback.route(None).0, Route::Grpc);
    fallback.record(Event::Reset);
    prove(&fallback);
    let mut observer = fallback.observer(&method());
    assert_eq!(fallback.route(Some(&mut observer)).0, Route::Grpc, "it was told to forget");
    assert!(fallback.takes(Some(&mut observer)));
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_woken_by_each_change_of_a_verdict_and_not_by_each_call() {
    let fallback = fresh();
    prove(&fallback);
    let mut watch = fallback.watch();
    let mut was_woken = || {
        let was_woken = watch.has_changed().expect("it lives");
        watch.mark_unchanged();
        was_woken
    };
    let (grpc, rest, service) = (ActiveTransport::Grpc, ActiveTransport::Rest, Author::Service);
    let broken = Error::from(symptom(SymptomKind::StreamReset));
    condemn_method(&fallback).await;
    assert!(was_woken(), "a verdict on a method");
    assert_eq!(told(&fallback), (Some(grpc), None), "which is not the state of all calls");
    fallback.observer(&method()).answered(rest, service, Code::Ok, Duration::ZERO);
    assert!(!was_woken());

    let trial = || {
        let mut trial = fallback.observer(&method());
        assert_eq!(fallback.route(Some(&mut trial)).0, Route::Grpc);
        trial
    };
    advance(Duration::from_secs(300)).await;
    trial().failed(grpc, &broken, Duration::ZERO);
    assert!(was_woken(), "it holds for longer");
    fallback.observer(&method()).answered(rest, service, Code::Ok, Duration::ZERO);
    advance(Duration::from_secs(600)).await;
    let mut last = trial();
    assert!(!was_woken());
    last.answered(grpc, service, Code::Ok, Duration::ZERO);
    assert!(was_woken(), "it is over");

    fallback.record(Event::GrpcBroke(symptom(SymptomKind::NotGrpc)));
    condemn(&fallback);
    assert!(was_woken(), "a verdict on all calls");
    fallback.record(Event::RestAnswered);
    assert!(!was_woken());
    advance(Duration::from_secs(300)).await;
    fail(&fallback, SymptomKind::TlsReset);
    assert!(was_woken(), "it holds for longer");
    assert_eq!(told(&fallback), (Some(rest), Some(SymptomKind::TlsReset)), "for another reason");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_against_grpc_outlives_it() {
    let old = fresh();
    assert!(old.verdicts().is_empty());
    prove(&old);
    condemn_method(&old).await;
    let of_a_method = old.verdicts();
    assert!(!of_a_method.is_empty() && of_a_method.grpc.is_none());
    let anew = fresh();
    condemn(&anew);
    let of_all = anew.verdicts();
    assert!(!of_all.is_empty() && of_all.methods.is_empty());

    let heir = fresh();
    heir.remember(&of_a_method, symptom);
    assert_eq!(told(&heir), (None, None));
    prove(&heir);
    assert_eq!(heir.route(Some(&mut heir.observer(&method()))).0, Route::Rest);
    assert_eq!(heir.verdicts().methods, of_a_method.methods);

    let heir = fresh();
    heir.remember(&of_all, symptom);
    assert_eq!(told(&heir), (Some(ActiveTransport::Rest), Some(SymptomKind::Http2NotOffered)));
    assert_eq!(heir.verdicts(), of_all);

    let chosen = Fallback::new(Expiry::default(), Some(ActiveTransport::Grpc));
    chosen.remember(&of_all, symptom);
    assert_eq!(told(&chosen), (Some(ActiveTransport::Grpc), None));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_no_symptom_ends_no_trial_for_the_others() {
    let fallback = fresh();
    prove(&fallback);
    condemn_method(&fallback).await;
    advance(Expiry::default().first).await;
    let mut trial = fallback.observer(&method());
    assert_eq!(fallback.route(Some(&mut trial)).0, Route::Grpc, "the one that tries it anew");
    assert_eq!(fallback.route(Some(&mut trial)).0, Route::Grpc, "whatever attempts it needs");
    let mut other = fallback.observer(&method());
    assert_eq!(fallback.route(Some(&mut other)).0, Route::Rest);
    let invalid = Error::new(ErrorKind::InvalidRequest, "nothing of the network's");
    trial.failed(ActiveTransport::Grpc, &invalid, Duration::ZERO);
    assert_eq!(fallback.route(Some(&mut other)).0, Route::Grpc, "the next one tries");
    drop(other);
    let mut last = fallback.observer(&method());
    assert_eq!(fallback.route(Some(&mut last)).0, Route::Grpc, "one that was dropped, too");
}
