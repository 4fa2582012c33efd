//! Fault: what broke on the way, before it is said at which peer.

use std::io;
use std::mem::take;

use http::HeaderValue;

use super::hop::ProxyHop;
use crate::error::{BoxError, Error};
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// A failure of one step of connecting. [`Fault::at`] and [`Fault::at_proxy`] name the peer and make it an [`Error`].
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

    /// Blanks the login for a proxy out, should it repeat what it was sent.
    pub(super) fn hiding(mut self, authorization: Option<&HeaderValue>) -> Self {
        let login = authorization.map(HeaderValue::as_bytes).unwrap_or_default();
        self.evidence.hide(login.strip_prefix(b"Basic ").unwrap_or(login));
        self
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
