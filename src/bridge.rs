//! Bridge: the tower service; one call read top to bottom.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, header};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;
use tracing::{Instrument, debug, debug_span};

use crate::builder::BridgeBuilder;
use crate::call::{Answer, Call, Message, read_head};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::fallback::{Active, Again, Event, Fallback, Route, Verdict, may_resend};
use crate::frame::Frame;
use crate::gemini::parameters::Guard;
use crate::grpc::GrpcTransport;
use crate::policy::{ActiveTransport, CallOptions, ResendPolicy, Transport};
use crate::proof::Proof;
use crate::rest::{HttpVersions, RestTransport};
use crate::retries::Retries;
use crate::schema::{Method, Schema};
use crate::stats::{Counters, Stats};
use crate::watched::watch_answer;

/// One service under any tonic-generated client: each call goes over gRPC, or over REST where the
/// network breaks gRPC.
///
/// A `Bridge` is cheap to clone; clones share connections and what was learnt of the network. It is
/// always ready, and reports failures from the call itself, as a [`Status`] that carries an [`Error`].
///
/// ```no_run
/// use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
/// use genai_bridge::{Bridge, Transport};
///
/// # fn main() -> Result<(), genai_bridge::Error> {
/// let bridge = Bridge::builder().from_env().transport(Transport::Auto).build()?;
/// let client = GenerativeServiceClient::new(bridge);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bridge(Arc<Inner>);

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) schema: Schema,
    pub(crate) credentials: Credentials,
    pub(crate) grpc: Arc<GrpcTransport>,
    pub(crate) rest: RestTransport,
    pub(crate) fallback: Arc<Fallback>,
    pub(crate) proof: Proof,
    pub(crate) retries: Retries,
    pub(crate) counters: Counters,
    pub(crate) guard: Guard,
    pub(crate) settings: Settings,
}

/// Choices of the builder that a call reads.
pub(crate) struct Settings {
    pub(crate) transport: Transport,
    pub(crate) resend: ResendPolicy,
    pub(crate) grpc_head_start: Duration,
    pub(crate) default_deadline: DefaultDeadline,
    /// `None` for no limit.
    pub(crate) stream_idle_limit: Option<Duration>,
    pub(crate) max_message_size: usize,
}

/// The time a call has when its caller gave none.
#[derive(Clone, Copy)]
pub(crate) enum DefaultDeadline {
    /// The same for each method; `None` for no limit.
    Fixed(Option<Duration>),
    /// By the service's own configuration, which knows methods by their path.
    ByMethod(fn(&str) -> Option<Duration>),
}

impl DefaultDeadline {
    /// A stream that the client writes, and a method that nobody here knows, have none.
    fn of(self, method: Option<&Method>) -> Option<Duration> {
        let method = method.filter(|method| !method.client_streaming)?;
        match self {
            Self::Fixed(timeout) => timeout,
            Self::ByMethod(table) => table(&method.path),
        }
    }
}

/// How often a call goes out again on the same transport before the failure counts as final.
const MAX_SAME_TRANSPORT: u32 = 3;

impl Bridge {
    /// A builder with the Gemini API's endpoint, schema and deadlines.
    pub fn builder() -> BridgeBuilder {
        BridgeBuilder::new()
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Settles the transport now, so that the first call need not: makes the free proof call over
    /// gRPC and, if gRPC fails it, over REST.
    ///
    /// # Errors
    /// No transport reaches the service; the error holds both causes.
    pub async fn connect(&self) -> Result<ActiveTransport, Error> {
        self.0.connect().await
    }

    /// Which transport the next call takes, since when, and why.
    pub fn active(&self) -> Active {
        self.0.fallback.active()
    }

    /// Tells each change of [`active`](Self::active). With a fixed transport nothing ever changes.
    pub fn watch(&self) -> watch::Receiver<Active> {
        self.0.fallback.watch()
    }

    /// Forgets what was learnt of the network, for instance after it changed. The next call over gRPC opens a
    /// connection of its own; calls in flight stay on theirs.
    pub fn reset(&self) {
        self.0.grpc.forget_connections();
        self.0.fallback.record(Event::Reset);
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.0.counters.snapshot()
    }
}

impl Service<Request<Body>> for Bridge {
    type Response = Answer;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Status>> + Send>>;

    /// Always ready: an error here would lose its code in tonic.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let span = debug_span!("call", method = request.uri().path());
        Box::pin(async move { inner.carry(request).await.map_err(Status::from) }.instrument(span))
    }
}

impl Inner {
    /// One call: parse, authorise, send; all that takes time stands under the one deadline.
    async fn carry(self: Arc<Self>, request: Request<Body>) -> Result<Answer, Error> {
        let mut call = self.parse(request)?;
        within(call.deadline, "while the request was read", self.read_message(&mut call)).await?;
        self.guard.admit(&call)?;
        self.authorise(&mut call).await?;
        self.rest.add_google_headers(&mut call);
        let (answer, transport) = self.send_with_retries(&mut call).await?;
        Ok(watch_answer(answer, &call, transport, self))
    }

    fn parse(&self, request: Request<Body>) -> Result<Call, Error> {
        let (parts, body) = request.into_parts();
        let method = self.schema.find_method(parts.uri.path()).cloned();
        let head = read_head(parts.headers)?;
        let timeout = head.timeout.or_else(|| self.settings.default_deadline.of(method.as_deref()));
        let path = parts.uri.into_parts().path_and_query;
        Ok(Call {
            path: path.ok_or_else(|| Error::invalid_request("the request has no path"))?,
            method,
            metadata: head.metadata,
            encoding: head.encoding,
            accept_encoding: head.accept_encoding,
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            message: Message::Stream(Some(body)),
            options: parts.extensions.get::<CallOptions>().cloned().unwrap_or_default(),
        })
    }

    /// Reads the one message of a unary or server-streaming call; it can then be sent again.
    async fn read_message(&self, call: &mut Call) -> Result<(), Error> {
        let one_message = call.method.as_ref().is_some_and(|method| !method.client_streaming);
        if let Message::Stream(body) = &mut call.message
            && one_message
        {
            let body = body.take().unwrap_or_default();
            let frame = Frame::collect(body, self.settings.max_message_size).await?;
            call.message = Message::One(frame);
        }
        Ok(())
    }

    async fn authorise(&self, call: &mut Call) -> Result<(), Error> {
        let authorise = self.credentials.authorise(&mut call.metadata);
        within(call.deadline, "while credentials were fetched", authorise).await
    }

    /// Repeats the call as long as the service's own answer invites it and the policy agrees.
    async fn send_with_retries(&self, call: &mut Call) -> Result<(Answer, ActiveTransport), Error> {
        let mut attempt = 1;
        let mut renewed = false;
        loop {
            let (answer, transport) = self.send(call).await?;
            if !renewed && self.is_rejected(call, &answer) {
                renewed = true;
                call.metadata.remove(header::AUTHORIZATION);
                self.authorise(call).await?;
                continue;
            }
            let Some(wait) = self.retries.wait_before_next(call, &answer, attempt) else {
                return Ok((answer, transport));
            };
            debug!(attempt, ?wait, "the service's answer is tried again");
            self.counters.count_retry();
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// Whether the service refused our token, so that a new one may help. It refuses before any work.
    fn is_rejected(&self, call: &Call, answer: &Answer) -> bool {
        let status = answer.headers().get("grpc-status");
        status.is_some_and(|code| code == "16")
            && call.message.is_in_hand()
            && self.credentials.invalidate(&call.metadata)
    }

    /// Sends the call until a transport carries it: again on the same one, or once on the other.
    async fn send(&self, call: &mut Call) -> Result<(Answer, ActiveTransport), Error> {
        let (mut transport, mut first) = self.choose(call).await?;
        let mut switched = first.is_some();
        let mut resent = 0;
        loop {
            let error = match self.send_over(transport, call).await {
                Ok(answer) => return Ok((answer, transport)),
                Err(error) => error,
            };
            match self.next_transport(call, transport, &error, resent, switched) {
                Some(next) if next == transport => resent += 1,
                Some(next) => {
                    (transport, switched) = (next, true);
                    self.counters.count_switch();
                    first.get_or_insert(error);
                }
                None => return Err(both_causes(first, error)),
            }
            self.counters.count_resend();
        }
    }

    /// Where the call goes first; with what gRPC met, if that is why it goes over REST.
    async fn choose(&self, call: &mut Call) -> Result<(ActiveTransport, Option<Error>), Error> {
        if let Some(transport) = self.transport_of(call).fixed() {
            return Ok((transport, None));
        }
        let (route, begin) = self.fallback.route();
        if begin {
            self.proof.begin(&self.grpc, &self.fallback, &call.metadata);
        }
        match (route, call.has_rest_form()) {
            (Route::Grpc, _) | (Route::Rest, false) => Ok((ActiveTransport::Grpc, None)),
            (Route::Rest, true) => Ok((ActiveTransport::Rest, None)),
            (Route::AfterProof, false) => {
                let proof = async { Ok(self.fallback.proof_failure().await) };
                within(call.deadline, "while gRPC was proven", proof).await?;
                Ok((ActiveTransport::Grpc, None))
            }
            (Route::AfterProof, true) => Ok(self.choose_by_proof(call).await),
        }
    }

    /// gRPC if its proof ends well within the head start, else REST.
    async fn choose_by_proof(&self, call: &mut Call) -> (ActiveTransport, Option<Error>) {
        let head_start = self.settings.grpc_head_start;
        let patience = call.time_left().map_or(head_start, |left| left.min(head_start));
        match timeout(patience, self.fallback.proof_failure()).await {
            Ok(Some(symptom)) => {
                self.counters.count_switch();
                (ActiveTransport::Rest, Some(symptom.into()))
            }
            Ok(None) if self.fallback.is_on_grpc() => (ActiveTransport::Grpc, None),
            Ok(None) | Err(_) => (ActiveTransport::Rest, None),
        }
    }

    /// One attempt; what it shows of the network goes to `fallback`.
    async fn send_over(
        &self,
        transport: ActiveTransport,
        call: &mut Call,
    ) -> Result<Answer, Error> {
        self.counters.count_attempt(transport);
        let deadline = call.deadline;
        let sent = match transport {
            ActiveTransport::Grpc => {
                within(deadline, "while the call was on gRPC", self.grpc.send(call)).await
            }
            ActiveTransport::Rest => {
                let versions = http_versions(self.transport_of(call));
                let send = self.rest.send(call, versions);
                within(deadline, "while the call was on REST", send).await
            }
        };
        debug!(transport = transport.as_str(), ok = sent.is_ok(), "attempt");
        self.record(transport, sent.as_ref().err());
        sent
    }

    /// Takes how an attempt, or the body of its answer, ended: without error, the service answered.
    pub(crate) fn record(&self, transport: ActiveTransport, error: Option<&Error>) {
        let symptom = error.and_then(Error::symptom);
        if let Some(symptom) = symptom {
            self.counters.count_symptom(symptom.kind());
        }
        let expired = error.is_some_and(|error| error.kind() == ErrorKind::DeadlineExceeded);
        let event = match (transport, symptom) {
            (ActiveTransport::Grpc, Some(symptom)) => Event::GrpcBroke(symptom.clone()),
            (ActiveTransport::Grpc, None) if expired => Event::GrpcBroke(self.grpc.unanswered()),
            (ActiveTransport::Grpc, None) if error.is_none() => Event::GrpcAnswered,
            (ActiveTransport::Rest, None) if error.is_none() => Event::RestAnswered,
            (ActiveTransport::Grpc | ActiveTransport::Rest, _) => return,
        };
        self.fallback.record(event);
    }

    /// The verdict on a failed attempt: the transport to send the call over once more, if any.
    fn next_transport(
        &self,
        call: &Call,
        transport: ActiveTransport,
        error: &Error,
        resent: u32,
        switched: bool,
    ) -> Option<ActiveTransport> {
        let symptom = error.symptom()?;
        let policy = call.options.resend.unwrap_or(self.settings.resend);
        if !may_resend(policy, symptom.proof()) || !call.message.is_in_hand() {
            return None;
        }
        if Verdict::of(symptom.kind()).again == Again::Same && resent < MAX_SAME_TRANSPORT {
            return Some(transport);
        }
        if switched || self.transport_of(call) != Transport::Auto {
            return None;
        }
        match transport {
            ActiveTransport::Grpc => call.has_rest_form().then_some(ActiveTransport::Rest),
            ActiveTransport::Rest => self.fallback.is_on_grpc().then_some(ActiveTransport::Grpc),
        }
    }

    fn transport_of(&self, call: &Call) -> Transport {
        call.options.transport.unwrap_or(self.settings.transport)
    }

    /// Passes on a request that is REST already.
    #[cfg(feature = "cli")]
    pub(crate) async fn forward(&self, request: Request<bytes::Bytes>) -> Result<Answer, Error> {
        self.rest.forward(request, http_versions(self.settings.transport)).await
    }

    async fn connect(&self) -> Result<ActiveTransport, Error> {
        let mut metadata = HeaderMap::new();
        self.credentials.authorise(&mut metadata).await?;
        match self.settings.transport {
            Transport::Grpc => {
                return self.grpc.connect().await.map(|()| ActiveTransport::Grpc);
            }
            Transport::Rest => return self.connect_rest(&metadata).await,
            Transport::Auto => {}
        }
        let (route, begin) = self.fallback.route();
        if begin {
            self.proof.begin(&self.grpc, &self.fallback, &metadata);
        }
        if route == Route::Rest {
            return Ok(ActiveTransport::Rest);
        }
        match self.fallback.proof_failure().await {
            None if self.fallback.is_on_grpc() => Ok(ActiveTransport::Grpc),
            None => self.connect_rest(&metadata).await,
            Some(symptom) => {
                let rest = self.connect_rest(&metadata).await;
                rest.map_err(|error| Error::from(symptom).then(error))
            }
        }
    }

    /// Makes the free call over REST, or, where the schema has none, only opens a connection.
    async fn connect_rest(&self, metadata: &HeaderMap) -> Result<ActiveTransport, Error> {
        match self.proof.call(metadata).filter(Call::has_rest_form) {
            Some(mut call) => self.send_over(ActiveTransport::Rest, &mut call).await.map(drop)?,
            None => self.rest.connect().await?,
        }
        Ok(ActiveTransport::Rest)
    }
}

/// REST after a fallback speaks HTTP/1.1 only: the HTTP/2 stack is what may be broken.
fn http_versions(transport: Transport) -> HttpVersions {
    match transport {
        Transport::Rest => HttpVersions::Any,
        Transport::Auto | Transport::Grpc => HttpVersions::One,
    }
}

/// Ends `work` at the call's deadline, with an error that says what it was busy with.
async fn within<T>(
    deadline: Option<Instant>,
    busy: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(deadline) = deadline else { return work.await };
    timeout_at(deadline, work).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::DeadlineExceeded, format!("the call's deadline passed {busy}")))
    })
}

/// The error of a call that failed on both transports, the first cause first. What the network did not cause, such as
/// a deadline or a message that fits no rule, is an error of its own.
fn both_causes(first: Option<Error>, last: Error) -> Error {
    match first {
        Some(first) if last.symptom().is_some() => first.then(last),
        Some(_) | None => last,
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("transport", &self.0.settings.transport)
            .field("active", &self.active().to_string())
            .finish_non_exhaustive()
    }
}

/// Others hold a bridge in their own structs and tasks.
const _: fn() = || {
    fn assert_shareable<T: Clone + Send + Sync + 'static>() {}
    assert_shareable::<Bridge>();
};
