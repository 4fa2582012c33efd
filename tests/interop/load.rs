//! Load: a thousand streams and two hundred callers on a network that cuts connections.
//!
//! A tenth of it, unless `GENAI_BRIDGE_LOAD=full`.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use genai_bridge::Bridge;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{
    Candidate, Content, GenerateContentRequest, GenerateContentResponse, Part, part::Data,
};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Duration, Instant, interval, interval_at};
use tonic::Status;

use crate::serving::Serving;

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
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(UNARY, Reply::message(&answer()));
    let stream = Reply::messages(vec![answer(); MESSAGES]).pause(Duration::from_millis(500));
    emulator.on(STREAM, stream);
    let proxy = CuttingProxy::start().await.expect("a proxy");
    let options = ["--proxy", &proxy.url, "--rest-connections", "2000"];
    let serving =
        Serving::before(&emulator.endpoint(), emulator.root_certificate(), &options).await;
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
    judge(&emulator, &proxy, &ended);
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

fn judge(emulator: &Emulator, proxy: &CuttingProxy, ended: &[Ended]) {
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
    let unsent = failed.iter().filter(|(number, _)| times(number) == 0).count();
    let cut = emulator.reset_streams();
    println!(
        "{} calls: {} done, {} failed; {} connections of {} cut with {cut} calls on them",
        ended.len(),
        done.len(),
        failed.len(),
        proxy.counts().cut,
        proxy.counts().opened,
    );
    println!("lost {lost}, doubled {doubled}, failed though never received {unsent}");
    let mut texts: HashMap<&str, usize> = HashMap::new();
    for (_, outcome) in &failed {
        *texts.entry(outcome.as_ref().err().map_or("", |status| status.message())).or_default() +=
            1;
    }
    println!("{texts:#?}");
    assert!(proxy.counts().cut > 0, "the network was hostile");
    assert_eq!((lost, doubled), (0, 0));
    // Beyond those, requests and last trailers that were on the wire: no end saw them arrive.
    let wire = ended.len() / 20;
    assert!(failed.len() <= cut + wire, "{} calls failed, {cut} were cut", failed.len());
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
        contents: vec![Content { parts: vec![part], role: "user".into() }],
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
    let content = Content { parts: vec![part], role: "model".into() };
    let candidate = Candidate { content: Some(content), ..Candidate::default() };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}

/// Grants each CONNECT, and four times a second cuts one in twenty of the tunnels that stand.
struct CuttingProxy {
    url: String,
    tunnels: Arc<Mutex<Tunnels>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Tunnels {
    open: Vec<AbortHandle>,
    counts: Counts,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    opened: usize,
    cut: usize,
}

impl CuttingProxy {
    async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let tunnels: Arc<Mutex<Tunnels>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&tunnels)));
        tasks.spawn(cut(Arc::clone(&tunnels)));
        Ok(Self { url, tunnels, _tasks: tasks })
    }

    fn counts(&self) -> Counts {
        self.tunnels.lock().expect("no panic").counts
    }

    async fn until_all_have_gone(&self) {
        let mut ticks = interval(Duration::from_millis(20));
        while self.tunnels.lock().expect("no panic").open.iter().any(|open| !open.is_finished()) {
            ticks.tick().await;
        }
    }
}

async fn accept(listener: TcpListener, tunnels: Arc<Mutex<Tunnels>>) {
    while let Ok((client, _)) = listener.accept().await {
        let tunnel = tokio::spawn(async move {
            // Whoever ends it.
            let _ = serve(client).await;
        });
        let mut tunnels = tunnels.lock().expect("no panic");
        tunnels.counts.opened += 1;
        tunnels.open.push(tunnel.abort_handle());
    }
}

async fn serve(mut client: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let mut service = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut service).await.map(drop)
}

async fn cut(tunnels: Arc<Mutex<Tunnels>>) {
    let mut ticks = interval(Duration::from_millis(233));
    let mut twentieths = 0;
    loop {
        ticks.tick().await;
        let mut tunnels = tunnels.lock().expect("no panic");
        tunnels.open.retain(|tunnel| !tunnel.is_finished());
        twentieths += tunnels.open.len();
        let due = twentieths / 20;
        twentieths %= 20;
        for tunnel in tunnels.open.drain(..due).collect::<Vec<_>>() {
            tunnel.abort();
            tunnels.counts.cut += 1;
        }
    }
}
