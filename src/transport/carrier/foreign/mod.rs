//! Foreign: a carrier of the program's own, which is any tower service of `http::Request`.

mod body;
mod failure;
#[cfg(feature = "reqwest")]
mod reqwest;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tonic::body::Body;
use tower_service::Service;

pub(crate) use body::ForeignBody;
pub use failure::CarrierFailure;

use crate::error::{BoxError, Error};
use crate::network::{Origin, caught, caught_async};

/// What moves the HTTP exchanges of one transport in place of the bridge's own connections:
/// [`grpc_carrier`](crate::BridgeBuilder::grpc_carrier) and
/// [`rest_carrier`](crate::BridgeBuilder::rest_carrier) take it.
///
/// It is made from a tonic `Channel`, with the feature `reqwest` from a `reqwest::ClientBuilder`,
/// and from any other tower service with [`service`](Self::service). The bridge's settings for the
/// network (proxy, roots, client certificate, connector, limits for connecting) do not reach it: it
/// dials as its maker set it up.
///
/// How a failed call is judged, as far as types show it:
///
/// - an error of `poll_ready` proves that the call was not sent;
/// - an error of the call proves it too, where its chain of causes holds a [`tonic::ConnectError`],
///   an error of reqwest or of hyper-util's client that says `is_connect`, a refused connection, or
///   a TLS handshake that was refused;
/// - hyper and h2 say what they know of a request that they did not process;
/// - a [`CarrierFailure`] anywhere in the chain says it outright;
/// - of all else nothing is known, and the call is not sent again unless its
///   [`ResendPolicy`](crate::ResendPolicy) says so.
///
/// A panic in the service, its future or its body is a failure of that call alone.
#[derive(Clone)]
pub struct Carrier(Result<Shared, Arc<Error>>);

type Shared = Arc<Mutex<Box<dyn Exchange>>>;

impl Carrier {
    /// A tower service, which is cloned for each call. The URI of a request is absolute; a request
    /// of gRPC wants HTTP/2 and the trailers of its answer. The service must not follow redirects
    /// and must not send a request twice.
    pub fn service<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(Ok(Arc::new(Mutex::new(Box::new(Erased(service))))))
    }

    /// One that could not be made; `build()` says why.
    #[cfg(feature = "reqwest")]
    fn broken(error: Error) -> Self {
        Self(Err(Arc::new(error)))
    }
}

impl From<tonic::transport::Channel> for Carrier {
    fn from(channel: tonic::transport::Channel) -> Self {
        Self::service(channel)
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").finish_non_exhaustive()
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<ForeignBody>, BoxError>> + Send>>;

trait Exchange: Send {
    fn clone_box(&self) -> Box<dyn Exchange>;
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
    fn call(&mut self, request: Request<Body>) -> Answering;
}

struct Erased<S>(S);

impl<S, B> Exchange for Erased<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn clone_box(&self) -> Box<dyn Exchange> {
        Box::new(Self(self.0.clone()))
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let answering = self.0.call(request);
        Box::pin(async move {
            let answer = answering.await.map_err(Into::into)?;
            Ok(answer.map(ForeignBody::new))
        })
    }
}

/// A [`Carrier`] to one origin.
pub(crate) struct ForeignCarrier {
    /// Cloned for each call; `None` once it is closed.
    exchange: Mutex<Option<Shared>>,
    peer: ForeignPeer,
}

/// How failures name the service behind a carrier.
#[derive(Clone)]
pub(crate) struct ForeignPeer(Arc<str>);

impl ForeignCarrier {
    /// # Errors
    /// The carrier could not be made.
    pub(crate) fn new(carrier: Carrier, origin: &Origin) -> Result<Self, Error> {
        let hop = format!("host {} over the program's own carrier", origin.address());
        let exchange = carrier.0.map_err(|error| error.repeat())?;
        Ok(Self { exchange: Mutex::new(Some(exchange)), peer: ForeignPeer(hop.into()) })
    }

    /// Lets go of the program's service: what it holds open ends with the last call on it, unless
    /// the program keeps a clone.
    pub(crate) fn close(&self) {
        let gone = lock(&self.exchange).take();
        // The program's code may panic here, too.
        let _ = caught(|| drop(gone));
    }

    pub(crate) fn hop(&self) -> &str {
        self.peer.hop()
    }

    /// Room for one exchange.
    ///
    /// # Errors
    /// The carrier takes no call; nothing was sent.
    pub(crate) async fn reserve(&self) -> Result<Reserved, Error> {
        let reserving = async {
            let shared = lock(&self.exchange).clone().ok_or("the bridge is closed")?;
            let mut exchange = lock(&shared).clone_box();
            drop(shared);
            poll_fn(|context| exchange.poll_ready(context)).await.map(|()| exchange)
        };
        match caught_async(reserving).await {
            Ok(Ok(exchange)) => Ok(Reserved { exchange, peer: self.peer.clone() }),
            Ok(Err(error)) => Err(failure::before_request(error, self.hop())),
            Err(panicked) => Err(failure::before_request(panicked.into(), self.hop())),
        }
    }
}

impl ForeignPeer {
    pub(crate) fn hop(&self) -> &str {
        &self.0
    }

    /// The error of an answer whose body broke after `messages` messages.
    pub(crate) fn broken_body(&self, error: BoxError, messages: u64) -> Error {
        failure::in_body(error, self.hop(), messages)
    }
}

/// A panic while it was cloned has changed nothing.
fn lock<T>(exchange: &Mutex<T>) -> MutexGuard<'_, T> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for one exchange: a service that is ready.
pub(crate) struct Reserved {
    exchange: Box<dyn Exchange>,
    peer: ForeignPeer,
}

impl Reserved {
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// The carrier failed, by itself or on the network.
    pub(crate) async fn send(
        mut self,
        request: Request<Body>,
    ) -> Result<(Response<ForeignBody>, ForeignPeer), Error> {
        let answered = match caught(|| self.exchange.call(request)) {
            Ok(answering) => caught_async(answering).await,
            Err(panicked) => Err(panicked),
        };
        match answered {
            Ok(Ok(answer)) => Ok((answer, self.peer)),
            Ok(Err(error)) => Err(failure::before_answer(error, self.peer.hop())),
            Err(panicked) => Err(failure::before_answer(panicked.into(), self.peer.hop())),
        }
    }
}
