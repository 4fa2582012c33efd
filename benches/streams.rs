//! What a stream over REST costs beside reqwest, eventsource-stream and serde_json: processor time
//! and instructions of a chunk.
//!
//! `cargo bench --bench streams`. The service, plain HTTP/1.1 on loopback, runs in a process of its
//! own. The rival reads into structs written by hand, which have a few of the fields that the
//! bridge's messages have. Processor time is what Linux says of the client's one thread, the median
//! of interleaved rounds; instructions are counted by valgrind.

use std::convert::Infallible;
use std::error::Error;
use std::hint::black_box;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Proxy, Transport};
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;

mod callgrind;
mod processor;
#[allow(dead_code, reason = "the bench of carriers uses all of it")]
mod sentence;
mod server;

use callgrind::counted;
use processor::{load, nanos, report};
use sentence::question;
use server::{Server, until_input_ends};

/// What is streamed: chunks, the bytes of text in each, streams that are measured, and what the
/// bridge may cost at most.
const CASES: [(usize, usize, usize, f64); 2] = [(10_000, 45, 10, 1.0), (200, 100_000, 10, 0.25)];
const ROUNDS: usize = 9;
const WHO: [&str; 2] = ["bridge", "rival"];

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.as_slice() {
        ["serve"] => runtime.block_on(serve()),
        ["read", who, streams, chunks, size, port] => {
            let reader = Reader::new(who, chunks, size, port)?;
            runtime.block_on(reader.read(1))?;
            let (streams, began) = (streams.parse()?, nanos()?);
            counted(|| runtime.block_on(reader.read(streams)))?;
            report(began, streams * reader.chunks)
        }
        _ => measure(),
    }
}

fn measure() -> Result<(), Failure> {
    let server = Server::start()?;
    let port = &*server.place;
    println!("load {}, median of {ROUNDS}; a chunk's share:", load()?);
    println!(
        "| stream | bridge, µs | rival, µs | ratio | bridge, instructions | rival | ratio | at most |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (chunks, size, streams, allowed) in CASES {
        let arguments = |who: &str, streams: &str| {
            ["read", who, streams, &chunks.to_string(), &size.to_string(), port]
                .map(str::to_owned)
                .to_vec()
        };
        let [bridge, rival, ratio] =
            processor::compare(ROUNDS, WHO.map(|who| arguments(who, &streams.to_string())))?;
        let [counted, others] = WHO.map(|who| {
            callgrind::instructions(2, |streams| arguments(who, streams))
                .map(|count| count / chunks as f64)
        });
        let (counted, others) = (counted?, others?);
        println!(
            "| {chunks} chunks of {size} bytes | {bridge:.2} | {rival:.2} | {ratio:.2} | {counted:.0} | {others:.0} | {:.2} | {allowed:.2} |",
            counted / others
        );
    }
    Ok(())
}

/// Both clients, and who of them reads.
struct Reader {
    is_bridge: bool,
    chunks: usize,
    model: String,
    client: GenerativeServiceClient<Bridge>,
    http: reqwest::Client,
    url: String,
}

impl Reader {
    fn new(who: &str, chunks: &str, size: &str, port: &str) -> Result<Self, Failure> {
        let (origin, model) =
            (format!("http://127.0.0.1:{port}"), format!("chunks-{chunks}-{size}"));
        let builder = Bridge::builder().endpoint(&origin).api_key("none").proxy(Proxy::none());
        let bridge = builder.transport(Transport::Rest).build()?;
        Ok(Self {
            is_bridge: who == "bridge",
            chunks: chunks.parse()?,
            client: GenerativeServiceClient::new(bridge),
            http: reqwest::Client::builder().no_proxy().build()?,
            url: format!("{origin}/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            model,
        })
    }

    /// Reads so many streams.
    async fn read(&self, streams: usize) -> Result<(), Failure> {
        for _ in 0..streams {
            let found = if self.is_bridge { self.bridge().await? } else { self.rival().await? };
            if found != self.chunks {
                return Err(format!("{found} chunks of {}", self.chunks).into());
            }
        }
        Ok(())
    }

    /// How many chunks the bridge reads from one stream.
    async fn bridge(&self) -> Result<usize, Failure> {
        let mut request = question();
        request.get_mut().model = format!("models/{}", self.model);
        let mut stream = self.client.clone().stream_generate_content(request).await?.into_inner();
        let mut found = 0;
        while let Some(message) = stream.message().await? {
            black_box(message);
            found += 1;
        }
        Ok(found)
    }

    /// The same of reqwest.
    async fn rival(&self) -> Result<usize, Failure> {
        let body = r#"{"contents":[{"parts":[{"text":"Why is the sky blue? Answer in one sentence."}],"role":"user"}]}"#;
        let request = self.http.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        let answer = request.header("x-goog-api-key", "none").body(body).send().await?;
        let mut events = answer.bytes_stream().eventsource();
        let mut found = 0;
        while let Some(event) = events.next().await {
            black_box(serde_json::from_str::<Answer>(&event?.data)?);
            found += 1;
        }
        Ok(found)
    }
}

/// What one would write by hand.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    candidates: Vec<Candidate>,
    usage_metadata: Option<Usage>,
    model_version: String,
    response_id: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    content: Content,
    finish_reason: Option<String>,
    index: Option<i32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    parts: Vec<Part>,
    role: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    text: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Usage {
    prompt_token_count: i32,
    candidates_token_count: i32,
    total_token_count: i32,
}

/// Serves streams as the model's name in the path asks for them, until standard input ends.
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
            let server = http1::Builder::new();
            // A client that goes is no failure here.
            let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    // A body that breaks off needs no answer.
    let _ = body.collect().await;
    let chunks = chunks(head.uri.path()).unwrap_or_default().into_iter();
    let frames = tokio_stream::iter(chunks.map(|chunk| Ok(Frame::data(chunk))));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The events of `..chunks-COUNT-SIZE:..`, as the service prints them.
fn chunks(path: &str) -> Option<Vec<Bytes>> {
    let (_, asked) = path.split_once("chunks-")?;
    let (count, size) = asked.split_once(':')?.0.split_once('-')?;
    let (count, size): (usize, usize) = (count.parse().ok()?, size.parse().ok()?);
    let chunk = |n: usize| {
        let text = "The nth part of an answer, a few words long.\n".repeat(size / 45);
        let reason = if n + 1 == count { "STOP" } else { "FINISH_REASON_UNSPECIFIED" };
        let message = json!({
            "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": reason, "index": 0}],
            "usageMetadata": {"promptTokenCount": 312, "candidatesTokenCount": 11 * n, "totalTokenCount": 312 + 11 * n},
            "modelVersion": "gemini-2.5-flash",
            "responseId": "c2FtcGxlLWFuc3dlci1pZA",
        });
        Bytes::from(format!("data: {message}\r\n\r\n"))
    };
    Some((0..count).map(chunk).collect())
}
