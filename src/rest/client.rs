//! Client: the only owner of reqwest; what breaks becomes a `Symptom`.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpVersions;
use super::request::{JSON, RequestBody, RestRequest, header_value};
use crate::error::{Error, ErrorKind};
use crate::network::{Alpn, Network, Origin, classify};
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// Sends HTTP requests to one origin.
pub(super) struct Client {
    network: Network,
    origin: Origin,
    /// HTTP/1.1 only, and HTTP/2 as well.
    one: reqwest::Client,
    any: reqwest::Client,
    /// A place for each HTTP/1.1 connection.
    places: Arc<Semaphore>,
    /// The last answer came over HTTP/2, where one connection carries many calls.
    is_multiplexed: AtomicBool,
}

/// An answer whose body is still on its way.
pub(super) struct HttpAnswer {
    pub(super) status: http::StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: HttpBody,
}

/// The body of an answer; holds the call's place until it ends.
pub(super) struct HttpBody {
    body: reqwest::Body,
    hop: Box<str>,
    place: Option<OwnedSemaphorePermit>,
}

/// An idle connection is closed after this, before a firewall forgets it.
const IDLE_LIMIT: Duration = Duration::from_secs(45);

/// Longest repetition of a dial that ran out of time.
const REPEAT_LIMIT: Duration = Duration::from_secs(1);

/// Google's front end compresses for clients that say "gzip" here too
/// ([performance tips](https://developers.google.com/discovery/v1/performance#gzip)).
const USER_AGENT: &str = concat!("genai-bridge/", env!("CARGO_PKG_VERSION"), " (gzip)");

impl Client {
    pub(super) fn new(network: Network, origin: Origin, connections: usize) -> Result<Self, Error> {
        Ok(Self {
            one: build(&network, &origin, HttpVersions::One)?,
            any: build(&network, &origin, HttpVersions::Any)?,
            places: Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS))),
            is_multiplexed: AtomicBool::new(false),
            network,
            origin,
        })
    }

    /// Opens a connection and closes it: shows whether the service can be reached.
    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.network.connect(&self.origin, Alpn::Http1).await.map(drop)
    }

    pub(super) async fn send(
        &self,
        request: RestRequest,
        headers: HeaderMap,
        versions: HttpVersions,
    ) -> Result<HttpAnswer, Error> {
        let request = self.build_request(request, headers)?;
        let (client, is_limited) = match versions {
            HttpVersions::One => (&self.one, true),
            HttpVersions::Any => (&self.any, !self.is_multiplexed.load(Relaxed)),
        };
        let place =
            if is_limited { Arc::clone(&self.places).acquire_owned().await.ok() } else { None };
        match client.execute(request).await {
            Ok(response) => {
                if versions == HttpVersions::Any {
                    let is_multiplexed = response.version() == http::Version::HTTP_2;
                    self.is_multiplexed.store(is_multiplexed, Relaxed);
                }
                let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
                let body = HttpBody { body, hop: self.hop(), place };
                Ok(HttpAnswer { status: head.status, headers: head.headers, body })
            }
            Err(error) => Err(self.name_failure(error.without_url(), versions).await),
        }
    }

    pub(super) fn hop(&self) -> Box<str> {
        self.network.hop(&self.origin).into()
    }

    /// One encoder only: what we encoded must reach the wire as it is, or not at all.
    fn build_request(
        &self,
        request: RestRequest,
        headers: HeaderMap,
    ) -> Result<reqwest::Request, Error> {
        let RestRequest { verb, path, query, body } = request;
        let text = format!("{}{}", self.origin.uri().to_string().trim_end_matches('/'), path);
        let refused =
            || Error::invalid_request(format!("the request gives no valid URL path: `{path}`"));
        let mut url = reqwest::Url::parse(&text).map_err(|_| refused())?;
        if !query.is_empty() {
            url.set_query(Some(&query));
        }
        if url.path() != path || url.query().unwrap_or_default() != query {
            return Err(refused());
        }
        let mut built = reqwest::Request::new(verb, url);
        *built.headers_mut() = headers;
        let (content_type, length, body) = match body {
            RequestBody::None if *built.method() == http::Method::GET => return Ok(built),
            // Some proxies refuse a POST that does not say that it has no body.
            RequestBody::None => (None, 0, reqwest::Body::from(Bytes::new())),
            RequestBody::Json(json) => {
                let length = json.len();
                (Some(http::HeaderValue::from_static(JSON)), length, reqwest::Body::wrap(json))
            }
            RequestBody::Raw { content_type, data } => {
                (Some(header_value(&content_type)?), data.len(), reqwest::Body::from(data))
            }
        };
        if let Some(content_type) = content_type {
            built.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
        }
        built.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        *built.body_mut() = Some(body);
        Ok(built)
    }

    /// reqwest hides what a proxy answered: a failed dial is repeated by our own connector, which sends no
    /// request, and its error says more.
    async fn name_failure(&self, error: reqwest::Error, versions: HttpVersions) -> Error {
        if error.is_connect() {
            let alpn = versions.alpn();
            let limit = self.network.connect_timeout(&self.origin);
            // Where the first dial ran out of time, the second only shows at which station.
            let limit = if error.is_timeout() { limit.min(REPEAT_LIMIT) } else { limit };
            if let Err(known) = self.network.connect_within(&self.origin, alpn, limit).await {
                return known;
            }
            let (kind, evidence) = classify(&error, alpn)
                .unwrap_or_else(|| (kind_of_lost_dial(&error), evidence_of(&error)));
            let symptom = Symptom::new(kind, self.hop()).with_evidence(evidence);
            return Error::from(symptom).with_source(error);
        }
        let symptom =
            Symptom::new(kind_of_failure(&error), self.hop()).with_evidence(evidence_of(&error));
        Error::from(symptom).with_source(error)
    }
}

impl HttpBody {
    /// The next bytes; `None` at a clean end.
    ///
    /// `messages` were received before: with one, the service did the work.
    pub(super) fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        messages: u64,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    // Trailers of HTTP say nothing here.
                    Ok(_) | Err(_) => {}
                },
                Some(Err(error)) => {
                    self.close();
                    return Poll::Ready(Some(
                        Err(self.name_failure(error.without_url(), messages)),
                    ));
                }
                None => {
                    self.close();
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// The whole body; `None` if it has more bytes than `limit`.
    pub(super) async fn collect(&mut self, limit: usize) -> Result<Option<Bytes>, Error> {
        let mut whole = Bytes::new();
        let mut buffer = Vec::new();
        while let Some(data) = poll_fn(|context| self.poll_chunk(context, 0)).await {
            let data = data?;
            if whole.is_empty() && buffer.is_empty() {
                whole = data;
            } else {
                buffer.extend_from_slice(&std::mem::take(&mut whole));
                buffer.extend_from_slice(&data);
            }
            if whole.len() + buffer.len() > limit {
                return Ok(None);
            }
        }
        Ok(Some(if buffer.is_empty() { whole } else { buffer.into() }))
    }

    /// Lets go of the connection and of the call's place: nothing more is read.
    pub(super) fn close(&mut self) {
        self.body = reqwest::Body::default();
        self.place = None;
    }

    pub(super) fn hop(&self) -> Box<str> {
        self.hop.clone()
    }

    fn name_failure(&self, error: reqwest::Error, messages: u64) -> Error {
        let kind = match kind_of_failure(&error) {
            SymptomKind::StreamReset => SymptomKind::BodyReset,
            SymptomKind::AnswerMalformed => SymptomKind::BodyMalformed,
            _ => SymptomKind::BodyLost,
        };
        let evidence = evidence_of(&error).with_messages(messages);
        Error::from(Symptom::new(kind, self.hop.clone()).with_evidence(evidence)).with_source(error)
    }
}

fn build(
    network: &Network,
    origin: &Origin,
    versions: HttpVersions,
) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(network.tls_config(versions.alpn()))
        .connect_timeout(network.connect_timeout(origin))
        .pool_idle_timeout(IDLE_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tcp_nodelay(true)
        .user_agent(USER_AGENT)
        .no_proxy();
    if versions == HttpVersions::One {
        builder = builder.http1_only();
    }
    let refused = |error: reqwest::Error| {
        Error::new(ErrorKind::Configuration, "the REST client cannot be built")
            .with_source(error.without_url())
    };
    if let Some(hop) = network.proxy_for(origin) {
        builder = builder.proxy(reqwest::Proxy::all(hop.url_with_login()).map_err(refused)?);
    }
    builder.build().map_err(refused)
}

/// What a dial met that could not be repeated.
fn kind_of_lost_dial(error: &reqwest::Error) -> SymptomKind {
    if error.is_timeout() { SymptomKind::ConnectTimeout } else { SymptomKind::ConnectReset }
}

/// What broke after a connection stood, found in the types of the source chain.
fn kind_of_failure(error: &reqwest::Error) -> SymptomKind {
    if let Some(http2) = find::<h2::Error>(error) {
        return kind_of_http2(http2);
    }
    match find::<hyper::Error>(error) {
        Some(hyper) if hyper.is_canceled() || hyper.is_closed() => SymptomKind::NeverSent,
        Some(hyper) if hyper.is_parse() => SymptomKind::AnswerMalformed,
        _ if error.is_decode() => SymptomKind::AnswerMalformed,
        _ => SymptomKind::ConnectionLost,
    }
}

fn kind_of_http2(error: &h2::Error) -> SymptomKind {
    let is_remote = error.is_remote();
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) if is_remote && error.is_reset() => {
            SymptomKind::StreamRefused
        }
        Some(h2::Reason::NO_ERROR) if is_remote && error.is_go_away() => {
            SymptomKind::GoAwayGraceful
        }
        Some(h2::Reason::HTTP_1_1_REQUIRED) => SymptomKind::Http11Required,
        Some(_) if is_remote && error.is_go_away() => SymptomKind::GoAwayUnprocessed,
        Some(_) if error.is_reset() => SymptomKind::StreamReset,
        _ => SymptomKind::ConnectionLost,
    }
}

fn evidence_of(error: &reqwest::Error) -> Evidence {
    let mut evidence = Evidence::new();
    if let Some(reason) = find::<h2::Error>(error).and_then(h2::Error::reason) {
        evidence = evidence.with_http2_reason(reason.into());
    }
    match find::<io::Error>(error) {
        Some(io) => evidence.with_io(io.kind()),
        None => evidence,
    }
}

/// The first error of this type in the chain; `io::Error` hides its payload from `source`.
fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inside) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            let found = find::<T>(inside);
            if found.is_some() {
                return found;
            }
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
impl HttpBody {
    /// A body that arrives in chunks of this size, and ends well.
    pub(super) fn in_chunks(bytes: &[u8], size: usize) -> Self {
        let chunks = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        Self { body: reqwest::Body::wrap(Chunks(chunks)), hop: "a service".into(), place: None }
    }
}

#[cfg(test)]
struct Chunks(std::collections::VecDeque<Bytes>);

#[cfg(test)]
impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(http_body::Frame::data(chunk))))
    }
}
