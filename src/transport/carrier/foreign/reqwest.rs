//! Reqwest: a client of reqwest as a carrier.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use sync_wrapper::SyncWrapper;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use super::Carrier;
use crate::error::{BoxError, Error, ErrorKind};
use crate::network::caught;

/// For REST: no redirect is followed, nothing is sent twice, no answer is decompressed (the bridge
/// does that), and HTTP/1.1 is spoken, since what breaks gRPC often breaks HTTP/2.
impl From<ClientBuilder> for Carrier {
    fn from(builder: ClientBuilder) -> Self {
        let builder = builder
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd();
        // reqwest panics where it finds no crypto provider.
        let client = match caught(|| builder.build()) {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Self::broken(wrong(error.without_url().into())),
            Err(panicked) => return Self::broken(wrong(panicked.into())),
        };
        Self::trusted_reqwest(client)
    }
}

impl Carrier {
    /// A finished client, trusted to follow no redirect and to send nothing twice: what it was
    /// built with cannot be seen. reqwest's default follows ten redirects and takes
    /// `x-goog-api-key` along to any host. It may speak HTTP/2, which networks break as they break
    /// gRPC. Give a `ClientBuilder` instead (`Carrier::from`) where you can.
    pub fn trusted_reqwest(client: Client) -> Self {
        Self::service(ReqwestService(client))
    }
}

fn wrong(source: BoxError) -> Error {
    Error::new(ErrorKind::Configuration, "reqwest's client cannot be built").with_source(source)
}

#[derive(Clone)]
struct ReqwestService(Client);

impl Service<Request<Body>> for ReqwestService {
    type Response = Response<reqwest::Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move {
            let answer = client.execute(write_request(request)?).await;
            answer.map(Response::from).map_err(|error| error.without_url().into())
        })
    }
}

/// reqwest's URLs are normalised. What we encoded must reach the wire as it is, or not at all.
fn write_request(request: Request<Body>) -> Result<reqwest::Request, Error> {
    let refused = || Error::invalid_request("reqwest cannot carry a request with this path");
    let uri = request.uri().clone();
    let request = request.map(|body| reqwest::Body::wrap(SyncBody::new(body)));
    let request = reqwest::Request::try_from(request).map_err(|_| refused())?;
    let is_same = request.url().path() == uri.path() && request.url().query() == uri.query();
    if is_same { Ok(request) } else { Err(refused()) }
}

/// The body of a request, which reqwest wants to be `Sync`.
struct SyncBody {
    body: SyncWrapper<Body>,
    /// Its bytes, where it knows before it is read; after that, nobody asks.
    length: Option<u64>,
}

impl SyncBody {
    fn new(body: Body) -> Self {
        Self { length: body.size_hint().exact(), body: SyncWrapper::new(body) }
    }
}

impl HttpBody for SyncBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(self.body.get_mut()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
