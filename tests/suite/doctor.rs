//! The doctor names the station and the cause on each kind of network, and never a key.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use genai_bridge::doctor::Diagnosis::{Healthy, Limited, Refused, RestOnly, Unreachable};
use genai_bridge::doctor::{Check, Diagnosis, Doctor, Outcome, Report, Step};
use genai_bridge::emulator::{Emulator, Fault, Reply};
use genai_bridge::{Bridge, Proxy, Station, SymptomKind};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

use crate::setting::{KEY, LIST_MODELS, STREAM, answer, behind, direct, through};

#[tokio::test]
async fn each_check_is_told_as_it_ends() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let watcher = Arc::clone(&told);
    let doctor = Doctor::new(through(&emulator, &proxy));
    let doctor = doctor.on_check(move |check: &Check| watcher.lock().unwrap().push(check.step()));
    let report = doctor.examine().await;
    let told = told.lock().unwrap();
    assert_eq!(told.first(), Some(&Step::Settings));
    let mut ended: Vec<Step> = told.clone();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!(ended.len(), told.len(), "each once: {told:?}");
    for check in report.checks() {
        let is_left_out = check.evidence().contains("tell nothing new");
        assert_eq!(is_left_out, !told.contains(&check.step()), "{check:?}");
    }
}

/// A fault, what it comes to, and the station and the cause that are named.
type Row = (Fault, Diagnosis, Option<(Step, SymptomKind)>);

const fn row(fault: Fault, diagnosis: Diagnosis, step: Step, cause: SymptomKind) -> Row {
    (fault, diagnosis, Some((step, cause)))
}

const fn healthy(fault: Fault) -> Row {
    (fault, Healthy, None)
}

use SymptomKind as S;

const TABLE: &[Row] = &[
    healthy(Fault::Pass),
    healthy(Fault::ConnectHttp10),
    healthy(Fault::ConnectCreated),
    healthy(Fault::ConnectSplit),
    row(Fault::ConnectForbidden, Unreachable, Step::Proxy, S::ProxyForbidden),
    row(Fault::ConnectLoginRequired, Unreachable, Step::Login, S::ProxyAuthenticationRequired),
    row(Fault::ConnectNegotiateRequired, Unreachable, Step::Login, S::ProxyAuthenticationRequired),
    row(Fault::ConnectNotAllowed, Unreachable, Step::Proxy, S::ProxyForbidden),
    row(Fault::ConnectBadGateway, Unreachable, Step::Proxy, S::ProxyUpstreamFailed),
    row(Fault::ConnectUnavailable, Unreachable, Step::Proxy, S::ProxyUpstreamFailed),
    row(Fault::ConnectRedirected, Unreachable, Step::Proxy, S::ProxyRedirected),
    row(Fault::ConnectPage, Unreachable, Step::Tls, S::NotTls),
    row(Fault::ConnectGarbage, Unreachable, Step::Proxy, S::ProxyMalformed),
    row(Fault::ConnectSilence, Unreachable, Step::Proxy, S::ProxyTimeout),
    row(Fault::ConnectClosed, Unreachable, Step::Proxy, S::ProxyClosed),
    row(Fault::ConnectReset, Unreachable, Step::Proxy, S::ProxyClosed),
    row(Fault::HandshakeClosed, Unreachable, Step::Tls, S::TlsClosed),
    row(Fault::HandshakeReset, Unreachable, Step::Tls, S::TlsReset),
    row(Fault::HandshakeSilence, Unreachable, Step::Tls, S::TlsTimeout),
    row(Fault::HandshakeAlert, Unreachable, Step::Tls, S::TlsAlert),
    row(Fault::HandshakePage, Unreachable, Step::Tls, S::NotTls),
    row(Fault::Http2HelloClosed, RestOnly, Step::Tls, S::TlsClosed),
    row(Fault::Http2HelloReset, RestOnly, Step::Tls, S::TlsReset),
    row(Fault::Http2HelloSilence, RestOnly, Step::Tls, S::TlsTimeout),
    row(Fault::NoApplicationProtocol, RestOnly, Step::Http2, S::Http2NotOffered),
    // An examination is not idle for long enough.
    healthy(Fault::TunnelIdleSilence),
    healthy(Fault::TunnelIdleClosed),
    healthy(Fault::TunnelIdleReset),
    healthy(Fault::Inspect),
    row(Fault::InspectWithoutAlpn, RestOnly, Step::Http2, S::Http2NotOffered),
    row(Fault::InspectHttp1, RestOnly, Step::Http2, S::Http2NotOffered),
    row(Fault::InspectUnknownIssuer, Unreachable, Step::Tls, S::CertificateUnknownIssuer),
    row(Fault::InspectExpired, Unreachable, Step::Tls, S::CertificateExpired),
    row(Fault::InspectWrongName, Unreachable, Step::Tls, S::CertificateWrongName),
    row(Fault::Http1Answer, RestOnly, Step::Http2, S::Http1Answer),
    row(Fault::PrefaceGarbage, RestOnly, Step::Http2, S::NotHttp2),
    row(Fault::ClosedAfterPreface, RestOnly, Step::Http2, S::ClosedBeforeSettings),
    row(Fault::ResetAfterPreface, RestOnly, Step::Http2, S::ResetBeforeSettings),
    row(Fault::PrefaceSwallowed, RestOnly, Step::Http2, S::SettingsTimeout),
    row(Fault::SettingsThenSilence, RestOnly, Step::Http2, S::KeepAliveTimeout),
    row(Fault::NoStreams, RestOnly, Step::Http2, S::SettingsTimeout),
    row(Fault::GoAwayAtStart, RestOnly, Step::Http2, S::GoAwayAtStart),
    row(Fault::GoAwayAtStartHttp11Required, RestOnly, Step::Http2, S::GoAwayAtStart),
    row(Fault::GoAwayAtStartEnhanceYourCalm, RestOnly, Step::Http2, S::GoAwayAtStart),
    // The call is sent again, as the bridge would.
    healthy(Fault::GoAwayAfterStreams),
    row(Fault::GoAwayOnRequest, RestOnly, Step::Grpc, S::GoAwayUnprocessed),
    row(Fault::GoAwayOverRequest, RestOnly, Step::Grpc, S::ConnectionLost),
    healthy(Fault::GoAwayTooManyPings),
    row(Fault::StreamRefused, RestOnly, Step::Grpc, S::StreamRefused),
    row(Fault::StreamResetNoError, RestOnly, Step::Grpc, S::StreamReset),
    row(Fault::StreamResetProtocolError, RestOnly, Step::Grpc, S::StreamReset),
    row(Fault::StreamResetInternalError, RestOnly, Step::Grpc, S::StreamReset),
    row(Fault::StreamResetCancel, RestOnly, Step::Grpc, S::StreamReset),
    row(Fault::StreamResetEnhanceYourCalm, RestOnly, Step::Grpc, S::StreamReset),
    row(Fault::StreamResetHttp11Required, RestOnly, Step::Grpc, S::Http11Required),
    row(Fault::Page200, RestOnly, Step::Grpc, S::NotGrpc),
    row(Fault::Page403, RestOnly, Step::Grpc, S::NotGrpc),
    row(Fault::Page502, RestOnly, Step::Grpc, S::NotGrpc),
    row(Fault::Page504, RestOnly, Step::Grpc, S::NotGrpc),
    row(Fault::Empty503, RestOnly, Step::Grpc, S::NotGrpc),
    row(Fault::Redirected, RestOnly, Step::Grpc, S::Redirected),
    row(Fault::JsonAnswer, RestOnly, Step::Grpc, S::NotGrpc),
    row(Fault::EmptyAnswer, RestOnly, Step::Grpc, S::TrailersMissing),
    row(Fault::ForgedUnavailable, RestOnly, Step::Grpc, S::ForgedStatus),
    row(Fault::ForgedPermissionDenied, RestOnly, Step::Grpc, S::ForgedStatus),
    healthy(Fault::UnroutedUnimplemented),
    row(Fault::UnroutedPage, Limited, Step::Size, S::NotGrpc),
    row(Fault::AnswerReplaced, RestOnly, Step::Grpc, S::NotGrpc),
    row(Fault::TrailersStripped, RestOnly, Step::Grpc, S::TrailersMissing),
    row(Fault::CallSwallowed, RestOnly, Step::Grpc, S::Unanswered),
    row(Fault::AnswerSwallowed, RestOnly, Step::Grpc, S::Unanswered),
    row(Fault::ClosedBeforeAnswer, RestOnly, Step::Grpc, S::ConnectionLost),
    row(Fault::ResetBeforeAnswer, RestOnly, Step::Grpc, S::ConnectionLost),
    row(Fault::ClosedAfterHead, RestOnly, Step::Grpc, S::BodyLost),
    row(Fault::ResetAfterHead, RestOnly, Step::Grpc, S::BodyLost),
    row(Fault::ClosedAfterMessage, RestOnly, Step::Grpc, S::BodyLost),
    row(Fault::ResetAfterMessage, RestOnly, Step::Grpc, S::BodyLost),
    row(Fault::StreamResetAfterHead, RestOnly, Step::Grpc, S::BodyReset),
    row(Fault::StreamResetAfterMessage, RestOnly, Step::Grpc, S::BodyReset),
    row(Fault::StalledAfterHead, RestOnly, Step::Grpc, S::Unanswered),
    row(Fault::StalledAfterMessage, RestOnly, Step::Grpc, S::Unanswered),
    // No answer to an examination is long or slow enough.
    healthy(Fault::SecondMessageReset),
    healthy(Fault::LargeAnswerReset),
    healthy(Fault::SlowAnswerPage),
    row(Fault::AnswerTruncated, RestOnly, Step::Grpc, S::BodyTruncated),
    // A unary call does not show them; a stream does, see below.
    healthy(Fault::RequestBuffered),
    healthy(Fault::AnswerBuffered),
    row(Fault::RequestLimited, Limited, Step::Size, S::NotGrpc),
    row(Fault::CallLimited, Limited, Step::Size, S::NotGrpc),
    row(Fault::EverySecondCall, Limited, Step::Model, S::NotGrpc),
    row(Fault::EveryThirdCall, Limited, Step::Size, S::NotGrpc),
    row(Fault::PolicyPage, Unreachable, Step::Rest, S::ForeignError),
    row(Fault::PolicyPageWithoutAlpn, Unreachable, Step::Rest, S::ForeignError),
    row(Fault::PortalRedirect, Unreachable, Step::Rest, S::Redirected),
    row(Fault::GatewayDown, Unreachable, Step::Rest, S::ForeignError),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_named_with_its_station_and_cause_in_less_than_15_s() {
    assert_eq!(TABLE.len(), Fault::ALL.len());
    let mut examinations = JoinSet::new();
    for wanted in TABLE {
        if examinations.len() == AT_A_TIME {
            examinations.join_next().await.expect("one").expect("as wanted");
        }
        examinations.spawn(examine(*wanted));
    }
    while let Some(ended) = examinations.join_next().await {
        ended.expect("as wanted");
    }
}

/// More would slow each other down until a PING looks unanswered.
const AT_A_TIME: usize = 4;

async fn examine((fault, diagnosis, cause): Row) {
    let (emulator, proxy) = behind(fault).await;
    let began = Instant::now();
    let report = Doctor::new(through(&emulator, &proxy)).examine().await;
    let took = began.elapsed();
    let found = report.cause();
    let named = found.and_then(|check| Some((check.step(), check.symptom()?.kind())));
    println!("{fault:<32} {:<12} {named:?} in {took:?}", format!("{:?}", report.diagnosis()));
    assert_eq!(
        (report.diagnosis(), named),
        (diagnosis, cause),
        "{fault}\n{}",
        report.to_text(false)
    );
    assert!(took < Duration::from_secs(15), "{fault}: {took:?}");
    assert!(found.is_none_or(|check| !check.advice().is_empty()), "{fault}: no advice");
    assert_eq!(report.for_network_team().is_some(), cause.is_some(), "{fault}");
    check_form(&report);
}

#[tokio::test]
async fn https_in_the_url_of_a_plaintext_proxy_is_named_as_the_mistake() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let url = proxy.url().replace("http://", "https://");
    let builder = through(&emulator, &proxy).proxy(Proxy::url(&url).expect("a URL"));
    let report = Doctor::new(builder).examine().await;
    let cause = report.cause().expect("a cause");
    assert_eq!(cause.symptom().expect("a symptom").station(), Station::Tls);
    assert!(cause.advice()[0].contains("try http://"), "{:?}", cause.advice());
    let letter = report.for_network_team().expect("a letter");
    assert!(letter.contains("the TLS handshake with the proxy"), "{letter}");
}

/// Each station once, lines that fit, JSON that says the same, and no key.
fn check_form(report: &Report) {
    let steps: Vec<Step> = report.checks().iter().map(Check::step).collect();
    assert_eq!(steps, Step::ALL);
    let (text, json) = (report.to_text(false), report.to_json());
    let fits = |line: &str| {
        line.chars().count() <= 80 || line.split_whitespace().any(|word| word.len() > 50)
    };
    assert!(text.lines().all(fits), "{text}");
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["exit_code"], report.diagnosis().exit_code());
    assert_eq!(value["checks"].as_array().expect("checks").len(), Step::ALL.len());
    for output in [text, json, report.to_text(true), format!("{report:?}")] {
        assert!(!output.contains(KEY), "{output}");
    }
}

fn outcome_of(report: &Report, step: Step) -> Outcome {
    report.check(step).expect("each step").outcome()
}

#[tokio::test]
async fn a_stream_that_is_held_back_is_noticed_where_tokens_may_be_spent() {
    for (fault, outcome) in
        [(Fault::Inspect, Outcome::Ok), (Fault::AnswerBuffered, Outcome::Failed)]
    {
        let (emulator, proxy) = behind(fault).await;
        let messages = (0..6).map(|number| answer(&number.to_string()));
        emulator.on(STREAM, Reply::messages(messages).pause(Duration::from_millis(100)));
        let report = Doctor::new(through(&emulator, &proxy)).spend_tokens().examine().await;
        assert_eq!(outcome_of(&report, Step::Stream), outcome, "{}", report.to_text(false));
        check_form(&report);
    }
}

#[tokio::test]
async fn no_token_is_spent_unasked() {
    let emulator = Emulator::start().await.expect("an emulator");
    let report = Doctor::new(direct(&emulator)).examine().await;
    assert_eq!(report.diagnosis(), Healthy);
    assert_eq!(outcome_of(&report, Step::Stream), Outcome::Skipped);
    assert!(!emulator.received().iter().any(|call| call.method().ends_with("GenerateContent")));
}

#[tokio::test]
async fn a_refused_key_and_a_missing_model_are_told_apart_from_the_network() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (model, step, words) in [
        ("gemini-0", Step::Model, "models/gemini-0 is not found"),
        ("gemini-embedding-001", Step::Model, "supports embedContent"),
    ] {
        let report = Doctor::new(direct(&emulator)).model(model).examine().await;
        let cause = report.cause().expect("a cause");
        assert_eq!((report.diagnosis(), cause.step()), (Refused, step));
        assert!(cause.evidence().contains(words), "{}", cause.evidence());
        assert_eq!(report.for_network_team(), None);
        check_form(&report);
    }
    emulator.on(LIST_MODELS, Reply::error(Status::permission_denied("no such right")));
    let report = Doctor::new(direct(&emulator)).examine().await;
    let cause = report.cause().expect("a cause");
    assert_eq!((report.diagnosis(), cause.step()), (Refused, Step::Key));
    assert_eq!(outcome_of(&report, Step::Grpc), Outcome::Ok);
    assert_eq!(outcome_of(&report, Step::Rest), Outcome::Ok);
    check_form(&report);
}

#[tokio::test]
async fn what_gateways_say_as_well_is_not_taken_for_the_services_word() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(LIST_MODELS, Reply::error(Status::unimplemented("no route")));
    let report = Doctor::new(direct(&emulator)).examine().await;
    let cause = report.cause().expect("a cause");
    assert_eq!(cause.step(), Step::Grpc);
    assert_eq!(cause.symptom().expect("a symptom").kind(), SymptomKind::ForgedStatus);
    check_form(&report);
}

#[tokio::test]
async fn a_letter_says_whether_any_call_gets_through() {
    for (fault, words) in [
        (Fault::ConnectForbidden, "None of its calls gets through"),
        (Fault::TrailersStripped, "Not all of its calls get through"),
    ] {
        let (emulator, proxy) = behind(fault).await;
        let report = Doctor::new(through(&emulator, &proxy)).examine().await;
        let letter = report.for_network_team().expect("a letter");
        assert!(letter.contains(words), "{fault}: {letter}");
    }
}

#[tokio::test]
async fn without_a_key_the_network_is_examined_all_the_same() {
    let emulator = Emulator::builder().require_key("another").start().await.expect("an emulator");
    let builder = Bridge::builder()
        .endpoint(emulator.endpoint())
        .add_root_certificates(emulator.root_certificate())
        .proxy(Proxy::none());
    let report = Doctor::new(builder).examine().await;
    assert_eq!((report.diagnosis(), outcome_of(&report, Step::Rest)), (Refused, Outcome::Ok));
    assert!(report.check(Step::Key).expect("a check").evidence().starts_with("no key was given"));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_the_first_station() {
    let doctor = Doctor::new(Bridge::builder().api_key(KEY).endpoint("ftp://a.test"));
    let report = doctor.time_limit(Duration::MAX).examine().await;
    let report = report.reword_advice(|advice| advice.replace("`BridgeBuilder::endpoint`", "URL"));
    let cause = report.cause().expect("a cause");
    assert_eq!((report.diagnosis(), cause.step()), (Diagnosis::Misconfigured, Step::Settings));
    assert_eq!(cause.advice(), ["give the endpoint as https://host or https://host:port (URL)"]);
    assert_eq!(report.diagnosis().exit_code(), 6);
    check_form(&report);
}

#[tokio::test]
async fn a_name_that_does_not_exist_and_a_closed_port_are_told_apart() {
    for (endpoint, step, cause) in [
        ("https://no-such-host.invalid", Step::Dns, SymptomKind::NameNotFound),
        ("https://127.0.0.1:1", Step::Tcp, SymptomKind::ConnectionRefused),
    ] {
        let builder = Bridge::builder().api_key(KEY).endpoint(endpoint).proxy(Proxy::none());
        let report = Doctor::new(builder).examine().await;
        let found = report.cause().expect("a cause");
        assert_eq!((found.step(), found.symptom().expect("one").kind()), (step, cause));
        check_form(&report);
    }
}
