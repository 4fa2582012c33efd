//! Client: HTTP over our own connections, pooled by hyper's client; what breaks becomes a
//! `Symptom`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Empty, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;

use crate::error::{BoxError, Error};
use crate::json::JsonBody;
use crate::network::{Alpn, Network, Origin, PerRuntime, Tasks};
use crate::symptom::{Evidence, Symptom, SymptomKind};
use crate::transport::carrier::http1::HttpVersions;
use crate::transport::carrier::http1::dialler::{Dialler, Issuer, waiting};
use crate::transport::carrier::http1::failure;
use crate::transport::carrier::http1::places::Places;

/// Sends HTTP requests to one origin.
pub(crate) struct Client {
    network: Network,
    origin: Origin,
    pools: PerRuntime<Pools>,
    places: Arc<Places>,
}

/// HTTP/1.1 only, and HTTP/2 as well. The lists of protocols differ, so their connections do.
struct Pools {
    one: Pool,
    any: Pool,
    /// How failures name the service, behind the proxy of these connections.
    hop: Arc<str>,
}

type Pool = legacy::Client<Dialler, SentBody>;
/// What a request carries: JSON that is put together while it is sent, bytes, or a stream of them.
pub(crate) type SentBody = Either<JsonBody, Either<Full<Bytes>, tonic::body::Body>>;

/// An answer whose body is still on its way.
pub(crate) struct HttpAnswer {
    pub(crate) status: http::StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: HttpBody,
}

/// The body of an answer. Dropped or closed before its end, it cancels the request.
pub(crate) struct HttpBody {
    body: UnsyncBoxBody<Bytes, BoxError>,
    hop: Arc<str>,
    issuer: Option<Issuer>,
    trailers: Option<HeaderMap>,
}

impl Client {
    /// Each runtime has at most so many HTTP/1.1 connections.
    pub(crate) fn new(network: Network, origin: Origin, limit: usize) -> Self {
        let (pools, places) = (PerRuntime::default(), Arc::new(Places::new(limit)));
        Self { network, origin, pools, places }
    }

    /// How failures name the service, as the network is now.
    pub(crate) fn hop(&self) -> String {
        self.network.hop(&self.origin)
    }

    /// Leaves the connections to the calls that are on them; idle ones close.
    pub(crate) fn forget(&self) {
        self.pools.clear();
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.places.open()
    }

    /// How many requests waited for a connection.
    pub(crate) fn queued(&self) -> u64 {
        self.places.queued()
    }

    /// Opens a connection and closes it: shows whether the service can be reached.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        self.network.connect(&self.origin, Alpn::Http1).await.map(drop)
    }

    pub(crate) async fn send(
        &self,
        mut request: http::Request<SentBody>,
        versions: HttpVersions,
    ) -> Result<HttpAnswer, Error> {
        if versions == HttpVersions::One {
            request.headers_mut().insert(header::HOST, self.origin.host_header().clone());
        }
        let pools = self.pools.up_to_date(|| self.make_pools()).await;
        let pool = match versions {
            HttpVersions::One => &pools.one,
            HttpVersions::Any => &pools.any,
        };
        match waiting(pool.request(request)).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let issuer = head.extensions.get().cloned();
                let body = HttpBody { issuer, ..HttpBody::new(body, Arc::clone(&pools.hop)) };
                Ok(HttpAnswer { status: head.status, headers: head.headers, body })
            }
            Err(error) => Err(failure::before_answer(error.into(), &pools.hop)),
        }
    }

    fn make_pools(&self) -> Pools {
        let pool = |versions: HttpVersions| {
            let (network, origin) = (self.network.clone(), self.origin.clone());
            let places = Arc::clone(&self.places);
            let drivers = network.drivers().clone();
            build(Dialler::new(network, origin, versions.alpn(), places), versions, drivers)
        };
        let hop = self.hop().into();
        Pools { one: pool(HttpVersions::One), any: pool(HttpVersions::Any), hop }
    }
}

impl HttpBody {
    /// `hop` is how failures name who answers.
    pub(crate) fn new<B>(body: B, hop: Arc<str>) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { body: body.map_err(Into::into).boxed_unsync(), hop, issuer: None, trailers: None }
    }

    /// The next bytes; `None` at a clean end.
    ///
    /// `messages` were received before: with one, the service did the work.
    pub(crate) fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        messages: u64,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    Ok(_) => {}
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    self.close();
                    return Poll::Ready(Some(Err(self.name_failure(error, messages))));
                }
                None => {
                    self.close();
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// The trailers, if some came behind the bytes.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// Lets go of the connection: nothing more is read.
    pub(crate) fn close(&mut self) {
        self.body = Empty::new().map_err(BoxError::from).boxed_unsync();
    }

    #[cfg(feature = "cli")]
    pub(crate) fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    #[cfg(feature = "cli")]
    pub(crate) fn size_hint(&self) -> http_body::SizeHint {
        http_body::Body::size_hint(&self.body)
    }

    /// How failures name who answers.
    pub(crate) fn hop(&self) -> &str {
        &self.hop
    }

    /// A failure that this answer shows.
    pub(crate) fn symptom(&self, kind: SymptomKind, evidence: Evidence) -> Symptom {
        let evidence = match &self.issuer {
            Some(Issuer(issuer)) => evidence.with_issuer(issuer),
            None => evidence,
        };
        Symptom::new(kind, &*self.hop).with_evidence(evidence)
    }

    fn name_failure(&self, error: BoxError, messages: u64) -> Error {
        let (kind, evidence) = failure::within_body(&error);
        Error::from(self.symptom(kind, evidence.with_messages(messages))).with_source(error)
    }
}

/// hyper's client sends a request again by itself only if the connection was closed before any of
/// it was written. It makes `Host` anew for each request on HTTP/1.1, so that is left to it only
/// where HTTP/2, which has none, may be spoken.
fn build(dialler: Dialler, versions: HttpVersions, drivers: Tasks) -> Pool {
    legacy::Client::builder(drivers)
        .set_host(versions == HttpVersions::Any)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_max_headers(MAX_HEADER_COUNT)
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_LIMIT)
        .timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .build(dialler)
}

/// Headers of an answer on HTTP/1.1: gateways add their own.
const MAX_HEADER_COUNT: usize = 300;
/// An idle connection is closed after this. Whether it still carries anything cannot be asked: in
/// HTTP/1.1 only the next call would show it, and be lost if it does not. A new connection takes
/// some round trips.
const IDLE_LIMIT: Duration = Duration::from_secs(3);
/// Silence on an HTTP/2 connection with calls in flight before it is asked whether it lives.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer with inline images has about 10 MB; a window below the bandwidth-delay product slows
/// it.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Over HTTP/2; hyper's own limit is 16 KiB.
const MAX_HEADERS: u32 = 1024 * 1024;

#[cfg(test)]
impl HttpBody {
    /// A body that arrives in chunks of this size, and ends well.
    pub(crate) fn in_chunks(bytes: &[u8], size: usize) -> Self {
        Self::of(Chunks { left: chunks_of(bytes, size), stalls: false })
    }

    /// A body of which this arrives, and then nothing.
    pub(crate) fn stalling(bytes: &[u8]) -> Self {
        Self::of(Chunks { left: chunks_of(bytes, usize::MAX), stalls: true })
    }

    fn of(chunks: Chunks) -> Self {
        let body = chunks.map_err(BoxError::from).boxed_unsync();
        Self { body, hop: "a service".into(), issuer: None, trailers: None }
    }
}

#[cfg(test)]
fn chunks_of(bytes: &[u8], size: usize) -> std::collections::VecDeque<Bytes> {
    bytes.chunks(size).map(Bytes::copy_from_slice).collect()
}

#[cfg(test)]
struct Chunks {
    left: std::collections::VecDeque<Bytes>,
    stalls: bool,
}

#[cfg(test)]
impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        match self.left.pop_front() {
            None if self.stalls => Poll::Pending,
            chunk => Poll::Ready(chunk.map(|chunk| Ok(http_body::Frame::data(chunk)))),
        }
    }
}
