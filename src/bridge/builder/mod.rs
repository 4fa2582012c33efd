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
/// [`build`](Self::build) checks all settings, and its error names the one that is wrong. After
/// that, no setting can fail.
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

    /// Any credentials. A call that has its own in its metadata keeps them.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Ok(credentials);
        self
    }

    /// The service's address, `https://host` or `https://host:port`. Default:
    /// `https://generativelanguage.googleapis.com`. The default scheme is `https`.
    ///
    /// `unix:/path` means plain HTTP over a Unix socket, without a proxy, with `localhost` as the
    /// service's name. `http://` is accepted for loopback hosts; for other hosts it needs
    /// [`allow_plaintext`](Self::allow_plaintext).
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Accepts an `http://` endpoint on another host. Keys and messages then cross the network
    /// unencrypted. Default: refused.
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
    /// With a schema of your own, only the endpoint remains of Gemini's settings:
    ///
    /// - the default deadlines and retries are those of the schema's
    ///   [configuration](Schema::from_descriptor_set_and_config), or none;
    /// - headers and system parameters are added only for [Google's
    ///   services](Self::google_service);
    /// - the probe is HTTP/2 SETTINGS, unless you name a call with
    ///   [`probe_call`](Self::probe_call).
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Says that the schema is one of Google's services. Calls then get the headers of Google's own
    /// clients (`x-goog-request-params` of the method's first HTTP rule, `x-goog-api-client`), and
    /// streams over REST ask for events (`alt=sse`). Gemini's schema does not need this option.
    /// Default: off.
    ///
    /// An example is Vertex AI, with tokens of Application Default Credentials (feature `adc`).
    /// Each location has its own endpoint. `ListModels` of a location, with a page size of 1, is
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

    /// The call that proves gRPC before it carries others: its method, as
    /// `/package.Service/Method`, and its encoded request. The method must be unary, cost nothing
    /// and change nothing; the schema need not have it. Default: `ListModels` for the Gemini API,
    /// none for a schema of your own.
    ///
    /// A key that may not list models needs no other call: the service's refusal proves gRPC, too.
    pub fn probe_call(mut self, method: impl Into<String>, message: impl Into<Vec<u8>>) -> Self {
        self.probe = Some((method.into(), message.into()));
        self
    }

    /// Makes no free calls. HTTP/2 SETTINGS then prove gRPC, PINGs check a silent connection, and
    /// only calls that fail show what else is broken. Default: the bridge makes free calls where it
    /// knows one.
    pub fn without_probe(mut self) -> Self {
        self.has_probe = false;
        self
    }

    /// How long the first calls wait for gRPC's probe before they go over REST. Default: 300 ms.
    pub fn grpc_head_start(mut self, head_start: Duration) -> Self {
        self.grpc_head_start = head_start;
        self
    }

    /// The time for a call whose caller sets no timeout (`Duration::MAX` for no limit). It covers
    /// connecting, the probe, both transports, retries and the whole answer. For a stream that the
    /// client writes, and for a method that the schema does not know, only the caller's timeout
    /// holds. Default: what Google's service configuration says, 600 s for (Stream)GenerateContent
    /// and 60 s for others.
    pub fn default_deadline(mut self, deadline: Duration) -> Self {
        let limit = Some(deadline).filter(|deadline| *deadline != Duration::MAX);
        self.default_deadline = Some(DefaultDeadline::Fixed(limit));
        self
    }

    /// How long a streamed answer may be silent, once it has begun, while its reader waits. Then it
    /// fails with [`SymptomKind::BodyStalled`](crate::SymptomKind::BodyStalled), even before the
    /// call's deadline. `Duration::MAX` for no limit. Default: 5 minutes, which is longer than the
    /// pauses of models that think. Streams that the client writes have no such limit.
    pub fn stream_idle_limit(mut self, limit: Duration) -> Self {
        self.stream_idle_limit =
            Some(limit).filter(|limit| *limit != Duration::MAX).map(|limit| limit.min(ONE_YEAR));
        self
    }

    /// Carries each `GenerateContent` as a `StreamGenerateContent`, and collects the stream to the
    /// one answer that the client expects. Default: off. To choose for one call, use
    /// [`CallOptions::stream_under`](crate::CallOptions::stream_under).
    ///
    /// It helps if a proxy closes silent connections while a model still thinks: the pieces of a
    /// stream keep the connection busy. It does not help if the stream itself is silent. So let the
    /// model send its thoughts (`include_thoughts`), which arrive while it thinks.
    ///
    /// The answer equals that of the unary call, except for what no stream contains
    /// (`avg_logprobs`). If the stream breaks, or ends without a reason to stop, the call fails and
    /// is not sent again; its text is lost, as with any unary call. The limits of streams apply
    /// ([`stream_idle_limit`](Self::stream_idle_limit)). The answer's messages together may be no
    /// larger than [`max_message_size`](Self::max_message_size).
    pub fn stream_under(mut self, streamed: bool) -> Self {
        self.stream_under = streamed;
        self
    }

    /// How long a gRPC connection with calls of [`Transport::Auto`] may be silent before the bridge
    /// checks it with a free call. The other waits of this check are in proportion. If the network
    /// has lost the connection, it ends, with its calls, after some three times this limit.
    /// Default: 3 s.
    pub fn silence_limit(mut self, limit: Duration) -> Self {
        self.patience = Patience::new(limit.clamp(SHORTEST_SILENCE, ONE_DAY));
        self
    }

    /// What an earlier bridge has learnt ([`Bridge::verdict`]), so that gRPC need not fail here
    /// first. The bridge ignores a verdict for another endpoint, proxy or carrier, and the parts
    /// that have expired. No part holds longer than a day. Default: nothing is known.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// After which answers of the service a call is retried. Default: what Google's service
    /// configuration says for each method.
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

    /// Largest message in bytes, sent or received, on both transports. Default: 64 MiB. tonic also
    /// limits what it decodes: to 4 MiB, unless you raise the client's `max_decoding_message_size`.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// Largest head of an answer in bytes, and largest trailers. They hold its metadata, and a
    /// status with its message and details. Over REST it is the largest error. Default: 4 MiB. A
    /// larger one fails with [`ErrorKind::MetadataTooLarge`](crate::ErrorKind::MetadataTooLarge).
    /// Above some 64 MiB, a status may lose its message.
    pub fn max_metadata_size(mut self, bytes: usize) -> Self {
        self.max_metadata_size = bytes;
        self
    }

    /// The most HTTP/1.1 connections to the service, for each runtime that makes calls. Further
    /// calls wait, at most until their deadline; [`Stats::queued`](crate::Stats::queued) counts
    /// them. Default: a quarter of the file descriptors that the process may open, at most 1,024.
    pub fn rest_connections(mut self, connections: usize) -> Self {
        self.rest_connections = Some(connections);
        self
    }

    /// What to do about parameters out of their documented range, in calls that generate content.
    /// Default: [`ParameterCheck::Warn`].
    pub fn parameters(mut self, check: ParameterCheck) -> Self {
        self.parameters = check;
        self
    }

    /// The limits of one model: a `Model` as `GetModel` returns it. For calls to this model, they
    /// replace the documented limits. May be called for several models.
    pub fn model_limits(mut self, limits: impl Into<Limits>) -> Self {
        self.model_limits.push(limits.into());
        self
    }

    /// With [`Transport::Rest`], offers HTTP/2 beside HTTP/1.1, so that one connection carries many
    /// calls. Default: off, since a network that breaks gRPC often breaks HTTP/2.
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
