//! Failure: what a carrier of the program's own met, found in the types of its error's chain of
//! causes.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::AlertDescription;

use crate::error::{BoxError, Error, ErrorKind};
use crate::network::{Alpn, kind_of_connect, kind_of_tls};
use crate::symptom::{Delivery, Evidence, Symptom, SymptomKind};
use crate::transport::carrier::http1::failure::{
    evidence_of, find, is_without_connection, kind_of_http2,
};

/// What a carrier of the program's own knows of a call that it lost: its error, or any cause of it.
///
/// ```
/// use genai_bridge::{CarrierFailure, Delivery};
///
/// fn no_room(error: std::io::Error) -> CarrierFailure {
///     CarrierFailure::new(Delivery::NotSent).with_source(error) // so the call goes over the other transport
/// }
/// ```
#[derive(Debug)]
pub struct CarrierFailure {
    delivery: Delivery,
    source: Option<BoxError>,
}

impl CarrierFailure {
    /// What the failure proves about the request. To claim more than is known may pay a call twice.
    pub fn new(delivery: Delivery) -> Self {
        Self { delivery, source: None }
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What it proves about the request.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }
}

impl fmt::Display for CarrierFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.delivery {
            Delivery::NotSent => "the call was not sent",
            Delivery::Refused => "the call was refused unprocessed",
            Delivery::Answered => "something on the way answered the call",
            Delivery::Unknown => "the call was lost",
            Delivery::Processed => "the call was processed and its answer lost",
        })
    }
}

impl StdError for CarrierFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The carrier took no call.
pub(super) fn before_request(error: BoxError, hop: &str) -> Error {
    let (kind, evidence) = not_connected(error.as_ref());
    fail(kind, evidence, error, hop)
}

/// The carrier took a call and gave no answer to it.
pub(super) fn before_answer(error: BoxError, hop: &str) -> Error {
    let error = match error.downcast::<Error>() {
        // An adapter of ours has named it.
        Ok(named) => return *named,
        Err(error) => error,
    };
    let cause = error.as_ref();
    if let Some(failure) = find::<CarrierFailure>(cause) {
        return match failure.delivery {
            Delivery::NotSent => before_request(error, hop),
            Delivery::Refused => fail(SymptomKind::CarrierRefused, Evidence::new(), error, hop),
            // Whoever answered, it was not the service as far as anyone knows.
            Delivery::Answered | Delivery::Unknown => lost(error, hop),
            Delivery::Processed => {
                let what = format!("{hop} processed the call, and its answer is lost");
                Error::new(ErrorKind::Interrupted, what).with_source(error)
            }
        };
    }
    if is_about_connecting(cause) {
        return before_request(error, hop);
    }
    if is_own_time_limit(cause) {
        let what = "the time limit of the program's own carrier passed";
        return Error::new(ErrorKind::DeadlineExceeded, what).with_source(error);
    }
    let kind = match (find::<h2::Error>(cause), find::<hyper::Error>(cause)) {
        (Some(http2), _) => kind_of_http2(http2),
        (None, Some(hyper)) if hyper.is_canceled() || hyper.is_closed() => SymptomKind::NeverSent,
        (None, Some(hyper)) if hyper.is_parse() => SymptomKind::AnswerMalformed,
        _ => return lost(error, hop),
    };
    let evidence = evidence_of(cause);
    fail(kind, evidence, error, hop)
}

/// The answer broke after `messages` messages.
pub(super) fn in_body(error: BoxError, hop: &str, messages: u64) -> Error {
    let kind = match find::<h2::Error>(error.as_ref()) {
        Some(http2) if http2.is_reset() => SymptomKind::BodyReset,
        _ => SymptomKind::BodyLost,
    };
    let evidence = evidence_of(error.as_ref()).with_messages(messages);
    fail(kind, evidence, error, hop)
}

fn lost(error: BoxError, hop: &str) -> Error {
    let evidence = evidence_of(error.as_ref());
    fail(SymptomKind::CarrierFailed, evidence, error, hop)
}

fn fail(kind: SymptomKind, evidence: Evidence, error: BoxError, hop: &str) -> Error {
    Error::from(Symptom::new(kind, hop).with_evidence(evidence)).with_source(error)
}

/// Only what happens before a request can be sent.
fn is_about_connecting(error: &(dyn StdError + 'static)) -> bool {
    let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    find::<tonic::ConnectError>(error).is_some()
        || is_without_connection(error)
        || find::<io::Error>(error).is_some_and(is_refused)
        || find::<rustls::Error>(error).is_some_and(is_of_handshake)
}

/// Alerts other than this one may come at any time, also from a peer that has read the request.
fn is_of_handshake(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
    )
}

/// How a connection failed to come about. A carrier hides most of it.
fn not_connected(error: &(dyn StdError + 'static)) -> (SymptomKind, Evidence) {
    if let Some(tls) = find::<rustls::Error>(error) {
        return kind_of_tls(tls, Alpn::Http2);
    }
    if is_reqwest_dns(error) {
        return (SymptomKind::NameNotFound, Evidence::new());
    }
    let kind = match find::<io::Error>(error).map(io::Error::kind) {
        Some(
            io @ (io::ErrorKind::ConnectionRefused
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable),
        ) => kind_of_connect(io),
        _ => SymptomKind::CarrierNotConnected,
    };
    (kind, evidence_of(error))
}

/// A time limit that the carrier was given by its maker, not one of the network's.
fn is_own_time_limit(error: &(dyn StdError + 'static)) -> bool {
    let is_of_network =
        || find::<io::Error>(error).is_some() || find::<hyper::Error>(error).is_some();
    find::<tonic::TimeoutExpired>(error).is_some() || is_reqwest_timeout(error) && !is_of_network()
}

#[cfg(feature = "reqwest")]
fn is_reqwest_timeout(error: &(dyn StdError + 'static)) -> bool {
    find::<reqwest::Error>(error).is_some_and(reqwest::Error::is_timeout)
}

#[cfg(feature = "reqwest")]
fn is_reqwest_dns(error: &(dyn StdError + 'static)) -> bool {
    find::<reqwest::Error>(error).is_some_and(reqwest::Error::is_dns)
}

#[cfg(not(feature = "reqwest"))]
fn is_reqwest_timeout(_: &(dyn StdError + 'static)) -> bool {
    false
}

#[cfg(not(feature = "reqwest"))]
fn is_reqwest_dns(_: &(dyn StdError + 'static)) -> bool {
    false
}
