//! The network changes while calls run: good, bad, good again, away, and at random.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Error, Symptom, SymptomKind, TransportState};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Status};

use crate::setting::{
    GENERATE, LIST_MODELS, STREAM, answer, behind, change, direct, jump, question, text_of, through,
};

const LONG: Duration = Duration::from_secs(20);

async fn ask(bridge: &Bridge) -> Result<ActiveTransport, Status> {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let reply = client.generate_content(question("?")).await?;
    Ok(*reply.extensions().get::<ActiveTransport>().expect("a mark"))
}

#[tokio::test]
async fn grpc_comes_back_after_the_expiry_and_no_call_fails_meanwhile() {
    let (emulator, proxy) = behind(Fault::Inspect).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    let mut calls = 0;
    bridge.connect().await.expect("a transport");
    for _ in 0..3 {
        assert_eq!(ask(&bridge).await.expect("good"), ActiveTransport::Grpc);
        calls += 1;
    }
    change(&proxy, Fault::InspectHttp1, &bridge).await;
    for _ in 0..3 {
        assert_eq!(ask(&bridge).await.expect("bad"), ActiveTransport::Rest);
        calls += 1;
    }
    let verdict = bridge.transport_state();
    assert_eq!(verdict.transport(), Some(ActiveTransport::Rest));
    change(&proxy, Fault::Inspect, &bridge).await;
    assert_eq!(ask(&bridge).await.expect("not expired yet"), ActiveTransport::Rest);
    calls += 1;
    jump(Duration::from_secs(301)).await;
    let mut watched = bridge.watch();
    // The call that finds the verdict expired begins the probe, and is not its subject.
    assert_eq!(ask(&bridge).await.expect("expired"), ActiveTransport::Rest);
    calls += 1;
    let back = watched.wait_for(|active| active.transport() == Some(ActiveTransport::Grpc));
    timeout(LONG, back).await.expect("in time").expect("the bridge lives");
    assert_eq!(ask(&bridge).await.expect("good again"), ActiveTransport::Grpc);
    assert_eq!(emulator.count(GENERATE), calls + 1);
}

#[tokio::test]
async fn ten_thousand_calls_in_an_outage_leave_the_verdict_unchanged() {
    for (fault, transport) in
        [(Fault::Inspect, ActiveTransport::Grpc), (Fault::InspectHttp1, ActiveTransport::Rest)]
    {
        let (emulator, proxy) = behind(fault).await;
        let bridge = through(&emulator, &proxy).build().expect("a bridge");
        assert_eq!(bridge.connect().await.expect("a transport"), transport);
        let before = bridge.transport_state();
        drop(proxy);
        let mut running = JoinSet::new();
        for worker in 0..50 {
            let bridge = bridge.clone();
            running.spawn(async move {
                for _ in 0..100 {
                    let status = ask(&bridge).await.expect_err("nobody is there");
                    let symptom = Error::of(&status).and_then(Error::symptom).map(Symptom::kind);
                    assert!(symptom.is_some(), "{worker}: {status:?}");
                }
            });
        }
        assert_eq!(running.join_all().await.len(), 50);
        let after = bridge.transport_state();
        assert_eq!((after.transport(), after.since()), (Some(transport), before.since()));
        assert_eq!(bridge.stats().calls(), 5_000);
        // Those in flight lost their connection.
        assert!(bridge.stats().symptoms(SymptomKind::ConnectionRefused) > 4_900);
    }
}

#[tokio::test]
async fn a_path_that_falls_silent_is_marked_soon_and_the_call_not_sent_again() {
    for (fault, seen) in [(Fault::CallSwallowed, 0), (Fault::AnswerSwallowed, 1)] {
        let (emulator, proxy) = behind(Fault::Inspect).await;
        // A third of the default, after which it takes some ten seconds.
        let builder = through(&emulator, &proxy).silence_limit(Duration::from_secs(1));
        let bridge = builder.build().expect("a bridge");
        bridge.connect().await.expect("a transport");
        let mut watched = bridge.watch();
        proxy.set_live(fault);
        let began = Instant::now();
        let status = ask(&bridge).await.expect_err("the call is lost");
        let lost = began.elapsed();
        let kind = Error::of(&status).and_then(Error::symptom).expect("a symptom").kind();
        assert_eq!(kind, SymptomKind::Unanswered, "{fault}");
        let is_rest = |active: &TransportState| active.transport() == Some(ActiveTransport::Rest);
        let settled = timeout(LONG, watched.wait_for(is_rest)).await.expect("in time");
        assert!(settled.is_ok());
        println!("{fault}: lost after {lost:?}");
        assert!(lost < Duration::from_secs(6), "{fault}: {lost:?}");
        assert_eq!(emulator.count(GENERATE), seen, "{fault}");
    }
}

#[tokio::test]
async fn a_slow_call_on_a_good_network_is_left_alone() {
    let (emulator, proxy) = behind(Fault::Inspect).await;
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("at last")).gate(Arc::clone(&gate)));
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    bridge.connect().await.expect("a transport");
    let probes = emulator.count(LIST_MODELS);
    let call = tokio::spawn({
        let bridge = bridge.clone();
        async move { ask(&bridge).await }
    });
    // The call, and after three seconds of silence the probe beside it.
    emulator.received_when(probes + 2).await;
    assert_eq!(emulator.count(LIST_MODELS), probes + 1);
    gate.add_permits(1);
    assert_eq!(call.await.expect("no panic").expect("an answer"), ActiveTransport::Grpc);
    assert_eq!(bridge.transport_state().transport(), Some(ActiveTransport::Grpc));
}

#[tokio::test]
async fn calls_that_fill_their_connection_are_left_alone() {
    tokio::join!(fill_and_wait(1), fill_and_wait(2));
}

/// As many slow calls as the peer allows on a connection.
async fn fill_and_wait(streams: u32) {
    let builder = Emulator::builder().max_concurrent_streams(streams);
    let emulator = builder.start().await.expect("an emulator");
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::message(&answer("at last")).gate(Arc::clone(&gate)));
    let bridge = direct(&emulator).build().expect("a bridge");
    bridge.connect().await.expect("a transport");
    let probes = emulator.count(LIST_MODELS);
    let mut running = JoinSet::new();
    for _ in 0..streams {
        let bridge = bridge.clone();
        running.spawn(async move { ask(&bridge).await });
    }
    // Three seconds of silence, and three for the answer to the probe beside the calls.
    let early = timeout(Duration::from_secs(8), running.join_next()).await;
    assert!(early.is_err(), "{streams}: {early:?}");
    // A stream is kept for it, if the peer allows more than one.
    assert_eq!(emulator.count(LIST_MODELS) > probes, streams > 1);
    gate.add_permits(2);
    for ended in running.join_all().await {
        assert_eq!(ended.expect("an answer"), ActiveTransport::Grpc);
    }
}

/// `SplitMix64`: the same faults for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn fault(&mut self) -> Fault {
        Fault::ALL[usize::try_from(self.below(Fault::ALL.len() as u64)).expect("small")]
    }
}

const WORKERS: u64 = 8;
const CALLS_EACH: u64 = 60;
const STREAMED: [&str; 4] = ["one", "two", "three", "four"];
/// What a deadline may be exceeded by, besides what the machine itself is late.
const GRACE: Duration = Duration::from_millis(100);

#[test]
fn random_faults_pay_no_call_twice_keep_streams_in_order_and_leave_nothing_behind() {
    let service = Runtime::new().expect("a runtime");
    let client = Runtime::new().expect("a runtime");
    let (emulator, proxy) = service.block_on(behind(Fault::Inspect));
    emulator.on(STREAM, Reply::messages(STREAMED.map(answer)));
    let idle = (alive(&client), alive(&service));
    let builder = through(&emulator, &proxy).connect_timeout(Duration::from_millis(300));
    let bridge = builder.build().expect("a bridge");
    let (emulator, proxy) = (Arc::new(emulator), Arc::new(proxy));
    client.block_on(call_at_random(&bridge, &proxy));
    drop(bridge);
    for (runtime, idle) in [(&client, idle.0), (&service, idle.1)] {
        runtime.block_on(async {
            let ended = async {
                while Handle::current().metrics().num_alive_tasks() > idle {
                    yield_now().await;
                }
            };
            proxy.set_and_cut(Fault::Pass);
            timeout(LONG, ended).await.expect("a task was left behind");
        });
    }
    assert_none_twice(&emulator);
}

fn alive(runtime: &Runtime) -> usize {
    runtime.metrics().num_alive_tasks()
}

/// Each call asks something else, so the service can tell them apart.
fn assert_none_twice(emulator: &Emulator) {
    let mut seen: HashMap<_, Vec<bool>> = HashMap::new();
    for call in emulator.received() {
        // A request that was cut off before it was complete is nothing to be paid for.
        if [GENERATE, STREAM].contains(&call.method()) && !call.message().is_empty() {
            seen.entry(call.message().clone()).or_default().push(call.is_rest());
        }
    }
    assert!(!seen.is_empty());
    seen.retain(|_, times| times.len() > 1);
    assert!(seen.is_empty(), "calls were paid twice, over REST or not: {seen:?}");
}

async fn call_at_random(bridge: &Bridge, proxy: &Arc<HostileProxy>) {
    let canary = tokio::spawn(lateness());
    let mut running = JoinSet::new();
    for worker in 0..WORKERS {
        let (bridge, proxy) = (bridge.clone(), Arc::clone(proxy));
        running.spawn(async move {
            let mut dice = Dice(worker);
            let (mut answered, mut latest) = (0, Duration::ZERO);
            for number in 0..CALLS_EACH {
                match dice.below(20) {
                    0 => drop(proxy.set_live(dice.fault())),
                    1 => proxy.set_and_cut(dice.fault()),
                    2 => drop(proxy.set_live(Fault::Inspect)),
                    _ => {}
                }
                let limit = Duration::from_millis(50 + dice.below(1_500));
                let began = Instant::now();
                let text = format!("{worker}, {number}");
                let is_ok = call_once(&bridge, &text, limit, dice.below(2) == 0).await;
                answered += u64::from(is_ok);
                latest = latest.max(began.elapsed().saturating_sub(limit));
            }
            (answered, latest)
        });
    }
    let ended = running.join_all().await;
    canary.abort();
    let answered: u64 = ended.iter().map(|(answered, _)| answered).sum();
    let latest = ended.iter().map(|(_, latest)| *latest).max().expect("some");
    println!("{answered} of {} answered; latest {latest:?}", WORKERS * CALLS_EACH);
    assert!(answered > 0, "no call was answered");
    let lateness = *LATENESS.lock().expect("whole");
    assert!(latest < GRACE + lateness, "{latest:?} too late, the machine {lateness:?}");
}

/// One call; whether it was answered. What comes of a stream is the beginning of it, in order.
async fn call_once(bridge: &Bridge, text: &str, limit: Duration, is_stream: bool) -> bool {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let mut request = Request::new(question(text));
    request.set_timeout(limit);
    if !is_stream {
        return client.generate_content(request).await.is_ok();
    }
    let Ok(reply) = client.stream_generate_content(request).await else { return false };
    let mut messages = reply.into_inner();
    let mut expected = STREAMED.iter();
    loop {
        match messages.message().await {
            Ok(Some(message)) => assert_eq!(Some(&&*text_of(&message)), expected.next()),
            Ok(None) => {
                assert_eq!(expected.next(), None, "a message was lost");
                return true;
            }
            Err(_) => return false,
        }
    }
}

static LATENESS: std::sync::Mutex<Duration> = std::sync::Mutex::new(Duration::ZERO);

/// Notes how late the machine wakes those who sleep.
async fn lateness() {
    let nap = Duration::from_millis(10);
    loop {
        let began = Instant::now();
        sleep(nap).await;
        let late = began.elapsed().saturating_sub(nap);
        let mut latest = LATENESS.lock().expect("whole");
        *latest = latest.max(late);
    }
}
