//! Exchange: the way of a request that is REST already: authorised, sent over REST, sent again by
//! its verb.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::sleep;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::{Instrument as _, debug, info_span};

use super::core::Core;
use super::gate::Pass;
use super::limits::Limits;
use crate::bridge::options::{ActiveTransport, CallOptions, ResendPolicy};
use crate::call::deadline::{Busy, Deadline, within};
use crate::credentials::{headers_with_secrets, hide_secrets, secret_in};
use crate::error::Error;
use crate::fallback::ResendState;
use crate::network::require_runtime;
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::rest::{
    AnswerBytes, Exchanged, Expected, RequestBody, RestRequest, SERVER_TIMEOUT, Target, lone_error,
    read_status,
};

/// A request of a path and bytes.
pub(crate) struct Exchange {
    pub(crate) verb: http::Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    pub(crate) expected: Expected,
    /// For all of it; `None` for the bridge's default, which of bytes as they come covers the head
    /// alone.
    pub(crate) timeout: Option<Duration>,
    pub(crate) options: CallOptions,
}

/// What a request carries.
pub(crate) enum Payload {
    None,
    Whole {
        content_type: String,
        data: Bytes,
    },
    /// It exists once.
    Stream {
        content_type: String,
        body: Option<Body>,
    },
}

impl Payload {
    /// Whether it can be sent again.
    fn is_in_hand(&self) -> bool {
        !matches!(self, Self::Stream { .. })
    }

    fn next_body(&mut self) -> RequestBody {
        match self {
            Self::None => RequestBody::None,
            Self::Whole { content_type, data } => {
                RequestBody::Raw { content_type: content_type.clone(), data: data.clone() }
            }
            Self::Stream { content_type, body } => RequestBody::Stream {
                content_type: content_type.clone(),
                body: body.take().unwrap_or_default(),
            },
        }
    }
}

impl Core {
    /// Sends a request until it is answered, or until its failure is final.
    ///
    /// # Errors
    /// The network broke it, or something other than the service answered.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        exchange: Exchange,
    ) -> Result<Exchanged<WatchedBytes>, Error> {
        let span = info_span!(
            "request",
            otel.kind = "client",
            http.request.method = %exchange.verb,
            url.path = exchange.target.path,
        );
        self.carry_exchange(exchange).instrument(span).await
    }

    async fn carry_exchange(
        self: &Arc<Self>,
        mut exchange: Exchange,
    ) -> Result<Exchanged<WatchedBytes>, Error> {
        require_runtime()?;
        self.counters.count_call();
        let pass = self.gate.enter()?;
        let default = self.settings.default_deadline.of_verb(&exchange.verb);
        let deadline = exchange.timeout.or(default).and_then(Deadline::after);
        self.authorise_exchange(&mut exchange.headers, deadline).await?;
        self.settings.dialect.name_client(&mut exchange.headers);
        let exchanged = self.exchange_with_retries(&mut exchange, deadline).await?;
        let covers_body = exchange.timeout.is_some() || exchange.expected != Expected::Bytes;
        let body_deadline = deadline.filter(|_| covers_body);
        Ok(match exchanged {
            Exchanged::Answered(response) => {
                let secrets = headers_with_secrets(&exchange.headers).cloned().collect();
                let watch =
                    |body| WatchedBytes::new(body, body_deadline, Arc::clone(self), secrets, pass);
                let mut response = response.map(watch);
                response.extensions_mut().insert(ActiveTransport::Rest);
                Exchanged::Answered(response)
            }
            Exchanged::Refused(refusal) => Exchanged::Refused(refusal),
            Exchanged::Redirected(target) => Exchanged::Redirected(target),
        })
    }

    async fn authorise_exchange(
        &self,
        headers: &mut HeaderMap,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        within(deadline, Busy::Authorising, self.credentials.authorise(headers)).await
    }

    async fn exchange_with_retries(
        &self,
        exchange: &mut Exchange,
        deadline: Option<Deadline>,
    ) -> Result<Exchanged, Error> {
        let mut resends =
            ResendState::new(ActiveTransport::Rest, self.resend_policy(exchange), false);
        let retry = exchange.options.retry.clone();
        let retry = retry.unwrap_or_else(|| self.retries.policy_of_verb(&exchange.verb));
        let (mut attempt, mut renewed) = (1, false);
        loop {
            let sent = self.exchange_once(exchange, deadline).await;
            let is_in_hand = exchange.payload.is_in_hand();
            let refusal = match sent {
                Ok(Exchanged::Refused(refusal)) => refusal,
                Ok(exchanged) => {
                    self.retries.note_success();
                    return Ok(exchanged);
                }
                Err(error) => match error.symptom().filter(|_| is_in_hand) {
                    Some(symptom) if resends.goes_on(symptom) => {
                        self.counters.count_resend();
                        continue;
                    }
                    Some(_) | None => return Err(error),
                },
            };
            let is_rejected = !renewed && refusal.code() == Code::Unauthenticated;
            if is_rejected && is_in_hand && self.credentials.invalidate(&exchange.headers) {
                renewed = true;
                exchange.headers.remove(header::AUTHORIZATION);
                self.authorise_exchange(&mut exchange.headers, deadline).await?;
                continue;
            }
            let left = deadline.map(Deadline::time_left);
            let wait = self.retries.wait_after(&retry, &refusal, left, attempt);
            let Some(wait) = wait.filter(|_| is_in_hand) else {
                return Ok(Exchanged::Refused(refusal));
            };
            debug!(attempt, ?wait, "the service's answer is tried again");
            self.counters.count_retry();
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// A verb that may be repeated goes again unless the user said never; another as the calls do.
    fn resend_policy(&self, exchange: &Exchange) -> ResendPolicy {
        exchange.options.resend.unwrap_or(match self.settings.resend {
            ResendPolicy::WhenUnprocessed if exchange.verb.is_idempotent() => {
                ResendPolicy::WhenUnanswered
            }
            policy => policy,
        })
    }

    async fn exchange_once(
        &self,
        exchange: &mut Exchange,
        deadline: Option<Deadline>,
    ) -> Result<Exchanged, Error> {
        self.counters.count_attempt(ActiveTransport::Rest);
        let request = RestRequest {
            verb: exchange.verb.clone(),
            path: exchange.target.path.clone(),
            query: exchange.target.query.clone(),
            body: exchange.payload.next_body(),
        };
        let mut headers = exchange.headers.clone();
        let coding = if exchange.expected == Expected::Whole { "gzip" } else { "identity" };
        headers.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static(coding));
        if let Some(deadline) = deadline.filter(|_| exchange.expected != Expected::Bytes) {
            headers.entry(SERVER_TIMEOUT).or_insert(deadline.whole_seconds_left().into());
        }
        let versions = self.http_versions(self.transport());
        let sent = Box::pin(self.rest.exchange(request, headers, versions, exchange.expected));
        let sent = within(deadline, Busy::OnRest(self.rest.hop()), sent).await;
        let sent = sent.map_err(|error| hide_secrets(error, &exchange.headers));
        self.record(ActiveTransport::Rest, sent.as_ref().err());
        sent
    }

    /// Whether a URL that an answer named is on the service's own origin, and its path and query.
    ///
    /// # Errors
    /// It is not, or it leaves its place.
    pub(crate) fn target_of(&self, url: &str) -> Result<Target, Error> {
        Target::on_origin(self.rest.origin(), url)
    }
}

/// The bytes of an answer, kept inside the deadline and the idle limit; dropped, they cancel the
/// request.
pub(crate) struct WatchedBytes {
    bytes: AnswerBytes,
    limits: Limits,
    core: Arc<Core>,
    secrets: Vec<HeaderValue>,
    pieces: u64,
    /// `None` once the answer has ended.
    pass: Option<Pass>,
}

impl WatchedBytes {
    fn new(
        bytes: AnswerBytes,
        deadline: Option<Deadline>,
        core: Arc<Core>,
        secrets: Vec<HeaderValue>,
        pass: Pass,
    ) -> Self {
        let limits = Limits::new(deadline, core.settings.stream_idle_limit);
        Self { bytes, limits, core, secrets, pieces: 0, pass: Some(pass) }
    }

    /// The next bytes; `None` at a clean end, and after an error.
    pub(crate) fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.pass.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(chunk) = self.bytes.poll_chunk(context, self.pieces) {
            return Poll::Ready(match chunk {
                Some(Ok(chunk)) => {
                    self.pieces += 1;
                    self.limits.note_arrival();
                    Some(Ok(chunk))
                }
                Some(Err(error)) => Some(Err(self.end_with(error))),
                None => {
                    self.pass = None;
                    None
                }
            });
        }
        self.poll_limits(context).map(|error| Some(Err(self.end_with(error))))
    }

    /// The next bytes; a failure that the answer tells after them is its end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        poll_fn(|context| self.poll_bytes(context)).await
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        if self.pass.is_none() {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.poll_chunk(context)) {
            Some(chunk) => Some(chunk.map_err(Status::from)),
            None => self.failure().map(Err),
        })
    }

    /// The failure that trailers tell, once the bytes have ended.
    pub(crate) fn failure(&self) -> Option<Status> {
        self.bytes.failure()
    }

    fn poll_limits(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let stalled = |evidence| self.bytes.symptom(SymptomKind::BodyStalled, evidence);
        self.limits.poll(context, self.pieces, stalled)
    }

    fn end_with(&mut self, mut error: Error) -> Error {
        self.pass = None;
        self.bytes.close();
        self.secrets.iter().for_each(|header| error.hide(secret_in(header)));
        self.core.record(ActiveTransport::Rest, Some(&error));
        error
    }

    /// These bytes come next, once more.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.bytes.put_back(bytes);
    }

    /// Ends the answer for what its bytes turned out to be.
    pub(crate) fn fail(&mut self, kind: SymptomKind, evidence: Evidence) -> Error {
        let symptom = self.bytes.symptom(kind, evidence.with_messages(self.pieces));
        self.end_with(symptom.into())
    }

    /// Ends the answer: nothing more is read.
    pub(crate) fn close(&mut self) {
        self.pass = None;
        self.bytes.close();
    }

    /// The status that an error of the service is, where it comes within an answer.
    pub(crate) fn read_status(&self, text: &[u8]) -> Option<Status> {
        read_status(&self.core.schema, 200, text)
    }

    /// The same of an object that is an error and nothing else.
    pub(crate) fn lone_error(&self, text: &[u8]) -> Option<Status> {
        lone_error(&self.core.schema, text)
    }

    /// Most bytes of one piece of a stream.
    pub(crate) fn limit(&self) -> usize {
        self.core.settings.max_message_size
    }
}

impl HttpBody for WatchedBytes {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.poll_bytes(context).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.pass.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The answer as anyone's HTTP body.
pub(crate) fn into_body(response: Response<WatchedBytes>) -> Response<Body> {
    response.map(Body::new)
}
