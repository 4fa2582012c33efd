//! Source: where the parts of an answer come from: a stream of h2, or the body that the program's
//! own carrier gave.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame as Part};

use crate::error::Error;
use crate::symptom::{Evidence, Symptom, SymptomKind};
use crate::transport::carrier::foreign::{ForeignBody, ForeignPeer};
use crate::transport::carrier::http2::connection::Seat;
use crate::transport::carrier::http2::exchange::Upload;
use crate::transport::carrier::http2::failure;

/// The body of an answer. Dropping it before its end cancels the call.
pub(crate) enum Source {
    Own {
        stream: RecvStream,
        /// Only trailers can follow.
        has_data: bool,
        /// Ends with the answer.
        _upload: Option<Upload>,
        seat: Seat,
    },
    Foreign {
        body: ForeignBody,
        peer: ForeignPeer,
    },
}

impl Source {
    pub(super) fn own(stream: RecvStream, upload: Option<Upload>, seat: Seat) -> Self {
        Self::Own { stream, has_data: true, _upload: upload, seat }
    }

    pub(super) fn foreign(body: ForeignBody, peer: ForeignPeer) -> Self {
        Self::Foreign { body, peer }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { stream, .. } => stream.is_end_stream(),
            Self::Foreign { body, .. } => body.is_end_stream(),
        }
    }

    /// The next part: data, or trailers, which are the last one. `messages` were received before.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        messages: u64,
    ) -> Poll<Option<Result<Part<Bytes>, Error>>> {
        match self {
            Self::Own { stream, has_data, seat, .. } => {
                let part = ready!(poll_stream(stream, has_data, cx));
                let lost = |error| failure::in_body(error, seat.peer(), messages);
                Poll::Ready(part.map(|part| part.map_err(lost)))
            }
            Self::Foreign { body, peer } => {
                let part = ready!(Pin::new(body).poll_frame(cx));
                let lost = |error| peer.broken_body(error, messages);
                Poll::Ready(part.map(|part| part.map_err(lost)))
            }
        }
    }

    /// Lets go of an answer that has ended in order.
    pub(super) fn end(self) {
        match self {
            Self::Own { stream, seat, .. } => seat.keep_ended(stream),
            Self::Foreign { .. } => {}
        }
    }

    /// How failures name who answers.
    pub(super) fn hop(&self) -> &str {
        match self {
            Self::Own { seat, .. } => seat.peer().hop(),
            Self::Foreign { peer, .. } => peer.hop(),
        }
    }

    pub(super) fn symptom(&self, kind: SymptomKind, evidence: Evidence) -> Symptom {
        match self {
            Self::Own { seat, .. } => seat.peer().symptom(kind, evidence),
            Self::Foreign { peer, .. } => Symptom::new(kind, peer.hop()).with_evidence(evidence),
        }
    }
}

fn poll_stream(
    stream: &mut RecvStream,
    has_data: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Part<Bytes>, h2::Error>>> {
    if *has_data {
        if let Some(data) = ready!(stream.poll_data(cx)) {
            if let Ok(data) = &data {
                // Fails only if more is given back than came.
                let _ = stream.flow_control().release_capacity(data.len());
            }
            return Poll::Ready(or_end(data.map(Part::data).map(Some)));
        }
        *has_data = false;
    }
    let trailers = ready!(stream.poll_trailers(cx));
    Poll::Ready(or_end(trailers.map(|trailers| trailers.map(Part::trailers))))
}

/// A reset with `NO_ERROR` ends an answer without breaking it ([RFC 9113, section
/// 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1)); a GOAWAY does not.
fn or_end<T>(part: Result<Option<T>, h2::Error>) -> Option<Result<T, h2::Error>> {
    match part {
        Err(error) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => None,
        part => part.transpose(),
    }
}
