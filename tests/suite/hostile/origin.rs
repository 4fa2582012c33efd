//! The service behind the proxy: two messages and a status over gRPC, JSON over REST.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use genai_bridge::emulator::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(super) static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("Origin"));

static TLS: LazyLock<Arc<ServerConfig>> =
    LazyLock::new(|| AUTHORITY.server_config(&[HOST], &[b"h2", b"http/1.1"]));

pub(super) const HOST: &str = "service.test";
/// Two messages and a status.
pub(super) const STREAM: &str = "/test.Service/Stream";
/// The same; the second message waits for the gate.
pub(super) const GATED: &str = "/test.Service/Gated";
/// One message of more than 64 KiB.
pub(super) const LARGE: &str = "/test.Service/Large";
/// Nothing, until the gate opens.
pub(super) const LATE: &str = "/test.Service/Late";
/// A status in the head of the answer.
pub(super) const FAIL: &str = "/test.Service/Fail";
pub(super) const JSON: &str = "/v1/models";

/// Runs until it is dropped.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    work: Arc<Work>,
    _tasks: JoinSet<()>,
}

struct Work {
    grpc_calls: AtomicUsize,
    gate: Arc<Semaphore>,
}

impl Origin {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let work = Arc::new(Work { grpc_calls: AtomicUsize::new(0), gate });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&work)));
        Self { address, work, _tasks: tasks }
    }

    /// gRPC calls that came with their whole request.
    pub(super) fn grpc_calls(&self) -> usize {
        self.work.grpc_calls.load(Ordering::SeqCst)
    }

    pub(super) fn open_gate(&self) {
        self.work.gate.close();
    }
}

async fn accept(listener: TcpListener, work: Arc<Work>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, Arc::clone(&work)));
    }
}

/// Faults cut connections at any time, so how this one ends says nothing.
async fn serve(stream: TcpStream, work: Arc<Work>) {
    let Ok(stream) = TlsAcceptor::from(Arc::clone(&TLS)).accept(stream).await else { return };
    let service = service_fn(|request| answer(request, Arc::clone(&work)));
    let server = auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    work: Arc<Work>,
) -> Result<Response<Script>, Infallible> {
    let path = request.uri().path().to_owned();
    let Ok(_) = request.into_body().collect().await else {
        return Ok(Response::new(Script::new([])));
    };
    if path == JSON {
        let body = Script::new([Frame::data(Bytes::from_static(b"{}"))]);
        return Ok(with_content_type(body, "application/json"));
    }
    work.grpc_calls.fetch_add(1, Ordering::SeqCst);
    if path == LATE {
        work.gate.acquire().await.expect_err("the gate opens by closing the semaphore");
    }
    let message = |text: &'static [u8]| Frame::data(Bytes::from_static(text));
    let body = match path.as_str() {
        STREAM | GATED => Script::new([
            message(b"\0\0\0\0\x03one"),
            message(b"\0\0\0\0\x03two"),
            Frame::trailers(status("0")),
        ]),
        LARGE => Script::new([message(&LARGE_MESSAGE), Frame::trailers(status("0"))]),
        _ => Script::new([]),
    };
    let body = if path == GATED { body.gated(Arc::clone(&work.gate)) } else { body };
    let mut response = with_content_type(body, "application/grpc");
    if path == FAIL {
        response.headers_mut().extend(status("5"));
    }
    Ok(response)
}

/// The prefix and as many bytes as it says.
static LARGE_MESSAGE: [u8; 5 + (1 << 17)] = {
    let mut message = [0; 5 + (1 << 17)];
    message[2] = 2;
    message
};

fn with_content_type(body: Script, value: &'static str) -> Response<Script> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
    response
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(code))])
}

/// The frames of an answer, one by one.
struct Script {
    frames: VecDeque<Frame<Bytes>>,
    /// Holds back all but the first frame.
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    has_begun: bool,
}

impl Script {
    fn new(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Self {
        Self { frames: frames.into_iter().collect(), gate: None, has_begun: false }
    }

    fn gated(mut self, gate: Arc<Semaphore>) -> Self {
        self.gate = Some(Box::pin(async move {
            let closed = gate.acquire().await;
            assert!(closed.is_err(), "the gate opens by closing the semaphore");
        }));
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.has_begun
            && let Some(gate) = &mut self.gate
        {
            ready!(gate.as_mut().poll(cx));
            self.gate = None;
        }
        self.has_begun = true;
        Poll::Ready(self.frames.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}
