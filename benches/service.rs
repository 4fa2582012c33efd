//! Service: a process of this program that answers at once, with one fixed answer, over gRPC and
//! REST, TLS and HTTP/2 or HTTP/1.1.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use genai_bridge::emulator::Authority;
use genai_bridge::v1beta::{Candidate, GenerateContentResponse};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::sentence::{content, frame};
use crate::server::{Server, until_input_ends};

type Failure = Box<dyn Error + Send + Sync>;

/// The process, which ends with this value.
pub struct Service {
    _server: Server,
    /// `https://localhost:PORT`
    pub endpoint: String,
    /// The file with the root to trust.
    pub root: String,
}

impl Service {
    pub fn start() -> Result<Self, Failure> {
        let server = Server::start()?;
        let (endpoint, root) = server.place.split_once(' ').ok_or("no address")?;
        let (endpoint, root) = (endpoint.to_owned(), root.to_owned());
        Ok(Self { _server: server, endpoint, root })
    }
}

/// Serves until standard input ends.
pub async fn serve() -> Result<(), Failure> {
    let authority = Authority::new("Bench root");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = std::env::temp_dir().join(format!("genai-bridge-root-{}.pem", std::process::id()));
    std::fs::write(&root, authority.pem())?;
    println!("https://localhost:{} {}", listener.local_addr()?.port(), root.display());
    let config = authority.server_config(&["localhost"], &[b"h2", b"http/1.1"]);
    until_input_ends(accept(listener, TlsAcceptor::from(config))).await?;
    Ok(std::fs::remove_file(root)?)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) -> Result<(), Failure> {
    let frame = answer_frame();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, frame) = (acceptor.clone(), frame.clone());
        tokio::spawn(async move {
            let stream = TokioIo::new(acceptor.accept(stream).await?);
            let service = service_fn(move |request| respond(request, frame.clone()));
            auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    frame: Bytes,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind == "application/grpc");
    // A body that breaks off needs no answer.
    let _ = request.into_body().collect().await;
    let (kind, body) = if is_grpc {
        let trailers = async {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", 0.into());
            Some(Ok(trailers))
        };
        ("application/grpc", Full::new(frame).with_trailers(trailers).boxed_unsync())
    } else {
        ("application/json", Full::new(Bytes::from_static(JSON)).boxed_unsync())
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

const TEXT: &str = "Because the air scatters blue light more than red.";
const JSON: &[u8] = br#"{"candidates":[{"content":{"parts":[{"text":"Because the air scatters blue light more than red."}],"role":"model"}}]}"#;

/// The same as a frame of gRPC.
fn answer_frame() -> Bytes {
    let candidate = Candidate { content: Some(content(TEXT, "model")), ..Candidate::default() };
    let message = GenerateContentResponse { candidates: vec![candidate], ..Default::default() };
    frame(&message)
}
