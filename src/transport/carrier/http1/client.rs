//! Client: HTTP over our own connections; what breaks becomes a `Symptom`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http::header::{self, HeaderMap};
use http::uri::PathAndQuery;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::connection::Dialler;
use super::places::Places;
use super::pool::{Loan, Pool};
use super::{HttpVersions, SentBody, failure};
use crate::error::{BoxError, Error};
use crate::network::{Alpn, Network, Origin, PerRuntime};
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// Sends HTTP requests to one origin.
pub(crate) struct Client {
    network: Network,
    origin: Origin,
    /// HTTP/1.1 only, and HTTP/2 as well. The lists of protocols differ, so their connections do.
    one: PerRuntime<Pool>,
    any: PerRuntime<Pool>,
    places: Arc<Places>,
}

/// An answer whose body is still on its way.
pub(crate) struct HttpAnswer {
    pub(crate) status: http::StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: HttpBody,
}

/// The body of an answer. Dropped or closed before its end, it cancels the request.
pub(crate) struct HttpBody {
    source: Source,
    hop: Arc<str>,
    issuer: Option<Arc<str>>,
    /// Kept for the exchange that this body ends.
    loan: Option<Loan>,
    trailers: Option<HeaderMap>,
}

/// Where the bytes come from.
enum Source {
    Own(Incoming),
    Foreign(UnsyncBoxBody<Bytes, BoxError>),
    Closed,
}

impl Client {
    /// Each runtime has at most so many HTTP/1.1 connections.
    pub(crate) fn new(network: Network, origin: Origin, limit: usize) -> Self {
        let (one, any) = Default::default();
        Self { network, origin, one, any, places: Arc::new(Places::new(limit)) }
    }

    /// How failures name the service, as the network is now.
    pub(crate) fn hop(&self) -> String {
        self.network.hop(&self.origin)
    }

    /// Leaves the connections to the calls that are on them; idle ones close.
    pub(crate) fn forget(&self) {
        self.one.clear();
        self.any.clear();
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

    /// Sends a request. It is sent again only if its connection was closed before any of it was
    /// written.
    ///
    /// # Errors
    /// There is no connection, or it broke.
    pub(crate) fn send(
        &self,
        mut request: Request<SentBody>,
        versions: HttpVersions,
    ) -> impl Future<Output = Result<HttpAnswer, Error>> {
        let pools = match versions {
            HttpVersions::One => &self.one,
            HttpVersions::Any => &self.any,
        };
        // The block keeps the request in one place; an `async fn` would move it out of another.
        async move {
            let pool = pools.up_to_date(|| self.make_pool(versions)).await;
            loop {
                let mut loan = pool.take().await?;
                self.address(&mut request, loan.connection.is_http2());
                match loan.connection.send(request).await {
                    Ok(answer) => return Ok(HttpAnswer::over(loan, answer, pool.hop())),
                    Err(mut error) => match error.take_message() {
                        Some(unsent) if loan.connection.is_reused => request = unsent,
                        _ => {
                            let error = error.into_error().into();
                            return Err(failure::before_answer(error, pool.hop()));
                        }
                    },
                }
            }
        }
    }

    fn make_pool(&self, versions: HttpVersions) -> Pool {
        let (network, origin) = (self.network.clone(), self.origin.clone());
        let (alpn, places) = (versions.alpn(), Arc::clone(&self.places));
        Pool::new(Dialler { network, origin, alpn, places }, self.hop().into())
    }

    /// HTTP/1.1 names the path and the host apart, HTTP/2 the whole address.
    fn address(&self, request: &mut Request<SentBody>, is_http2: bool) {
        let target = take_target(request);
        if is_http2 {
            request.headers_mut().remove(header::HOST);
            *request.uri_mut() = self.origin.address_of(target);
        } else {
            request.headers_mut().insert(header::HOST, self.origin.host_header().clone());
            *request.uri_mut() = target.into();
        }
    }
}

/// Path and query of a request, which is left without an address.
pub(crate) fn take_target<B>(request: &mut Request<B>) -> PathAndQuery {
    let target = std::mem::take(request.uri_mut()).into_parts().path_and_query;
    target.unwrap_or_else(|| PathAndQuery::from_static("/"))
}

impl HttpAnswer {
    fn over(loan: Loan, answer: http::Response<Incoming>, hop: &Arc<str>) -> Self {
        let (head, body) = answer.into_parts();
        let mut body = HttpBody::of(Source::Own(body), Arc::clone(hop));
        body.issuer = loan.connection.issuer();
        body.loan = Some(loan);
        Self { status: head.status, headers: head.headers, body }
    }
}

impl HttpBody {
    /// `hop` is how failures name who answers.
    pub(crate) fn new<B>(body: B, hop: Arc<str>) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Source::Foreign(body.map_err(Into::into).boxed_unsync()), hop)
    }

    fn of(source: Source, hop: Arc<str>) -> Self {
        Self { source, hop, issuer: None, loan: None, trailers: None }
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
            match ready!(self.source.poll_frame(context)) {
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
        self.source = Source::Closed;
        if let Some(loan) = self.loan.take() {
            loan.end();
        }
    }

    #[cfg(feature = "cli")]
    pub(crate) fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(body) => body.is_end_stream(),
            Source::Foreign(body) => body.is_end_stream(),
            Source::Closed => true,
        }
    }

    #[cfg(feature = "cli")]
    pub(crate) fn size_hint(&self) -> http_body::SizeHint {
        match &self.source {
            Source::Own(body) => body.size_hint(),
            Source::Foreign(body) => body.size_hint(),
            Source::Closed => http_body::SizeHint::with_exact(0),
        }
    }

    /// How failures name who answers.
    pub(crate) fn hop(&self) -> &str {
        &self.hop
    }

    /// A failure that this answer shows.
    pub(crate) fn symptom(&self, kind: SymptomKind, evidence: Evidence) -> Symptom {
        let evidence = match &self.issuer {
            Some(issuer) => evidence.with_issuer(issuer),
            None => evidence,
        };
        Symptom::new(kind, &*self.hop).with_evidence(evidence)
    }

    fn name_failure(&self, error: BoxError, messages: u64) -> Error {
        let (kind, evidence) = failure::within_body(&error);
        Error::from(self.symptom(kind, evidence.with_messages(messages))).with_source(error)
    }
}

impl Source {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Own(body) => Pin::new(body).poll_frame(context).map_err(BoxError::from),
            Self::Foreign(body) => Pin::new(body).poll_frame(context),
            Self::Closed => Poll::Ready(None),
        }
    }
}

impl Drop for HttpBody {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
impl HttpBody {
    /// A body that arrives in chunks of this size, and ends well.
    pub(crate) fn in_chunks(bytes: &[u8], size: usize) -> Self {
        Self::new(Chunks { left: chunks_of(bytes, size), stalls: false }, "a service".into())
    }

    /// A body of which this arrives, and then nothing.
    pub(crate) fn stalling(bytes: &[u8]) -> Self {
        Self::new(Chunks { left: chunks_of(bytes, usize::MAX), stalls: true }, "a service".into())
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
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.left.pop_front() {
            None if self.stalls => Poll::Pending,
            chunk => Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk)))),
        }
    }
}
