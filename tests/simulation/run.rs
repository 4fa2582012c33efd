//! Run: one world, from its first call to the time when nothing is left of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Received};
use genai_bridge::{ActiveTransport, Bridge, Stats, Transport};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, sleep_until, timeout};
use tonic::Code;

use crate::callers::{End, Outcome, make};
use crate::log::Log;
use crate::network::{FarEnd, Network};
use crate::service::{Account, LoginAccount, Logins, begin_service, number_in};
use crate::setting::{begin_bridge, begin_emulator, begin_proxies};
use crate::weather::Weather;
use crate::world::{Answer, Call, Shape, What, World};

/// What is known of a run once it is over.
pub(crate) struct Record {
    pub(crate) began: Instant,
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
    pub(crate) short_verdict: Option<(Duration, Duration)>,
    /// How often gRPC was found broken before the network healed.
    pub(crate) verdicts: usize,
    /// How often it was proven, before that.
    pub(crate) probes: u64,
    pub(crate) logins: LoginAccount,
    /// What the bridge still knew just after it was told to forget.
    pub(crate) remembered: Option<String>,
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
    pub(crate) at: Instant,
    /// What it may still take, as it says.
    pub(crate) timeout: Option<Duration>,
    pub(crate) is_rest: bool,
    pub(crate) is_probe: bool,
}

impl Arrival {
    fn of(it: &Received) -> Self {
        let header = |name| it.headers().get(name).and_then(|value| value.to_str().ok());
        let timeout = header("grpc-timeout").and_then(grpc_timeout).or_else(|| {
            let seconds: f64 = header("x-server-timeout")?.parse().ok()?;
            Some(Duration::from_secs_f64(seconds))
        });
        Self {
            number: number_in(it.method(), it.message()),
            marked: header(MARK).and_then(|mark| mark.parse().ok()),
            at: it.at(),
            timeout,
            is_rest: it.is_rest(),
            is_probe: it.method().ends_with("/ListModels"),
        }
    }
}

/// A number and its unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let nanos: u64 = match unit {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "S" => 1_000_000_000,
        "M" => 60_000_000_000,
        "H" => 3_600_000_000_000,
        _ => return None,
    };
    Some(Duration::from_nanos(number.parse::<u64>().ok()?.saturating_mul(nanos)))
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// With the bridge idle for long.
    pub(crate) idle_connections: usize,
    pub(crate) counted_connections: usize,
    /// Calls for which a bridge waits that closes.
    pub(crate) is_waiting: bool,
    /// Without the bridge.
    pub(crate) tasks: usize,
    pub(crate) connections: usize,
}

/// Metadata of each call, and of its answer: its number.
pub(crate) const MARK: &str = "x-number";
/// The same in the trailers of an answer.
pub(crate) const MARK_AT_END: &str = "x-number-at-end";
/// Tokens begin with it, too.
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
    /// The bridge's own is the first.
    proxies: Vec<Arc<HostileProxy>>,
    network: Arc<Network>,
    bridge: Bridge,
    account: Account,
    logins: Logins,
    slept: Vec<(Instant, Instant)>,
    remembered: Option<String>,
}

impl<'a> Run<'a> {
    fn begin(world: &'a World, log: Log) -> Self {
        let began = Instant::now();
        log.begin(began);
        let logins = Logins::new(world.service, log.clone());
        let emulator = Arc::new(begin_emulator(world, &logins));
        let calls = [&world.calls[..], &healed_calls(world)].concat();
        let account = begin_service(&emulator, &calls, log.clone());
        let proxies = begin_proxies(&emulator, &world.proxies, began, &log);
        let far_end = match proxies.first() {
            Some(proxy) => FarEnd::Proxy(Arc::clone(proxy)),
            None => FarEnd::Service(Arc::clone(&emulator)),
        };
        let weather = Arc::new(Weather::new(world, began));
        let network = Network::new(weather, far_end, world.breaks.clone(), log.clone());
        let network = Arc::new(network);
        let bridge = begin_bridge(world, &network, &logins);
        let (slept, remembered) = Default::default();
        Self {
            world,
            log,
            began,
            emulator,
            proxies,
            network,
            bridge,
            account,
            logins,
            slept,
            remembered,
        }
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
        let probes = self.bridge.stats().probes(ActiveTransport::Grpc);
        let verdicts = seen.lock().expect("no panic").verdicts;
        let healed = self.heal().await;
        watching.abort();
        let _ = watching.await;
        let stats = self.bridge.stats();
        let received = self.emulator.received().iter().map(Arrival::of).collect();
        let (logins, remembered) = (self.logins.account(), self.remembered.take());
        let (account, slept) = (self.account.clone(), std::mem::take(&mut self.slept));
        let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
        let most_connections = outcomes.iter().map(|it| it.rest_connections).max().unwrap_or(0);
        let began = self.began;
        let left = self.end().await;
        let (panics, log) = Default::default();
        Record {
            began,
            outcomes,
            healed,
            account,
            received,
            stats,
            slept,
            rash_verdict: seen.rash,
            short_verdict: seen.short,
            verdicts,
            probes,
            logins,
            remembered,
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
            What::Conditions(_) | What::Outage(_) | What::Narrow(_) => {}
            What::Fault(place, fault) => {
                self.proxies.get(place).iter().for_each(|proxy| proxy.set(fault));
            }
            What::FaultAndCut(place, fault) => {
                self.proxies.get(place).iter().for_each(|proxy| proxy.set_and_cut(fault));
            }
            What::Revoke => self.logins.revoke(),
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
            What::Reset => {
                self.bridge.reset();
                self.look_for_memories();
            }
        }
    }

    /// What was learnt of the network is forgotten at once, and its connections take no calls.
    fn look_for_memories(&mut self) {
        let state = self.bridge.transport_state();
        let is_known = state.transport().is_some() || self.bridge.verdict().is_some();
        let is_chosen = self.world.options.transport != Transport::Auto;
        let connections = self.bridge.stats().connections(ActiveTransport::Grpc);
        if is_known && !is_chosen || connections > 0 {
            self.remembered = Some(format!("{state}, {connections} connections"));
        }
    }

    /// Good weather, and the longest verdict over.
    async fn heal(&self) -> Vec<Outcome> {
        self.log.note(format_args!("heals"));
        self.network.heal(Duration::from_millis(1));
        self.proxies.iter().for_each(|proxy| proxy.set_and_cut(Fault::Pass));
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
        let Self { world, bridge, network, proxies, emulator, log, .. } = self;
        sleep(Duration::from_secs(120)).await;
        let stats = bridge.stats();
        let idle_connections = network.open();
        let counted_connections =
            stats.connections(ActiveTransport::Grpc) + stats.connections(ActiveTransport::Rest);
        // Half of the bridges are closed, the others go without a word.
        let closes = world.seed.is_multiple_of(2);
        let is_waiting = closes && timeout(Duration::from_secs(1), bridge.close()).await.is_err();
        drop(bridge);
        sleep(Duration::from_secs(1)).await;
        let connections = network.open();
        drop((network, proxies, emulator));
        // A proof, or a watch, may still wait for its limit.
        let none_left = async {
            while Handle::current().metrics().num_alive_tasks() > 0 {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let _ = timeout(Duration::from_secs(600), none_left).await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        log.note(format_args!("ends"));
        Left { idle_connections, counted_connections, is_waiting, tasks, connections }
    }
}

/// Verdicts that should not be.
#[derive(Default)]
struct Seen {
    rash: Option<String>,
    /// How long it held, and how long it should have, at least.
    short: Option<(Duration, Duration)>,
    verdicts: usize,
    /// How many in a row, each soon after the one before.
    row: u32,
    ended: Option<Instant>,
}

impl Seen {
    /// One that comes soon after another holds for twice as long.
    fn begin_verdict(&mut self, now: Instant) {
        self.verdicts += 1;
        let is_relapse = self.ended.is_some_and(|ended| now < ended + SHORTEST_VERDICT);
        self.row = if is_relapse { self.row + 1 } else { 1 };
    }

    fn end_verdict(&mut self, held: Duration, now: Instant) {
        self.ended = Some(now);
        let doublings = self.row.saturating_sub(1).min(20);
        let least = (SHORTEST_VERDICT * (1 << doublings)).min(LONGEST_VERDICT);
        if held < least {
            self.short = Some((held, least));
        }
    }
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
        if is_verdict && verdict.is_none() {
            seen.begin_verdict(state.since());
        }
        if is_verdict && !emulator.received().iter().any(Received::is_rest) {
            seen.rash = Some(state.to_string());
        }
        if let Some(since) = verdict.filter(|_| !is_verdict) {
            seen.end_verdict(state.since() - since, state.since());
        }
        verdict = is_verdict.then(|| verdict.unwrap_or(state.since()));
    }
}

const SHORTEST_VERDICT: Duration = Duration::from_secs(300);
const LONGEST_VERDICT: Duration = Duration::from_secs(24 * 3600);

/// One after the other, each for itself.
fn healed_calls(world: &World) -> Vec<Call> {
    let answer = Answer {
        thought: Duration::ZERO,
        messages: 1,
        size: 1,
        pause: Duration::ZERO,
        error: None::<Code>,
        refused: 0,
        is_endless: false,
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
