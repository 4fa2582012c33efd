//! Opening: the time before the peer's SETTINGS, and why a connection cannot carry a first request.

use std::io;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;

use crate::network::{ASKED_FOR_CERTIFICATE, late_refusal};
use crate::symptom::{Evidence, SymptomKind, TlsTrouble};
use crate::transport::carrier::http2::frames::{FirstBytes, GoAway, judge_first_bytes};

/// Told once: the peer's SETTINGS arrived, or what came instead.
pub(crate) type Opened = oneshot::Receiver<Result<(), OpeningFault>>;

/// Why a connection cannot carry a first request.
#[derive(Debug)]
pub(crate) struct OpeningFault {
    pub(crate) kind: SymptomKind,
    pub(crate) evidence: Evidence,
}

impl OpeningFault {
    pub(super) fn new(kind: SymptomKind, evidence: Evidence) -> Self {
        Self { kind, evidence }
    }

    pub(super) fn go_away(go_away: &GoAway) -> Self {
        let evidence = describe_go_away(Evidence::new(), go_away);
        Self::new(SymptomKind::GoAwayAtStart, evidence)
    }

    pub(crate) fn closed() -> Self {
        Self::new(SymptomKind::ClosedBeforeSettings, Evidence::new())
    }

    /// The same at a peer that had asked for a certificate, which nobody gave: TLS 1.3 refuses that
    /// after the handshake, and the alert may be lost with the connection.
    pub(crate) fn without_certificate(self) -> Self {
        match self.kind {
            SymptomKind::ClosedBeforeSettings | SymptomKind::ResetBeforeSettings => {
                let evidence = self.evidence.with_tls(TlsTrouble::ClientCertificate);
                Self::new(SymptomKind::TlsAlert, evidence.with_detail(ASKED_FOR_CERTIFICATE))
            }
            _ => self,
        }
    }

    pub(crate) fn timeout(waited: Duration) -> Self {
        let waited = format!("waited {} ms", waited.as_millis());
        Self::new(SymptomKind::SettingsTimeout, Evidence::new().with_detail(waited))
    }
}

/// The time before the peer's SETTINGS.
pub(super) struct Opening {
    /// Up to [`Evidence::MAX_FIRST_BYTES`] of what came.
    first: Vec<u8>,
    has_settings: bool,
    report: oneshot::Sender<Result<(), OpeningFault>>,
}

impl Opening {
    pub(super) fn new(report: oneshot::Sender<Result<(), OpeningFault>>) -> Self {
        Self { first: Vec::new(), has_settings: false, report }
    }

    pub(super) fn note_settings(&mut self) {
        self.has_settings = true;
    }

    pub(super) fn end(self, result: Result<(), OpeningFault>) {
        // Nobody waits any more if the dial was given up.
        let _ = self.report.send(result);
    }

    /// The fault, if what came so far is not HTTP/2.
    pub(super) fn judge(&mut self, bytes: &[u8]) -> Option<OpeningFault> {
        let room = Evidence::MAX_FIRST_BYTES.saturating_sub(self.first.len());
        self.first.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let kind = match judge_first_bytes(&self.first) {
            FirstBytes::Http2 | FirstBytes::TooFew => return None,
            FirstBytes::Http1 => SymptomKind::Http1Answer,
            FirstBytes::Other => SymptomKind::NotHttp2,
        };
        Some(OpeningFault::new(kind, self.evidence()))
    }

    pub(super) fn result(
        &self,
        go_away: Option<&GoAway>,
        max_streams: usize,
    ) -> Option<Result<(), OpeningFault>> {
        if let Some(go_away) = go_away {
            return Some(Err(OpeningFault::go_away(go_away)));
        }
        // A peer that allows no stream has not opened the connection yet: it may raise the limit,
        // and if it does not, the wait for its SETTINGS runs out.
        (self.has_settings && max_streams > 0).then_some(Ok(()))
    }

    pub(super) fn fault_at_end(&self, error: Option<&io::Error>) -> OpeningFault {
        if let Some((kind, evidence)) = error.and_then(|error| late_refusal(error)) {
            return OpeningFault::new(kind, evidence);
        }
        match error.map(io::Error::kind) {
            // rustls calls an end without close_notify an UnexpectedEof.
            None | Some(io::ErrorKind::UnexpectedEof) => {
                let is_silent = self.first.is_empty();
                match judge_first_bytes(&self.first) {
                    FirstBytes::Http2 => OpeningFault::closed(),
                    FirstBytes::TooFew if is_silent => OpeningFault::closed(),
                    FirstBytes::Http1 | FirstBytes::Other | FirstBytes::TooFew => {
                        OpeningFault::new(SymptomKind::NotHttp2, self.evidence())
                    }
                }
            }
            Some(kind) => {
                OpeningFault::new(SymptomKind::ResetBeforeSettings, Evidence::new().with_io(kind))
            }
        }
    }

    fn evidence(&self) -> Evidence {
        let evidence = Evidence::new().with_first_bytes(&self.first);
        let status = self.first.strip_prefix(b"HTTP/1.").and_then(|rest| {
            let digits = rest.get(2..5)?;
            StatusCode::from_bytes(digits).ok()
        });
        match status {
            Some(status) => evidence.with_status(status),
            None => evidence,
        }
    }
}

/// The reason and the words of a GOAWAY.
pub(crate) fn describe_go_away(evidence: Evidence, go_away: &GoAway) -> Evidence {
    let evidence = evidence.with_http2_reason(go_away.reason);
    if go_away.text.is_empty() {
        return evidence;
    }
    evidence.with_detail(String::from_utf8_lossy(&go_away.text))
}
