//! Run: one world, from its first call to the time when nothing is left of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy, Received};
use genai_bridge::{ActiveTransport, Bridge, Proxy, RetryPolicy, Stats, Transport};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, sleep_until, timeout};
use tonic::Code;

use crate::callers::{End, Outcome, make};
use crate::log::Log;
use crate::network::{Connector, FarEnd, Network};
use crate::service::{Account, begin_service, number_in};
use crate::weather::Weather;
use crate::wire::connection;
use crate::world::{Answer, Call, Shape, What, World};

/// What is known of a run once it is over.
pub(crate) struct Record {
    pub(crate) outcomes: Vec<Outcome>,
    /// The calls after the network has healed.
    pub(crate) healed: Vec<Outcome>,
    pub(crate) account: Account,
    pub(crate) received: Vec<Arrival>,
    pub(crate) stats: Stats,
    /// When the machine slept.
    pub(crate) slept: Vec<(Instant, Instant)>,
    /// A verdict against gRPC although REST had never reached the service.
    pub(crate) rash_verdict: Option<String>,
    /// A verdict that was taken back sooner than it may be.
    pub(crate) short_verdict: Option<Duration>,
    /// Most connections of REST at a time, as far as it was seen.
    pub(crate) most_connections: usize,
    /// What was left when all had ended.
    pub(crate) left: Left,
    pub(crate) panics: usize,
    pub(crate) log: String,
}

/// What reached the service, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Of the call; `None` where its message did not arrive whole, and for free calls of the
    /// bridge's own.
    pub(crate) number: Option<usize>,
    /// As its metadata says.
    pub(crate) marked: Option<usize>,
    pub(crate) has_timeout: bool,
    pub(crate) is_rest: bool,
    pub(crate) is_probe: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// With the bridge idle for long.
    pub(crate) idle_connections: usize,
    pub(crate) counted_connections: usize,
    /// Without the bridge.
    pub(crate) tasks: usize,
    pub(crate) connections: usize,
}

/// Metadata of each call, and of its answer: its number.
pub(crate) const MARK: &str = "x-number";
pub(crate) const KEY: &str = "a-key-that-nobody-may-see";
const LONGEST_EXPIRY: Duration = Duration::from_secs(25 * 3600);

/// Runs a world on virtual time, on this thread alone.
pub(crate) fn run(world: &World) -> Record {
    count_panics();
    PANICS.set(0);
    let log = Log::default();
    let subscriber = log.subscriber();
    let mut record = tracing::subscriber::with_default(subscriber, || {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        // The clock is that of the runtime only within it.
        runtime.expect("a runtime").block_on(async { Run::begin(world, log.clone()).run().await })
    });
    record.panics = PANICS.get();
    record.log = log.text();
    record
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// A panic in a task of the bridge is nobody's result.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            told(info);
        }));
    });
}

struct Run<'a> {
    world: &'a World,
    log: Log,
    began: Instant,
    emulator: Arc<Emulator>,
    proxy: Option<Arc<HostileProxy>>,
    network: Arc<Network>,
    bridge: Bridge,
    account: Account,
    slept: Vec<(Instant, Instant)>,
}

impl<'a> Run<'a> {
    fn begin(world: &'a World, log: Log) -> Self {
        let began = Instant::now();
        log.begin(began);
        let emulator = Emulator::builder().plaintext().authority(authority()).require_key(KEY);
        let emulator = match world.max_streams {
            Some(streams) => emulator.max_concurrent_streams(streams),
            None => emulator,
        };
        let emulator = Arc::new(emulator.unbound().expect("an emulator"));
        let calls = [&world.calls[..], &healed_calls(world)].concat();
        let account = begin_service(&emulator, &calls, log.clone());
        let proxy =
            world.has_proxy.then(|| Arc::new(begin_proxy(&emulator, world.fault, began, &log)));
        let far_end = match &proxy {
            Some(proxy) => FarEnd::Proxy(Arc::clone(proxy)),
            None => FarEnd::Service(Arc::clone(&emulator)),
        };
        let weather = Arc::new(Weather::new(world, began));
        let network = Network::new(weather, far_end, world.breaks.clone(), log.clone());
        let network = Arc::new(network);
        let bridge = begin_bridge(world, &network);
        Self { world, log, began, emulator, proxy, network, bridge, account, slept: Vec::new() }
    }

    async fn run(mut self) -> Record {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watching = watch(self.bridge.clone(), Arc::clone(&self.emulator), Arc::clone(&seen));
        let watching = tokio::spawn(watching);
        let mut running = JoinSet::new();
        for call in &self.world.calls {
            running.spawn(make(*call, self.bridge.clone(), self.began));
        }
        for event in &self.world.events {
            sleep_until(self.began + event.at).await;
            self.log.note(format_args!("{:?}", event.what));
            self.happen(event.what).await;
        }
        let mut outcomes = running.join_all().await;
        outcomes.sort_by_key(|outcome| outcome.number);
        for outcome in &outcomes {
            outcome.note(self.began, &self.log);
        }
        let healed = self.heal().await;
        watching.abort();
        let _ = watching.await;
        let stats = self.bridge.stats();
        let received = self.emulator.received();
        let received = received.iter().map(|it| Arrival {
            number: number_in(it.method(), it.message()),
            marked: it.headers().get(MARK).and_then(|mark| mark.to_str().ok()?.parse().ok()),
            has_timeout: ["grpc-timeout", "x-server-timeout"]
                .iter()
                .any(|name| it.headers().contains_key(*name)),
            is_rest: it.is_rest(),
            is_probe: it.method().ends_with("/ListModels"),
        });
        let received = received.collect();
        let (account, slept) = (self.account.clone(), std::mem::take(&mut self.slept));
        let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
        let most_connections = outcomes.iter().map(|it| it.rest_connections).max().unwrap_or(0);
        let left = self.end().await;
        let (panics, log) = Default::default();
        Record {
            outcomes,
            healed,
            account,
            received,
            stats,
            slept,
            rash_verdict: seen.rash,
            short_verdict: seen.short,
            most_connections,
            left,
            panics,
            log,
        }
    }

    async fn happen(&mut self, what: What) {
        let now = Instant::now();
        match what {
            // Parts of the weather's plan.
            What::Conditions(_) | What::Outage(_) => {}
            What::Fault(fault) => self.proxy.iter().for_each(|proxy| proxy.set(fault)),
            What::FaultAndCut(fault) => {
                self.proxy.iter().for_each(|proxy| proxy.set_and_cut(fault));
            }
            What::Forget => self.network.forget(),
            What::Cut(how) => self.network.cut(how),
            What::Restart(length) => {
                self.network.cut(crate::world::How::Close);
                self.network.refuse_until(now + length);
            }
            What::Unanswered(length) => self.network.be_silent_until(now + length),
            What::Nameless(length) => self.network.be_nameless_until(now + length),
            What::Sleep(length) => {
                advance(length).await;
                // Awake for a moment at least.
                sleep(Duration::from_millis(1)).await;
                self.slept.push((now, Instant::now()));
            }
            What::Reset => self.bridge.reset(),
        }
    }

    /// Good weather, and the longest verdict over.
    async fn heal(&self) -> Vec<Outcome> {
        self.log.note(format_args!("heals"));
        self.network.heal(Duration::from_millis(1));
        self.proxy.iter().for_each(|proxy| proxy.set_and_cut(Fault::Pass));
        sleep(LONGEST_EXPIRY).await;
        let mut healed = Vec::new();
        for call in healed_calls(self.world) {
            sleep(Duration::from_secs(10)).await;
            healed.push(make(call, self.bridge.clone(), Instant::now()).await);
        }
        for outcome in &healed {
            outcome.note(self.began, &self.log);
        }
        healed
    }

    /// Drops all, and looks at what is left.
    async fn end(self) -> Left {
        let Self { bridge, network, proxy, emulator, log, .. } = self;
        sleep(Duration::from_secs(120)).await;
        let stats = bridge.stats();
        let idle_connections = network.open();
        let counted_connections =
            stats.connections(ActiveTransport::Grpc) + stats.connections(ActiveTransport::Rest);
        drop(bridge);
        sleep(Duration::from_secs(1)).await;
        let connections = network.open();
        drop((network, proxy, emulator));
        // A proof, or a watch, may still wait for its limit.
        let none_left = async {
            while Handle::current().metrics().num_alive_tasks() > 0 {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let _ = timeout(Duration::from_secs(600), none_left).await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        log.note(format_args!("ends"));
        Left { idle_connections, counted_connections, tasks, connections }
    }
}

fn begin_bridge(world: &World, network: &Arc<Network>) -> Bridge {
    let options = world.options;
    let retry = RetryPolicy::google().max_attempts(options.attempts);
    let proxy = if world.has_proxy {
        Proxy::url("http://proxy.test:8080").expect("a URL")
    } else {
        Proxy::none()
    };
    Bridge::builder()
        .endpoint("http://service.test")
        .allow_plaintext()
        .api_key(KEY)
        .proxy(proxy)
        .connector(Connector(Arc::clone(network)))
        .transport(options.transport)
        .resend(options.resend)
        .retry(retry)
        .grpc_head_start(options.head_start)
        .silence_limit(options.silence_limit)
        .stream_idle_limit(options.stream_idle_limit)
        .rest_connections(options.rest_connections)
        .max_metadata_size(options.max_metadata_size)
        .build()
        .expect("a bridge")
}

fn begin_proxy(emulator: &Arc<Emulator>, fault: Fault, began: Instant, log: &Log) -> HostileProxy {
    let (emulator, log) = (Arc::clone(emulator), log.clone());
    let near = Arc::new(Weather::calm(began));
    let proxy = HostileProxy::builder().authority(authority()).dial(move |_| {
        let (here, there, _) = connection(&near, Vec::new(), log.clone(), usize::MAX);
        emulator.serve(there);
        Ok(here)
    });
    proxy.unbound(fault)
}

/// Nothing is signed where there is no TLS.
fn authority() -> Authority {
    static AUTHORITY: std::sync::OnceLock<Authority> = std::sync::OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Simulation")).clone()
}

/// Verdicts that should not be.
#[derive(Default)]
struct Seen {
    rash: Option<String>,
    short: Option<Duration>,
}

/// A verdict needs an answer over REST, and holds for its time.
async fn watch(bridge: Bridge, emulator: Arc<Emulator>, seen: Arc<Mutex<Seen>>) {
    let mut changes = bridge.watch();
    drop(bridge);
    let mut verdict = None;
    while changes.changed().await.is_ok() {
        let state = changes.borrow_and_update().clone();
        let is_verdict = state.transport() == Some(ActiveTransport::Rest);
        let mut seen = seen.lock().expect("no panic");
        if is_verdict && !emulator.received().iter().any(Received::is_rest) {
            seen.rash = Some(state.to_string());
        }
        let held = verdict.map(|since| state.since() - since);
        if let Some(held) = held.filter(|held| !is_verdict && *held < SHORTEST_VERDICT) {
            seen.short = Some(held);
        }
        verdict = is_verdict.then(|| state.since());
    }
}

const SHORTEST_VERDICT: Duration = Duration::from_secs(300);

/// One after the other, each for itself.
fn healed_calls(world: &World) -> Vec<Call> {
    let answer = Answer {
        thought: Duration::ZERO,
        messages: 1,
        size: 1,
        pause: Duration::ZERO,
        error: None::<Code>,
        refused: 0,
    };
    let call = |number| Call {
        number: world.calls.iter().map(|call| call.number + 1).max().unwrap_or(0) + number,
        at: Duration::ZERO,
        shape: Shape::Unary,
        size: 10,
        timeout: Some(Duration::from_secs(60)),
        patience: None,
        reading: Duration::ZERO,
        transport: None,
        resend: None,
        answer,
    };
    (0..HEALED_CALLS).map(call).collect()
}

pub(crate) const HEALED_CALLS: usize = 3;

impl Record {
    /// How often a call reached the service, by transport.
    pub(crate) fn arrivals(&self) -> HashMap<usize, (u32, u32)> {
        let mut arrivals: HashMap<usize, (u32, u32)> = HashMap::new();
        for received in &self.received {
            if let Some(number) = received.number {
                let (grpc, rest) = arrivals.entry(number).or_default();
                *(if received.is_rest { rest } else { grpc }) += 1;
            }
        }
        arrivals
    }

    pub(crate) fn completed(&self) -> usize {
        self.outcomes.iter().filter(|it| matches!(it.end, End::Complete)).count()
    }
}

/// What a call asks for, or else the bridge.
pub(crate) fn transport_of(world: &World, call: &Call) -> Transport {
    call.transport.unwrap_or(world.options.transport)
}
