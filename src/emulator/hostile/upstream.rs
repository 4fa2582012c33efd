//! Upstream: HTTP to the target, in the version that the client speaks.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use super::target::Target;
use crate::emulator::tasks::Tasks;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Sends requests on one connection; clones share it.
#[derive(Clone)]
pub(super) enum Upstream {
    Http1(Arc<Mutex<http1::SendRequest<Body>>>),
    Http2(http2::SendRequest<Body>),
}

impl Upstream {
    pub(super) async fn connect(target: Target, is_http2: bool, tasks: &Tasks) -> io::Result<Self> {
        if is_http2 {
            let stream = TokioIo::new(target.speak(b"h2").await?);
            let builder = http2::Builder::new(tasks.clone());
            let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
            tasks.spawn(run(connection));
            Ok(Self::Http2(sender))
        } else {
            let stream = TokioIo::new(target.speak(b"http/1.1").await?);
            let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
            tasks.spawn(run(connection.with_upgrades()));
            Ok(Self::Http1(Arc::new(Mutex::new(sender))))
        }
    }

    /// # Errors
    /// The target broke the call; a reset of its stream is found in the error.
    pub(super) async fn send(&self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => sender.clone().send_request(request).await,
        }
    }
}

async fn run(connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a hostile proxy lost its target");
    }
}
