//! Report: what was found, station by station, and what it comes to.

use serde_json::{Value, json};

use super::check::{Check, Outcome, Step};
use super::checks::Checks;

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
    /// The exit code of `genai-bridge doctor`: 0 healthy, 3 works with limits, 4 refused, 5
    /// unreachable, 6 misconfigured.
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
                "the network does not carry gRPC, but REST works: the transport auto uses REST by itself, the transport grpc fails"
            }
            Self::GrpcOnly => {
                "gRPC works, but REST over HTTP/1.1 does not: the transport auto stays on gRPC, the transport rest fails"
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
    /// The report where the settings could not even be made: `evidence` says which one is wrong and
    /// how, `advice` what to do about it.
    pub fn misconfigured(
        endpoint: &str,
        evidence: impl Into<String>,
        advice: Option<&str>,
    ) -> Self {
        let check = Check::failed(Step::Settings, evidence);
        let check = advice.into_iter().fold(check, Check::advise);
        let mut checks = Checks::default();
        checks.push(check);
        let target = Target { endpoint: endpoint.to_owned(), ..Target::default() };
        Self::new(target, checks.complete())
    }

    pub(super) fn new(target: Target, mut checks: Vec<Check>) -> Self {
        checks.sort_by_key(Check::step);
        Self { target, checks }
    }

    /// Rewrites each advice. For a program whose own settings have other names than the methods of
    /// [`BridgeBuilder`](crate::BridgeBuilder) that the advice names.
    #[must_use]
    pub fn reword_advice(mut self, reword: impl Fn(&str) -> String) -> Self {
        self.checks.iter_mut().for_each(|check| check.reword_advice(&reword));
        self
    }

    /// The checks in the order of the way.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// One of them.
    pub fn check(&self, step: Step) -> Option<&Check> {
        self.checks.iter().find(|check| check.step() == step)
    }

    /// The station to look at: the first at which something is wrong; where nothing reaches the
    /// service, that which keeps REST from it, because REST asks less of a network.
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
            |step| fails(step) && self.check(step).is_some_and(|check| check.symptom().is_none());
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

    /// For a program: `diagnosis`, `summary`, `exit_code`, `endpoint`, `proxy`, `checks` and
    /// `for_network_team`.
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
        "step": check.step().name(),
        "outcome": check.outcome().name(),
        "evidence": check.evidence(),
        "advice": check.advice(),
        "symptom": check.symptom().map(|symptom| format!("{:?}", symptom.kind())),
        "milliseconds": check.duration().map(|took| took.as_millis().to_string().parse::<u64>().unwrap_or(u64::MAX)),
    })
}
