//! Every fault × unary or stream × fresh or reused connection: where calls go, how often, and what
//! is seen.
//!
//! `docs/faults.md` shows the outcome and is held true here. `UPDATE_DOCS=1` writes it anew.
//! Calls over our own carriers run in memory, on virtual time; those of `foreign` over sockets,
//! since reqwest opens its own.

mod foreign;
mod table;

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, BridgeBuilder, Error, SymptomKind, Transport};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::{Request, Status};

use crate::in_memory::{Network, on_virtual_time};
use crate::setting::{GENERATE, STREAM, notice_cut, question, text_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Unary,
    Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Connection {
    Fresh,
    Reused,
}

type Case = (Fault, Connection, Shape);

/// What one call met, in the words of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// `gRPC`, `REST` or `fails`.
    transport: String,
    attempts: u64,
    processed: usize,
    symptoms: BTreeSet<String>,
    next: String,
    state: String,
    /// What left a fixed transport.
    strays: Vec<String>,
}

/// No row waits longer for its verdict.
const LONG: Duration = Duration::from_secs(30);
/// What a busy machine may add to a call's time, where it is real.
const SLACK: Duration = Duration::from_secs(20);
/// More rows at a time would only wait for each other.
const AT_A_TIME: usize = 16;

#[test]
fn each_fault_costs_no_call_twice_and_is_known_by_its_symptom() {
    let seen = run_all();
    for ((fault, ..), seen) in seen {
        assert!(seen.processed <= 1, "{fault}: the service saw the call {} times", seen.processed);
    }
    table::hold_true(table::Part::Ours, seen);
}

#[test]
fn a_fixed_transport_is_never_left_whatever_the_fault() {
    let seen = run_all();
    let strays: Vec<&str> =
        seen.iter().flat_map(|(_, seen)| &seen.strays).map(String::as_str).collect();
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

/// Both claims look at the same calls.
fn run_all() -> &'static [(Case, Seen)] {
    static OUTCOMES: OnceLock<Vec<(Case, Seen)>> = OnceLock::new();
    OUTCOMES.get_or_init(|| on_virtual_time(run_each(observe)))
}

async fn run_each<F>(observe: impl Fn(Case) -> F) -> Vec<(Case, Seen)>
where
    F: Future<Output = Seen> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut ended = Vec::new();
    for &fault in Fault::ALL {
        for connection in [Connection::Fresh, Connection::Reused] {
            for shape in [Shape::Unary, Shape::Stream] {
                if running.len() == AT_A_TIME {
                    ended.push(running.join_next().await.expect("one").expect("no panic"));
                }
                let case = (fault, connection, shape);
                let observing = observe(case);
                running.spawn(async move { (case, observing.await) });
            }
        }
    }
    ended.extend(running.join_all().await);
    ended.sort_by_key(|((fault, connection, shape), _)| (*fault as usize, *connection, *shape));
    ended
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Silence before a connection is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(1);
/// An idle tunnel outlives a connection that is found dead beside it, and the trust in it.
const IDLE_LIMIT: Duration = Duration::from_secs(4);

fn network(case: Case) -> Network {
    Network::begin(HostileProxy::builder().idle_limit(IDLE_LIMIT), first_fault(case))
}

fn first_fault((fault, connection, _): Case) -> Fault {
    match connection {
        Connection::Reused if !strikes_later(fault) => Fault::Inspect,
        Connection::Fresh | Connection::Reused => fault,
    }
}

/// A bridge that is about to meet the fault.
async fn meet(case: Case, network: &Network, transport: Transport) -> Bridge {
    let builder = patient(network.bridge()).transport(transport);
    let bridge = builder.build().expect("a bridge");
    if bring_about(case, &network.proxy, &bridge, transport).await {
        notice_cut(&bridge).await;
    }
    bridge
}

fn patient(builder: BridgeBuilder) -> BridgeBuilder {
    builder
        .connect_timeout(CONNECT_TIMEOUT)
        // A busy machine is no fault.
        .grpc_head_start(Duration::from_secs(2))
        .silence_limit(SILENCE)
}

/// Has the network become what the case says; tells whether that cuts the connections.
async fn bring_about(
    (fault, connection, shape): Case,
    proxy: &HostileProxy,
    bridge: &Bridge,
    transport: Transport,
) -> bool {
    if connection == Connection::Fresh {
        return false;
    }
    let mut first = call(bridge, shape).await;
    // A busy machine is no fault, and may take longer to connect than the bridge waits.
    for _ in 0..3 {
        if first.is_err() && transport == Transport::Auto {
            first = call(bridge, shape).await;
        }
    }
    // A proxy that was met before counts on.
    assert!(transport != Transport::Auto || first.is_ok(), "still a good network: {first:?}");
    let is_idle = matches!(
        fault,
        Fault::TunnelIdleSilence | Fault::TunnelIdleClosed | Fault::TunnelIdleReset
    );
    match fault {
        // REST closes idle connections by itself before that.
        _ if is_idle && transport == Transport::Rest => false,
        _ if is_idle => {
            proxy.wait_until(|counts| counts.strikes() > 0).await;
            fault != Fault::TunnelIdleSilence
        }
        _ if strikes_later(fault) => false,
        _ => proxy.set_live(fault),
    }
}

/// Faults that let a connection begin well.
fn strikes_later(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::TunnelIdleSilence
            | Fault::TunnelIdleClosed
            | Fault::TunnelIdleReset
            | Fault::GoAwayAfterStreams
            | Fault::GoAwayTooManyPings
            | Fault::EveryThirdCall
    )
}

/// The transport that carried the call to its end.
async fn call(bridge: &Bridge, shape: Shape) -> Result<ActiveTransport, Status> {
    call_within(bridge, shape, LONG).await
}

async fn call_within(
    bridge: &Bridge,
    shape: Shape,
    limit: Duration,
) -> Result<ActiveTransport, Status> {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let mut request = Request::new(question("?"));
    request.set_timeout(limit);
    let reply = match shape {
        Shape::Unary => client.generate_content(request).await?.map(|answer| vec![answer]),
        Shape::Stream => {
            let reply = client.stream_generate_content(request).await?;
            let (metadata, mut messages, extensions) = reply.into_parts();
            let mut all = Vec::new();
            while let Some(message) = messages.message().await? {
                all.push(message);
            }
            tonic::Response::from_parts(metadata, all, extensions)
        }
    };
    assert!(!reply.get_ref().is_empty(), "an answer without a message");
    assert!(reply.get_ref().iter().all(|message| !text_of(message).is_empty()));
    Ok(*reply.extensions().get::<ActiveTransport>().expect("a mark"))
}

fn method(shape: Shape) -> &'static str {
    match shape {
        Shape::Unary => GENERATE,
        Shape::Stream => STREAM,
    }
}

async fn observe(case: Case) -> Seen {
    let network = network(case);
    let bridge = meet(case, &network, Transport::Auto).await;
    let seen = look_at(case, &bridge, &network.emulator, LONG).await;
    Seen { strays: stray(case).await, ..seen }
}

/// Two calls, each within its limit, and where the bridge goes from there.
async fn look_at(case: Case, bridge: &Bridge, emulator: &Emulator, limit: Duration) -> Seen {
    let shape = case.2;
    let attempts = |bridge: &Bridge| {
        let stats = bridge.stats();
        stats.attempts(ActiveTransport::Grpc) + stats.attempts(ActiveTransport::Rest)
    };
    let (sent_before, seen_before) = (attempts(bridge), emulator.count(method(shape)));
    let began = Instant::now();
    let outcome = call_within(bridge, shape, limit).await;
    assert!(began.elapsed() < limit + SLACK, "{case:?}: {:?}", began.elapsed());
    let sent = attempts(bridge) - sent_before;
    let processed = emulator.count(method(shape)) - seen_before;
    let next = call_within(bridge, shape, limit).await;
    let seen_next = emulator.count(method(shape)) - seen_before - processed;
    assert!(seen_next <= 1, "{case:?}: the service saw the next call {seen_next} times");
    let state = word(&bridge.connect().await);
    Seen {
        transport: word(&outcome).into(),
        attempts: sent,
        processed,
        next: word(&next).into(),
        symptoms: symptoms_of(bridge, outcome.err().as_ref()),
        state: state.into(),
        strays: Vec::new(),
    }
}

fn word<E>(outcome: &Result<ActiveTransport, E>) -> &'static str {
    match outcome {
        Ok(ActiveTransport::Grpc) => "gRPC",
        Ok(_) => "REST",
        Err(_) => "fails",
    }
}

/// Why the call failed; else why REST carries calls; else what it survived.
fn symptoms_of(bridge: &Bridge, status: Option<&Status>) -> BTreeSet<String> {
    let name = |kind: SymptomKind| format!("{kind:?}");
    if let Some(status) = status {
        let kind = Error::of(status).and_then(Error::symptom).map(|symptom| name(symptom.kind()));
        return BTreeSet::from([kind.unwrap_or_else(|| format!("{:?}", status.code()))]);
    }
    if let Some(symptom) = bridge.transport_state().symptom() {
        return BTreeSet::from([name(symptom.kind())]);
    }
    let counts = bridge.stats();
    let met = SymptomKind::ALL.iter().filter(|kind| counts.symptoms(**kind) > 0);
    met.map(|kind| name(*kind)).collect()
}

/// Calls over each fixed transport, on a network of its own; what went over the other one.
async fn stray(case: Case) -> Vec<String> {
    let mut strays = Vec::new();
    for (transport, other) in
        [(Transport::Grpc, ActiveTransport::Rest), (Transport::Rest, ActiveTransport::Grpc)]
    {
        let network = network(case);
        let bridge = meet(case, &network, transport).await;
        // Only where it goes matters.
        let _ = call_within(&bridge, case.2, Duration::from_secs(1)).await;
        let Network { emulator, proxy } = &network;
        let is_grpc = transport == Transport::Grpc;
        let strayed = emulator.received().iter().any(|call| call.is_rest() == is_grpc)
            || bridge.stats().attempts(other) > 0
            || (is_grpc && proxy.rest_requests() > 0);
        if strayed {
            strays.push(format!("{case:?}: {transport:?} was left"));
        }
    }
    strays
}
