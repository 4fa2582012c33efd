//! Failure: what h2 says of a broken call, by type and never by text, becomes a `Symptom`.
//!
//! What each cause proves was measured with real proxies: an error of the socket after the request
//! was handed over proves nothing, however early it came; only a request for which h2 opened no
//! stream, and what the peer refuses by RFC 9113 (sections 6.8 and 8.7), is known not to have been
//! processed.

use std::error::Error as StdError;
use std::io;

use h2::Reason;
use tonic::Status;

use crate::error::Error;
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::carrier::http2::connection::Peer;
use crate::transport::carrier::http2::frames::GoAway;
use crate::transport::carrier::http2::opening::describe_go_away;

/// How the connection lost a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The caller's request stream failed; nothing of the network's.
    Request,
    Reset(Reason),
    GoAway(Reason),
    /// h2 found the peer breaking the protocol, on this stream or on the connection.
    Broken(Reason),
    Io(io::ErrorKind),
    Other,
}

/// The error of a call for which no stream was opened.
pub(crate) fn before_request(error: h2::Error, peer: &Peer) -> Error {
    let evidence = with_farewell(Evidence::new(), peer.seen.farewell().go_away.as_ref());
    Error::from(peer.symptom(SymptomKind::NeverSent, evidence)).with_source(error)
}

/// The error of a call that got no answer.
pub(crate) fn before_answer(error: h2::Error, peer: &Peer) -> Error {
    let farewell = peer.seen.farewell();
    let go_away = farewell.go_away.as_ref();
    if let Some(loss) = farewell.loss {
        return Error::from(peer.symptom(loss, Evidence::new())).with_source(error);
    }
    let (kind, evidence) = match cause_of(&error) {
        Cause::Request => return request_failed().with_source(error),
        Cause::Reset(reason) => (kind_of_reset(reason), with_reason(reason)),
        Cause::GoAway(reason) => {
            (kind_of_go_away(reason), with_farewell(with_reason(reason), go_away))
        }
        Cause::Broken(reason) => (SymptomKind::AnswerMalformed, with_reason(reason)),
        Cause::Io(kind) => {
            (kind_of_end(go_away), with_farewell(Evidence::new().with_io(kind), go_away))
        }
        Cause::Other => (kind_of_end(go_away), with_farewell(Evidence::new(), go_away)),
    };
    Error::from(peer.symptom(kind, evidence)).with_source(error)
}

/// The error of an answer whose body broke after `messages` messages.
pub(crate) fn in_body(error: h2::Error, peer: &Peer, messages: u64) -> Error {
    let (kind, evidence) = match (peer.seen.farewell().loss, cause_of(&error)) {
        (Some(SymptomKind::Unanswered), _) => (SymptomKind::BodyStalled, Evidence::new()),
        (Some(_), _) => (SymptomKind::BodyLost, Evidence::new().with_io(io::ErrorKind::TimedOut)),
        (None, Cause::Request) => return request_failed().with_source(error),
        (None, Cause::Reset(reason)) => (SymptomKind::BodyReset, with_reason(reason)),
        (None, Cause::GoAway(reason)) => (SymptomKind::BodyLost, with_reason(reason)),
        (None, Cause::Broken(reason)) => (SymptomKind::BodyMalformed, with_reason(reason)),
        (None, Cause::Io(kind)) => (SymptomKind::BodyLost, Evidence::new().with_io(kind)),
        (None, Cause::Other) => (SymptomKind::BodyLost, Evidence::new()),
    };
    Error::from(peer.symptom(kind, evidence.with_messages(messages))).with_source(error)
}

/// What to tell the peer when the caller's stream of messages fails: what ended that stream, if it
/// was HTTP/2 too.
pub(crate) fn reason_of(status: &Status) -> Reason {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(reason) = error.downcast_ref().and_then(h2::Error::reason) {
            return reason;
        }
        next = error.source();
    }
    Reason::INTERNAL_ERROR
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

/// What the peer said with its GOAWAY, if it sent one.
fn with_farewell(evidence: Evidence, go_away: Option<&GoAway>) -> Evidence {
    match go_away {
        Some(go_away) => describe_go_away(evidence, go_away),
        None => evidence,
    }
}

fn request_failed() -> Error {
    Error::invalid_request("the request's stream of messages failed")
}

fn cause_of(error: &h2::Error) -> Cause {
    if let Some(error) = error.get_io() {
        return Cause::Io(error.kind());
    }
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    match (error.is_go_away(), error.is_reset()) {
        (true, _) if error.is_remote() => Cause::GoAway(reason),
        (_, true) if error.is_remote() => Cause::Reset(reason),
        _ if error.is_library() => Cause::Broken(reason),
        // A stream that our side reset, because the request's body failed.
        (_, true) => Cause::Request,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_told_what_ended_the_callers_stream() {
        let cancelled = Status::from_error(Box::new(h2::Error::from(Reason::CANCEL)));
        assert_eq!(reason_of(&cancelled), Reason::CANCEL);
        assert_eq!(reason_of(&Status::internal("broken")), Reason::INTERNAL_ERROR);
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
