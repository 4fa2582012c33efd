//! Fault: what broke on the way, before it is said at which peer.

use std::io;
use std::mem::take;

use super::hop::ProxyHop;
use crate::error::{BoxError, Error};
use crate::symptom::{Evidence, LoginTrouble, Symptom, SymptomKind, TlsTrouble};

/// A failure of one step of connecting. [`Fault::at`] and [`Fault::at_proxy`] name the peer and
/// make it an [`Error`].
#[derive(Debug)]
pub(crate) struct Fault {
    kind: SymptomKind,
    evidence: Box<Evidence>,
    source: Option<BoxError>,
}

impl Fault {
    pub(super) fn new(kind: SymptomKind) -> Self {
        Self { kind, evidence: Box::default(), source: None }
    }

    /// A failure that a socket reported.
    pub(super) fn of_io(kind: SymptomKind, error: io::Error) -> Self {
        Self::new(kind).with_evidence(Evidence::new().with_io(error.kind())).with_source(error)
    }

    pub(super) fn with_evidence(mut self, evidence: Evidence) -> Self {
        *self.evidence = evidence;
        self
    }

    pub(super) fn with_first_bytes(mut self, bytes: &[u8]) -> Self {
        *self.evidence = take(&mut *self.evidence).with_first_bytes(bytes);
        self
    }

    pub(super) fn with_detail(mut self, detail: impl AsRef<str>) -> Self {
        *self.evidence = take(&mut *self.evidence).with_detail(detail);
        self
    }

    pub(super) fn with_issuer(mut self, issuer: Option<&str>) -> Self {
        if let Some(issuer) = issuer {
            *self.evidence = take(&mut *self.evidence).with_issuer(issuer);
        }
        self
    }

    pub(super) fn kind(&self) -> SymptomKind {
        self.kind
    }

    /// Why TLS did not come about, and a short fact about it.
    pub(super) fn with_tls(mut self, trouble: TlsTrouble, fact: Option<&str>) -> Self {
        let mut evidence = take(&mut *self.evidence).with_tls(trouble);
        if let Some(fact) = fact {
            let detail = evidence.detail().map(|detail| format!("{detail}; {fact}"));
            evidence = evidence.with_detail(detail.as_deref().unwrap_or(fact));
        }
        *self.evidence = evidence;
        self
    }

    /// Why a login did not come about.
    pub(super) fn with_login(mut self, trouble: LoginTrouble, detail: impl AsRef<str>) -> Self {
        *self.evidence = take(&mut *self.evidence).with_login(trouble).with_detail(detail);
        self
    }

    /// Blanks the login for a proxy out, should it repeat what it was sent.
    pub(super) fn hiding(mut self, secrets: &[Vec<u8>]) -> Self {
        for secret in secrets {
            self.evidence.hide(secret);
        }
        self
    }

    /// The proxy closed the connection before it said a word.
    pub(super) fn is_without_answer(&self) -> bool {
        self.kind == SymptomKind::ProxyClosed && self.evidence.first_bytes().is_empty()
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn at(self, hop: &str) -> Error {
        let symptom = Symptom::new(self.kind, hop).with_evidence(*self.evidence);
        with_cause(symptom.into(), self.source)
    }

    pub(super) fn at_proxy(self, proxy: &ProxyHop) -> Error {
        let symptom = Symptom::new(self.kind, proxy.to_string()).with_evidence(*self.evidence);
        with_cause(symptom.at_proxy().into(), self.source)
    }
}

fn with_cause(error: Error, cause: Option<BoxError>) -> Error {
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}
