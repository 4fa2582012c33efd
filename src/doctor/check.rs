//! Check: one station of an examination: how it ended, what was seen, what to do.

use std::time::Duration;

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

    pub(super) fn reword_advice(&mut self, reword: impl Fn(&str) -> String) {
        self.advice.iter_mut().for_each(|advice| *advice = reword(advice));
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

    pub(super) fn is(&self, outcome: Outcome) -> bool {
        self.outcome == outcome
    }
}
