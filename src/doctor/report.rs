//! Report: what was found, station by station, and what it comes to.

use std::time::Duration;

use serde_json::{Value, json};

use super::checks::Checks;
use super::{letter, text};
use crate::error::Error;
use crate::symptom::Symptom;

/// A station of the examination, in the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Endpoint, proxy and where it was found, roots, whether there is a key.
    Settings,
    /// The first name that is looked up here: the proxy's, or the service's.
    Dns,
    /// The TCP connection to it.
    Tcp,
    /// The proxy's tunnel.
    Proxy,
    /// The login at the proxy.
    Login,
    /// The handshake with whoever shows the service's certificate.
    Tls,
    /// ALPN, SETTINGS and the answer to a PING.
    Http2,
    /// A free call over gRPC.
    Grpc,
    /// The same call over REST, as after a fallback: on HTTP/1.1.
    Rest,
    /// Whether the service accepts the key.
    Key,
    /// Whether the model exists, and writes.
    Model,
    /// Whether a request of 128 KiB passes: a free `CountTokens`.
    Size,
    /// Whether a stream comes as it is written.
    Stream,
}

impl Step {
    /// Every station, in the order of the way.
    pub const ALL: &[Self] = &[
        Self::Settings,
        Self::Dns,
        Self::Tcp,
        Self::Proxy,
        Self::Login,
        Self::Tls,
        Self::Http2,
        Self::Grpc,
        Self::Rest,
        Self::Key,
        Self::Model,
        Self::Size,
        Self::Stream,
    ];

    /// Its short name, as in the report's text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Login => "login",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Rest => "rest",
            Self::Key => "key",
            Self::Model => "model",
            Self::Size => "size",
            Self::Stream => "stream",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Something is wrong here.
    Failed,
    /// Not done: there is nothing to check, or going on would tell nothing new.
    Skipped,
}

impl Outcome {
    /// `ok`, `failed` or `skipped`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One station: how it ended, what was seen, and what to do.
#[derive(Debug, Clone)]
pub struct Check {
    step: Step,
    outcome: Outcome,
    evidence: String,
    advice: Vec<String>,
    symptom: Option<Symptom>,
    took: Option<Duration>,
}

impl Check {
    pub(super) fn ok(step: Step, evidence: impl Into<String>) -> Self {
        Self::new(step, Outcome::Ok, evidence.into())
    }

    pub(super) fn failed(step: Step, evidence: impl Into<String>) -> Self {
        Self::new(step, Outcome::Failed, evidence.into())
    }

    pub(super) fn skipped(step: Step, why: impl Into<String>) -> Self {
        Self::new(step, Outcome::Skipped, why.into())
    }

    fn new(step: Step, outcome: Outcome, evidence: String) -> Self {
        Self { step, outcome, evidence, advice: Vec::new(), symptom: None, took: None }
    }

    /// A station at which an error came up.
    pub(super) fn broken(step: Step, error: &Error) -> Self {
        let mut check = Self::failed(step, error.to_string());
        check.advice.extend(error.advice().map(str::to_owned));
        check.symptom = error.symptom().cloned();
        check
    }

    /// More of what was seen.
    pub(super) fn adding(mut self, evidence: Option<String>) -> Self {
        if let Some(evidence) = evidence {
            self.evidence.push_str("; ");
            self.evidence.push_str(&evidence);
        }
        self
    }

    pub(super) fn advise(mut self, advice: impl AsRef<str>) -> Self {
        self.advice.push(advice.as_ref().to_owned());
        self
    }

    pub(super) fn took(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    /// Which station.
    pub fn step(&self) -> Step {
        self.step
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What was seen, or why nothing was looked at.
    pub fn evidence(&self) -> &str {
        &self.evidence
    }

    /// What a person can do, the best first.
    pub fn advice(&self) -> &[String] {
        &self.advice
    }

    /// What broke, where the network did.
    pub fn symptom(&self) -> Option<&Symptom> {
        self.symptom.as_ref()
    }

    /// How long it took, where that tells something.
    pub fn duration(&self) -> Option<Duration> {
        self.took
    }

    pub(super) fn has_failed(&self) -> bool {
        self.is(Outcome::Failed)
    }

    fn is(&self, outcome: Outcome) -> bool {
        self.outcome == outcome
    }
}

/// What an examination comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Diagnosis {
    /// Both transports work, and nothing else is wrong.
    Healthy,
    /// gRPC does not work here; REST does.
    RestOnly,
    /// REST does not work here; gRPC does.
    GrpcOnly,
    /// The service can be reached, but something holds back streams or large requests.
    Limited,
    /// The service can be reached, and refuses the key or the model.
    Refused,
    /// Neither transport reaches the service.
    Unreachable,
    /// The settings cannot be used.
    Misconfigured,
}

impl Diagnosis {
    /// The exit code of `genai-bridge doctor`: 0 healthy, 3 works with limits, 4 refused, 5 unreachable, 6 misconfigured.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::RestOnly | Self::GrpcOnly | Self::Limited => 3,
            Self::Refused => 4,
            Self::Unreachable => 5,
            Self::Misconfigured => 6,
        }
    }

    /// In one sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Healthy => "all is well: gRPC and REST both reach the service",
            Self::RestOnly => {
                "the network does not carry gRPC, REST works: Transport::Auto goes over REST by itself, Transport::Grpc fails"
            }
            Self::GrpcOnly => {
                "gRPC works, REST over HTTP/1.1 does not: Transport::Auto stays on gRPC, Transport::Rest fails"
            }
            Self::Limited => "the service can be reached, but something on the way limits its use",
            Self::Refused => "the network is fine; the service refuses the key or the model",
            Self::Unreachable => "the service cannot be reached, over gRPC or over REST",
            Self::Misconfigured => "the settings cannot be used",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::RestOnly => "rest_only",
            Self::GrpcOnly => "grpc_only",
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// All checks, each station once.
#[derive(Debug, Clone)]
pub struct Report {
    target: Target,
    checks: Vec<Check>,
}

/// What was examined.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    pub(super) endpoint: String,
    /// `host:port` of the service; empty if the settings give none.
    pub(super) address: String,
    /// The proxy and where it was found.
    pub(super) proxy: Option<String>,
}

impl Report {
    /// The report where the settings could not even be made: `evidence` says which one is wrong and how, `advice` what
    /// to do about it.
    pub fn misconfigured(
        endpoint: &str,
        evidence: impl Into<String>,
        advice: Option<&str>,
    ) -> Self {
        let mut check = Check::failed(Step::Settings, evidence);
        check.advice.extend(advice.map(str::to_owned));
        let mut checks = Checks::default();
        checks.push(check);
        let target = Target { endpoint: endpoint.to_owned(), ..Target::default() };
        Self::new(target, checks.complete())
    }

    pub(super) fn new(target: Target, mut checks: Vec<Check>) -> Self {
        checks.sort_by_key(|check| check.step);
        Self { target, checks }
    }

    /// The checks in the order of the way.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// One of them.
    pub fn check(&self, step: Step) -> Option<&Check> {
        self.checks.iter().find(|check| check.step == step)
    }

    /// The station to look at: the first at which something is wrong; where nothing reaches the service, that
    /// which keeps REST from it, because REST asks less of a network.
    pub fn cause(&self) -> Option<&Check> {
        let failed = |step| self.check(step).filter(|check| check.has_failed());
        failed(Step::Rest)
            .filter(|_| self.diagnosis() == Diagnosis::Unreachable)
            .or_else(|| self.checks.iter().find(|check| check.has_failed()))
    }

    /// What it comes to.
    pub fn diagnosis(&self) -> Diagnosis {
        let ended = |step, outcome| self.check(step).is_some_and(|check| check.is(outcome));
        let works = |step| ended(step, Outcome::Ok);
        let fails = |step| ended(step, Outcome::Failed);
        let refuses =
            |step| fails(step) && self.check(step).is_some_and(|check| check.symptom.is_none());
        if fails(Step::Settings) {
            return Diagnosis::Misconfigured;
        }
        match (works(Step::Grpc), works(Step::Rest)) {
            (false, false) => Diagnosis::Unreachable,
            _ if refuses(Step::Key) || refuses(Step::Model) => Diagnosis::Refused,
            (false, true) => Diagnosis::RestOnly,
            (true, false) => Diagnosis::GrpcOnly,
            (true, true) if self.checks.iter().any(Check::has_failed) => Diagnosis::Limited,
            (true, true) => Diagnosis::Healthy,
        }
    }

    /// For a person: a line or two for each station, at most 80 columns wide, with ANSI colours if wanted.
    pub fn to_text(&self, colour: bool) -> String {
        text::write(self, colour)
    }

    /// What to send to those who run the network; `None` if nothing is wrong with it.
    pub fn for_network_team(&self) -> Option<String> {
        let rest_works = self.check(Step::Rest).is_some_and(|check| check.is(Outcome::Ok));
        let of_network = |check: &&Check| check.symptom.is_some() || check.step == Step::Stream;
        self.cause()
            .filter(of_network)
            .map(|failure| letter::write(&self.target, failure, rest_works))
    }

    /// For a program: `diagnosis`, `summary`, `exit_code`, `endpoint`, `proxy`, `checks` and `for_network_team`.
    pub fn to_json(&self) -> String {
        let diagnosis = self.diagnosis();
        let checks: Vec<Value> = self.checks.iter().map(json_of).collect();
        let report = json!({
            "diagnosis": diagnosis.name(),
            "summary": diagnosis.summary(),
            "exit_code": diagnosis.exit_code(),
            "endpoint": self.target.endpoint,
            "proxy": self.target.proxy,
            "checks": checks,
            "for_network_team": self.for_network_team(),
        });
        format!("{report:#}")
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

fn json_of(check: &Check) -> Value {
    json!({
        "step": check.step.name(),
        "outcome": check.outcome.name(),
        "evidence": check.evidence,
        "advice": check.advice,
        "symptom": check.symptom.as_ref().map(|symptom| format!("{:?}", symptom.kind())),
        "milliseconds": check.took.map(|took| took.as_millis().to_string().parse::<u64>().unwrap_or(u64::MAX)),
    })
}
