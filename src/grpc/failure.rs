//! Failure: the cause behind a broken call, found by type in the source chain, becomes a `Symptom`.
//!
//! What each cause proves was measured with real proxies: an error of the socket after the request was
//! handed over proves nothing, however early it came; only what hyper hands back unsent, and what the
//! peer refuses by RFC 9113 (sections 6.8 and 8.7), is known not to have been processed.

use std::error::Error as StdError;
use std::io;

use h2::Reason;
use tonic::{ConnectError, Status, TimeoutExpired};

use super::connection::{AlreadyUsed, Peer};
use super::http2_frames::GoAway;
use super::watch::describe_go_away;
use crate::error::{Error, ErrorKind};
use crate::symptom::{Evidence, SymptomKind};

/// How the connection lost a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Handed back unsent.
    Unsent,
    /// The caller's own time limit, kept by tonic.
    Deadline,
    KeepAlive,
    /// The caller's request stream failed; nothing of the network's.
    Request,
    Reset(Reason),
    GoAway(Reason),
    /// h2 found the peer breaking the protocol, on this stream or on the connection.
    Broken(Reason),
    Io(io::ErrorKind),
    Other,
}

/// The error of a call that got no answer.
pub(super) fn before_answer(error: tonic::transport::Error, peer: &Peer) -> Error {
    let cause = find_cause(&error);
    let go_away = peer.seen.farewell().go_away;
    let said = |evidence: Evidence| match &go_away {
        Some(go_away) => describe_go_away(evidence, go_away),
        None => evidence,
    };
    let (kind, evidence) = match cause {
        Cause::Deadline => return deadline_passed().with_source(error),
        Cause::Request => return request_failed().with_source(error),
        Cause::Unsent => (SymptomKind::NeverSent, said(Evidence::new())),
        Cause::KeepAlive => (SymptomKind::KeepAliveTimeout, Evidence::new()),
        Cause::Reset(reason) => (kind_of_reset(reason), with_reason(reason)),
        Cause::GoAway(reason) => (kind_of_go_away(reason), said(with_reason(reason))),
        Cause::Broken(reason) => (SymptomKind::AnswerMalformed, with_reason(reason)),
        Cause::Io(kind) => (kind_of_end(go_away.as_ref()), said(Evidence::new().with_io(kind))),
        Cause::Other => (kind_of_end(go_away.as_ref()), said(Evidence::new())),
    };
    Error::from(peer.symptom(kind, evidence)).with_source(error)
}

/// The error of a call that tonic's channel did not take.
pub(super) fn before_request(error: tonic::transport::Error, peer: &Peer) -> Error {
    Error::from(peer.symptom(SymptomKind::NeverSent, Evidence::new())).with_source(error)
}

/// The error of an answer whose body broke after `messages` messages.
pub(super) fn in_body(status: Status, peer: &Peer, messages: u64) -> Error {
    let cause = find_cause(&status);
    let (kind, evidence) = match cause {
        Cause::Deadline => return deadline_passed().with_source(status),
        Cause::Request => return request_failed().with_source(status),
        Cause::Reset(reason) => (SymptomKind::BodyReset, with_reason(reason)),
        Cause::GoAway(reason) => (SymptomKind::BodyLost, with_reason(reason)),
        Cause::Broken(reason) => (SymptomKind::BodyMalformed, with_reason(reason)),
        Cause::Io(kind) => (SymptomKind::BodyLost, Evidence::new().with_io(kind)),
        Cause::KeepAlive => {
            (SymptomKind::BodyLost, Evidence::new().with_io(io::ErrorKind::TimedOut))
        }
        Cause::Unsent | Cause::Other => (SymptomKind::BodyLost, Evidence::new()),
    };
    Error::from(peer.symptom(kind, evidence.with_messages(messages))).with_source(status)
}

fn kind_of_reset(reason: Reason) -> SymptomKind {
    match reason {
        Reason::REFUSED_STREAM => SymptomKind::StreamRefused,
        Reason::HTTP_1_1_REQUIRED => SymptomKind::Http11Required,
        _ => SymptomKind::StreamReset,
    }
}

/// h2 gives this error only to streams above the last one that the peer processed. So even
/// `HTTP_1_1_REQUIRED` proves here that the call was not processed, and the proof is worth more.
fn kind_of_go_away(reason: Reason) -> SymptomKind {
    match reason {
        Reason::NO_ERROR => SymptomKind::GoAwayGraceful,
        _ => SymptomKind::GoAwayUnprocessed,
    }
}

/// The socket ended under a call. A GOAWAY before that may tell more.
fn kind_of_end(go_away: Option<&GoAway>) -> SymptomKind {
    let Some(go_away) = go_away else {
        return SymptomKind::ConnectionLost;
    };
    let reason = Reason::from(go_away.reason);
    match (go_away.last_stream, reason) {
        (0, reason) => kind_of_go_away(reason),
        (_, Reason::HTTP_1_1_REQUIRED) => SymptomKind::Http11Required,
        _ => SymptomKind::ConnectionLost,
    }
}

fn with_reason(reason: Reason) -> Evidence {
    Evidence::new().with_http2_reason(reason.into())
}

fn deadline_passed() -> Error {
    Error::new(ErrorKind::DeadlineExceeded, "the call's deadline passed")
}

fn request_failed() -> Error {
    Error::invalid_request("the request's stream of messages failed")
}

/// The first cause that tells, from the outermost error inwards.
fn find_cause(error: &(dyn StdError + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cause) = cause_of(error) {
            return cause;
        }
        next = match error.downcast_ref::<io::Error>() {
            // An io::Error hides what it wraps from source().
            Some(wrapper) => wrapper.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    Cause::Other
}

fn cause_of(error: &(dyn StdError + 'static)) -> Option<Cause> {
    if error.is::<AlreadyUsed>() || error.is::<ConnectError>() {
        return Some(Cause::Unsent);
    }
    if error.is::<TimeoutExpired>() {
        return Some(Cause::Deadline);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return cause_of_hyper(error);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return Some(cause_of_h2(error));
    }
    error
        .downcast_ref::<io::Error>()
        .filter(|error| !wraps_telling_cause(error))
        .map(|error| Cause::Io(error.kind()))
}

/// hyper's own verdict; where it has none, its source tells.
fn cause_of_hyper(error: &hyper::Error) -> Option<Cause> {
    if error.is_canceled() || error.is_closed() {
        Some(Cause::Unsent)
    } else if error.is_timeout() {
        Some(Cause::KeepAlive)
    } else {
        None
    }
}

fn cause_of_h2(error: &h2::Error) -> Cause {
    if let Some(error) = error.get_io() {
        return Cause::Io(error.kind());
    }
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    match (error.is_go_away(), error.is_reset()) {
        (true, _) if error.is_remote() => Cause::GoAway(reason),
        (_, true) if error.is_remote() => Cause::Reset(reason),
        _ if error.is_library() => Cause::Broken(reason),
        // A stream that our side reset: hyper does so when the request's body fails.
        (_, true) => Cause::Request,
        _ => Cause::Other,
    }
}

fn wraps_telling_cause(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<h2::Error>() || inner.is::<hyper::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_found_by_type_at_any_depth() {
        let refused = h2::Error::from(Reason::REFUSED_STREAM);
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let cases: [(Box<dyn StdError + Send + Sync>, Cause); 5] = [
            (Box::new(TimeoutExpired(())), Cause::Deadline),
            (Box::new(ConnectError(Box::new(AlreadyUsed))), Cause::Unsent),
            (
                Box::new(Status::from_error(Box::new(reset))),
                Cause::Io(io::ErrorKind::ConnectionReset),
            ),
            (Box::new(io::Error::other(refused)), Cause::Other),
            (Box::new(std::fmt::Error), Cause::Other),
        ];
        for (error, expected) in cases {
            assert_eq!(find_cause(error.as_ref()), expected, "{error:?}");
        }
    }

    #[test]
    fn only_a_goaway_that_covers_no_stream_proves_something_of_a_lost_connection() {
        let go_away = |last_stream, reason: Reason| GoAway {
            last_stream,
            reason: reason.into(),
            text: [].into(),
        };
        let cases = [
            (None, SymptomKind::ConnectionLost),
            (Some(go_away(0, Reason::NO_ERROR)), SymptomKind::GoAwayGraceful),
            (Some(go_away(0, Reason::INTERNAL_ERROR)), SymptomKind::GoAwayUnprocessed),
            (Some(go_away(1, Reason::NO_ERROR)), SymptomKind::ConnectionLost),
            (Some(go_away(1, Reason::HTTP_1_1_REQUIRED)), SymptomKind::Http11Required),
        ];
        for (go_away, expected) in cases {
            assert_eq!(kind_of_end(go_away.as_ref()), expected, "{go_away:?}");
        }
    }
}
