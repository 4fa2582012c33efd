//! Stream limits: the answer of a stream, kept inside the call's deadline and its idle limit; tells
//! how it ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::attempt::Carried;
use super::core::Core;
use super::gate::Pass;
use super::limits::Limits;
use super::trace::Trace;
use crate::bridge::options::ActiveTransport;
use crate::call::author::{Author, code_in};
use crate::call::deadline::Deadline;
use crate::call::frame::FrameCounter;
use crate::call::{Answer, Call, Judged, Message};
use crate::credentials::{headers_with_secrets, secret_in};
use crate::error::{Error, ErrorKind};
use crate::fallback::Observer;
use crate::symptom::SymptomKind;

impl Core {
    /// Marks the answer with the transport that carried it, and watches the body of a stream.
    ///
    /// A unary answer is complete and checked already: it passes as it is.
    pub(super) fn watch_answer(
        self: Arc<Self>,
        Carried { judged, transport, took, mut observer }: Carried,
        call: &Call,
        mut trace: Trace,
        pass: Pass,
    ) -> Answer {
        let Judged { mut answer, code, author } = judged;
        answer.extensions_mut().insert(transport);
        let is_unary = call.method.as_ref().is_some_and(|method| !method.server_streaming);
        if is_unary || code.is_some() {
            let code = code.unwrap_or(Code::Ok);
            trace.end(code);
            if let Some(mut observer) = observer.take() {
                observer.answered(transport, author, code, took);
            }
        }
        if is_unary {
            return answer;
        }
        // Where the client writes a stream as well, the service may be waiting for it.
        let idle_limit = match call.message {
            Message::One(_) => self.settings.stream_idle_limit,
            Message::Stream(_) => None,
        };
        let limits = Limits::new(call.deadline, idle_limit);
        let is_rest_open = self.is_rest_open(call);
        let secrets = headers_with_secrets(&call.metadata).cloned().collect();
        answer.map(|body| {
            Body::new(LimitedBody {
                body,
                deadline: call.deadline,
                limits,
                took,
                observer,
                frames: FrameCounter::default(),
                transport,
                core: self,
                trace,
                secrets,
                is_rest_open,
                pass: Some(pass),
            })
        })
    }
}

struct LimitedBody {
    body: Body,
    deadline: Option<Deadline>,
    limits: Limits,
    took: Duration,
    /// Until the end is told.
    observer: Option<Observer>,
    frames: FrameCounter,
    transport: ActiveTransport,
    core: Arc<Core>,
    trace: Trace,
    /// What must not leave with an error, should the peer repeat it.
    secrets: Vec<HeaderValue>,
    is_rest_open: bool,
    /// `None` once the answer has ended.
    pass: Option<Pass>,
}

impl LimitedBody {
    /// Notes what arrived; an error takes the place of trailers that came too late.
    fn check(&mut self, frame: &Frame<Bytes>) -> Result<(), Status> {
        if let Some(trailers) = frame.trailers_ref() {
            return self.check_end(trailers);
        }
        self.limits.note_arrival();
        if let Some(data) = frame.data_ref() {
            // The transport has refused what is no frame.
            let _ = self.frames.feed(data);
        }
        Ok(())
    }

    fn check_end(&mut self, trailers: &HeaderMap) -> Result<(), Status> {
        let by_peer =
            |deadline: Deadline| deadline.judge_status(code_in(trailers), Author::Service);
        if let Some(expired) = self.deadline.and_then(by_peer) {
            self.close();
            let status = self.end_at_peers_timer(expired);
            self.trace.end_with(&status);
            return Err(status);
        }
        self.limits.note_arrival();
        let (code, author) = Author::judge(trailers);
        self.trace.end(code.unwrap_or(Code::Unknown));
        if let Some(mut observer) = self.observer.take() {
            observer.answered(self.transport, author, code.unwrap_or(Code::Ok), self.took);
        }
        self.close();
        Ok(())
    }

    /// Ready when the answer has taken too long.
    fn poll_limits(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let stalled =
            |evidence| self.core.grpc.symptom(SymptomKind::BodyStalled).with_evidence(evidence);
        self.limits.poll(context, self.frames.messages(), stalled)
    }

    fn end_with(&mut self, status: Status) -> Status {
        self.close();
        let status = self.judge_end(self.fit_to_tell(status));
        if let Some(error) = Error::of(&status).filter(|error| error.symptom().is_some()) {
            self.trace.broke(self.transport, self.frames.messages(), error);
        }
        self.trace.end_with(&status);
        status
    }

    /// Tells how the network ended the answer, and what the caller hears of it.
    fn judge_end(&mut self, status: Status) -> Status {
        let Some(error) = Error::of(&status) else { return status };
        let by_peer = |deadline: Deadline| deadline.judge(error.symptom()?);
        match self.deadline {
            Some(deadline) if error.kind() == ErrorKind::DeadlineExceeded => {
                // What began to come, and took too long, says nothing of the network.
                if self.frames.messages() == 0 {
                    self.core.note_deadline(self.transport, deadline);
                }
            }
            deadline => match deadline.and_then(by_peer) {
                Some(expired) => return self.end_at_peers_timer(expired),
                None => self.core.record(self.transport, Some(error)),
            },
        }
        if let Some(mut observer) = self.observer.take() {
            observer.failed(self.transport, error, self.limits.silent_for());
        }
        status
    }

    /// The peer gave the call up about its deadline.
    fn end_at_peers_timer(&mut self, expired: Error) -> Status {
        self.core.note_peers_timer(self.transport);
        expired.into()
    }

    fn close(&mut self) {
        self.pass = None;
        self.body = Body::empty();
    }

    /// The status without secrets that a peer repeated, and with what the caller chose.
    fn fit_to_tell(&self, status: Status) -> Status {
        let Some(mut symptom) = Error::of(&status).and_then(Error::symptom).cloned() else {
            return status;
        };
        let hidden = self.secrets.iter().filter(|header| symptom.hide(secret_in(header))).count();
        if self.is_rest_open {
            symptom.open_rest();
        }
        match (hidden, self.is_rest_open) {
            (0, false) => status,
            (0, true) => Error::from(symptom).with_source(status).into(),
            (1.., _) => Error::from(symptom).into(),
        }
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.pass.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(match frame {
                Some(Ok(frame)) => Some(self.check(&frame).map(|()| frame)),
                Some(Err(status)) => Some(Err(self.end_with(status))),
                None => {
                    self.close();
                    None
                }
            });
        }
        let error = ready!(self.poll_limits(context));
        Poll::Ready(Some(Err(self.end_with(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.pass.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
