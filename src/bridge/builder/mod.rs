//! `BridgeBuilder`: every option with its default, checked once.

pub(crate) mod build;
mod describe;
mod environment;
mod network;
mod preset;

use std::fmt;
use std::time::Duration;

use crate::bridge::Bridge;
use crate::bridge::options::{ParameterCheck, ResendPolicy, RetryPolicy, Transport};
use crate::bridge::verdict::Verdict;
use crate::carry::DefaultDeadline;
use crate::credentials::Credentials;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::gemini;
use crate::gemini::parameters::Limits;
use crate::network::{Proxy, UserConnector};
use crate::probe::liveness::inquiry::Patience;
use crate::schema::Schema;
use crate::transport::carrier::foreign::Carrier;

/// Settings of a [`Bridge`]; made by [`Bridge::builder`].
///
/// Nothing is checked before [`build`](Self::build), which names the setting that is wrong; after
/// it no setting can fail.
#[must_use = "a builder does nothing before build()"]
#[expect(clippy::struct_excessive_bools, reason = "each is an option by itself")]
pub struct BridgeBuilder {
    credentials: Result<Credentials, Error>,
    endpoint: String,
    allow_plaintext: bool,
    transport: Transport,
    proxy: Proxy,
    roots: Vec<Vec<u8>>,
    client_identity: Option<(Vec<u8>, Vec<u8>)>,
    tls: Option<rustls::ClientConfig>,
    schema: Option<Schema>,
    /// For a schema of the program's own.
    own_dialect: Dialect,
    probe: Option<(String, Vec<u8>)>,
    has_probe: bool,
    connect_timeout: Option<Duration>,
    connector: Option<UserConnector>,
    grpc_carrier: Option<Carrier>,
    rest_carrier: Option<Carrier>,
    grpc_head_start: Duration,
    default_deadline: Option<DefaultDeadline>,
    stream_idle_limit: Option<Duration>,
    stream_under: bool,
    patience: Patience,
    retry: Option<RetryPolicy>,
    resend: ResendPolicy,
    max_message_size: usize,
    max_metadata_size: usize,
    rest_connections: Option<usize>,
    rest_http2: bool,
    parameters: ParameterCheck,
    model_limits: Vec<Limits>,
    verdict: Option<Verdict>,
    /// What is wrong with a variable of the environment.
    environment: Option<Error>,
}

/// Largest message either way, unless set: room for the service's 20 MB of inline data in base64.
const MAX_MESSAGE_SIZE: usize = 64 * 1024 * 1024;
/// Largest status: a message of 1 MiB may have three times as many bytes on the wire.
const MAX_METADATA_SIZE: usize = 4 * 1024 * 1024;
const STREAM_IDLE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// What comes back faster than this is no silence.
const SHORTEST_SILENCE: Duration = Duration::from_millis(100);
/// So that no limit overflows the clock.
const ONE_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ONE_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Bridge {
    /// A builder with the Gemini API's endpoint, schema and deadlines.
    pub fn builder() -> BridgeBuilder {
        BridgeBuilder::new()
    }
}

impl BridgeBuilder {
    pub(crate) fn new() -> Self {
        Self {
            credentials: Ok(Credentials::none()),
            endpoint: gemini::ENDPOINT.to_owned(),
            allow_plaintext: false,
            transport: Transport::Auto,
            proxy: Proxy::from_env(),
            roots: Vec::new(),
            client_identity: None,
            tls: None,
            schema: None,
            own_dialect: Dialect::Plain,
            probe: None,
            has_probe: true,
            connect_timeout: None,
            connector: None,
            grpc_carrier: None,
            rest_carrier: None,
            grpc_head_start: Duration::from_millis(300),
            default_deadline: None,
            stream_idle_limit: Some(STREAM_IDLE_LIMIT),
            stream_under: false,
            patience: Patience::default(),
            retry: None,
            resend: ResendPolicy::default(),
            max_message_size: MAX_MESSAGE_SIZE,
            max_metadata_size: MAX_METADATA_SIZE,
            rest_connections: None,
            rest_http2: false,
            parameters: ParameterCheck::default(),
            model_limits: Vec::new(),
            verdict: None,
            environment: None,
        }
    }

    /// The API key, sent as `x-goog-api-key`. Default: none, so that each call brings its own.
    pub fn api_key(self, key: impl AsRef<str>) -> Self {
        self.credentials(Credentials::api_key(key))
    }

    /// Any credentials. A call that brings its own in its metadata keeps them.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Ok(credentials);
        self
    }

    /// The service's address, `https://host` or `https://host:port`. Default:
    /// `https://generativelanguage.googleapis.com`. Without a scheme, `https` is meant.
    ///
    /// `unix:/path` means plain HTTP over a Unix socket, without a proxy, to a service that is
    /// called `localhost`. `http://` is accepted for loopback hosts, and for others after
    /// [`allow_plaintext`](Self::allow_plaintext).
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Accepts an `http://` endpoint on another host: keys and messages then cross the network in
    /// the clear. Default: refused.
    pub fn allow_plaintext(mut self) -> Self {
        self.allow_plaintext = true;
        self
    }

    /// Which transport carries the calls. Default: [`Transport::Auto`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The services that REST can carry. Default: the Gemini API, v1 and v1beta.
    ///
    /// With a schema of your own nothing of Gemini's remains but the endpoint: no default deadlines
    /// and no retries but those of its [configuration](Schema::from_descriptor_set_and_config), no
    /// headers and system parameters unless it is one of [Google's](Self::google_service), and no
    /// probe beyond HTTP/2 SETTINGS unless you name one with [`probe_call`](Self::probe_call).
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// The schema is one of Google's services: calls get the headers of its own clients
    /// (`x-goog-request-params` of the method's first HTTP rule, `x-goog-api-client`), and streams
    /// over REST ask for events (`alt=sse`). Gemini's schema has it without this. Default: off.
    ///
    /// Vertex AI, with tokens of Application Default Credentials (feature `adc`): a location's
    /// calls go to an endpoint of its own, and `ListModels` of a location with a page size of 1 is
    /// free and proves gRPC.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), genai_bridge::Error> {
    /// use genai_bridge::{Bridge, Schema};
    ///
    /// # let descriptors: &[u8] = &[]; let credentials = genai_bridge::Credentials::none();
    /// let schema = Schema::from_descriptor_set(descriptors)?;
    /// let location = br#"{"parent": "projects/my-project/locations/europe-west1", "pageSize": 1}"#;
    /// let probe = schema.message_from_json("google.cloud.aiplatform.v1.ListModelsRequest", location)?;
    /// let bridge = Bridge::builder()
    ///     .endpoint("https://europe-west1-aiplatform.googleapis.com")
    ///     .schema(schema)
    ///     .google_service()
    ///     .credentials(credentials) // Credentials::adc()
    ///     .probe_call("/google.cloud.aiplatform.v1.ModelService/ListModels", probe)
    ///     .build()?;
    /// # let _ = bridge;
    /// # Ok(())
    /// # }
    /// ```
    pub fn google_service(mut self) -> Self {
        self.own_dialect = Dialect::Google;
        self
    }

    /// The call that proves gRPC before it carries others: a unary method, of the schema or not,
    /// that costs nothing and changes nothing, as `/package.Service/Method`, and its encoded
    /// request. Default: `ListModels` for the Gemini API, none for a schema of your own.
    ///
    /// A key that may not list models needs none of its own: the service's refusal is an answer,
    /// too.
    pub fn probe_call(mut self, method: impl Into<String>, message: impl Into<Vec<u8>>) -> Self {
        self.probe = Some((method.into(), message.into()));
        self
    }

    /// Makes no free calls: HTTP/2 SETTINGS prove gRPC, PINGs ask a silent connection, and only
    /// calls that fail show what else is broken. Default: free calls are made where there is one.
    pub fn without_probe(mut self) -> Self {
        self.has_probe = false;
        self
    }

    /// How long the first calls wait for gRPC's probe before they go over REST. Default: 300 ms.
    pub fn grpc_head_start(mut self, head_start: Duration) -> Self {
        self.grpc_head_start = head_start;
        self
    }

    /// The time for a call whose caller sets none (`Duration::MAX` for no limit). It covers
    /// connecting, the probe, both transports, retries and the whole answer. A stream that the
    /// client writes, and a method that the schema does not know, have no limit but their caller's.
    /// Default: what Google's service configuration says, 600 s for (Stream)GenerateContent and 60
    /// s for others.
    pub fn default_deadline(mut self, deadline: Duration) -> Self {
        let limit = Some(deadline).filter(|deadline| *deadline != Duration::MAX);
        self.default_deadline = Some(DefaultDeadline::Fixed(limit));
        self
    }

    /// How long a streamed answer may be silent, once it has begun, while its reader waits; then it
    /// ends as [`SymptomKind::BodyStalled`](crate::SymptomKind::BodyStalled), whatever is left of
    /// the call's deadline. `Duration::MAX` for no limit. Default: 5 minutes, above the pauses of
    /// models that think. Streams that the client writes have none.
    pub fn stream_idle_limit(mut self, limit: Duration) -> Self {
        self.stream_idle_limit =
            Some(limit).filter(|limit| *limit != Duration::MAX).map(|limit| limit.min(ONE_YEAR));
        self
    }

    /// Carries each `GenerateContent` as a `StreamGenerateContent`, and collects it to the one answer
    /// that the client expects. Default: off. One call chooses by
    /// [`CallOptions::stream_under`](crate::CallOptions::stream_under).
    ///
    /// It helps where a proxy ends what is silent for too long, and a model thinks longer than that:
    /// of a stream the proxy sees the pieces. It does not help where the stream itself is silent;
    /// let the model tell its thoughts (`include_thoughts`), which come while it thinks. The answer
    /// is that of the unary call, but for what the service tells in no stream (`avg_logprobs`). A
    /// stream that breaks, or ends without a reason to stop, is an error, and the call is not sent
    /// again; its text is lost, as with any unary call. The limits of streams hold
    /// ([`stream_idle_limit`](Self::stream_idle_limit)), and the answer's messages together may be
    /// no larger than [`max_message_size`](Self::max_message_size).
    pub fn stream_under(mut self, streamed: bool) -> Self {
        self.stream_under = streamed;
        self
    }

    /// How long a gRPC connection may be silent with calls of [`Transport::Auto`] on it before a
    /// free call asks whether it lives; the other waits of that inquiry are in proportion. A
    /// connection that the network has lost ends, with its calls, after some three times as long.
    /// Default: 3 s.
    pub fn silence_limit(mut self, limit: Duration) -> Self {
        self.patience = Patience::new(limit.clamp(SHORTEST_SILENCE, ONE_DAY));
        self
    }

    /// What an earlier bridge has learnt ([`Bridge::verdict`]), so that gRPC need not fail here
    /// first. A verdict of another endpoint, proxy or carrier is passed over, and so is what of it
    /// has expired; no part of it holds longer than a day. Default: nothing is known.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// Which answers of the service are tried again. Default: what Google's service configuration
    /// says of each method.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    /// When a call that the network broke may be sent a second time. Default:
    /// [`ResendPolicy::WhenUnprocessed`].
    pub fn resend(mut self, resend: ResendPolicy) -> Self {
        self.resend = resend;
        self
    }

    /// Largest message in bytes, sent or received, on both transports. Default: 64 MiB. tonic has a
    /// limit of its own for what it decodes, 4 MiB unless the client's `max_decoding_message_size`
    /// is raised.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// Largest head, and largest trailers, of an answer in bytes: its metadata, and a status with
    /// its message and details; over REST the largest error. Default: 4 MiB. What is larger fails
    /// as [`ErrorKind::MetadataTooLarge`](crate::ErrorKind::MetadataTooLarge). Above some 64 MiB a
    /// message may be lost from a status.
    pub fn max_metadata_size(mut self, bytes: usize) -> Self {
        self.max_metadata_size = bytes;
        self
    }

    /// Most HTTP/1.1 connections to the service, of each runtime that makes calls; calls beyond it
    /// queue inside their deadline and are counted by [`Stats::queued`](crate::Stats::queued).
    /// Default: a quarter of the file descriptors that the process may open, at most 1,024.
    pub fn rest_connections(mut self, connections: usize) -> Self {
        self.rest_connections = Some(connections);
        self
    }

    /// What to do about parameters out of their documented range, in calls that ask a model to
    /// write. Default: [`ParameterCheck::Warn`].
    pub fn parameters(mut self, check: ParameterCheck) -> Self {
        self.parameters = check;
        self
    }

    /// The limits of one model, which hold in place of the documented ones for calls to it: a
    /// `Model` as `GetModel` returns it. May be given for several models.
    pub fn model_limits(mut self, limits: impl Into<Limits>) -> Self {
        self.model_limits.push(limits.into());
        self
    }

    /// Offers HTTP/2 beside HTTP/1.1 where [`Transport::Rest`] was chosen, so that one connection
    /// carries many calls. Default: off, since a network that breaks gRPC often breaks HTTP/2.
    /// [`Transport::Auto`] never offers it on REST.
    pub fn rest_http2(mut self, offered: bool) -> Self {
        self.rest_http2 = offered;
        self
    }
}

/// Hides the credentials; their own `Debug` does so too.
impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder")
            .field("endpoint", &self.endpoint)
            .field("transport", &self.transport)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}
