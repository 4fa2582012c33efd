//! What REST costs over HTTP/2, beside HTTP/1.1 and beside reqwest: instructions of a call, and
//! processor time under load.
//!
//! `cargo bench --bench rest_http2`. All is TLS. reqwest sends the headers of the bridge, and
//! neither writes nor reads JSON. Processor time is what Linux says of the client's one thread, the
//! median of interleaved rounds; instructions are counted by valgrind, for one caller.

use std::error::Error;

use bytes::Bytes;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Proxy, Transport};
use http::header;
use reqwest::Certificate;
use tokio::task::JoinSet;

mod callgrind;
mod processor;
#[allow(dead_code, reason = "the bench of carriers uses all of it")]
mod sentence;
mod server;
mod service;

use callgrind::counted;
use processor::{load, nanos, report};
use sentence::question;
use service::{Service, serve};

const ROUNDS: usize = 9;
const COUNTED: usize = 500;
const CALLERS: usize = 64;
const LOADED: usize = 12_800;
const VERSIONS: [&str; 2] = ["HTTP/1.1", "HTTP/2"];

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.as_slice() {
        ["serve"] => runtime.block_on(serve()),
        ["call", who, version, calls, callers, endpoint, root] => {
            let caller = Caller::new(who, version, endpoint, root)?;
            let (calls, callers) = (calls.parse()?, callers.parse()?);
            // The first calls open the connections.
            runtime.block_on(caller.clone().together(callers, callers))?;
            let began = nanos()?;
            counted(|| runtime.block_on(caller.together(calls, callers)))?;
            report(began, calls)
        }
        _ => measure(),
    }
}

fn measure() -> Result<(), Failure> {
    let service = Service::start()?;
    println!("load {}, median of {ROUNDS}; {CALLERS} callers:", load()?);
    println!(
        "| REST over | bridge, instructions | reqwest | ratio | bridge, µs | reqwest | ratio |"
    );
    println!("|---|---|---|---|---|---|---|");
    for version in VERSIONS {
        let arguments = |who: &str, calls: &str, callers: &str| {
            ["call", who, version, calls, callers, &service.endpoint, &service.root]
                .map(str::to_owned)
                .to_vec()
        };
        let who = ["bridge", "reqwest"];
        let [bridge, other] =
            who.map(|who| callgrind::instructions(COUNTED, |calls| arguments(who, calls, "1")));
        let (bridge, other) = (bridge?, other?);
        let loaded = who.map(|who| arguments(who, &LOADED.to_string(), &CALLERS.to_string()));
        let [first, second, ratio] = processor::compare(ROUNDS, loaded)?;
        println!(
            "| {version} | {bridge:.0} | {other:.0} | {:.3} | {first:.1} | {second:.1} | {ratio:.2} |",
            bridge / other
        );
    }
    Ok(())
}

#[derive(Clone)]
enum Caller {
    Bridge(GenerativeServiceClient<Bridge>),
    Reqwest(reqwest::Client, String),
}

impl Caller {
    fn new(who: &str, version: &str, endpoint: &str, root: &str) -> Result<Self, Failure> {
        let (root, is_http2) = (std::fs::read(root)?, version == "HTTP/2");
        if who == "bridge" {
            let builder = Bridge::builder().endpoint(endpoint).proxy(Proxy::none());
            let builder = builder.add_root_certificates(root).api_key("none");
            let bridge = builder.transport(Transport::Rest).rest_http2(is_http2).build()?;
            return Ok(Self::Bridge(GenerativeServiceClient::new(bridge)));
        }
        let builder = reqwest::Client::builder().no_proxy();
        let builder = builder.tls_certs_only([Certificate::from_pem(&root)?]);
        let builder = if is_http2 { builder } else { builder.http1_only() };
        let url = format!("{endpoint}/v1beta/models/gemini-2.5-flash:generateContent");
        Ok(Self::Reqwest(builder.build()?, url))
    }

    async fn together(self, calls: usize, callers: usize) -> Result<(), Failure> {
        let mut running = JoinSet::new();
        for _ in 0..callers {
            let mut caller = self.clone();
            running.spawn(async move {
                for _ in 0..calls / callers {
                    caller.once().await?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn once(&mut self) -> Result<(), Failure> {
        match self {
            Self::Bridge(client) => client.generate_content(question()).await.map(drop)?,
            Self::Reqwest(client, url) => {
                let body = Bytes::from_static(
                    br#"{"contents":[{"parts":[{"text":"Why is the sky blue? Answer in one sentence."}],"role":"user"}]}"#,
                );
                let request = client
                    .post(&*url)
                    .header(header::CONTENT_TYPE, "application/json")
                    .header("x-goog-api-key", "none")
                    .header("x-goog-api-client", "bench/0.14.0 rest/0.14.0")
                    .header("x-goog-request-params", "model=models%2Fgemini-2.5-flash")
                    .header("x-server-timeout", "600")
                    .header(header::ACCEPT_ENCODING, "gzip")
                    .header(header::USER_AGENT, "bench/0.14.0 (gzip)")
                    .body(body);
                let answer = request.send().await?.error_for_status()?;
                if answer.bytes().await?.len() < 50 {
                    return Err("no answer".into());
                }
            }
        }
        Ok(())
    }
}
