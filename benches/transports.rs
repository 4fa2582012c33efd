//! What REST costs over a client written by hand for it: time, instructions, processor time under load, first chunk, and memory.
//!
//! `cargo bench --bench transports`. The service, plain HTTP/1.1 and HTTP/2 on loopback, runs in a process of its own. The
//! rival is reqwest with pbjson's typed messages; `raw` is reqwest too, with the headers of the bridge, and neither writes nor
//! reads JSON. Instructions are counted by valgrind.

use std::convert::Infallible;
use std::error::Error;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Blob, Content, GenerateContentRequest, Part, part::Data};
use genai_bridge::{Bridge, Proxy, Transport};
use genai_bridge_benches::v1beta as typed;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

mod callgrind;
#[allow(dead_code, reason = "the transcoder's bench uses all of them")]
mod payloads;
#[allow(dead_code, reason = "the bench of streams uses all of it")]
mod processor;
mod server;

use callgrind::counted;
use processor::{nanos, report};
use server::{Server, until_input_ends};

/// The p50 of REST against the rival's, and the instructions of a call.
const ALLOWED_TIME: f64 = 1.3;
const ALLOWED_INSTRUCTIONS: f64 = 1.0;
/// Processor time of a call beside the rival's, with so many callers at a time.
const ALLOWED_LOAD: f64 = 1.0;
const CALLERS: [usize; 2] = [64, 256];
/// How much later the first chunk of a stream may come, and how much more memory a 20 MB image may take than over gRPC.
const ALLOWED_LATER_US: f64 = 50.0;
const ALLOWED_MORE_KIB: i64 = 1024;
const ROUNDS: usize = 9;
const CALLS: usize = 400;
/// Calls that are counted, after some that are not.
const COUNTED: usize = 300;
const WARM: usize = 50;
const LOADED: usize = 12_800;
const IMAGE: usize = 20 * 1024 * 1024;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.as_slice() {
        ["serve"] => runtime.block_on(serve()),
        ["call", who, calls, port] => {
            let mut caller = Caller::new(port)?;
            runtime.block_on(caller.times(who, WARM))?;
            counted(|| runtime.block_on(caller.times(who, calls.parse()?))).map(drop)
        }
        ["load", who, callers, port] => runtime.block_on(load(who, callers.parse()?, port)),
        ["image", transport, port] => runtime.block_on(send_image(transport, port)),
        _ => measure(&runtime),
    }
}

fn measure(runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    let server = Server::start()?;
    let port = &*server.place;
    let mut times = [(); 4].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for (who, times) in
            ["bridge", "rival", "bridge stream", "rival stream"].iter().zip(&mut times)
        {
            times.extend(runtime.block_on(Caller::new(port)?.times(who, CALLS))?);
        }
    }
    let [bridge, rival, bridge_stream, rival_stream] = times.map(|times| micros(median(times)));
    println!(
        "p50 of a call:      {bridge:.0} µs, rival {rival:.0} µs: {:.2} (allowed {ALLOWED_TIME})",
        bridge / rival
    );
    let later = bridge_stream - rival_stream;
    println!(
        "first chunk:        {bridge_stream:.0} µs, rival {rival_stream:.0} µs: {later:.0} µs later (allowed {ALLOWED_LATER_US})"
    );
    let instructions = |who: &str| {
        callgrind::instructions(COUNTED, |calls| {
            ["call", who, calls, port].map(str::to_owned).into()
        })
    };
    let bridge = instructions("bridge")?;
    for who in ["rival", "raw"] {
        let other = instructions(who)?;
        println!(
            "instructions:       {bridge:.0}, {who} {other:.0}: {:.3} (allowed {ALLOWED_INSTRUCTIONS})",
            bridge / other
        );
    }
    for callers in CALLERS {
        let [bridge, rival, raw] = loads(callers, port)?;
        println!(
            "{callers:>3} callers:        {bridge:.1} µs of processor time, rival {rival:.1}, raw {raw:.1}: {:.2} (allowed {ALLOWED_LOAD})",
            bridge / rival
        );
    }
    let (grpc, rest) = (peak("grpc", port)?, peak("rest", port)?);
    println!(
        "a 20 MB image:      peak {rest} KiB over REST, {grpc} KiB over gRPC: {} KiB more (allowed {ALLOWED_MORE_KIB})",
        rest - grpc
    );
    Ok(())
}

/// Processor time of a call in µs, the median of interleaved rounds.
fn loads(callers: usize, port: &str) -> Result<[f64; 3], Failure> {
    let mut times = [(); 3].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for (who, times) in ["bridge", "rival", "raw"].iter().zip(&mut times) {
            let mut client = Command::new(std::env::current_exe()?);
            let output = client.args(["load", who, &callers.to_string(), port]).output()?;
            let text = String::from_utf8(output.stdout)?;
            let micros: f64 = text.trim().parse().map_err(|_| format!("no time: {text}"))?;
            times.push(Duration::from_secs_f64(micros / 1e6));
        }
    }
    Ok(times.map(|times| micros(median(times))))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The peak of a process that sends one image, in KiB.
fn peak(transport: &str, port: &str) -> Result<i64, Failure> {
    let output =
        Command::new(std::env::current_exe()?).args(["image", transport, port]).output()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().map_err(|_| format!("no peak: {text} {:?}", output.stderr).into())
}

/// Many calls at a time; prints the processor time of one in µs. All of it is this thread's.
async fn load(who: &str, callers: usize, port: &str) -> Result<(), Failure> {
    let caller = Caller::new(port)?;
    let mut began = 0;
    // The first round opens the connections.
    for calls in [2, LOADED / callers] {
        began = nanos()?;
        let mut running = JoinSet::new();
        for _ in 0..callers {
            let (mut caller, who) = (caller.clone(), who.to_owned());
            running.spawn(async move {
                for _ in 0..calls {
                    caller.call(&who).await?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
    }
    report(began, LOADED / callers * callers)
}

/// Everyone who calls, over connections of their own.
#[derive(Clone)]
struct Caller {
    client: GenerativeServiceClient<Bridge>,
    request: GenerateContentRequest,
    http: reqwest::Client,
    rival: typed::GenerateContentRequest,
    json: Bytes,
    unary: String,
    stream: String,
}

impl Caller {
    fn new(port: &str) -> Result<Self, Failure> {
        let rival = payloads::chat_request();
        let url =
            |verb: &str| format!("http://127.0.0.1:{port}/v1beta/models/gemini-2.5-flash:{verb}");
        Ok(Self {
            client: GenerativeServiceClient::new(bridge(Transport::Rest, port)?),
            request: GenerateContentRequest::decode(&*rival.encode_to_vec())?,
            http: reqwest::Client::new(),
            json: serde_json::to_vec(&rival)?.into(),
            rival,
            unary: url("generateContent"),
            stream: url("streamGenerateContent?alt=sse"),
        })
    }

    /// One call after the other; the time of each, of a stream until its first message.
    async fn times(&mut self, who: &str, calls: usize) -> Result<Vec<Duration>, Failure> {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let began = Instant::now();
            times.push(self.call(who).await? - began);
        }
        Ok(times)
    }

    /// When the answer was there.
    async fn call(&mut self, who: &str) -> Result<Instant, Failure> {
        match who {
            "bridge" => {
                self.client.generate_content(self.request.clone()).await?;
                Ok(Instant::now())
            }
            "bridge stream" => {
                let request = self.request.clone();
                let mut stream = self.client.stream_generate_content(request).await?.into_inner();
                stream.message().await?.ok_or("no chunk")?;
                let ended = Instant::now();
                while stream.message().await?.is_some() {}
                Ok(ended)
            }
            "rival" => {
                let body = serde_json::to_vec(&self.rival)?;
                let answer = self.http.post(&self.unary).body(body).send().await?;
                let _: typed::GenerateContentResponse =
                    serde_json::from_slice(&answer.bytes().await?)?;
                Ok(Instant::now())
            }
            "raw" => {
                let request = self.http.post(&self.unary).body(self.json.clone());
                request.headers(headers()).send().await?.bytes().await?;
                Ok(Instant::now())
            }
            _ => {
                let body = serde_json::to_vec(&self.rival)?;
                let mut answer = self.http.post(&self.stream).body(body).send().await?;
                let chunk = answer.chunk().await?.ok_or("no chunk")?;
                let event = chunk.strip_prefix(b"data: ").ok_or("no event")?;
                let event = event.split(|byte| *byte == b'\r').next().unwrap_or_default();
                let _: typed::GenerateContentResponse = serde_json::from_slice(event)?;
                let ended = Instant::now();
                while answer.chunk().await?.is_some() {}
                Ok(ended)
            }
        }
    }
}

/// Those that the bridge sends.
fn headers() -> HeaderMap {
    [
        ("content-type", "application/json"),
        ("x-goog-api-key", "none"),
        ("x-goog-api-client", "bench/0.14.0 grpc/0.14.0"),
        ("x-server-timeout", "600"),
        ("accept-encoding", "gzip"),
        ("user-agent", "bench/0.14.0 (gzip)"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
}

fn bridge(transport: Transport, port: &str) -> Result<Bridge, Failure> {
    let builder = Bridge::builder().endpoint(format!("http://127.0.0.1:{port}")).api_key("none");
    Ok(builder.proxy(Proxy::none()).transport(transport).build()?)
}

async fn send_image(transport: &str, port: &str) -> Result<(), Failure> {
    let transport = if transport == "rest" { Transport::Rest } else { Transport::Grpc };
    let blob =
        Blob { mime_type: "image/png".into(), data: vec![7; IMAGE].into(), ..Default::default() };
    let part = Part { data: Some(Data::InlineData(blob)), ..Part::default() };
    let request = GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content { parts: vec![part], role: "user".into(), ..Default::default() }],
        ..GenerateContentRequest::default()
    };
    GenerativeServiceClient::new(bridge(transport, port)?).generate_content(request).await?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
    println!("{}", peak.trim().trim_end_matches(" kB"));
    Ok(())
}

async fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    until_input_ends(accept(listener)).await
}

async fn accept(listener: TcpListener) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let http = auto::Builder::new(TokioExecutor::new());
            // A client that ends its process cuts its connection.
            let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    static JSON: LazyLock<(String, String)> = LazyLock::new(|| {
        let answer = payloads::chat_answer();
        let pretty = serde_json::to_string_pretty(&answer).unwrap_or_default();
        (pretty, serde_json::to_string(&answer).unwrap_or_default())
    });
    let is_grpc = head.headers.get("content-type").is_some_and(|value| value == "application/grpc");
    let (content_type, data) = if is_grpc {
        ("application/grpc", Bytes::from_static(&[0; 5]))
    } else if head.uri.path().ends_with(":streamGenerateContent") {
        ("text/event-stream", format!("data: {}\r\n\r\n", JSON.1).into())
    } else {
        ("application/json", Bytes::from_static(JSON.0.as_bytes()))
    };
    let mut trailers = HeaderMap::new();
    if is_grpc {
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
    }
    let body = Full::new(data).with_trailers(async move { is_grpc.then_some(Ok(trailers)) });
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    Ok(response)
}
