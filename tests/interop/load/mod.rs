//! Load: a thousand streams and two hundred callers on a network that cuts connections.
//!
//! A tenth of it, unless `GENAI_BRIDGE_LOAD=full`.

mod cutting;
mod ledger;

use std::collections::HashMap;

use genai_bridge::Bridge;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::candidate::FinishReason;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{
    Candidate, Content, GenerateContentRequest, GenerateContentResponse, Part, part::Data,
};
use prost::Message as _;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, interval, interval_at};
use tonic::Status;

use crate::serving::Serving;
use cutting::{Counts, CuttingProxy};

const UNARY: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
const MESSAGES: usize = 6;

/// One call: its number, and how it ended.
type Ended = (u64, Result<(), Status>);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes its time"]
async fn nothing_is_lost_or_doubled_where_connections_are_cut() {
    let (streams, callers, seconds) = match std::env::var("GENAI_BRIDGE_LOAD").as_deref() {
        Ok("full") => (1000, 200, 60),
        _ => (100, 20, 6),
    };
    let emulator = Emulator::builder().plaintext().start().await.expect("an emulator");
    emulator.on(UNARY, Reply::message(&answer()));
    let stream = Reply::messages(vec![answer(); MESSAGES]).pause(Duration::from_millis(500));
    emulator.on(STREAM, stream);
    let mut proxy = CuttingProxy::start().await.expect("a proxy");
    // The proxy ends TLS in the service's name.
    let endpoint = format!("https://localhost:{}", emulator.address().port());
    let options = ["--proxy", &proxy.url, "--rest-connections", "2000"];
    let serving = Serving::before(&endpoint, proxy.root_certificate(), &options).await;
    let bridges: Vec<Bridge> =
        (0..8).map(|_| serving.client().build().expect("a bridge")).collect();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for number in 0..streams + callers {
        let bridge = bridges[number % bridges.len()].clone();
        tasks.spawn(call_until(bridge, number as u64, number < streams, until));
    }
    let memory = watch_memory(&serving, until).await;
    let ended: Vec<Ended> = tasks.join_all().await.into_iter().flatten().collect();
    proxy.stop_cutting().await;
    judge(&emulator, proxy.counts(), &ended);
    judge_memory(&memory, streams);
    assert_eq!(serving.stop(), Some(0));
    proxy.until_all_have_gone().await;
}

/// Calls one after the other; each has a number of its own.
async fn call_until(bridge: Bridge, caller: u64, is_stream: bool, until: Instant) -> Vec<Ended> {
    let mut client = GenerativeServiceClient::new(bridge);
    let mut ended = Vec::new();
    let mut think = interval(Duration::from_millis(100));
    // Spread over the time of a stream, so that they do not all begin anew at once.
    let begin = Instant::now() + Duration::from_millis(caller * 17 % 2500);
    interval_at(begin, Duration::from_secs(1)).tick().await;
    while Instant::now() < until {
        let number = caller << 32 | ended.len() as u64;
        let outcome = if is_stream {
            read_stream(&mut client, number).await
        } else {
            think.tick().await;
            client.generate_content(request(number)).await.map(drop)
        };
        ended.push((number, outcome));
    }
    ended
}

async fn read_stream(
    client: &mut GenerativeServiceClient<Bridge>,
    number: u64,
) -> Result<(), Status> {
    let mut stream = client.stream_generate_content(request(number)).await?.into_inner();
    let mut messages = 0;
    while stream.message().await?.is_some() {
        messages += 1;
    }
    assert_eq!(messages, MESSAGES, "a stream that ends well is whole");
    Ok(())
}

fn judge(emulator: &Emulator, network: Counts, ended: &[Ended]) {
    let mut received: HashMap<u64, u32> = HashMap::new();
    for call in emulator.received() {
        if let Some(number) = number_of(call.message()) {
            *received.entry(number).or_default() += 1;
        }
    }
    let times = |number: &u64| received.get(number).copied().unwrap_or_default();
    let (done, failed): (Vec<_>, Vec<_>) = ended.iter().partition(|(_, outcome)| outcome.is_ok());
    let lost = done.iter().filter(|(number, _)| times(number) == 0).count();
    let doubled = ended.iter().filter(|(number, _)| times(number) > 1).count();
    let (read, unread): (Vec<&Ended>, Vec<&Ended>) =
        failed.iter().copied().partition(|(number, _)| times(number) > 0);
    println!(
        "{} calls: {} done, {} failed; {} connections of {} cut with {} calls on them, {} of which the service saw cut",
        ended.len(),
        done.len(),
        failed.len(),
        network.cut,
        network.opened,
        network.calls_cut,
        emulator.reset_streams(),
    );
    println!("lost {lost}, doubled {doubled}, failed though never received {}", unread.len());
    let mut texts: HashMap<&str, usize> = HashMap::new();
    for (_, outcome) in &failed {
        *texts.entry(outcome.as_ref().err().map_or("", |status| status.message())).or_default() +=
            1;
    }
    println!("{texts:#?}");
    assert!(network.cut > 0, "the network was hostile");
    assert_eq!((lost, doubled), (0, 0));
    // What the service had read was on a connection that was cut. The rest may have been on its way there, or still
    // in the sidecar's hands when its connection ended: HTTP/2 does not tell which, so it is not sent again.
    assert!(read.len() <= network.calls_cut, "{} failed, {network:?}", read.len());
    for (_, outcome) in unread {
        let text = outcome.as_ref().err().map_or("", |status| status.message());
        assert!(text.contains("with the call on it"), "{text}");
    }
}

/// Memory once a second while the load is on.
async fn watch_memory(serving: &Serving, until: Instant) -> Vec<u64> {
    let mut ticks = interval(Duration::from_millis(500));
    let mut samples = Vec::new();
    while Instant::now() < until {
        ticks.tick().await;
        samples.push(serving.memory());
    }
    samples
}

fn judge_memory(samples: &[u64], streams: usize) {
    let third = samples.len() / 3;
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    let (before, after) = (most(&samples[third..2 * third]), most(&samples[2 * third..]));
    let each = (after - samples[0]) / streams as u64;
    println!(
        "memory: {} KiB at the start, {before} in the middle third, {after} in the last; {each} a stream",
        samples[0],
    );
    assert!(after <= before + before / 4, "memory grows: {samples:?}");
}

fn request(number: u64) -> GenerateContentRequest {
    let part = Part { data: Some(Data::Text(number.to_string())), ..Part::default() };
    GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content { parts: vec![part], role: "user".into(), ..Default::default() }],
        ..GenerateContentRequest::default()
    }
}

fn number_of(message: &[u8]) -> Option<u64> {
    let request = GenerateContentRequest::decode(message).ok()?;
    match &request.contents.first()?.parts.first()?.data {
        Some(Data::Text(text)) => text.parse().ok(),
        _ => None,
    }
}

fn answer() -> GenerateContentResponse {
    let part = Part { data: Some(Data::Text("x".repeat(200))), ..Part::default() };
    let content = Content { parts: vec![part], role: "model".into(), ..Default::default() };
    let finish_reason = FinishReason::Stop.into();
    let candidate = Candidate { content: Some(content), finish_reason, ..Candidate::default() };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}
