//! Json: any request of the REST API, of a path and bytes, on the bridge's own network.

pub(crate) mod events;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::body::Body;

use crate::bridge::json::events::Events;
use crate::bridge::options::CallOptions;
use crate::call::frame::{Whole, too_large};
use crate::call::{is_of_http, remove_headers};
use crate::carry::Core;
use crate::carry::exchange::{Exchange, Payload, WatchedBytes, into_body};
use crate::credentials::API_KEY;
use crate::error::{Error, ErrorKind};
use crate::transport::rest::{Exchanged, Expected, Target};

/// A request of the REST API; made by [`Bridge::json`](crate::Bridge::json).
///
/// It goes over REST, whatever [`Transport`](crate::Transport) the bridge's calls take, by the same
/// network, with the same credentials, limits and counters. A wrong part (a path with dots or
/// another host, a header that is none) is told when it is sent.
#[must_use = "a request does nothing before it is sent"]
pub struct JsonRequest {
    core: Arc<Core>,
    verb: http::Method,
    target: Result<Target, Error>,
    headers: HeaderMap,
    payload: Payload,
    timeout: Option<Duration>,
    options: CallOptions,
    /// The first part that is wrong.
    wrong: Option<Error>,
    /// Of a body that names none.
    content_type: &'static str,
}

impl JsonRequest {
    pub(crate) fn new(core: Arc<Core>, verb: http::Method, target: &str) -> Self {
        Self::to(core, verb, Target::parse(target))
    }

    pub(crate) fn to(core: Arc<Core>, verb: http::Method, target: Result<Target, Error>) -> Self {
        Self {
            core,
            verb,
            target,
            headers: HeaderMap::new(),
            payload: Payload::None,
            timeout: None,
            options: CallOptions::default(),
            wrong: None,
            content_type: JSON,
        }
    }

    /// Adds a parameter to the query, encoded here.
    pub fn query(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        if let Ok(target) = &mut self.target {
            target.add_parameter(name.as_ref(), value.as_ref());
        }
        self
    }

    /// Sets a header. Those of the connection (`host`, `content-length`, ..) are the bridge's own.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_ref().as_bytes());
        match (name, HeaderValue::from_bytes(value.as_ref())) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(name == header::AUTHORIZATION || name == API_KEY);
                self.headers.insert(name, value);
            }
            // What is no name may be a value, and a secret.
            (Err(_), _) => self.refuse(Error::invalid_request("a header's name is invalid")),
            (Ok(name), Err(_)) => {
                let text = format!("the value of the header `{name}` is invalid");
                self.refuse(Error::invalid_request(text));
            }
        }
        self
    }

    /// The bytes to send, as `application/json` unless the header `content-type` says otherwise.
    pub fn body(mut self, data: impl Into<Bytes>) -> Self {
        self.payload = Payload::Whole { content_type: String::new(), data: data.into() };
        self
    }

    /// The value to send, as JSON.
    pub fn value(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => self.body(text),
            Err(error) => {
                let text = "the value of the request has no JSON";
                self.refuse(Error::invalid_request(text).with_source(error));
                self
            }
        }
    }

    /// The bytes to send as they come, in constant memory. Such a request is sent once, whatever
    /// becomes of it.
    pub fn body_stream(mut self, body: Body) -> Self {
        self.payload = Payload::Stream { content_type: String::new(), body: Some(body) };
        self
    }

    /// The time for all of it, its answer included. Default: the bridge's own
    /// ([`default_deadline`](crate::BridgeBuilder::default_deadline)), else 1 minute for GET and 10
    /// minutes for others; of [`bytes`](Self::bytes) the default covers the head alone.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether and when it is sent again.
    ///
    /// By default what the network broke is: GET, HEAD, PUT and DELETE if nothing was answered,
    /// others if the service provably did not process them. A refusal of the service is tried again
    /// by Google's configuration for these four verbs, and for others only where you ask for it.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// Sends it, and reads the whole answer, up to
    /// [`max_message_size`](crate::BridgeBuilder::max_message_size).
    ///
    /// # Errors
    /// The service refused it: the status is its own, with details and metadata. Otherwise the
    /// status carries an [`Error`]: the request is wrong, the network broke it, or something other
    /// than the service answered.
    pub async fn send(self) -> Result<JsonAnswer, Status> {
        let (head, mut bytes) = self.exchange(Expected::Whole).await?.into_parts();
        let mut whole = Whole::default();
        while let Some(piece) = bytes.next().await {
            whole.add(piece?);
        }
        Ok(JsonAnswer { status: head.status, headers: head.headers, bytes: whole.into_bytes() })
    }

    /// Sends it, and gives the events of the answer as they come: server-sent events, or JSON
    /// values in an array or one after the other.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn stream(mut self) -> Result<Events, Status> {
        let accepted = HeaderValue::from_static("text/event-stream");
        self.headers.entry(header::ACCEPT).or_insert(accepted);
        Ok(Events::new(self.exchange(Expected::Events).await?))
    }

    /// Sends it, and gives the bytes of the answer as they come, in constant memory. A redirect
    /// within the service's own origin is followed, at most 5 times; another never.
    ///
    /// # Errors
    /// As for [`send`](Self::send). The body fails with a [`Status`] that carries an [`Error`].
    pub async fn bytes(self) -> Result<Response<Body>, Status> {
        self.exchange(Expected::Bytes).await.map(into_body)
    }

    /// Bytes go up without a name for what they are.
    pub(crate) fn without_content_type(mut self) -> Self {
        self.content_type = "";
        self
    }

    /// Sends it, and reads a short answer of any type.
    pub(crate) async fn collect(self) -> Result<Collected, Status> {
        let (head, mut bytes) = self.exchange(Expected::Bytes).await?.into_parts();
        let mut whole = Whole::default();
        while let Some(piece) = bytes.next().await {
            if whole.add(piece?) > SHORT {
                return Err(too_large(SHORT, SHORT).into());
            }
        }
        Ok(Collected { headers: head.headers, bytes: whole.into_bytes() })
    }

    pub(crate) async fn exchange(
        mut self,
        expected: Expected,
    ) -> Result<Response<WatchedBytes>, Status> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong.into());
        }
        let content_type = content_type_of(&self.headers, self.content_type)?;
        remove_headers(&mut self.headers, is_of_http);
        match &mut self.payload {
            Payload::None => {}
            Payload::Whole { content_type: named, .. }
            | Payload::Stream { content_type: named, .. } => *named = content_type,
        }
        let mut exchange = Exchange {
            verb: self.verb,
            target: self.target?,
            headers: self.headers,
            payload: self.payload,
            expected,
            timeout: self.timeout,
            options: self.options,
        };
        for _ in 0..=MAX_REDIRECTS {
            let (verb, headers) = (exchange.verb.clone(), exchange.headers.clone());
            let (timeout, options) = (exchange.timeout, exchange.options.clone());
            match self.core.exchange(exchange).await? {
                Exchanged::Answered(response) => return Ok(response),
                Exchanged::Refused(status) => return Err(status),
                Exchanged::Redirected(target) => {
                    if !verb.is_safe() {
                        break;
                    }
                    let payload = Payload::None;
                    exchange =
                        Exchange { verb, target, headers, payload, expected, timeout, options };
                }
            }
        }
        let text = "the service redirects a request that cannot follow, or without an end";
        Err(Error::new(ErrorKind::MalformedAnswer, text).into())
    }

    fn refuse(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }
}

fn content_type_of(headers: &HeaderMap, default: &str) -> Result<String, Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(default.to_owned()) };
    let text = value.to_str().map_err(|_| Error::invalid_request("the content type is no text"))?;
    Ok(text.to_owned())
}

/// The head and the bytes of a short answer.
pub(crate) struct Collected {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

const JSON: &str = "application/json";
/// Most bytes of a short answer.
const SHORT: usize = 4 * 1024 * 1024;
/// Redirects that one request follows.
const MAX_REDIRECTS: u32 = 5;

/// Tells verb and path alone.
impl fmt::Debug for JsonRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.as_ref().map(|target| target.path.as_str()).unwrap_or_default();
        f.debug_struct("JsonRequest")
            .field("verb", &self.verb)
            .field("path", &path)
            .finish_non_exhaustive()
    }
}

/// A success of the service, whole.
#[derive(Clone)]
pub struct JsonAnswer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl JsonAnswer {
    /// A status from 200 to 299.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers, but for those of the connection.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body as it came, without its content coding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The body as a value. Nothing at all is read as `null`.
    ///
    /// # Errors
    /// It is no JSON of such a value ([`ErrorKind::MalformedAnswer`]).
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let text = if self.bytes.trim_ascii().is_empty() { b"null" } else { &*self.bytes };
        serde_json::from_slice(text).map_err(unreadable)
    }
}

/// The text of serde's error would quote the answer.
fn unreadable(error: serde_json::Error) -> Error {
    let at = format!("line {}, column {}", error.line(), error.column());
    let text = format!("the answer is not JSON of the expected form ({at})");
    Error::new(ErrorKind::MalformedAnswer, text).with_source(error)
}

/// Tells the size of the body, not its text.
impl fmt::Debug for JsonAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonAnswer")
            .field("status", &self.status)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
