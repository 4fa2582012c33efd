//! Bridge: the front: a tower service under any tonic-generated client.

pub(crate) mod builder;
mod by_name;
pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod operations;
pub(crate) mod options;
pub(crate) mod pages;
mod poll;
pub(crate) mod stats;
pub(crate) mod verdict;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;
use tracing::Instrument;

use crate::bridge::files::Files;
use crate::bridge::json::JsonRequest;
use crate::bridge::operations::Operations;
use crate::bridge::options::{ActiveTransport, Transport};
use crate::bridge::stats::Stats;
use crate::bridge::verdict::Verdict;
use crate::call::{Answer, Content};
use crate::carry::Core;
use crate::error::Error;
use crate::fallback::TransportState;
use crate::network::NetworkRenewal;

/// One service under any tonic-generated client: each call goes over gRPC, or over REST where the
/// network breaks gRPC.
///
/// A `Bridge` is cheap to clone; clones share connections and what the bridge has learnt about the
/// network. It is always ready. A failure is reported by the call itself, as a [`Status`] that
/// carries an [`Error`].
///
/// It may be used from several tokio runtimes at once: each has its own connections. The answer
/// of a call is read on the runtime that made the call.
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
pub struct Bridge(Arc<Core>);

impl Bridge {
    pub(crate) fn new(core: Core) -> Self {
        Self(Arc::new(core))
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0
    }

    /// Settles the transport now, so that the first call need not: makes the free probe over
    /// gRPC and, if gRPC fails it, over REST.
    ///
    /// # Errors
    /// No transport reaches the service; the error holds both causes.
    pub async fn connect(&self) -> Result<ActiveTransport, Error> {
        self.0.connect().await
    }

    /// Which transport the next call takes, since when, and why.
    pub fn transport_state(&self) -> TransportState {
        self.0.transport_state()
    }

    /// Reports each change of [`transport_state`](Self::transport_state), and of
    /// [`verdict`](Self::verdict): after one on a single method, the state is the same as before. A
    /// fixed transport changes only by [`set_transport`](Self::set_transport).
    pub fn watch(&self) -> watch::Receiver<TransportState> {
        self.0.watch()
    }

    /// Sets the transport of the calls that begin from now on. Calls in flight keep theirs. The
    /// bridge keeps what it learnt about the network: see [`reset`](Self::reset).
    pub fn set_transport(&self, transport: Transport) {
        self.0.set_transport(transport);
    }

    /// Changes the settings of the network: a proxy, roots, a client certificate. Connections that
    /// open from now on use them. Open connections take no further calls, and close when their last
    /// call ends. The bridge forgets what it learnt about the network, as by
    /// [`reset`](Self::reset).
    ///
    /// [`rest_connections`](crate::BridgeBuilder::rest_connections) does not count the earlier
    /// connections. A carrier of the program's own is not renewed.
    ///
    /// # Errors
    /// A setting cannot be used ([`ErrorKind::Configuration`](crate::ErrorKind::Configuration));
    /// then nothing has changed.
    ///
    /// ```no_run
    /// # fn example(bridge: &genai_bridge::Bridge) -> Result<(), Box<dyn std::error::Error>> {
    /// use genai_bridge::NetworkRenewal;
    ///
    /// let (chain, key) = (std::fs::read("client.pem")?, std::fs::read("client.key")?);
    /// bridge.renew_network(NetworkRenewal::new().client_identity(chain, key))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn renew_network(&self, renewal: NetworkRenewal) -> Result<(), Error> {
        self.0.renew_network(renewal)
    }

    /// Ends the bridge and all its clones: refuses new calls
    /// ([`ErrorKind::Closed`](crate::ErrorKind::Closed), `CANCELLED`), waits until those in flight
    /// have ended, streams included, and until the connections are gone.
    ///
    /// Calls keep their deadlines, so this may take as long as they do: bound it with
    /// [`tokio::time::timeout`]. If it is dropped, the bridge stays closed to new calls, and each
    /// connection closes with its last call. If a peer reads nothing more, its connection is closed
    /// after a second. The bridge drops a carrier of the program's own: its connections close
    /// unless the program holds a clone.
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// Forgets what the bridge learnt about the network, for instance after the network changed.
    /// The next call opens a new connection, over gRPC and over REST; calls in flight stay on
    /// theirs, and no later call takes these.
    ///
    /// [`rest_connections`](crate::BridgeBuilder::rest_connections) does not count the earlier
    /// connections. A carrier of the program's own keeps its connections.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// The verdict against gRPC on this network, for a later bridge: see [`Verdict`]. `None` if
    /// there is none.
    pub fn verdict(&self) -> Option<Verdict> {
        Verdict::of(self.0.verdicts(), self.0.network_name())
    }

    /// A request of any path of the REST API, also of one that has no proto:
    /// `/v1beta/interactions`, with the query if there is one. Scheme and host are the endpoint's.
    ///
    /// ```no_run
    /// # async fn example(bridge: genai_bridge::Bridge) -> Result<(), Box<dyn std::error::Error>> {
    /// use http::Method;
    ///
    /// let body = serde_json::json!({"model": "gemini-2.5-flash", "input": "Why is the sky blue?"});
    /// let answer = bridge.json(Method::POST, "/v1beta/interactions").value(&body).send().await?;
    /// let interaction: serde_json::Value = answer.json()?;
    ///
    /// let body = serde_json::json!({"model": "gemini-2.5-flash", "input": "And the sea?", "stream": true});
    /// let mut events = bridge.json(Method::POST, "/v1beta/interactions").value(&body).stream().await?;
    /// while let Some(event) = events.next().await {
    ///     let event = event?;
    ///     println!("{}: {} bytes", event.event().unwrap_or_default(), event.data().len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn json(&self, verb: http::Method, target: impl AsRef<str>) -> JsonRequest {
        JsonRequest::new(Arc::clone(&self.0), verb, target.as_ref())
    }

    /// The files of the API: upload, download, and what the service knows about them.
    pub fn files(&self) -> Files {
        Files::new(Arc::clone(&self.0))
    }

    /// The operations of the API: waits for work that takes the service minutes.
    pub fn operations(&self) -> Operations {
        Operations::new(Arc::clone(&self.0))
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Carries a call.
    pub(crate) fn carry(
        &self,
        request: Request<Content>,
    ) -> <Self as Service<Request<Body>>>::Future {
        let core = Arc::clone(&self.0);
        let trace = core.trace(&request);
        let span = trace.span();
        let carried = Box::pin(core.carry(request, trace));
        // Most programs have no subscriber, and need no span around each poll.
        if span.is_disabled() { carried } else { Box::pin(carried.instrument(span)) }
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
        self.carry(request.map(Content::Body))
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("transport", &self.0.transport())
            .field("active", &self.transport_state().to_string())
            .finish_non_exhaustive()
    }
}

/// Others hold a bridge in their own structs and tasks.
const _: fn() = || {
    fn assert_shareable<T: Clone + Send + Sync + 'static>() {}
    assert_shareable::<Bridge>();
};
