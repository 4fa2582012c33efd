//! Symptom: each way a network breaks a call, what it proves, what to tell a person.

mod advice;
mod delivery;
mod evidence;
mod handshake;
mod kind;
mod login;
mod row;
pub(crate) mod style;
mod unknown_name;
pub(crate) mod words;

use std::fmt;
use std::io;

pub use delivery::Delivery;
pub use evidence::Evidence;
pub(crate) use handshake::TlsTrouble;
pub use kind::SymptomKind;
pub(crate) use login::LoginTrouble;
pub use row::Station;
pub(crate) use row::{Again, Mark};
pub use unknown_name::UnknownName;

/// One observed failure of the network: what broke, at which hop, and what was seen there.
///
/// A symptom is found in types (the source chain, the ALPN result, the answer to CONNECT, the head
/// of the response, missing trailers, an HTTP/2 reason), never in the text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symptom {
    kind: SymptomKind,
    hop: Box<str>,
    is_at_proxy: bool,
    /// The caller chose gRPC alone for what REST could carry.
    is_rest_open: bool,
    evidence: Box<Evidence>,
}

impl Symptom {
    /// `hop` names the peer that was spoken to, such as `proxy proxy.corp:3128`.
    pub(crate) fn new(kind: SymptomKind, hop: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            hop: hop.into(),
            is_at_proxy: false,
            is_rest_open: false,
            evidence: Box::default(),
        }
    }

    /// The peer is a proxy itself, not the service behind it.
    pub(crate) fn at_proxy(mut self) -> Self {
        self.is_at_proxy = true;
        self
    }

    /// REST could carry the call, which its caller gave to gRPC alone.
    pub(crate) fn open_rest(&mut self) {
        self.is_rest_open = true;
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
        let status = self.evidence.status();
        let seen = || advice::of(self.kind, status, self.delivery(), self.is_rest_open);
        let tls = self.evidence.tls().map(TlsTrouble::advice);
        login.or(tls).or(at_proxy).or_else(seen).unwrap_or(row.advice)
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.hop, self.kind.row().text)?;
        if self.evidence.io().is_some_and(|io| is_said(self.kind, io)) {
            self.evidence.write_without_io(f)
        } else {
            self.evidence.fmt(f)
        }
    }
}

/// Whether the kind's own text says the error of the socket.
fn is_said(kind: SymptomKind, io: io::ErrorKind) -> bool {
    match io {
        io::ErrorKind::ConnectionRefused => kind == SymptomKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset => matches!(
            kind,
            SymptomKind::ConnectReset | SymptomKind::TlsReset | SymptomKind::ResetBeforeSettings
        ),
        io::ErrorKind::TimedOut => kind == SymptomKind::ConnectTimeout,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Every kind, with what can be seen beside it.
    fn situations() -> Vec<Symptom> {
        let statuses = [None, Some(200), Some(401), Some(403), Some(404), Some(408), Some(413)];
        let statuses = statuses.into_iter().chain([429, 500, 501, 502, 503, 504, 511].map(Some));
        let mut all = Vec::new();
        for status in statuses {
            for kind in SymptomKind::ALL {
                for (messages, is_rest_open) in [(0, false), (0, true), (1, false), (1, true)] {
                    let mut evidence = Evidence::new().with_messages(messages);
                    if let Some(status) = status {
                        let status = http::StatusCode::from_u16(status).expect("a status");
                        evidence = evidence.with_status(status);
                    }
                    let mut symptom = Symptom::new(*kind, "host a:1").with_evidence(evidence);
                    symptom.is_rest_open = is_rest_open;
                    all.push(symptom);
                }
            }
        }
        all
    }

    #[test]
    fn advice_claims_only_what_is_proven_and_open() {
        for symptom in situations() {
            let advice = symptom.advice();
            let is_processed = symptom.delivery() == Delivery::Processed;
            let place = format!("{symptom:?}: {advice}");
            assert!(symptom.is_rest_open || !advice.contains("set the transport"), "{place}");
            assert!(is_processed || !advice.contains("has processed"), "{place}");
            assert!(!is_processed || !advice.contains("may have processed"), "{place}");
            let is_unsent = matches!(symptom.delivery(), Delivery::NotSent | Delivery::Refused);
            assert!(is_unsent || !advice.contains("nothing was processed"), "{place}");
            assert!(!is_unsent || !advice.contains("paying twice"), "{place}");
        }
    }

    #[test]
    fn an_error_of_the_socket_is_said_once() {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, TimedOut};
        for (kind, io, text) in [
            (SymptomKind::ConnectionRefused, ConnectionRefused, "a:1 refused the connection"),
            (
                SymptomKind::TlsReset,
                ConnectionReset,
                "a:1 reset the connection during the TLS handshake",
            ),
            (SymptomKind::ConnectTimeout, TimedOut, "a:1 did not accept a connection in time"),
            (SymptomKind::Unreachable, HostUnreachable, "a:1 cannot be reached (host unreachable)"),
            (
                SymptomKind::NameNotFound,
                TimedOut,
                "a:1 could not be resolved to an address (timed out)",
            ),
        ] {
            let symptom = Symptom::new(kind, "a:1").with_evidence(Evidence::new().with_io(io));
            assert_eq!(symptom.to_string(), text);
        }
    }

    /// All of it, for who reads it; the file is the test's own.
    #[test]
    fn the_advice_of_all_situations_is_as_written_down() {
        let mut table = String::new();
        let mut before = String::new();
        for symptom in situations() {
            let kind = symptom.kind();
            let status = symptom.evidence().status().map_or(0, |status| status.as_u16());
            let (messages, rest) = (symptom.evidence().messages(), symptom.is_rest_open);
            let bare = symptom.clone().with_evidence(Evidence::new().with_messages(messages));
            let is_impossible = messages > 0 && symptom.station() < Station::Body;
            if is_impossible || (status != 0 && symptom.advice() == bare.advice()) {
                continue;
            }
            let line = format!("{kind}\t{status}\t{}", symptom.advice());
            if line != before {
                writeln!(table, "{kind}\t{status}\t{messages}\t{rest}\t{}", symptom.advice())
                    .expect("a String");
            }
            before = line;
        }
        let written = include_str!("../../tests/data/advice.tsv");
        assert!(table == written, "tests/data/advice.tsv must be\n{table}");
    }

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
