//! Connection: TLS or not, HTTP/1.1 or HTTP/2, told apart by the first bytes; closed when idle.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::uri::Scheme;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::activity::Activity;
use super::service::Service;

/// What a new connection needs.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) tls: Option<TlsAcceptor>,
    /// Only where no other machine can listen.
    pub(super) allows_plaintext: bool,
    pub(super) http: Arc<auto::Builder<TokioExecutor>>,
    pub(super) idle_limit: Duration,
    pub(super) service: Arc<Service>,
}

/// What one connection may take.
pub(super) struct ConnectionLimits {
    pub(super) streams: u32,
    /// Without a call.
    pub(super) idle: Duration,
    /// For the head of a request over HTTP/1.1.
    pub(super) request: Duration,
}

/// HTTP of both versions within these limits. What is not set here has safe limits in h2: streams
/// that are opened and reset, CONTINUATION frames, its own resets.
pub(super) fn http_of(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request)
        .max_buf_size(MAX_HEAD_SIZE as usize);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(MAX_HEAD_SIZE)
        .max_send_buf_size(SEND_BUFFER);
    http
}

impl Port {
    /// Serves one connection to its end.
    pub(super) async fn serve(self, socket: TcpStream) {
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%error, "a socket keeps its delay");
        }
        let _open = self.service.metrics.connection();
        let accepted = tokio::select! {
            biased;
            accepted = self.shake_hands(socket) => accepted,
            () = self.service.shutdown.until_cut() => None,
        };
        match accepted {
            Some(Accepted::Tls(stream)) => self.serve_http(stream, &Scheme::HTTPS).await,
            Some(Accepted::Plaintext(socket)) => self.serve_http(socket, &Scheme::HTTP).await,
            None => {}
        }
    }

    /// Serves one connection of a program of this machine, in plaintext, to its end.
    #[cfg(unix)]
    pub(super) async fn serve_socket(self, socket: UnixStream) {
        let _open = self.service.metrics.connection();
        self.serve_http(socket, &Scheme::HTTP).await;
    }

    /// `None` for what is not served.
    async fn shake_hands(&self, socket: TcpStream) -> Option<Accepted> {
        let mut first = [0];
        let peeked = timeout(self.idle_limit, socket.peek(&mut first));
        let peeked = tokio::select! {
            peeked = peeked => peeked,
            () = self.service.shutdown.until_begun() => return None,
        };
        let is_tls = match peeked {
            Ok(Ok(1..)) => first == [TLS_HANDSHAKE],
            Ok(Ok(0) | Err(_)) | Err(_) => return None,
        };
        match (is_tls, &self.tls) {
            (true, Some(tls)) => match timeout(HANDSHAKE_LIMIT, tls.accept(socket)).await {
                Ok(Ok(stream)) => return Some(Accepted::Tls(Box::new(stream))),
                Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                Err(_) => debug!("a TLS handshake took too long"),
            },
            (false, _) if self.allows_plaintext => return Some(Accepted::Plaintext(socket)),
            (true, None) => debug!("a client began with TLS; there is no certificate to show"),
            (false, _) => debug!("a client began without TLS, from where others could listen"),
        }
        None
    }

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: &Scheme,
    ) {
        let activity = Activity::new();
        let service = service_fn(|request: Request<Incoming>| {
            let (service, visit) = (Arc::clone(&self.service), activity.begin());
            let scheme = scheme.clone();
            // Boxed here: hyper moves the future of a call several times, and it is large.
            async move { Ok::<_, Infallible>(Box::pin(service.answer(request, scheme, visit)).await) }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut asked = AbortOnDropHandle::new(tokio::spawn(self.until_asked(&activity)));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => Some(ended),
            _ = &mut asked => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection => ended,
                () = activity.idle_for(CLOSE_LIMIT, Instant::now()) => {
                    return debug!("a connection is cut");
                }
                () = self.service.shutdown.until_cut() => return,
            }
        };
        if let Err(error) = ended {
            debug!(error, "a connection broke");
        }
    }

    /// Waits until the connection is to take no more calls: it was idle, or the sidecar ends. In a
    /// task of its own: the connection's is woken by each call, and would look at all of this.
    fn until_asked(&self, activity: &Activity) -> impl Future<Output = ()> + use<> {
        let (activity, idle_limit) = (activity.clone(), self.idle_limit);
        let shutdown = Arc::clone(&self.service.shutdown);
        async move {
            tokio::select! {
                biased;
                () = shutdown.until_begun() => {}
                () = activity.idle_for(idle_limit, Instant::now()) => {}
            }
        }
    }
}

/// A connection whose first bytes are known.
enum Accepted {
    Tls(Box<TlsStream<TcpStream>>),
    Plaintext(TcpStream),
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("tls", &self.tls.is_some())
            .field("allows_plaintext", &self.allows_plaintext)
            .finish_non_exhaustive()
    }
}

/// The first byte of a TLS connection: the content type of a handshake record.
const TLS_HANDSHAKE: u8 = 22;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Time for a client to close a connection that was told to.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// A head holds a token or two and the caller's metadata; gRPC servers commonly allow 8 KiB.
const MAX_HEAD_SIZE: u32 = 64 * 1024;
/// Of each answer, for a client that does not read.
const SEND_BUFFER: usize = 64 * 1024;
/// A client that vanished is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
