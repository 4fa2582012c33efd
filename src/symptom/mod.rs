//! Symptom: each way a network breaks a call, what it proves, what to tell a person.

mod delivery;
mod evidence;
mod kind;
mod login;
mod name;
mod row;

use std::fmt;

pub use delivery::Delivery;
pub use evidence::Evidence;
pub use kind::SymptomKind;
pub(crate) use login::LoginTrouble;
pub use name::UnknownName;
pub use row::Station;
pub(crate) use row::{Again, Mark};

/// One observed failure of the network: what broke, at which hop, and what was seen there.
///
/// A symptom is found in types (the source chain, the ALPN result, the answer to CONNECT, the head of
/// the response, missing trailers, an HTTP/2 reason), never in the text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symptom {
    kind: SymptomKind,
    hop: Box<str>,
    is_at_proxy: bool,
    evidence: Box<Evidence>,
}

impl Symptom {
    /// `hop` names the peer that was spoken to, such as `proxy proxy.corp:3128`.
    pub(crate) fn new(kind: SymptomKind, hop: impl Into<Box<str>>) -> Self {
        Self { kind, hop: hop.into(), is_at_proxy: false, evidence: Box::default() }
    }

    /// The peer is a proxy itself, not the service behind it.
    pub(crate) fn at_proxy(mut self) -> Self {
        self.is_at_proxy = true;
        self
    }

    pub(crate) fn with_evidence(mut self, evidence: Evidence) -> Self {
        *self.evidence = evidence;
        self
    }

    /// Blanks a secret out wherever the peer repeated it; true if it did.
    pub(crate) fn hide(&mut self, secret: &[u8]) -> bool {
        self.evidence.hide(secret)
    }

    /// Which failure this is.
    pub fn kind(&self) -> SymptomKind {
        self.kind
    }

    /// How far the call had come.
    pub fn station(&self) -> Station {
        self.kind.station()
    }

    /// What the failure proves about the request; decides whether it may be sent again.
    ///
    /// A body that broke after a message proves that the service did the work, whatever broke it.
    pub fn delivery(&self) -> Delivery {
        match self.station() {
            Station::Body | Station::Trailers if self.evidence.messages() > 0 => {
                Delivery::Processed
            }
            _ => self.kind.delivery(),
        }
    }

    /// The peer at which it was seen, such as `proxy proxy.corp:3128`.
    pub fn hop(&self) -> &str {
        &self.hop
    }

    /// What was seen: statuses, headers, certificate issuer, HTTP/2 reason, first bytes.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What a person can do about it, in plain words.
    pub fn advice(&self) -> &'static str {
        let row = self.kind.row();
        let at_proxy = row.at_proxy.filter(|_| self.is_at_proxy);
        let login = self.evidence.login().map(LoginTrouble::advice);
        login.or(at_proxy).unwrap_or(row.advice)
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.hop, self.kind.row().text, self.evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_fails_itself_has_remedies_of_its_own() {
        for kind in SymptomKind::ALL.iter().filter(|kind| kind.station() < Station::Alpn) {
            let advice = Symptom::new(*kind, "proxy a:1").at_proxy().advice();
            assert!(
                !advice.contains("set HTTPS_PROXY") && !advice.contains("to this host:"),
                "{kind:?}"
            );
        }
    }
}
