//! Port: what a new connection needs, and its way to its end.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::dispatch;
use super::service::Service;
use super::tasks::Tasks;

/// What a new connection needs.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) http: auto::Builder<Tasks>,
    /// At which a connection ends.
    pub(super) age: Option<Duration>,
    pub(super) service: Arc<Service>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Port {
    pub(super) async fn accept(self, listener: TcpListener, tasks: Tasks) {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%error, "a socket keeps its delay");
                    }
                    tasks.spawn(self.clone().serve(socket));
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    pub(super) async fn serve(self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        match self.tls.clone() {
            None => self.serve_http(socket).await,
            Some(tls) => match tls.accept(socket).await {
                Ok(stream) => self.serve_http(stream).await,
                // A client that does not trust us is a case to test, not a fault.
                Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
            },
        }
    }

    async fn serve_http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { service, http, age, .. } = self;
        let answer = service_fn(move |request| {
            let service = Arc::clone(&service);
            async move { Ok::<_, Infallible>(dispatch::answer(&service, request).await) }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), answer));
        let ended = match age {
            None => connection.await,
            Some(age) => tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = sleep(age) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            },
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection broke");
        }
    }
}
