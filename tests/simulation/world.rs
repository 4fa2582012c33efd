//! World: all that happens in one run, drawn from a seed. It is plain data, so that a failing one
//! can be made smaller.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ResendPolicy, Transport};
use tonic::Code;

use crate::random::Random;
use crate::weather::Conditions;

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// A proxy stands before the service.
    pub(crate) has_proxy: bool,
    /// What the proxy does from the start.
    pub(crate) fault: Fault,
    pub(crate) options: Options,
    pub(crate) max_streams: Option<u32>,
    pub(crate) events: Vec<Event>,
    pub(crate) breaks: Vec<Break>,
    pub(crate) calls: Vec<Call>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) transport: Transport,
    pub(crate) resend: ResendPolicy,
    /// Most attempts for an answer that may be asked for again.
    pub(crate) attempts: u32,
    pub(crate) head_start: Duration,
    pub(crate) silence_limit: Duration,
    pub(crate) stream_idle_limit: Duration,
    pub(crate) rest_connections: usize,
    pub(crate) max_metadata_size: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) what: What,
}

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Conditions(Conditions),
    /// Nothing passes for so long; TCP sends again what was lost.
    Outage(Duration),
    /// New connections meet this at the proxy.
    Fault(Fault),
    /// So do all, as the open ones end.
    FaultAndCut(Fault),
    /// A firewall forgets the open connections.
    Forget,
    /// The open connections end so.
    Cut(How),
    /// Connections are refused for so long, and the open ones end: the service, or the proxy,
    /// restarts.
    Restart(Duration),
    /// Connections are not answered for so long.
    Unanswered(Duration),
    /// The name is not known for so long.
    Nameless(Duration),
    /// The machine sleeps for so long: time goes on, and nothing runs.
    Sleep(Duration),
    /// The program forgets what it has learnt of the network.
    Reset,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Close,
    Reset,
    /// It carries nothing any more, and nobody is told.
    Stall,
}

/// Where one connection breaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Break {
    /// The how manieth that the bridge opens.
    pub(crate) connection: usize,
    /// 0 on the way to the service, 1 on the way back.
    pub(crate) lane: usize,
    /// After so many bytes.
    pub(crate) at: usize,
    pub(crate) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    Unary,
    Stream,
    Bidi,
    Free,
}

/// A call, and what the service makes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// In its text; the service knows it by that.
    pub(crate) number: usize,
    pub(crate) at: Duration,
    pub(crate) shape: Shape,
    pub(crate) size: usize,
    pub(crate) timeout: Option<Duration>,
    /// Given up by its caller after so long.
    pub(crate) patience: Option<Duration>,
    /// The caller's time for each message.
    pub(crate) reading: Duration,
    pub(crate) transport: Option<Transport>,
    pub(crate) resend: Option<ResendPolicy>,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) thought: Duration,
    pub(crate) messages: usize,
    /// Bytes of text in each.
    pub(crate) size: usize,
    pub(crate) pause: Duration,
    /// At its end, in place of OK.
    pub(crate) error: Option<Code>,
    /// The first attempts get this error at once.
    pub(crate) refused: u32,
}

impl World {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let has_proxy = !random.one_in(3);
        let is_calm = random.one_in(4);
        let span = random.of_any_size(100, 600_000);
        let fault =
            if has_proxy && !random.one_in(3) { draw_fault(&mut random) } else { Fault::Pass };
        let options = Options::draw(&mut random);
        let most = if random.one_in(20) { 300 } else { 20 };
        let calls = random.of_any_size(1, most);
        let calls = (0..calls).map(|number| Call::draw(&mut random, number, span)).collect();
        let (mut events, mut breaks) = (Vec::new(), Vec::new());
        events.push(Event {
            at: Duration::ZERO,
            what: What::Conditions(draw_conditions(&mut random)),
        });
        if !is_calm {
            for _ in 0..random.of_any_size(0, 8) {
                events.push(Event::draw(&mut random, span, has_proxy));
            }
            for _ in 0..random.of_any_size(0, 6) {
                breaks.push(Break::draw(&mut random));
            }
        }
        events.sort_by_key(|event| event.at);
        let max_streams = random.one_in(4).then(|| random.of_any_size(1, 100));
        let max_streams = max_streams.and_then(|streams| u32::try_from(streams).ok());
        Self { seed, has_proxy, fault, options, max_streams, events, breaks, calls }
    }

    pub(crate) fn conditions(&self) -> Vec<(Duration, Conditions)> {
        let calm = Conditions { latency: Duration::from_millis(1), rate: None };
        let drawn = self.events.iter().filter_map(|event| match event.what {
            What::Conditions(conditions) => Some((event.at, conditions)),
            _ => None,
        });
        std::iter::once((Duration::ZERO, calm)).chain(drawn).collect()
    }

    pub(crate) fn outages(&self) -> Vec<(Duration, Duration)> {
        let outages = self.events.iter().filter_map(|event| match event.what {
            What::Outage(length) => Some((event.at, event.at + length)),
            _ => None,
        });
        outages.collect()
    }

    /// Nothing changes, and no connection breaks: what holds at the start holds to the end.
    pub(crate) fn is_calm(&self) -> bool {
        let is_quick = |conditions: Conditions| conditions.rate.is_none_or(|rate| rate >= 100_000);
        self.breaks.is_empty()
            && self.events.iter().all(|event| match event.what {
                What::Conditions(conditions) => event.at.is_zero() && is_quick(conditions),
                _ => false,
            })
    }
}

impl Options {
    fn draw(random: &mut Random) -> Self {
        let transport = match random.between(0, 5) {
            0 => Transport::Grpc,
            1 => Transport::Rest,
            _ => Transport::Auto,
        };
        Self {
            transport,
            resend: draw_resend(random),
            attempts: random.choose(&[1, 1, 2, 5]),
            head_start: millis(random.choose(&[300, 300, 300, 0, 1, 2_000])),
            silence_limit: millis(random.choose(&[3_000, 3_000, 3_000, 500, 30_000])),
            stream_idle_limit: millis(random.choose(&[300_000, 300_000, 5_000])),
            rest_connections: random.choose(&[64, 64, 1, 3]),
            max_metadata_size: 4 * 1024 * 1024,
        }
    }
}

impl Event {
    fn draw(random: &mut Random, span: u64, has_proxy: bool) -> Self {
        let at = millis(random.between(0, span));
        let kinds = if has_proxy { 11 } else { 9 };
        let what = match random.between(0, kinds) {
            0 => What::Conditions(draw_conditions(random)),
            1 => What::Outage(millis(random.of_any_size(1, 60_000))),
            2 => What::Forget,
            3 => What::Cut(random.choose(&[How::Close, How::Reset])),
            4 => What::Restart(millis(random.of_any_size(1, 60_000))),
            5 => What::Unanswered(millis(random.of_any_size(1, 60_000))),
            6 => What::Nameless(millis(random.of_any_size(1, 60_000))),
            7 => What::Sleep(millis(random.of_any_size(1, 7_200_000))),
            8 => What::Cut(How::Stall),
            9 => What::Reset,
            10 => What::Fault(draw_fault(random)),
            _ => What::FaultAndCut(draw_fault(random)),
        };
        Self { at, what }
    }
}

impl Break {
    fn draw(random: &mut Random) -> Self {
        Self {
            connection: usize::try_from(random.of_any_size(0, 12)).expect("small"),
            lane: usize::from(random.one_in(2)),
            at: usize::try_from(random.of_any_size(0, 20_000)).expect("small"),
            how: random.choose(&[How::Close, How::Reset, How::Stall]),
        }
    }
}

impl Call {
    fn draw(random: &mut Random, number: u64, span: u64) -> Self {
        let shape = match random.between(0, 9) {
            0..=4 => Shape::Unary,
            5..=7 => Shape::Stream,
            8 => Shape::Free,
            _ => Shape::Bidi,
        };
        let timeout = (!random.one_in(3)).then(|| {
            let least = random.choose(&[1, 1_000, 10_000]);
            millis(random.of_any_size(least, 600_000))
        });
        let timeout = if shape == Shape::Bidi { timeout.or(Some(millis(60_000))) } else { timeout };
        Self {
            number: usize::try_from(number).expect("small"),
            at: millis(random.between(0, span)),
            shape,
            size: usize::try_from(random.of_any_size(1, 200_000)).expect("small"),
            timeout,
            patience: random.one_in(8).then(|| millis(random.of_any_size(0, 60_000))),
            reading: if random.one_in(6) {
                millis(random.of_any_size(1, 20_000))
            } else {
                millis(0)
            },
            transport: match random.between(0, 15) {
                0 => Some(Transport::Grpc),
                1 => Some(Transport::Rest),
                _ => None,
            },
            resend: random.one_in(8).then(|| draw_resend(random)),
            answer: Answer::draw(random, shape),
        }
    }
}

impl Answer {
    fn draw(random: &mut Random, shape: Shape) -> Self {
        let is_stream = matches!(shape, Shape::Stream | Shape::Bidi);
        let thought = if random.one_in(3) { random.of_any_size(1, 240_000) } else { 0 };
        let codes =
            [Code::Unavailable, Code::ResourceExhausted, Code::Internal, Code::InvalidArgument];
        Self {
            thought: millis(thought),
            messages: if is_stream {
                usize::try_from(random.of_any_size(1, 12)).expect("small")
            } else {
                1
            },
            size: usize::try_from(random.of_any_size(1, 40_000)).expect("small"),
            pause: if random.one_in(2) { millis(0) } else { millis(random.of_any_size(1, 30_000)) },
            error: random.one_in(10).then(|| random.choose(&codes)),
            refused: if random.one_in(8) { random.choose(&[1, 1, 2, 7]) } else { 0 },
        }
    }
}

fn draw_conditions(random: &mut Random) -> Conditions {
    let rate = random.one_in(4).then(|| random.of_any_size(2_000, 2_000_000));
    let most = random.choose(&[5, 5, 50, 300, 2_000]);
    Conditions { latency: millis(random.between(1, most)), rate }
}

fn draw_resend(random: &mut Random) -> ResendPolicy {
    random.choose(&[
        ResendPolicy::WhenUnprocessed,
        ResendPolicy::WhenUnprocessed,
        ResendPolicy::Never,
        ResendPolicy::WhenUnanswered,
    ])
}

/// Any of the emulator's that needs no TLS.
fn draw_fault(random: &mut Random) -> Fault {
    random.choose(&faults())
}

/// Where there is no TLS, faults of TLS are none.
pub(crate) fn faults() -> Vec<Fault> {
    let of_tls = ["handshake-", "http2-hello-", "no-application-protocol", "inspect-"];
    let is_of_tls = |fault: &Fault| of_tls.iter().any(|name| fault.name().starts_with(name));
    Fault::ALL.iter().copied().filter(|fault| !is_of_tls(fault)).collect()
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
