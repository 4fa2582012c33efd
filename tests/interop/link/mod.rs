//! Link conditions: calls over lines that are long, thin, lossy, narrow or away for a while, in real
//! time: which transport `Transport::Auto` takes, and how long it takes beside the forced ones.
//!
//! The line is in user space, before a proxy that lets all pass: a network namespace with `netem`
//! is not to be had everywhere. So a lost packet is a pause of its retransmission, as TCP makes it.

mod conditions;

use std::time::Duration;

use genai_bridge::emulator::hostile::HostileProxy;
use genai_bridge::emulator::{Authority, Emulator, Fault, Reply};
use genai_bridge::v1beta::candidate::FinishReason;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::part::Data;
use genai_bridge::v1beta::{
    Candidate, Content, GenerateContentRequest, GenerateContentResponse, Part,
};
use genai_bridge::{ActiveTransport, Bridge, Proxy, RetryPolicy, Transport};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Request;

use conditions::{CONDITIONS, Condition, Weather};

const METHOD: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
const CALLS: usize = 10;
/// These are told.
const TOLD: [usize; 3] = [1, 2, 10];
/// Of each call.
const DEADLINE: Duration = Duration::from_secs(20);
/// A call that would begin later is not made.
const TIME: Duration = Duration::from_secs(40);
/// Between two calls of a program.
const PAUSE: Duration = Duration::from_millis(500);
const HEAD_START: Duration = Duration::from_millis(300);
/// For TLS and all else that is work, on a machine that is busy.
const WORK: Duration = Duration::from_millis(500);

/// How one call went.
#[derive(Debug, Clone, Copy)]
struct Call {
    /// What carried it; `None` if it failed.
    by: Option<ActiveTransport>,
    took: Duration,
}

/// The calls of one condition, over each transport.
struct Row {
    condition: &'static Condition,
    auto: Vec<Call>,
    grpc: Vec<Call>,
    rest: Vec<Call>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time"]
async fn auto_is_as_good_as_the_better_transport_on_every_line() {
    let mut running = JoinSet::new();
    for condition in CONDITIONS {
        running.spawn(async move {
            let over = |transport| calls_over(condition, transport);
            let (auto, grpc, rest) =
                tokio::join!(over(Transport::Auto), over(Transport::Grpc), over(Transport::Rest));
            Row { condition, auto, grpc, rest }
        });
    }
    let mut rows = running.join_all().await;
    rows.sort_by_key(|row| CONDITIONS.iter().position(|it| it.name == row.condition.name));
    println!("{:>24}  call  {:>14}  {:>8}  {:>8}", "condition", "auto", "grpc", "rest");
    rows.iter().for_each(Row::tell);
    let wrong: Vec<String> = rows.iter().flat_map(Row::violations).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One after the other, as a program makes them.
async fn calls_over(condition: &'static Condition, transport: Transport) -> Vec<Call> {
    let authority = Authority::new("Link");
    let emulator = Emulator::builder().authority(authority.clone()).start().await;
    let emulator = emulator.expect("an emulator");
    emulator.on(METHOD, Reply::message(&answer()));
    let link = condition.link();
    let proxy = HostileProxy::builder().link(&link).start(Fault::Pass).await.expect("a proxy");
    let bridge = Bridge::builder()
        .endpoint(emulator.endpoint())
        .add_root_certificates(authority.pem())
        .api_key("a-key")
        .proxy(Proxy::url(&proxy.url()).expect("a URL"))
        .transport(transport)
        .retry(RetryPolicy::none())
        .build()
        .expect("a bridge");
    let began = Instant::now();
    let mut calls = Vec::new();
    for number in 1..=CALLS {
        if began.elapsed() > TIME {
            break;
        }
        match condition.weather {
            Weather::Outage(length) if number == EVENT => {
                link.interrupt();
                let link = link.clone();
                tokio::spawn(async move {
                    sleep(length).await;
                    link.restore();
                });
            }
            Weather::HalfOpen if number == EVENT => link.forget_connections(),
            Weather::Outage(_) | Weather::HalfOpen | Weather::Fair => {}
        }
        calls.push(call(&bridge, condition.size).await);
        sleep(PAUSE).await;
    }
    calls
}

/// The second call meets what happens.
const EVENT: usize = 2;

async fn call(bridge: &Bridge, size: usize) -> Call {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let mut request = Request::new(GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![content("x".repeat(size))],
        ..GenerateContentRequest::default()
    });
    request.set_timeout(DEADLINE);
    let began = Instant::now();
    let reply = client.generate_content(request).await;
    let by = reply.ok().and_then(|reply| reply.extensions().get().copied());
    Call { by, took: began.elapsed() }
}

fn content(text: String) -> Content {
    let part = Part { data: Some(Data::Text(text)), ..Part::default() };
    Content { parts: vec![part], role: "user".into(), ..Default::default() }
}

fn answer() -> GenerateContentResponse {
    let candidate = Candidate {
        content: Some(content("y".repeat(500))),
        finish_reason: FinishReason::Stop.into(),
        ..Candidate::default()
    };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}

impl Row {
    fn tell(&self) {
        for number in TOLD {
            let time = |calls: &[Call]| match calls.get(number - 1) {
                Some(Call { by: Some(_), took }) => format!("{:.2} s", took.as_secs_f64()),
                Some(Call { by: None, took }) => format!("({:.0} s)", took.as_secs_f64()),
                None => "-".to_owned(),
            };
            let by = self.auto.get(number - 1).and_then(|call| call.by);
            let by = by.map_or(String::new(), |by| format!("{} ", by.as_str()));
            println!(
                "{:>24}  {number:>4}  {:>14}  {:>8}  {:>8}",
                if number == 1 { self.condition.name } else { "" },
                by + &time(&self.auto),
                time(&self.grpc),
                time(&self.rest),
            );
        }
    }

    fn violations(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut require = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{}: {what}", self.condition.name));
            }
        };
        let first = |calls: &[Call]| calls.first().map_or(TIME, |call| call.took);
        let most = HEAD_START + first(&self.rest).mul_f64(1.1) + WORK;
        // Told, not required: the machine's load is in these times.
        if first(&self.auto) > most {
            println!("{}: the first call took longer than it should", self.condition.name);
        }
        for (place, auto) in self.auto.iter().enumerate() {
            let carries = |calls: &[Call]| calls.get(place).is_some_and(|call| call.by.is_some());
            let is_carried = carries(&self.grpc) && carries(&self.rest);
            require(auto.by.is_some() || !is_carried, "a call fails that both transports carry");
        }
        let works = |calls: &[Call]| calls.len() == CALLS && calls.iter().all(|it| it.by.is_some());
        let settled = self.auto.last().and_then(|call| call.by);
        let is_on_grpc = self.auto.len() == CALLS && settled == Some(ActiveTransport::Grpc);
        require(!works(&self.grpc) || is_on_grpc, "gRPC works, and calls do not settle on it");
        wrong
    }
}
