//! Callers: a process of its own, this program started once more. A half of them use the library,
//! a half the sidecar; each tells how every one of its calls ended.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use genai_bridge::v1beta::candidate::FinishReason;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::part::Data;
use genai_bridge::v1beta::{
    Candidate, Content, GenerateContentRequest, GenerateContentResponse, Part,
};
use genai_bridge::{Bridge, Error, Proxy, RetryPolicy, Transport};
use prost::Message as _;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, interval, interval_at};
use tonic::{Request, Status};

use crate::serving::Serving;

const SETTING: &str = "GENAI_BRIDGE_SOAK_SETTING";
const CALLERS: usize = 200;
const MESSAGES: usize = 4;
/// Each caller begins a call so often.
const PACE: Duration = Duration::from_secs(8);
/// The program of the library hears of another network so often, and forgets its verdict.
const CHANGE_OF_NETWORK: Duration = Duration::from_secs(60);

pub(super) struct Callers {
    process: Child,
    /// Reads what they tell, so that they never wait.
    told: JoinHandle<Vec<Ended>>,
}

/// The number of a call, and how it ended.
pub(super) type Ended = (u64, String);

impl Callers {
    pub(super) fn start(
        endpoint: &str,
        proxy: &str,
        root: &str,
        serving: &Serving,
        seconds: u64,
    ) -> Self {
        let sidecar_root = String::from_utf8(serving.root.clone()).expect("PEM");
        let setting =
            [endpoint, proxy, root, &serving.endpoint(), &sidecar_root, &seconds.to_string()];
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "soak::callers::call_for_the_soak", "--ignored", "--nocapture"]);
        command.env(SETTING, setting.join("\n--\n")).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let lines = output.lines().map(|line| line.expect("text"));
        let told = lines.filter_map(|line| {
            let (number, outcome) = line.strip_prefix("CALL ")?.split_once(' ')?;
            Some((number.parse().expect("a number"), outcome.to_owned()))
        });
        Self { process, told: thread::spawn(|| told.collect()) }
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn join(mut self) -> Vec<Ended> {
        assert!(self.process.wait().expect("an end").success());
        self.told.join().expect("no panic")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the soak"]
async fn call_for_the_soak() {
    let Ok(setting) = std::env::var(SETTING) else { return };
    let parts: Vec<&str> = setting.split("\n--\n").collect();
    let [endpoint, proxy, root, sidecar, sidecar_root, seconds] = parts[..] else {
        panic!("{setting}");
    };
    let bridge = |transport| {
        let proxy = Proxy::url(proxy).expect("a URL");
        begin_bridge(endpoint, root, proxy, transport)
    };
    let sidecar = |transport| begin_bridge(sidecar, sidecar_root, Proxy::none(), transport);
    let auto = bridge(Transport::Auto);
    let library = [auto.clone(), auto.clone(), bridge(Transport::Grpc), bridge(Transport::Rest)];
    let [alone, aside] = [Transport::Grpc, Transport::Rest].map(sidecar);
    let until = Instant::now() + Duration::from_secs(seconds.parse().expect("a number"));
    let mut tasks = JoinSet::new();
    for caller in 0..CALLERS {
        let bridge = match caller % 8 {
            place @ 0..4 => library[place].clone(),
            4 | 5 => alone.clone(),
            _ => aside.clone(),
        };
        tasks.spawn(call_until(bridge, caller, until));
    }
    let changes = tokio::spawn(async move {
        let mut changes = interval(CHANGE_OF_NETWORK);
        loop {
            changes.tick().await;
            auto.reset();
        }
    });
    tasks.join_all().await;
    changes.abort();
}

fn begin_bridge(endpoint: &str, root: &str, proxy: Proxy, transport: Transport) -> Bridge {
    Bridge::builder()
        .endpoint(endpoint)
        .add_root_certificates(root)
        .api_key("a-key")
        .proxy(proxy)
        .transport(transport)
        .retry(RetryPolicy::none())
        .build()
        .expect("a bridge")
}

async fn call_until(bridge: Bridge, caller: usize, until: Instant) {
    let mut client = GenerativeServiceClient::new(bridge);
    // Spread over the pace, so that they do not all call at once.
    let offset = PACE.mul_f64(f64::from(u32::try_from(caller).expect("few")) / 200.0);
    let mut pace = interval_at(Instant::now() + offset, PACE);
    for call in 0.. {
        pace.tick().await;
        if Instant::now() >= until {
            return;
        }
        let number = (caller as u64) << 32 | call;
        let outcome = if (call + caller as u64).is_multiple_of(3) {
            read_stream(&mut client, number).await
        } else {
            generate(&mut client, number).await
        };
        tell(number, &outcome.map_err(|status| reason(&status)));
    }
}

/// A line for the one who reads along.
fn tell(number: u64, outcome: &Result<&'static str, String>) {
    let text = match outcome {
        Ok(outcome) => outcome,
        Err(reason) => reason.as_str(),
    };
    // In one piece: others write as well.
    let line = format!("CALL {number} {text}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("a reader");
}

/// Without what differs from call to call.
fn reason(status: &Status) -> String {
    let error = Error::of(status);
    let kind = error.and_then(Error::symptom).map(|symptom| symptom.kind().name().to_owned());
    let kind = kind.or(error.map(|error| format!("{:?}", error.kind())));
    format!("failed {:?} {}", status.code(), kind.unwrap_or("by the service's word".to_owned()))
}

async fn generate(
    client: &mut GenerativeServiceClient<Bridge>,
    number: u64,
) -> Result<&'static str, Status> {
    let reply = client.generate_content(request(number)).await?.into_inner();
    Ok(if text_in(&reply) == expected(number, 0) { "done" } else { "wrong message" })
}

async fn read_stream(
    client: &mut GenerativeServiceClient<Bridge>,
    number: u64,
) -> Result<&'static str, Status> {
    let mut stream = client.stream_generate_content(request(number)).await?.into_inner();
    let mut messages = 0;
    while let Some(message) = stream.message().await? {
        if text_in(&message) != expected(number, messages) {
            return Ok("wrong message of a stream");
        }
        messages += 1;
    }
    Ok(if messages == MESSAGES { "done, a stream" } else { "wrong number of messages" })
}

fn request(number: u64) -> Request<GenerateContentRequest> {
    let message = GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![content(number.to_string())],
        ..GenerateContentRequest::default()
    };
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(30));
    request
}

fn content(text: String) -> Content {
    let part = Part { data: Some(Data::Text(text)), ..Part::default() };
    Content { parts: vec![part], role: "user".into(), ..Default::default() }
}

fn expected(number: u64, index: usize) -> String {
    format!("{number}/{index}/{}", "x".repeat(500))
}

fn text_in(reply: &GenerateContentResponse) -> &str {
    let content = reply.candidates.first().and_then(|candidate| candidate.content.as_ref());
    match content.and_then(|content| content.parts.first()?.data.as_ref()) {
        Some(Data::Text(text)) => text,
        _ => "",
    }
}

/// What the service says to this call.
pub(super) fn answers(method: &str, number: u64) -> Vec<GenerateContentResponse> {
    let messages = if method.ends_with("/StreamGenerateContent") { MESSAGES } else { 1 };
    let answer = |index| {
        let is_last = index + 1 == messages;
        let reason = if is_last { FinishReason::Stop } else { FinishReason::Unspecified };
        let candidate = Candidate {
            content: Some(content(expected(number, index))),
            finish_reason: reason.into(),
            ..Candidate::default()
        };
        GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
    };
    (0..messages).map(answer).collect()
}

pub(super) fn number_in(method: &str, message: &Bytes) -> Option<u64> {
    if !method.ends_with("GenerateContent") {
        return None;
    }
    let request = GenerateContentRequest::decode(message.clone()).ok()?;
    match &request.contents.first()?.parts.first()?.data {
        Some(Data::Text(text)) => text.parse().ok(),
        _ => None,
    }
}
