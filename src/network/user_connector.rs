//! User connector: the streams of the program's own connector, in place of DNS and TCP.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::address::Address;
use super::caught::caught_async;
use crate::error::BoxError;

/// What a connector gives, whatever it is made of.
pub(super) type UserStream = TokioIo<Box<dyn ByteStream>>;

pub(super) trait ByteStream: Read + Write + Send + Unpin {}

impl<S: Read + Write + Send + Unpin> ByteStream for S {}

/// A tower service of `Uri`; its calls are begun one after the other, and run side by side.
pub(crate) struct UserConnector(Mutex<Box<dyn Connect>>);

/// Why a connector gave no stream.
pub(super) enum NoStream {
    Late,
    Panicked,
    Failed(BoxError),
}

impl UserConnector {
    pub(crate) fn new<C>(connector: C) -> Self
    where
        C: Service<Uri> + Send + 'static,
        C::Response: Read + Write + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
    {
        Self(Mutex::new(Box::new(Erased(connector))))
    }

    /// Asks for a stream to `address` before `deadline`.
    pub(super) async fn connect(
        &self,
        address: &Address,
        deadline: Instant,
    ) -> Result<UserStream, NoStream> {
        let uri = address.dial_uri().map_err(|error| NoStream::Failed(error.into()))?;
        let connected = caught_async(async {
            let connecting = {
                let mut connector = self.0.lock().await;
                poll_fn(|context| connector.poll_ready(context)).await?;
                connector.call(uri)
            };
            connecting.await
        });
        match timeout_at(deadline, connected).await {
            Ok(Ok(Ok(stream))) => Ok(TokioIo::new(stream)),
            Ok(Ok(Err(error))) => Err(NoStream::Failed(error)),
            Ok(Err(_)) => Err(NoStream::Panicked),
            Err(_) => Err(NoStream::Late),
        }
    }
}

/// What the socket below reported, however deep it lies; connectors wrap it in errors of their own.
pub(super) fn io_kind_of(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            // One that only wraps another error says nothing by its own kind.
            let inner = io.get_ref().and_then(|inner| io_kind_of(inner));
            return Some(inner.unwrap_or(io.kind()));
        }
        cause = error.source();
    }
    None
}

type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn ByteStream>, BoxError>> + Send>>;

trait Connect: Send {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
    fn call(&mut self, uri: Uri) -> Connecting;
}

struct Erased<C>(C);

impl<C> Connect for Erased<C>
where
    C: Service<Uri> + Send + 'static,
    C::Response: Read + Write + Send + Unpin + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
{
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let stream = connecting.await.map_err(Into::into)?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}
