//! Service: a process of this program that answers at once, with one fixed answer, over gRPC and
//! REST, TLS and HTTP/2 or HTTP/1.1.

use std::convert::Infallible;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

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
use prost::Message;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::sentence::content;

type Failure = Box<dyn Error + Send + Sync>;

/// The process, which ends with this value.
pub struct Service {
    process: Child,
    /// `https://localhost:PORT`
    pub endpoint: String,
    /// The file with the root to trust.
    pub root: String,
}

impl Service {
    /// Starts this program with the one argument `serve`.
    pub fn start() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let (endpoint, root) = line.trim().split_once(' ').ok_or("no address")?;
        Ok(Self { process, endpoint: endpoint.to_owned(), root: root.to_owned() })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
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
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        _ = ended => {}
        never = accept(listener, TlsAcceptor::from(config)) => never?,
    }
    Ok(std::fs::remove_file(root)?)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) -> Result<(), Failure> {
    let frame = frame();
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
fn frame() -> Bytes {
    let candidate = Candidate { content: Some(content(TEXT, "model")), ..Candidate::default() };
    let message = GenerateContentResponse { candidates: vec![candidate], ..Default::default() };
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    frame.extend(message);
    frame.into()
}
