//! Clients without the bridge: plain HTTP connections, and one under a generated client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use genai_bridge::emulator::Emulator;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::Status;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to the emulator, over TLS with this protocol unless it speaks plaintext.
pub(super) async fn connect(emulator: &Emulator, protocol: &str) -> Box<dyn Stream> {
    let socket = TcpStream::connect(emulator.address()).await.unwrap();
    if emulator.endpoint().starts_with("http:") {
        return Box::new(socket);
    }
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(emulator.root_certificate().as_bytes());
    roots.add(root.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    Box::new(stream)
}

/// Sends one request on a connection of its own, which ends when the answer is dropped.
pub(super) async fn send(
    emulator: &Emulator,
    version: Version,
    request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    if version == Version::HTTP_2 {
        let io = TokioIo::new(connect(emulator, "h2").await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let io = TokioIo::new(connect(emulator, "http/1.1").await);
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }
}

pub(super) fn request(
    emulator: &Emulator,
    verb: &str,
    target: &str,
    body: &str,
) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(verb)
        .uri(format!("{}{target}", emulator.endpoint()))
        .header("host", "localhost");
    let request = match body {
        "" => request,
        _ => request.header("content-type", "application/json"),
    };
    request.body(Full::from(body.to_owned())).unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

impl Answer {
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        Self { status: head.status, headers: head.headers, body: body.to_bytes(), trailers }
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, wherever it stands.
    pub(super) fn grpc_status(&self) -> Status {
        Status::from_header_map(&self.trailers)
            .or_else(|| Status::from_header_map(&self.headers))
            .expect("a status")
    }
}

pub(super) async fn rest(emulator: &Emulator, verb: &str, target: &str, body: &str) -> Answer {
    let request = request(emulator, verb, target, body);
    Answer::read(send(emulator, Version::HTTP_11, request).await).await
}

pub(super) fn grpc_request(
    emulator: &Emulator,
    path: &str,
    message: &impl Message,
) -> Request<Full<Bytes>> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    Request::post(format!("{}{path}", emulator.endpoint()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from([&[0][..], &length, &message].concat()))
        .unwrap()
}

pub(super) async fn grpc(emulator: &Emulator, path: &str, message: &impl Message) -> Answer {
    let request = grpc_request(emulator, path, message);
    Answer::read(send(emulator, Version::HTTP_2, request).await).await
}

/// A generated client without the bridge.
pub(super) type Client = GenerativeServiceClient<Direct>;

/// An HTTP/2 connection as a service for a generated client.
#[derive(Clone)]
pub(super) struct Direct(http2::SendRequest<tonic::body::Body>);

impl Direct {
    pub(super) async fn client(emulator: &Emulator) -> Client {
        let io = TokioIo::new(connect(emulator, "h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let origin = Uri::try_from(emulator.endpoint()).unwrap();
        GenerativeServiceClient::with_origin(Self(sender), origin)
    }
}

impl tower_service::Service<Request<tonic::body::Body>> for Direct {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
