//! Admin: `/healthz` and `/metrics`, on an address of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::listener::accept;
use super::metrics::Metrics;
use super::shutdown::Shutdown;
use super::web_guard::WebGuard;
use super::workers::Workers;

/// What the operators of a sidecar ask.
#[derive(Debug, Clone)]
pub(super) struct Admin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guard: WebGuard,
    metrics: Arc<Metrics>,
    shutdown: Arc<Shutdown>,
}

impl Admin {
    pub(super) fn new(guard: WebGuard, metrics: Arc<Metrics>, shutdown: Arc<Shutdown>) -> Self {
        Self(Arc::new(Inner { guard, metrics, shutdown }))
    }

    /// Serves for ever.
    pub(super) async fn serve(self, listener: TcpListener) {
        let (connections, workers) = (TaskTracker::new(), Workers::caller());
        let serve = |socket| self.serve_connection(socket);
        accept(listener, MAX_CONNECTIONS, &connections, &workers, serve).await;
    }

    async fn serve_connection(self, socket: TcpStream) {
        let service = service_fn(move |request| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .keep_alive(false)
            .serve_connection(TokioIo::new(socket), service);
        match timeout(PATIENCE, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a connection to the admin address broke"),
            Err(_) => debug!("a connection to the admin address was too slow"),
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if let Err(status) = self.0.guard.admit(request.uri(), request.headers()) {
            return text(StatusCode::FORBIDDEN, status.message().to_owned());
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/healthz") if self.0.shutdown.has_begun() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "shutting down".to_owned())
            }
            (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok".to_owned()),
            (&Method::GET | &Method::HEAD, "/metrics") => match self.0.metrics.text() {
                Ok(metrics) => text(StatusCode::OK, metrics),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
            _ => text(StatusCode::NOT_FOUND, "here are /healthz and /metrics".to_owned()),
        }
    }
}

fn text(status: StatusCode, mut body: String) -> Response<Full<Bytes>> {
    if !body.ends_with('\n') {
        body.push('\n');
    }
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS_TEXT));
    answer
}

/// Plain text in the version of the format that the library writes.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const MAX_CONNECTIONS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
