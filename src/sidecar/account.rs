//! Account: one call from its head to the end of its answer, counted and logged when it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::info;

use super::activity::Visit;
use super::metrics::Metrics;
use super::refusal::Form;
use super::shutdown::{Shutdown, shutting_down};
use crate::bridge::options::ActiveTransport;
use crate::call::{Answer, GRPC_STATUS, trailers_of};
use crate::schema::Method;
use crate::transport::rest::name_of_code;

/// What is called; of what no schema knows, nothing is kept that a client could make up.
#[derive(Debug)]
pub(super) enum Caller {
    Grpc(Arc<Method>),
    UnknownGrpc,
    Rest(http::Method),
}

impl Caller {
    pub(super) fn grpc(method: Option<&Arc<Method>>) -> Self {
        method.map_or(Self::UnknownGrpc, |method| Self::Grpc(Arc::clone(method)))
    }

    fn form(&self) -> Form {
        match self {
            Self::Grpc(_) | Self::UnknownGrpc => Form::Grpc,
            Self::Rest(_) => Form::Rest,
        }
    }

    /// Whether hyper asks for no body, whatever the length in the head says
    /// ([RFC 9110, section 6.4.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1)).
    fn gets_no_body(&self, status: StatusCode) -> bool {
        let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        matches!(self, Self::Rest(verb) if has_none || verb == http::Method::HEAD)
    }

    /// For logs and counters.
    fn name(&self) -> &str {
        match self {
            Self::Grpc(method) => method.path.trim_start_matches('/'),
            Self::Rest(verb) if STANDARD_VERBS.contains(verb) => verb.as_str(),
            Self::UnknownGrpc | Self::Rest(_) => "unknown",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Grpc(Code),
    Http(StatusCode),
    /// The answer broke in the middle, and HTTP has no way to say why.
    Broken,
}

/// A call under way. Dropped before its outcome is known, the client gave it up.
#[derive(Debug)]
pub(super) struct Account {
    metrics: Arc<Metrics>,
    caller: Caller,
    transport: Option<ActiveTransport>,
    began: Instant,
    outcome: Option<Outcome>,
    memory: Option<OwnedSemaphorePermit>,
    _permit: OwnedSemaphorePermit,
    _visit: Visit,
}

impl Account {
    pub(super) fn open(
        metrics: Arc<Metrics>,
        caller: Caller,
        permit: OwnedSemaphorePermit,
        visit: Visit,
    ) -> Self {
        metrics.begin_call();
        Self {
            metrics,
            caller,
            transport: None,
            began: Instant::now(),
            outcome: None,
            memory: None,
            _permit: permit,
            _visit: visit,
        }
    }

    /// Keeps this much of the requests' memory until the call ends.
    pub(super) fn hold(&mut self, memory: OwnedSemaphorePermit) {
        match &mut self.memory {
            Some(held) => held.merge(memory),
            None => self.memory = Some(memory),
        }
    }

    fn close(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Ends the call with a status that the bridge or the sidecar gave.
    pub(super) fn refuse(mut self, status: Status) -> Answer {
        info!(method = self.caller.name(), error = status.message(), "a call failed");
        let answer = self.caller.form().refuse(status);
        self.outcome = self.outcome_of(&answer);
        answer
    }

    /// An answer, followed to its end; it ends sooner where the sidecar ends its calls.
    pub(super) fn follow(mut self, answer: Answer, shutdown: &Arc<Shutdown>) -> Answer {
        self.transport = answer.extensions().get::<ActiveTransport>().copied();
        self.outcome = self.outcome_of(&answer);
        if answer.body().is_end_stream() || self.caller.gets_no_body(answer.status()) {
            return answer;
        }
        let stop = Stop { shutdown: Arc::clone(shutdown), asked: None };
        let left = match self.caller.form() {
            Form::Grpc => None,
            Form::Rest => length_of(answer.headers()),
        };
        answer.map(|body| Body::new(FollowedBody { body, left, stop, account: self, ended: false }))
    }

    /// How the call ends, as far as the head of its answer says it.
    fn outcome_of(&self, answer: &Answer) -> Option<Outcome> {
        match self.caller.form() {
            Form::Grpc => outcome_in(answer.headers()),
            Form::Rest => Some(Outcome::Http(answer.status())),
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let elapsed = self.began.elapsed();
        let outcome = self.outcome.unwrap_or(Outcome::Grpc(Code::Cancelled));
        let code = match &outcome {
            Outcome::Grpc(code) => name_of_code(*code),
            Outcome::Http(status) => status.as_str(),
            Outcome::Broken => "BROKEN",
        };
        let transport = self.transport.map_or("none", ActiveTransport::as_str);
        let method = self.caller.name();
        self.metrics.end_call(method, code, transport, elapsed);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        info!(method, code, transport, milliseconds, "call");
    }
}

/// The outcome that stands in a head, or in trailers.
fn outcome_in(headers: &HeaderMap) -> Option<Outcome> {
    let status = headers.get(&GRPC_STATUS)?;
    Some(Outcome::Grpc(Code::from_bytes(status.as_bytes())))
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An answer on its way to the client.
struct FollowedBody {
    body: Body,
    /// Bytes still to come over REST, where the head says how many. Behind the last one hyper does
    /// not ask for an end. Over gRPC the trailers are the end.
    left: Option<u64>,
    stop: Stop,
    account: Account,
    ended: bool,
}

/// When the sidecar ends its calls. An answer that is there has no need to ask.
struct Stop {
    shutdown: Arc<Shutdown>,
    asked: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Stop {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let ask = || Box::pin(self.shutdown.calls_ended().cancelled_owned());
        self.asked.get_or_insert_with(ask).as_mut().poll(context)
    }
}

impl FollowedBody {
    /// A broken answer ends in order: over gRPC with the status as trailers.
    fn break_off(&mut self, status: Status) -> Result<Frame<Bytes>, Status> {
        self.ended = true;
        self.body = Body::empty();
        if self.account.caller.form() == Form::Rest {
            self.account.close(Outcome::Broken);
            return Err(status);
        }
        self.account.close(Outcome::Grpc(status.code()));
        Ok(Frame::trailers(trailers_of(&status)))
    }
}

impl HttpBody for FollowedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(outcome) = frame.trailers_ref().and_then(outcome_in) {
                    self.account.close(outcome);
                    self.ended = true;
                }
                if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
                    *left = left.saturating_sub(data.len() as u64);
                    self.ended |= self.left == Some(0);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => Poll::Ready(Some(self.break_off(status))),
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending if self.stop.poll(context).is_ready() => {
                Poll::Ready(Some(self.break_off(shutting_down())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Dropped before its end, nobody reads it any more.
impl Drop for FollowedBody {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.account.outcome = None;
        }
    }
}

const STANDARD_VERBS: [http::Method; 6] = [
    http::Method::GET,
    http::Method::POST,
    http::Method::PUT,
    http::Method::PATCH,
    http::Method::DELETE,
    http::Method::HEAD,
];
