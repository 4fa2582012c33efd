//! Slow, interrupted and dead lines: a call that the network would still carry is never given up, and one that it has
//! lost is, soon. Issue 12.
//!
//! All times are a sixth of the real ones: what the bridge waits for, what the model thinks, outages, TCP's waits; the
//! lines are six times as fast.

use std::time::Duration;

use genai_bridge::emulator::hostile::Link;
use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::bidi_generate_content_client_message::MessageType;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{
    BidiGenerateContentClientMessage, BidiGenerateContentSetup, GenerateContentRequest,
};
use genai_bridge::{Bridge, Error, SymptomKind, Transport};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::codegen::tokio_stream;

use crate::setting::{BIDI, GENERATE, STREAM, answer, behind_a, jump, question, through};

/// Silence before a connection is asked: 3 s.
const SILENCE: Duration = Duration::from_millis(500);
/// 1 Mbit/s, as bytes a second.
const SLOW: u32 = 750_000;
/// The link is away for 10 s, from the second after the next one on.
const OUTAGE: (Duration, Duration) = (Duration::from_millis(333), Duration::from_millis(1_667));
/// 200 ms.
const RETRANSMISSION: Duration = Duration::from_millis(33);
const SIZES: [usize; 3] = [1_000, 400_000, 1_000_000];
/// Nothing, 6 s, 15 s.
const THOUGHTS: [Duration; 3] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_millis(2_500)];
/// No scenario takes as long.
const LONG: Duration = Duration::from_secs(60);
/// More scenarios at a time would only wait for each other.
const AT_A_TIME: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Unary,
    Stream,
}

/// A line, and a bridge that knows it.
struct Setting {
    emulator: Emulator,
    proxy: HostileProxy,
    link: Link,
    bridge: Bridge,
}

impl Setting {
    async fn over(link: Link, transport: Transport) -> Self {
        let link = link.first_retransmission(RETRANSMISSION);
        let (emulator, proxy) = behind_a(HostileProxy::builder().link(&link), Fault::Pass).await;
        let builder = through(&emulator, &proxy).transport(transport).silence_limit(SILENCE);
        let bridge = builder.build().expect("a bridge");
        bridge.connect().await.expect("a transport");
        Self { emulator, proxy, link, bridge }
    }

    fn thinking(self, thought: Duration) -> Self {
        self.emulator.on(GENERATE, Reply::message(&answer("x")).thinking(thought));
        self.emulator.on(STREAM, Reply::messages([answer("x"), answer("y")]).thinking(thought));
        self
    }

    /// Calls of this size at once.
    fn call(&self, calls: usize, size: usize, shape: Shape) -> JoinSet<Result<(), Status>> {
        let mut running = JoinSet::new();
        for _ in 0..calls {
            let (bridge, request) = (self.bridge.clone(), question(&"x".repeat(size)));
            running.spawn(async move { call(bridge, request, shape).await });
        }
        running
    }

    fn paid(&self) -> usize {
        self.emulator.count(GENERATE) + self.emulator.count(STREAM)
    }
}

async fn call(bridge: Bridge, request: GenerateContentRequest, shape: Shape) -> Result<(), Status> {
    let mut client = GenerativeServiceClient::new(bridge);
    if shape == Shape::Unary {
        return client.generate_content(request).await.map(drop);
    }
    let mut messages = client.stream_generate_content(request).await?.into_inner();
    while messages.message().await?.is_some() {}
    Ok(())
}

/// All calls are answered, and each was paid once.
async fn assert_answered(setting: &Setting, running: JoinSet<Result<(), Status>>, story: &str) {
    let calls = running.len();
    let ended = timeout(LONG, running.join_all()).await.expect("in time");
    let failed: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{story}: {failed:?}");
    assert_eq!(setting.paid(), calls, "{story}");
}

/// Runs each scenario, not all at a time.
async fn run_all<F>(scenarios: impl IntoIterator<Item = F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for scenario in scenarios {
        if running.len() == AT_A_TIME {
            running.join_next().await.expect("one").expect("no panic");
        }
        running.spawn(scenario);
    }
    running.join_all().await;
}

const EVERY: [Transport; 3] = [Transport::Auto, Transport::Grpc, Transport::Rest];

/// Each transport, size and thought.
fn cases() -> impl Iterator<Item = (Transport, usize, Duration)> {
    let sized = EVERY.into_iter().flat_map(|transport| SIZES.map(|size| (transport, size)));
    sized.flat_map(|(transport, size)| THOUGHTS.map(|thought| (transport, size, thought)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_on_a_slow_line_are_left_alone() {
    run_all(cases().map(|(transport, size, thought)| async move {
        let story = format!("{transport:?}, {size} bytes, {thought:?}");
        let setting = Setting::over(Link::new().up(SLOW), transport).await.thinking(thought);
        let running = setting.call(2, size, Shape::Unary);
        assert_answered(&setting, running, &story).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_costs_no_call_that_survives_it() {
    let shapes = [Shape::Unary, Shape::Stream];
    let cases = cases().flat_map(|case| shapes.map(|shape| (case, shape)));
    run_all(cases.map(|((transport, size, thought), shape)| async move {
        let story = format!("{transport:?}, {size} bytes, {thought:?}, {shape:?}");
        let setting = Setting::over(Link::new().up(SLOW), transport).await.thinking(thought);
        let running = setting.call(1, size, shape);
        sleep(OUTAGE.0).await;
        setting.link.interrupt();
        sleep(OUTAGE.1).await;
        setting.link.restore();
        assert_answered(&setting, running, &story).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_a_slow_line() {
    for transport in EVERY {
        let link = Link::new().up(SLOW / 4).down(SLOW / 4);
        let setting = Setting::over(link, transport).await.thinking(THOUGHTS[1]);
        let mut running = setting.call(30, 1_000, Shape::Unary);
        for (calls, size) in [(2, 300_000), (30, 10)] {
            let mut more = setting.call(calls, size, Shape::Unary);
            while let Some(ended) = more.try_join_next() {
                running.spawn(async { ended.expect("no panic") });
            }
            running.spawn(async move {
                more.join_all().await.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
            });
        }
        let ended = timeout(LONG, running.join_all()).await.expect("in time");
        assert!(ended.iter().all(Result::is_ok), "{transport:?}: {ended:?}");
        assert_eq!(setting.paid(), 62, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_to_others_delay_a_call_and_do_not_end_it() {
    for transport in EVERY {
        let setting = Setting::over(Link::new().down(SLOW), transport).await;
        let large = Reply::message(&answer(&"x".repeat(1_000_000)));
        setting.emulator.on(GENERATE, large.thinking(THOUGHTS[0]));
        let running = setting.call(4, 10, Shape::Unary);
        assert_answered(&setting, running, &format!("{transport:?}")).await;
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_are_no_silence_of_the_peers() {
    let setting = Setting::over(Link::new(), Transport::Auto).await.thinking(Duration::ZERO);
    // Each fills its own window, and all together that of the connection.
    let large = Reply::messages((0..3).map(|_| answer(&"x".repeat(2_000_000))));
    setting.emulator.on(STREAM, large);
    let mut client = GenerativeServiceClient::new(setting.bridge.clone());
    let mut unread = Vec::new();
    for _ in 0..6 {
        let reply = client.stream_generate_content(question("?")).await.expect("a stream");
        unread.push(reply.into_inner());
    }
    let mut running = setting.call(1, 10, Shape::Unary);
    let early = timeout(6 * SILENCE, running.join_next()).await;
    if let Ok(ended) = early {
        // The window had room for it.
        ended.expect("one").expect("no panic").expect("an answer");
    }
    for mut messages in unread {
        while messages.message().await.expect("a message").is_some() {}
    }
    if let Some(ended) = timeout(LONG, running.join_next()).await.expect("in time") {
        ended.expect("no panic").expect("an answer");
    }
    assert_eq!(setting.paid(), 7);
}

#[tokio::test]
async fn a_peer_that_takes_no_more_of_a_stream_is_left_alone() {
    for line in [Link::new(), Link::new().up(SLOW)] {
        let setting = Setting::over(line, Transport::Auto).await;
        let reply = Reply::messages([BidiGenerateContentClientMessage::default()]);
        setting.emulator.on(BIDI, reply.thinking(THOUGHTS[2]));
        // The service looks at the first message alone, and the rest fills its window.
        let setup = BidiGenerateContentSetup { model: "x".repeat(300_000), ..Default::default() };
        let message = BidiGenerateContentClientMessage {
            message_type: Some(MessageType::Setup(setup)),
            ..Default::default()
        };
        let mut client = GenerativeServiceClient::new(setting.bridge.clone());
        let written = tokio_stream::iter(vec![message; 10]);
        let calling = async {
            let mut answers = client.bidi_generate_content(written).await?.into_inner();
            answers.message().await
        };
        timeout(LONG, calling).await.expect("in time").expect("left alone").expect("an answer");
    }
}

#[tokio::test]
async fn an_idle_connection_that_a_firewall_forgot_costs_no_call() {
    for (transport, shape) in EVERY
        .into_iter()
        .flat_map(|transport| [(transport, Shape::Unary), (transport, Shape::Stream)])
    {
        let setting = Setting::over(Link::new(), transport).await.thinking(Duration::ZERO);
        assert_answered(&setting, setting.call(1, 10, shape), "before").await;
        jump(Duration::from_secs(4)).await;
        setting.link.forget_connections();
        let calls = setting.call(5, 10, shape);
        let ended = timeout(LONG, calls.join_all()).await.expect("in time");
        assert!(ended.iter().all(Result::is_ok), "{transport:?}, {shape:?}: {ended:?}");
        assert_eq!(setting.paid(), 6, "{transport:?}, {shape:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_lives_is_used_again() {
    let setting = Setting::over(Link::new(), Transport::Grpc).await.thinking(Duration::ZERO);
    for calls in 1..=4 {
        call(setting.bridge.clone(), question("?"), Shape::Unary).await.expect("an answer");
        jump(Duration::from_secs(10)).await;
        assert_eq!((setting.paid(), setting.proxy.counts().tunnels()), (calls, 1));
    }
}

#[tokio::test]
async fn an_outage_that_begins_while_a_connection_is_idle_costs_no_call() {
    let setting = Setting::over(Link::new(), Transport::Grpc).await.thinking(Duration::ZERO);
    assert_answered(&setting, setting.call(1, 10, Shape::Unary), "before").await;
    jump(Duration::from_secs(4)).await;
    setting.link.interrupt();
    let mut running = setting.call(1, 10, Shape::Unary);
    // The check, and the dial through the proxy.
    let early = timeout(Duration::from_secs(3), running.join_next()).await;
    assert!(early.is_err(), "{early:?}");
    setting.link.restore();
    let ended = timeout(LONG, running.join_next()).await.expect("in time").expect("one");
    ended.expect("no panic").expect("an answer");
    assert_eq!(setting.paid(), 2);
}

#[tokio::test]
async fn a_connection_that_a_firewall_forgot_ends_soon_and_its_call_is_not_sent_again() {
    for shape in [Shape::Unary, Shape::Stream] {
        let setting = Setting::over(Link::new(), Transport::Auto).await.thinking(Duration::ZERO);
        assert_answered(&setting, setting.call(1, 10, shape), "before").await;
        setting.link.forget_connections();
        let began = Instant::now();
        let lost = call(setting.bridge.clone(), question("?"), shape).await.expect_err("lost");
        let took = began.elapsed();
        let kind = Error::of(&lost).and_then(Error::symptom).expect("a symptom").kind();
        assert_eq!(kind, SymptomKind::KeepAliveTimeout);
        println!("{shape:?}: lost after {took:?}");
        // Some ten seconds, and what the machine is late.
        assert!(took > 3 * SILENCE && took < 8 * SILENCE, "{took:?}");
        assert_eq!(setting.paid(), 1);
        call(setting.bridge.clone(), question("?"), shape).await.expect("on a new connection");
        assert_eq!(setting.paid(), 2);
    }
}
