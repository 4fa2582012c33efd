//! Run: one world, from its first call to the time when nothing is left of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use genai_bridge::emulator::{Fault, HostileProxy};
use genai_bridge::{ActiveTransport, Bridge, Stats, Transport};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, sleep_until, timeout};
use tonic::Code;

use crate::arrival::Arrival;
use crate::callers::{End, Outcome, make};
use crate::hosts::Hosts;
use crate::log::Log;
use crate::network::{FarEnd, Network};
use crate::service::{Account, LoginAccount, Logins, begin_service};
use crate::setting::{begin_bridge, begin_emulator, begin_proxies};
use crate::verdicts::{SeenVerdict, row, watch};
use crate::weather::Weather;
use crate::world::{Answer, Call, How, Shape, What, World};

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
    /// The verdicts against gRPC, in order.
    pub(crate) verdicts: Vec<SeenVerdict>,
    /// The place in a row of the verdict that held then.
    pub(crate) row: Option<u32>,
    /// When the last call was over.
    pub(crate) ended: Instant,
    /// When the network healed.
    pub(crate) healed_at: Instant,
    /// How often it was proven, before that.
    pub(crate) probes: u64,
    pub(crate) logins: LoginAccount,
    /// What the bridge still knew just after it was told to forget.
    pub(crate) remembered: Option<String>,
    /// Most connections of REST at a time, as far as it was seen.
    pub(crate) most_connections: usize,
    /// When the bridge opened its connections.
    pub(crate) opened: Vec<Instant>,
    /// What was left when all had ended.
    pub(crate) left: Left,
    pub(crate) panics: usize,
    pub(crate) log: String,
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
/// The first verdict, and the pause after an outage.
const LEAST_WAIT: Duration = Duration::from_secs(300 + 60);

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
    hosts: Arc<Hosts>,
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
        let hosts = Hosts::new(|| begin_emulator(world, &logins));
        let calls = [&world.calls[..], &healed_calls(world)].concat();
        let account = begin_service(hosts.all(), &calls, &log);
        let proxies = begin_proxies(&hosts, &world.proxies, began, &log);
        let far_end = match proxies.first() {
            Some(proxy) => FarEnd::Proxy(Arc::clone(proxy)),
            None => FarEnd::Service(Arc::clone(&hosts)),
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
            hosts,
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
        let verdicts = Arc::default();
        let watching = watch(self.bridge.clone(), Arc::clone(&self.hosts), Arc::clone(&verdicts));
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
        let (healed_at, row) = (Instant::now(), row(&self.bridge));
        let healed = self.heal().await;
        let ended = Instant::now();
        watching.abort();
        let _ = watching.await;
        let stats = self.bridge.stats();
        let received = self.hosts.received().iter().map(Arrival::of).collect();
        let (logins, remembered) = (self.logins.account(), self.remembered.take());
        let (account, slept) = (self.account.clone(), std::mem::take(&mut self.slept));
        let verdicts = std::mem::take(&mut *verdicts.lock().expect("no panic"));
        let opened = self.network.opened();
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
            verdicts,
            row,
            ended,
            healed_at,
            probes,
            logins,
            remembered,
            most_connections,
            opened,
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
                self.network.cut(How::Close);
                self.network.refuse_until(now + length);
            }
            What::Unanswered(length) => self.network.be_silent_until(now + length),
            What::Nameless(length) => self.network.be_nameless_until(now + length),
            What::Move(old, length) => {
                self.hosts.move_at(now + length);
                match old {
                    Some(How::Stall) => self.network.be_silent_until(now + length),
                    Some(_) => self.network.refuse_until(now + length),
                    None => {}
                }
                if let Some(how) = old {
                    self.network.cut(how);
                }
            }
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

    /// Good weather, and each verdict over: it holds for as long as all before it and five minutes.
    async fn heal(&self) -> Vec<Outcome> {
        // What asks whether a connection lives has ended.
        sleep(Duration::from_secs(5)).await;
        self.log.note(format_args!("heals"));
        self.network.heal(Duration::from_millis(1));
        self.proxies.iter().for_each(|proxy| proxy.set_and_cut(Fault::Pass));
        sleep((self.began.elapsed() + LEAST_WAIT).min(LONGEST_EXPIRY)).await;
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
        let Self { world, bridge, network, proxies, hosts, log, .. } = self;
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
        drop((network, proxies, hosts));
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

/// One after the other, each for itself.
fn healed_calls(world: &World) -> Vec<Call> {
    let answer = Answer {
        thought: Duration::ZERO,
        messages: 1,
        size: 1,
        pause: Duration::ZERO,
        error: None::<Code>,
        refused: 0,
        asks: None,
        is_endless: false,
    };
    let shapes = [Shape::Unary, Shape::Stream, Shape::Free];
    let call = |number: usize| Call {
        number: world.calls.iter().map(|call| call.number + 1).max().unwrap_or(0) + number,
        at: Duration::ZERO,
        shape: shapes[number % shapes.len()],
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

/// Of each shape one that tries gRPC anew, and one that knows.
pub(crate) const HEALED_CALLS: usize = 6;

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
