//! Bridge: the tower service; one call read top to bottom.

pub(crate) mod builder;
pub(crate) mod options;
pub(crate) mod stats;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;
use tracing::{Instrument, Span, debug_span, field};

use crate::bridge::builder::BridgeBuilder;
use crate::bridge::options::{ActiveTransport, CallOptions, ResendPolicy, Transport};
use crate::bridge::stats::{Counters, Stats};
use crate::call::deadline::Deadline;
use crate::call::frame::Frame;
use crate::call::{Answer, Call, Message, read_head};
use crate::carry::attempt::{Busy, within};
use crate::carry::stream::watch_answer;
use crate::credentials::Credentials;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::fallback::{Active, Event, Fallback, Route, Witness};
use crate::gemini::parameters::Guard;
use crate::probe::Proof;
use crate::probe::inquiry::Patience;
use crate::retry::Retries;
use crate::schema::{Method, Schema};
use crate::transport::grpc::GrpcTransport;
use crate::transport::rest::RestTransport;

/// One service under any tonic-generated client: each call goes over gRPC, or over REST where the
/// network breaks gRPC.
///
/// A `Bridge` is cheap to clone; clones share connections and what was learnt of the network. It is
/// always ready, and reports failures from the call itself, as a [`Status`] that carries an [`Error`].
///
/// It may be used from several tokio runtimes at once: each has connections of its own. The answer of a call is read on
/// the runtime that made the call.
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
    pub(crate) dialect: Dialect,
    pub(crate) transport: Transport,
    pub(crate) resend: ResendPolicy,
    pub(crate) grpc_head_start: Duration,
    pub(crate) default_deadline: DefaultDeadline,
    /// `None` for no limit.
    pub(crate) stream_idle_limit: Option<Duration>,
    pub(crate) patience: Patience,
    pub(crate) max_message_size: usize,
    pub(crate) rest_http2: bool,
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

/// Time for the free call over REST: to connect, through a proxy perhaps, and to be answered.
const REST_PROOF_LIMIT: Duration = Duration::from_secs(15);

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
        self.0.counters.snapshot(&self.0.grpc, &self.0.rest)
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
        let method = request.uri().path();
        let span = debug_span!("call", method, transport = field::Empty, attempts = field::Empty);
        Box::pin(async move { inner.carry(request).await.map_err(Status::from) }.instrument(span))
    }
}

impl Inner {
    /// One call: parse, authorise, send; all that takes time stands under the one deadline.
    async fn carry(self: Arc<Self>, request: Request<Body>) -> Result<Answer, Error> {
        let mut call = self.parse(request)?;
        within(call.deadline, Busy::Reading, self.read_message(&mut call)).await?;
        self.guard.admit(&call)?;
        self.authorise(&mut call).await?;
        self.settings.dialect.add_headers(&self.schema, &mut call);
        let carried = self.send_with_retries(&mut call).await;
        Span::current().record("attempts", call.attempts);
        let carried = carried?;
        Span::current().record("transport", carried.transport.as_str());
        Ok(watch_answer(carried, &call, self))
    }

    fn parse(&self, request: Request<Body>) -> Result<Call, Error> {
        let (parts, body) = request.into_parts();
        let method = self.schema.find_method(parts.uri.path()).cloned();
        let head = read_head(parts.headers)?;
        let timeout = head.timeout.or_else(|| self.settings.default_deadline.of(method.as_deref()));
        let path = parts.uri.into_parts().path_and_query;
        self.counters.count_call();
        Ok(Call {
            path: path.ok_or_else(|| Error::invalid_request("the request has no path"))?,
            method,
            metadata: head.metadata,
            encoding: head.encoding,
            accept_encoding: head.accept_encoding,
            deadline: timeout.and_then(Deadline::after),
            message: Message::Stream(Some(body)),
            options: parts.extensions.get::<CallOptions>().cloned().unwrap_or_default(),
            attempts: 0,
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

    pub(crate) async fn authorise(&self, call: &mut Call) -> Result<(), Error> {
        let authorise = self.credentials.authorise(&mut call.metadata);
        within(call.deadline, Busy::Authorising, authorise).await
    }

    /// Passes on a request that is REST already.
    #[cfg(feature = "cli")]
    pub(crate) async fn forward(&self, request: Request<bytes::Bytes>) -> Result<Answer, Error> {
        self.rest.forward(request, self.http_versions(self.settings.transport)).await
    }

    async fn connect(&self) -> Result<ActiveTransport, Error> {
        let mut metadata = HeaderMap::new();
        self.credentials.authorise(&mut metadata).await?;
        match self.settings.transport {
            Transport::Grpc => self.grpc.connect().await.map(|()| ActiveTransport::Grpc),
            Transport::Rest => self.connect_rest(&metadata).await,
            Transport::Auto => self.settle(&metadata).await,
        }
    }

    /// Proves gRPC unless it is known to work or to be broken, and REST if gRPC fails.
    pub(crate) async fn settle(&self, metadata: &HeaderMap) -> Result<ActiveTransport, Error> {
        if self.begin_route(metadata, None) == Route::Rest {
            return Ok(ActiveTransport::Rest);
        }
        match self.fallback.proof_failure().await? {
            None if self.fallback.is_on_grpc() => Ok(ActiveTransport::Grpc),
            None => self.connect_rest(metadata).await,
            Some(symptom) => {
                let rest = self.connect_rest(metadata).await;
                rest.map_err(|error| error.after(symptom.into()))
            }
        }
    }

    /// Where the next call goes; begins a proof of gRPC if one is due.
    pub(crate) fn begin_route(&self, metadata: &HeaderMap, witness: Option<&mut Witness>) -> Route {
        let (route, begin) = self.fallback.route(witness);
        if begin {
            self.proof.begin(&self.grpc, &self.fallback, metadata);
        }
        route
    }

    /// Makes the free call over REST, or, where the schema has none, only opens a connection.
    pub(crate) async fn connect_rest(
        &self,
        metadata: &HeaderMap,
    ) -> Result<ActiveTransport, Error> {
        match self.proof.call(metadata).filter(Call::has_rest_form) {
            Some(mut call) => {
                call.deadline = Deadline::after(REST_PROOF_LIMIT);
                self.send_over_rest(&mut call).await.map(drop)?;
            }
            None => self.rest.connect().await?,
        }
        Ok(ActiveTransport::Rest)
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
