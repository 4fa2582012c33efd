//! Negotiate: Kerberos by the ticket that the user has, as browsers log in (RFC 4559).
//!
//! GSSAPI makes the token, of Kerberos alone, and it is wrapped here as SPNEGO (RFC 4178) with that
//! one mechanism: so nothing can talk the library into NTLM. GSSAPI blocks, so it has a thread of
//! its own.

use std::fmt;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use genai_bridge_platform::gssapi::{Failure, FailureKind, Gssapi, Ticket};
use http::HeaderValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::trouble::Trouble;
use crate::symptom::LoginTrouble;

/// Kerberos for one proxy.
pub(crate) struct Negotiate {
    host: String,
    /// Started when it is first needed; ends with this.
    worker: OnceLock<SyncSender<Job>>,
}

type Job = Box<dyn FnOnce(&Result<Gssapi, Failure>) + Send>;

impl Negotiate {
    pub(super) const IS_SUPPORTED: bool = true;

    /// `None` without the feature `negotiate`, or where it cannot be had.
    #[expect(clippy::unnecessary_wraps, reason = "its stand-in has none")]
    pub(super) fn new(host: &str) -> Option<Self> {
        Some(Self { host: host.to_owned(), worker: OnceLock::new() })
    }

    /// A fresh token. It may take half of the time there is, so that another scheme can still be
    /// tried.
    ///
    /// # Errors
    /// There is no ticket for this proxy, in GSSAPI's words.
    pub(super) async fn header(&self, deadline: Instant) -> Result<HeaderValue, Trouble> {
        let now = Instant::now();
        let limit = now + deadline.saturating_duration_since(now) / 2;
        let host = self.host.clone();
        let token = self.ask(limit, move |gssapi| gssapi.token(&host)).await?;
        let token = base64_simd::STANDARD.encode_to_string(as_spnego(&token));
        let value = HeaderValue::try_from(format!("Negotiate {token}"));
        let mut value = value.map_err(|_| trouble(LoginTrouble::NotBegun, "no legal token"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// For whom, with whose ticket, for how long: for a person. Without what was `told` before.
    pub(super) async fn describe(&self, told: &[String]) -> Vec<String> {
        let service = format!("the service is HTTP/{}", self.host);
        match self.ask(Instant::now() + DESCRIBE_LIMIT, Gssapi::ticket).await {
            Ok(Ticket { principal, lifetime, .. }) => {
                let lifetime = lifetime.map(|left| format!(" for {} min", left.as_secs() / 60));
                let lifetime = lifetime.unwrap_or_default();
                vec![format!("{service}, the ticket is {principal}'s, good{lifetime}")]
            }
            Err(trouble) if told.contains(&trouble.detail) => vec![service],
            Err(trouble) => vec![service, trouble.detail],
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        limit: Instant,
        work: impl FnOnce(&Gssapi) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |gssapi| {
            // Whoever asked may have gone.
            if !answer.is_closed() {
                let _ = answer.send(gssapi.as_ref().map_err(Clone::clone).and_then(work));
            }
        });
        let worker = self.worker.get_or_init(start);
        let waiting = worker
            .try_send(job)
            .map_err(|_| trouble(LoginTrouble::KdcAway, "too many logins wait for Kerberos"));
        waiting?;
        match timeout_at(limit, answered).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(failure))) => Err(trouble(kind_of(&failure), &failure.to_string())),
            Ok(Err(_)) => Err(trouble(LoginTrouble::NotBegun, "no thread for it")),
            Err(_) => Err(trouble(LoginTrouble::KdcAway, "no answer in time")),
        }
    }
}

fn trouble(kind: LoginTrouble, text: &str) -> Trouble {
    Trouble::new(kind, format!("Negotiate: {}", text.trim_end_matches('.')))
}

fn kind_of(failure: &Failure) -> LoginTrouble {
    match failure.kind() {
        FailureKind::NoLibrary => LoginTrouble::NoLibrary,
        FailureKind::NoTicket => LoginTrouble::NoTicket,
        FailureKind::Expired => LoginTrouble::TicketExpired,
        FailureKind::UnknownService => LoginTrouble::UnknownService,
        FailureKind::KdcUnreachable => LoginTrouble::KdcAway,
        _ => LoginTrouble::NotBegun,
    }
}

/// Starts the worker. If the system gives no thread, whoever asks is told that nobody answers.
fn start() -> SyncSender<Job> {
    let (sender, jobs): (_, Receiver<Job>) = sync_channel(MAX_WAITING);
    let work = move || {
        let gssapi = Gssapi::load();
        for job in jobs {
            job(&gssapi);
        }
    };
    let name = "genai-bridge-kerberos".to_owned();
    if let Err(error) = std::thread::Builder::new().name(name).spawn(work) {
        tracing::warn!(%error, "no thread for Kerberos");
    }
    sender
}

/// The first token of a negotiation (RFC 4178, section 4.2.1) that offers Kerberos alone.
fn as_spnego(token: &[u8]) -> Vec<u8> {
    let mechanisms = der(0xa0, &der(0x30, KERBEROS));
    let token = der(0xa2, &der(0x04, token));
    let first = der(0xa0, &der(0x30, &[mechanisms, token].concat()));
    der(0x60, &[SPNEGO, &first].concat())
}

/// A value with its tag and length, as in X.690, section 8.1.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let from = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = length.get(from..).unwrap_or_default();
    let mut value = vec![tag];
    if content.len() >= 0x80 {
        value.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
    }
    value.extend_from_slice(length);
    value.extend_from_slice(content);
    value
}

impl fmt::Debug for Negotiate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiate").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The object identifiers 1.3.6.1.5.5.2 and 1.2.840.113554.1.2.2.
const SPNEGO: &[u8] = b"\x06\x06\x2b\x06\x01\x05\x05\x02";
const KERBEROS: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
/// A token takes some milliseconds, and a bridge dials rarely.
const MAX_WAITING: usize = 16;
const DESCRIBE_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_wrapped_with_one_mechanism() {
        let expected = b"\x60\x24\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x1a\x30\x18\xa0\x0d\x30\
            \x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\xa2\x07\x04\x05toke\
            n";
        assert_eq!(as_spnego(b"token"), expected);
    }

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        for (length, head) in [
            (0, &b"\x04\x00"[..]),
            (0x7f, b"\x04\x7f"),
            (0x80, b"\x04\x81\x80"),
            (0xff, b"\x04\x81\xff"),
            (0x100, b"\x04\x82\x01\x00"),
            (0x1_0000, b"\x04\x83\x01\x00\x00"),
        ] {
            let value = der(4, &vec![7; length]);
            assert!(value.starts_with(head) && value.len() == head.len() + length, "{length}");
        }
    }

    #[tokio::test]
    async fn without_a_realm_the_reason_is_told_in_words() {
        let negotiate = Negotiate::new("proxy.invalid").expect("the feature");
        let deadline = Instant::now() + Duration::from_secs(60);
        let trouble = negotiate.header(deadline).await.expect_err("no realm has this name");
        assert!(trouble.detail.starts_with("Negotiate: "), "{}", trouble.detail);
        let told = negotiate.describe(&[]).await;
        assert!(
            told.iter().any(|told| told.starts_with("the service is HTTP/proxy.invalid")),
            "{told:?}"
        );
    }
}
