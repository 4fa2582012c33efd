//! Every fault that hits single requests, with the free call spared: gRPC is proven, and paid calls
//! break all the same.
//!
//! `docs/selective_faults.md` shows what becomes of the first calls, and is held true here.
//! `UPDATE_DOCS=1` writes it anew.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::{Fault, HostileProxy, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Status};

use crate::hostile::passes_rest;
use crate::in_memory::{Network, on_virtual_time};
use crate::setting::{GENERATE, LIST_MODELS, STREAM, answer, question};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Unary,
    Stream,
}

const SHAPES: [Shape; 2] = [Shape::Unary, Shape::Stream];
/// Calls one after the other: two may fail, the others must not.
const CALLS: usize = 5;
const MAY_FAIL: usize = 2;
/// Far beyond what an answer needs.
const LONG: Duration = Duration::from_secs(30);
/// For what never comes.
const SHORT: Duration = Duration::from_secs(5);
/// Above the limits of faults that have one.
const LARGE: usize = 128 * 1024;
const PARTS: usize = 3;

#[test]
fn calls_that_grpc_breaks_though_its_probe_passes_go_over_rest_and_come_back() {
    on_virtual_time(try_all_faults());
}

async fn try_all_faults() {
    let mut cases = run(cases().collect(), Case::make_calls).await;
    println!("{}", table_of(&cases));
    let mut wrong: Vec<String> = cases.iter().filter_map(Case::fault_found).collect();
    sleep(Duration::from_secs(301)).await;
    cases = run(cases, Case::come_back).await;
    wrong.extend(cases.iter().filter(|case| !case.is_back).map(|case| {
        format!("{}, {:?}: gRPC is not used again after the expiry", case.fault, case.shape)
    }));
    println!("{} of {} cases are wrong", wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    tell(&cases);
}

#[test]
fn a_call_that_waits_for_ever_shows_the_next_one_the_way_over_rest() {
    on_virtual_time(wait_for_ever());
}

async fn wait_for_ever() {
    let network = selective(Fault::Inspect);
    let Network { emulator, proxy } = &network;
    let bridge = network.bridge().build().expect("a bridge");
    bridge.connect().await.expect("a transport");
    let ask = |text: &str, limit| {
        let mut request = Request::new(question(text));
        request.set_timeout(limit);
        let mut client = GenerativeServiceClient::new(bridge.clone());
        async move { client.generate_content(request).await }
    };
    ask("quick", LONG).await.expect("a good network");
    proxy.set_live(Fault::CallSwallowed);
    let began = Instant::now();
    let swallowed = tokio::spawn(ask("swallowed", Duration::from_secs(600)));
    // Its like took milliseconds. After ten seconds it asks about REST, by a free call.
    proxy.wait_until(|counts| counts.rest_requests() > 0).await;
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    // What the answer to that says may be heard a moment later; a short deadline is no evidence.
    let mut answered = ask("next", Duration::from_secs(1)).await;
    for _ in 0..10 {
        if answered.is_err() {
            answered = ask("next", Duration::from_secs(1)).await;
        }
    }
    let answered = answered.expect("over REST");
    assert_eq!(answered.extensions().get(), Some(&ActiveTransport::Rest));
    assert_eq!(emulator.count(GENERATE), 2, "quick and next; nothing was sent again");
    assert!(!swallowed.is_finished(), "the call in hand goes on");
    swallowed.abort();
}

/// All that let REST pass, however large its requests are.
fn cases() -> impl Iterator<Item = Case> {
    let passes = |fault: &&Fault| passes_rest(**fault) && **fault != Fault::RequestLimited;
    let faults = Fault::ALL.iter().filter(passes);
    let cases = faults.flat_map(|fault| SHAPES.map(|shape| Case::new(*fault, shape)));
    // A stream begins at once, so no proxy waits for it too long.
    cases.filter(|case| (case.fault, case.shape) != (Fault::SlowAnswerPage, Shape::Stream))
}

/// Runs a step of each case, all at a time, and keeps their order.
async fn run<F: Future<Output = Case> + Send + 'static>(
    cases: Vec<Case>,
    step: impl Fn(Case) -> F,
) -> Vec<Case> {
    let mut running = JoinSet::new();
    for case in cases {
        running.spawn(step(case));
    }
    let mut ended = running.join_all().await;
    ended.sort_by_key(|case| (case.fault as usize, case.shape));
    ended
}

struct Case {
    fault: Fault,
    shape: Shape,
    network: Option<(Bridge, Network)>,
    /// What became of each call: the transport that carried it, or its code.
    outcomes: Vec<Result<ActiveTransport, Status>>,
    /// Calls that the service saw more than once.
    twice: usize,
    is_back: bool,
}

impl Case {
    fn new(fault: Fault, shape: Shape) -> Self {
        Self { fault, shape, network: None, outcomes: Vec::new(), twice: 0, is_back: false }
    }

    async fn make_calls(mut self) -> Self {
        let network = selective(self.fault);
        let bridge = network.bridge().build().expect("a bridge");
        let _ = bridge.connect().await;
        for number in 0..CALLS {
            // Virtual time stands still while a call fails: one that follows is a later one.
            sleep(Duration::from_millis(1)).await;
            self.outcomes.push(self.call(&bridge, number).await);
        }
        let mut seen: HashMap<_, usize> = HashMap::new();
        for received in network.emulator.received() {
            if [GENERATE, STREAM].contains(&received.method()) && !received.message().is_empty() {
                *seen.entry(received.message().clone()).or_default() += 1;
            }
        }
        self.twice = seen.values().filter(|times| **times > 1).count();
        self.network = Some((bridge, network));
        self
    }

    async fn come_back(mut self) -> Self {
        let (bridge, Network { emulator, proxy }) = self.network.take().expect("calls were made");
        proxy.set_live(Fault::Inspect);
        emulator.on(GENERATE, Reply::message(&answer("good again")));
        // Where all of gRPC was broken, this call begins the probe beside it.
        let first = self.call(&bridge, CALLS).await;
        let mut watched = bridge.watch();
        let proven = watched.wait_for(|active| active.transport() == Some(ActiveTransport::Grpc));
        let is_proven = timeout(LONG, proven).await.is_ok();
        let second = self.call(&bridge, CALLS + 1).await;
        let is_grpc = |outcome| matches!(outcome, Ok(ActiveTransport::Grpc));
        self.is_back = is_proven && (is_grpc(first) || is_grpc(second));
        self
    }

    async fn call(&self, bridge: &Bridge, number: usize) -> Result<ActiveTransport, Status> {
        let mut client = GenerativeServiceClient::new(bridge.clone());
        let mut request = Request::new(question(&format!("{number}{}", text(self.fault))));
        request.set_timeout(if is_silent(self.fault) { SHORT } else { LONG });
        let (extensions, messages) = match self.shape {
            Shape::Unary => (client.generate_content(request).await?.into_parts().2, 1),
            Shape::Stream => {
                let (_, mut messages, extensions) =
                    client.stream_generate_content(request).await?.into_parts();
                let mut count = 0;
                while messages.message().await?.is_some() {
                    count += 1;
                }
                (extensions, count)
            }
        };
        let whole = if self.shape == Shape::Unary { 1 } else { PARTS };
        assert_eq!(messages, whole, "an answer is whole");
        Ok(*extensions.get::<ActiveTransport>().expect("a mark"))
    }

    /// What went wrong, if anything.
    fn fault_found(&self) -> Option<String> {
        let failed = self.outcomes.iter().filter(|outcome| outcome.is_err()).count();
        let ends_well = self.outcomes.last().is_some_and(Result::is_ok);
        let why = match () {
            () if self.twice > 0 => "a call was sent twice",
            () if failed > MAY_FAIL => "too many calls failed",
            () if !ends_well => "calls still fail",
            () => return None,
        };
        let last = self.outcomes.iter().rev().find_map(|outcome| outcome.as_ref().err());
        let last = last.map_or("", Status::message);
        Some(format!("{}, {:?}: {why}: {} ({last})", self.fault, self.shape, self.told()))
    }

    /// As the table tells it.
    fn told(&self) -> String {
        let words = self.outcomes.iter().map(|outcome| match outcome {
            Ok(ActiveTransport::Grpc) => "gRPC",
            Ok(_) => "REST",
            Err(_) => "fails",
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Whether those whom the fault hits wait in vain.
fn is_silent(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::CallSwallowed
            | Fault::AnswerSwallowed
            | Fault::StalledAfterHead
            | Fault::StalledAfterMessage
    )
}

/// What is said either way.
fn text(fault: Fault) -> String {
    let is_large = matches!(fault, Fault::CallLimited | Fault::LargeAnswerReset);
    "x".repeat(if is_large { LARGE } else { 1 })
}

/// A network whose fault spares the free call.
fn selective(fault: Fault) -> Network {
    let limit = if fault == Fault::SlowAnswerPage { 20 } else { 1_000 };
    let proxy = HostileProxy::builder().spare(LIST_MODELS);
    let network = Network::begin(proxy.idle_limit(Duration::from_millis(limit)), fault);
    let Network { emulator, proxy } = &network;
    let text = text(fault);
    let whole = Reply::message(&answer(&text));
    emulator.on(STREAM, Reply::messages((0..PARTS).map(|_| answer(&text))));
    if fault == Fault::SlowAnswerPage {
        let gate = Arc::new(Semaphore::new(0));
        emulator.on(GENERATE, whole.gate(Arc::clone(&gate)));
        tokio::spawn(open_late(Arc::clone(proxy), gate));
    } else {
        emulator.on(GENERATE, whole);
    }
    network
}

/// Lets an answer go for each request of REST, on which no limit lies.
async fn open_late(proxy: Arc<HostileProxy>, gate: Arc<Semaphore>) {
    for seen in 1.. {
        proxy.wait_until(|counts| counts.rest_requests() >= seen).await;
        gate.add_permits(1);
    }
}

/// Faults that no call meets are left out.
fn table_of(cases: &[Case]) -> String {
    let mut table = format!("| fault | {CALLS} unary calls | {CALLS} streams |\n|---|---|---|\n");
    let is_met = |case: &Case| case.outcomes.iter().any(Result::is_err);
    for cases in cases.chunk_by(|one, other| one.fault == other.fault) {
        if cases.iter().any(is_met) {
            let of = |shape| cases.iter().find(|case| case.shape == shape).map(Case::told);
            let [unary, stream] = SHAPES.map(|shape| of(shape).unwrap_or_default());
            writeln!(table, "| {} | {unary} | {stream} |", cases[0].fault).expect("a string");
        }
    }
    table
}

/// Compares the page with what was seen, or writes it.
fn tell(cases: &[Case]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/selective_faults.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let table = table_of(cases);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let head = page.split("\n| fault").next().expect("a head");
        std::fs::write(&path, format!("{head}\n{table}")).expect("written");
        return;
    }
    let wrong: Vec<&str> = table.lines().filter(|line| !page.contains(line)).collect();
    assert!(wrong.is_empty(), "docs/selective_faults.md does not tell:\n{}", wrong.join("\n"));
}
