//! What carrying gRPC costs over a bare tonic `Channel` with the same TLS: instructions a call, and calls a second.
//!
//! `cargo bench --bench carry`. Service and proxy run in a process of their own. Instructions are
//! counted by valgrind.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use genai_bridge::emulator::{Authority, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Candidate, GenerateContentRequest, GenerateContentResponse};
use genai_bridge::{ActiveTransport, Bridge, Proxy, Transport};
use http::{HeaderMap, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tonic::Request;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::Endpoint;

mod callgrind;
mod sentence;
mod server;

use callgrind::counted;
use sentence::{content, dressed_question, frame, question};
use server::{Server, until_input_ends};

/// What the bridge may cost, by what it is compared with, and how fast it must be at least.
const ALLOWED_INSTRUCTIONS: [(&str, f64); 2] = [("bare", 1.05), ("same", 0.92)];
const ALLOWED_AUTO: f64 = 1.005;
const ALLOWED_SPEED: f64 = 0.97;
/// Calls that come before those that are measured.
const WARM: usize = 100;
const SEQUENTIAL: usize = 1000;
const CALLERS: usize = 64;
const CONCURRENT: usize = 6400;
const ROUNDS: usize = 9;
/// Who carries, and over which way. `same` is bare too, and sends the metadata that the bridge sends: a key, a
/// timeout, and what Google's clients add; `bare` sends none of it, which the service would refuse.
const CLIENTS: [(&str, &str); 6] = [
    ("bare", "direct"),
    ("same", "direct"),
    ("bridge", "direct"),
    ("bare", "CONNECT"),
    ("same", "CONNECT"),
    ("bridge", "CONNECT"),
];

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => runtime.block_on(serve()),
        ["call", who, way, calls, callers, service, proxy, root] => {
            let place = Place { service: service.parse()?, proxy: proxy.parse()?, root };
            call(&runtime, who, way, calls.parse()?, callers.parse()?, &place)
        }
        _ => measure(),
    }
}

/// Where the service and the proxy are, and whom to trust.
struct Place<'a> {
    service: SocketAddr,
    proxy: SocketAddr,
    root: &'a str,
}

fn measure() -> Result<(), Failure> {
    let server = Server::start()?;
    let place: Vec<&str> = server.place.split_whitespace().collect();
    let speeds = speeds(&place)?;
    for ((who, way), speed) in CLIENTS.iter().zip(&speeds) {
        println!("{who:>6}, {way:>7}: {speed:>9.0} calls/s, {CALLERS} callers, median of {ROUNDS}");
    }
    for (way, at) in [("direct", 0), ("CONNECT", 3)] {
        let (bare, same) = (speeds[at + 2] / speeds[at], speeds[at + 2] / speeds[at + 1]);
        println!(
            "{way}: bridge's calls/s are {bare:.3} of bare's, {same:.3} of same's (at least {ALLOWED_SPEED})"
        );
    }
    let bridge = instructions("bridge", "CONNECT", &place)?;
    for (who, allowed) in ALLOWED_INSTRUCTIONS {
        let other = instructions(who, "direct", &place)?;
        let more = bridge / other;
        println!(
            "instructions a call: {who}, direct {other:.0}; bridge, CONNECT {bridge:.0}: {more:.3} (at most {allowed})"
        );
    }
    let auto = instructions("auto", "CONNECT", &place)?;
    println!(
        "instructions a call: Transport::Grpc {bridge:.0}; Transport::Auto {auto:.0}: {:.3} (at most {ALLOWED_AUTO})",
        auto / bridge
    );
    Ok(())
}

/// Calls a second of each client, the median of interleaved rounds.
fn speeds(place: &[&str]) -> Result<Vec<f64>, Failure> {
    let mut rounds = vec![Vec::new(); CLIENTS.len()];
    for _ in 0..ROUNDS {
        for (speeds, (who, way)) in rounds.iter_mut().zip(CLIENTS) {
            let (calls, callers) = (CONCURRENT.to_string(), CALLERS.to_string());
            let mut client = Command::new(std::env::current_exe()?);
            client.args(["call", who, way, &calls, &callers]).args(place);
            let output = client.output()?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
            }
            speeds.push(String::from_utf8(output.stdout)?.trim().parse::<f64>()?);
        }
    }
    Ok(rounds
        .into_iter()
        .map(|mut speeds| {
            speeds.sort_by(f64::total_cmp);
            speeds[speeds.len() / 2]
        })
        .collect())
}

/// Instructions of one call of one caller.
fn instructions(who: &str, way: &str, place: &[&str]) -> Result<f64, Failure> {
    callgrind::instructions(SEQUENTIAL, |calls| {
        let words = ["call", who, way, calls, "1"];
        words.iter().chain(place).map(ToString::to_string).collect()
    })
}

/// Makes the calls, and prints how many a second.
fn call(
    runtime: &Runtime,
    who: &str,
    way: &str,
    calls: usize,
    callers: usize,
    place: &Place<'_>,
) -> Result<(), Failure> {
    let proxy = (way == "CONNECT").then_some(place.proxy);
    let pem = std::fs::read(place.root)?;
    let endpoint = format!("https://localhost:{}", place.service.port());
    if who == "bridge" || who == "auto" {
        let transport = if who == "auto" { Transport::Auto } else { Transport::Grpc };
        let way = match proxy {
            Some(proxy) => Proxy::url(&format!("http://{proxy}"))?,
            None => Proxy::none(),
        };
        let builder = Bridge::builder().endpoint(endpoint).proxy(way).add_root_certificates(pem);
        let bridge = builder.api_key("none").transport(transport).build()?;
        // All that takes long under valgrind comes before the first call: Auto would not wait for
        // gRPC.
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        random.fill(&mut [0; 32]).map_err(|_| "no randomness")?;
        if runtime.block_on(bridge.connect())? != ActiveTransport::Grpc {
            return Err("the calls would go over REST".into());
        }
        return call_over(runtime, bridge, question, calls, callers);
    }
    let origin: Uri = endpoint.parse()?;
    let connector = Connector { tls: tls(&pem)?, service: place.service, proxy };
    let address = format!("http://localhost:{}", place.service.port());
    let endpoint = Endpoint::from_shared(address)?.origin(origin);
    let channel = runtime.block_on(endpoint.connect_with_connector(connector))?;
    let question = if who == "same" { dressed_question } else { question };
    call_over(runtime, channel, question, calls, callers)
}

fn call_over<S>(
    runtime: &Runtime,
    service: S,
    question: fn() -> Request<GenerateContentRequest>,
    calls: usize,
    callers: usize,
) -> Result<(), Failure>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Error: Into<Failure> + Send,
    S::Future: Send,
{
    let client = GenerativeServiceClient::new(service);
    let many = async |calls: usize| {
        let mut running = JoinSet::new();
        for _ in 0..callers {
            let mut client = client.clone();
            running.spawn(async move {
                for _ in 0..calls / callers {
                    client.generate_content(question()).await?;
                }
                Ok::<_, tonic::Status>(())
            });
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok::<_, Failure>(())
    };
    runtime.block_on(many(WARM))?;
    let began = Instant::now();
    counted(|| runtime.block_on(many(calls)))?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let speed = calls as f64 / began.elapsed().as_secs_f64();
    println!("{speed}");
    Ok(())
}

/// What a bare tonic user would write: TCP, CONNECT, TLS.
#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    service: SocketAddr,
    proxy: Option<SocketAddr>,
}

impl Connector {
    async fn connect(self) -> Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>, Failure> {
        let mut stream = TcpStream::connect(self.proxy.unwrap_or(self.service)).await?;
        stream.set_nodelay(true)?;
        if self.proxy.is_some() {
            let host = format!("localhost:{}", self.service.port());
            let ask = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stream.write_all(ask.as_bytes()).await?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await?);
            }
        }
        let name = ServerName::try_from("localhost")?;
        Ok(TokioIo::new(self.tls.connect(name, stream).await?))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;
    type Error = Failure;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Failure>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

fn tls(pem: &[u8]) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Serves one fixed answer over HTTP/2 and TLS, with a proxy beside it, until standard input ends.
async fn serve() -> Result<(), Failure> {
    let authority = Authority::new("Bench root");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = HostileProxy::start(Fault::Pass).await?;
    let root = std::env::temp_dir().join(format!("genai-bridge-carry-{}.pem", std::process::id()));
    std::fs::write(&root, authority.pem())?;
    let proxy_address = proxy.url().trim_start_matches("http://").to_owned();
    println!("{} {proxy_address} {}", listener.local_addr()?, root.display());
    let acceptor = TlsAcceptor::from(authority.server_config(&["localhost"], &[b"h2"]));
    let ended = until_input_ends(accept(listener, acceptor, answer())).await;
    std::fs::remove_file(root)?;
    ended
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answer: Bytes,
) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let stream = TokioIo::new(acceptor.accept(stream).await?);
            let service = service_fn(move |request| respond(request, answer.clone()));
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(stream, service)
                .await?;
            Ok::<_, Failure>(())
        });
    }
}

async fn respond(
    request: http::Request<hyper::body::Incoming>,
    answer: Bytes,
) -> Result<http::Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    // A body that breaks off needs no answer.
    let _ = request.into_body().collect().await;
    let trailers = async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        Some(Ok(trailers))
    };
    let body = Full::new(answer).with_trailers(trailers).boxed_unsync();
    let mut response = http::Response::new(body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// A gRPC frame with a short answer.
fn answer() -> Bytes {
    let text = "Because the air scatters blue light more than red.";
    let candidate = Candidate { content: Some(content(text, "model")), ..Candidate::default() };
    let message = GenerateContentResponse { candidates: vec![candidate], ..Default::default() };
    frame(&message)
}
