//! A bare tonic client: tonic's `Channel` over TLS, nothing of this crate.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use genai_bridge::v1beta::GenerateContentRequest;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

/// One connection of a client.
#[derive(Clone)]
pub(super) struct Bare(GenerativeServiceClient<Channel>);

impl Bare {
    pub(super) async fn connect(endpoint: &str, root: &[u8]) -> Self {
        let connector = Connector(TlsConnector::from(Arc::new(trusting(root))));
        // TLS is the connector's: of an `https` address tonic would ask for its own.
        let address = endpoint.replacen("https", "http", 1);
        let origin = Uri::try_from(endpoint).expect("a URL");
        let endpoint = Endpoint::from_shared(address).expect("a URL").origin(origin);
        let channel = endpoint.connect_with_connector(connector).await.expect("a connection");
        Self(GenerativeServiceClient::new(channel))
    }

    /// How long each of so many calls took, one after the other.
    pub(super) async fn one_by_one(&self, calls: usize) -> Vec<Duration> {
        let mut client = self.0.clone();
        let mut latencies = Vec::with_capacity(calls);
        for _ in 0..calls {
            let began = Instant::now();
            client.generate_content(request()).await.expect("an answer");
            latencies.push(began.elapsed());
        }
        latencies
    }

    /// Calls of so many callers at a time, and how long they took.
    pub(super) async fn side_by_side(&self, callers: usize, time: Duration) -> (u32, Duration) {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let mut client = self.0.clone();
            tasks.spawn(async move {
                let mut calls = 0;
                while began.elapsed() < time {
                    client.generate_content(request()).await.expect("an answer");
                    calls += 1;
                }
                calls
            });
        }
        (tasks.join_all().await.into_iter().sum(), began.elapsed())
    }
}

fn request() -> Request<GenerateContentRequest> {
    let model = "models/gemini-2.5-flash".into();
    let mut request = Request::new(GenerateContentRequest { model, ..Default::default() });
    request.metadata_mut().insert("x-goog-api-key", "a-key".parse().expect("a value"));
    request
}

fn trusting(root: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root) {
        roots.add(certificate.expect("a certificate")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

struct Connector(TlsConnector);

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.0.clone();
        Box::pin(async move {
            let port = uri.port_u16().expect("a port");
            let socket = TcpStream::connect(("127.0.0.1", port)).await?;
            socket.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").expect("a name");
            Ok(TokioIo::new(tls.connect(name, socket).await?))
        })
    }
}
