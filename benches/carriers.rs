//! What a carrier of the program's own costs below the bridge: instructions a call, against the same client used bare.
//!
//! `cargo bench --bench carriers`. Three figures each: the client bare, the bridge over it, and the
//! bridge over a carrier that answers from memory, which is the protocol's own work. Instructions
//! are counted by valgrind. The service, plaintext on loopback, runs in a process of its own.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Candidate, GenerateContentRequest, GenerateContentResponse, candidate};
use genai_bridge::{Bridge, Carrier, Proxy, Transport};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::Endpoint;

mod callgrind;
mod sentence;
mod server;

use callgrind::counted;
use sentence::{content, dressed_question, frame, question};
use server::{Server, until_input_ends};

/// What the bridge over a foreign carrier may cost: so many times the client bare and the protocol's own work together.
const ALLOWED: f64 = 1.05;
/// What REST over our own carrier may cost, as a part of reqwest bare: bytes in, bytes out, no typed messages.
const ALLOWED_REST: f64 = 1.00;
/// Calls that are counted, after some that are not.
const COUNTED: usize = 1000;
const WARM: usize = 100;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.as_slice() {
        ["serve"] => runtime.block_on(serve()),
        ["call", who, calls, port] => call(&runtime, who, calls.parse()?, port),
        _ => measure(),
    }
}

fn measure() -> Result<(), Failure> {
    let server = Server::start()?;
    let count = |who: &str| instructions(who, &server.place);
    let channel = [count("channel")?, count("bridge-channel")?];
    let grpc = [count("memory-grpc")?, count("bridge-memory-grpc")?];
    tell("Channel", channel, grpc[1] - grpc[0]);
    let client = [count("reqwest")?, count("bridge-reqwest")?];
    tell("reqwest", client, count("bridge-memory-rest")?);
    let own = [count("bridge-grpc")?, count("bridge-rest")?];
    println!("our own carriers: gRPC {:.0}, REST {:.0}", own[0], own[1]);
    let ratio = own[1] / client[0];
    println!("our own REST: {ratio:.3} of reqwest bare (at most {ALLOWED_REST:.2})");
    Ok(())
}

fn tell(name: &str, [bare, over]: [f64; 2], protocol: f64) {
    let ratio = over / (bare + protocol);
    println!(
        "{name}: bare {bare:.0}, protocol's own work {protocol:.0}, bridge over it {over:.0}: \
         {ratio:.3} of both together (at most {ALLOWED})"
    );
}

/// Instructions of one call.
fn instructions(who: &str, port: &str) -> Result<f64, Failure> {
    callgrind::instructions(COUNTED, |calls| ["call", who, calls, port].map(str::to_owned).into())
}

/// Makes the calls, one after the other.
fn call(runtime: &Runtime, who: &str, calls: usize, port: &str) -> Result<(), Failure> {
    // What connects and spawns belongs to the runtime.
    let _inside = runtime.enter();
    let address = format!("http://localhost:{port}");
    let channel = || Endpoint::from_shared(address.clone()).map(|endpoint| endpoint.connect_lazy());
    let bridge = |transport| {
        let builder = Bridge::builder().endpoint(&address).proxy(Proxy::none());
        builder.api_key("none").transport(transport)
    };
    match who {
        "channel" => over(runtime, channel()?, dressed_question, calls),
        "memory-grpc" => over(runtime, Memory::grpc(), dressed_question, calls),
        "bridge-channel" => {
            let builder = bridge(Transport::Grpc).grpc_carrier(Carrier::from(channel()?));
            over(runtime, builder.build()?, question, calls)
        }
        "bridge-memory-grpc" => {
            let builder = bridge(Transport::Grpc).grpc_carrier(Carrier::service(Memory::grpc()));
            over(runtime, builder.build()?, question, calls)
        }
        "bridge-memory-rest" => {
            let builder = bridge(Transport::Rest).rest_carrier(Carrier::service(Memory::rest()));
            over(runtime, builder.build()?, question, calls)
        }
        "bridge-reqwest" => {
            let builder = bridge(Transport::Rest).rest_carrier(reqwest::Client::builder());
            over(runtime, builder.build()?, question, calls)
        }
        "reqwest" => over_reqwest(runtime, &address, calls),
        "bridge-grpc" => over(runtime, bridge(Transport::Grpc).build()?, question, calls),
        "bridge-rest" => over(runtime, bridge(Transport::Rest).build()?, question, calls),
        _ => Err(format!("nobody is called {who}").into()),
    }
}

fn over<S>(
    runtime: &Runtime,
    service: S,
    question: fn() -> tonic::Request<GenerateContentRequest>,
    calls: usize,
) -> Result<(), Failure>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Error: Into<Failure> + Send,
    S::Future: Send,
{
    let mut client = GenerativeServiceClient::new(service);
    let mut many = async |calls| {
        for _ in 0..calls {
            client.generate_content(question()).await?;
        }
        Ok(())
    };
    runtime.block_on(many(WARM))?;
    counted(|| runtime.block_on(many(calls)))
}

/// The same request, written once, and the bytes of its answer, as the client is used bare.
fn over_reqwest(runtime: &Runtime, address: &str, calls: usize) -> Result<(), Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{address}/v1beta/models/gemini-2.5-flash:generateContent");
    let body = Bytes::from_static(
        br#"{"contents":[{"parts":[{"text":"Why is the sky blue? Answer in one sentence."}],"role":"user"}]}"#,
    );
    let many = async |calls| {
        for _ in 0..calls {
            let request = client
                .post(&url)
                .header(header::CONTENT_TYPE, "application/json")
                .header("x-goog-api-key", "none")
                .header("x-goog-api-client", "bench/0.14.0 grpc/0.14.0")
                .header("x-server-timeout", "600")
                .header(header::ACCEPT_ENCODING, "gzip")
                .body(body.clone());
            let answer = request.send().await?.error_for_status()?;
            if answer.bytes().await?.len() < 50 {
                return Err("no answer".into());
            }
        }
        Ok(())
    };
    runtime.block_on(many(WARM))?;
    counted(|| runtime.block_on(many(calls)))
}

/// A carrier that answers from memory, at once.
#[derive(Clone)]
struct Memory {
    answer: Bytes,
    is_grpc: bool,
}

impl Memory {
    fn grpc() -> Self {
        Self { answer: answer_frame(), is_grpc: true }
    }

    fn rest() -> Self {
        Self { answer: Bytes::from_static(JSON), is_grpc: false }
    }
}

impl Service<Request<Body>> for Memory {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(answer(self.answer.clone(), self.is_grpc).map(Body::new)))
    }
}

fn answer(bytes: Bytes, is_grpc: bool) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let body = Full::new(bytes);
    let (body, kind) = if is_grpc {
        let trailers = async {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", 0.into());
            Some(Ok(trailers))
        };
        (body.with_trailers(trailers).boxed_unsync(), "application/grpc")
    } else {
        (body.boxed_unsync(), "application/json")
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Serves one fixed answer to each request until standard input ends.
async fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    until_input_ends(accept(listener)).await
}

async fn accept(listener: TcpListener) -> Result<(), Failure> {
    let frame = answer_frame();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let frame = frame.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let frame = frame.clone();
                async move {
                    let kind = request.headers().get(header::CONTENT_TYPE);
                    let is_grpc = kind.is_some_and(|kind| kind == "application/grpc");
                    // A body that breaks off needs no answer.
                    let _ = request.into_body().collect().await;
                    let bytes = if is_grpc { frame } else { Bytes::from_static(JSON) };
                    Ok::<_, Infallible>(answer(bytes, is_grpc))
                }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that goes is no failure here.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

const TEXT: &str = "Because the air scatters blue light more than red.";
const JSON: &[u8] = br#"{"candidates":[{"content":{"parts":[{"text":"Because the air scatters blue light more than red."}],"role":"model"},"finishReason":"STOP"}]}"#;

/// The same as a frame of gRPC.
fn answer_frame() -> Bytes {
    let candidate = Candidate {
        content: Some(content(TEXT, "model")),
        finish_reason: candidate::FinishReason::Stop.into(),
        ..Candidate::default()
    };
    let message = GenerateContentResponse { candidates: vec![candidate], ..Default::default() };
    frame(&message)
}
