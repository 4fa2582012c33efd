//! Body: the bytes of an answer, without their content coding.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderMap};
use tonic::Status;

use super::decode::Decoder;
use super::status::failure_in;
use crate::call::frame::Whole;
use crate::error::Error;
use crate::symptom::{Evidence, Symptom, SymptomKind};
use crate::transport::carrier::http1::client::HttpBody;

/// The body of an answer. Dropped or closed before its end, it cancels the request.
pub(super) struct AnswerBody {
    http: HttpBody,
    decoder: Option<Decoder>,
}

impl AnswerBody {
    /// Takes the headers that say how the bytes are coded, but for a coding that nobody asked for.
    pub(super) fn new(http: HttpBody, headers: &mut HeaderMap) -> Self {
        let decoder = Decoder::of(headers).filter(|decoder| !decoder.is_unknown());
        if decoder.is_some() {
            headers.remove(header::CONTENT_ENCODING);
        }
        Self { http, decoder }
    }

    /// The next bytes; `None` at a clean end.
    ///
    /// `messages` were received before: with one, the service did the work.
    pub(super) fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        messages: u64,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(decoder) = &mut self.decoder else {
            return self.http.poll_chunk(context, messages);
        };
        loop {
            let fault = match decoder.next() {
                Ok(Some(plain)) => return Poll::Ready(Some(Ok(plain))),
                Ok(None) => match ready!(self.http.poll_chunk(context, messages)) {
                    Some(Ok(data)) => {
                        decoder.feed(data);
                        continue;
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => match decoder.finish() {
                        Ok(()) => return Poll::Ready(None),
                        Err(_) => SymptomKind::BodyTruncated,
                    },
                },
                Err(_) => SymptomKind::BodyMalformed,
            };
            self.close();
            let evidence = Evidence::new().with_messages(messages).with_detail("its compression");
            return Poll::Ready(Some(Err(self.symptom(fault, evidence).into())));
        }
    }

    /// The whole body; `None` if it has more bytes than `limit`.
    pub(super) async fn collect(&mut self, limit: usize) -> Result<Option<Bytes>, Error> {
        let mut whole = Whole::default();
        while let Some(data) = poll_fn(|context| self.poll_chunk(context, 0)).await {
            if whole.add(data?) > limit {
                return Ok(None);
            }
        }
        Ok(Some(whole.into_bytes()))
    }

    /// Lets go of the connection: nothing more is read.
    pub(super) fn close(&mut self) {
        self.http.close();
        self.decoder = None;
    }

    /// The failure that trailers tell.
    pub(super) fn failure(&self) -> Option<Status> {
        failure_in(self.http.trailers()?)
    }

    /// How failures name the service.
    pub(super) fn hop(&self) -> &str {
        self.http.hop()
    }

    /// A failure that this answer shows.
    pub(super) fn symptom(&self, kind: SymptomKind, evidence: Evidence) -> Symptom {
        self.http.symptom(kind, evidence)
    }
}
