//! Draw: the world of a seed.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ResendPolicy, Transport};
use tonic::Code;

use crate::kinds::{KINDS, Kind, draw_events, draw_span, shape, surround};
use crate::random::Random;
use crate::weather::Conditions;
use crate::world::{Answer, Break, Call, Event, How, Options, Service, Shape, What, World, faults};

impl World {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let kind = random.choose(KINDS);
        let span = draw_span(&mut random, kind);
        let proxies = draw_proxies(&mut random, kind);
        let mut options = Options::draw(&mut random);
        let calls = draw_count(&mut random, kind);
        let calls = (0..calls).map(|number| Call::draw(&mut random, kind, number, span));
        let mut calls: Vec<Call> = calls.collect();
        if kind.is_prompt() && random.one_in(2) {
            for call in &mut calls {
                (call.answer.error, call.answer.refused) = (None, 0);
            }
        }
        if random.one_in(3) {
            for call in &mut calls {
                call.resend = None;
            }
        }
        let conditions = draw_conditions(&mut random, kind);
        let mut events = vec![Event { at: Duration::ZERO, what: What::Conditions(conditions) }];
        let mut breaks = Vec::new();
        if kind == Kind::Wild {
            for _ in 0..random.of_any_size(0, 8) {
                events.push(Event::draw(&mut random, span, proxies.len()));
            }
            for _ in 0..random.of_any_size(0, 6) {
                breaks.push(Break::draw(&mut random));
            }
        }
        draw_events(&mut random, kind, span, &mut events);
        events.sort_by_key(|event| event.at);
        let service = Service::draw(&mut random, kind);
        shape(&mut random, kind, &mut options, &mut calls);
        if matches!(kind, Kind::Forgotten | Kind::Off) {
            surround(&mut random, &events, &mut calls);
        }
        Self { seed, proxies, options, service, events, breaks, calls }
    }
}

/// Some fifty calls on average: few show what is rare, and many what happens between them.
fn draw_count(random: &mut Random, kind: Kind) -> u64 {
    match random.between(0, 19) {
        _ if kind == Kind::Heavy => random.between(1, 6),
        0..=2 => random.between(1, 4),
        3..=13 => random.between(5, 60),
        14..=18 => random.between(60, 120),
        _ => random.of_any_size(100, 500),
    }
}

fn draw_proxies(random: &mut Random, kind: Kind) -> Vec<Fault> {
    let count = random.choose(&[0, 0, 1, 1, 1, 2]);
    let breaks_grpc = [Fault::TrailersStripped, Fault::Page502, Fault::NoStreams];
    let one = |random: &mut Random| match kind {
        Kind::Dim => random.choose(&breaks_grpc),
        Kind::OneBad => Fault::SecondMessageReset,
        _ if kind.is_good() => Fault::Pass,
        _ if random.one_in(3) => Fault::Pass,
        Kind::Prompt if random.one_in(2) => random.choose(SELECTIVE),
        Kind::Calm | Kind::Prompt if random.one_in(4) => random.choose(SILENT),
        Kind::Calm if random.one_in(4) => {
            random.choose(&[Fault::SlowAnswerPage, Fault::TrailersStripped])
        }
        _ => draw_fault(random),
    };
    let count = match kind {
        Kind::Fickle => count.max(1),
        Kind::Dim | Kind::OneBad => 1,
        _ => count,
    };
    (0..count).map(|_| one(random)).collect()
}

/// They leave gRPC without an answer.
const SILENT: &[Fault] = &[
    Fault::PrefaceSwallowed,
    Fault::SettingsThenSilence,
    Fault::CallSwallowed,
    Fault::AnswerSwallowed,
];

/// They hit some calls, and leave others alone.
const SELECTIVE: &[Fault] = &[
    Fault::SecondMessageReset,
    Fault::SecondMessageReset,
    Fault::LargeAnswerReset,
    Fault::LargeAnswerReset,
    Fault::CallLimited,
    Fault::SlowAnswerPage,
    Fault::GoAwayAfterStreams,
    Fault::UnroutedUnimplemented,
    Fault::UnroutedPage,
];

impl Service {
    fn draw(random: &mut Random, kind: Kind) -> Self {
        let max_streams = random.one_in(4).then(|| random.of_any_size(1, 100));
        let age = random.one_in(4).then(|| millis(random.of_any_size(20_000, 600_000)));
        let mut service = Self {
            max_streams: max_streams.and_then(|streams| u32::try_from(streams).ok()),
            connection_age: age,
            ..Self::default()
        };
        if matches!(kind, Kind::OneBad | Kind::Moved | Kind::Heavy | Kind::Down) || random.one_in(2)
        {
            (service.max_streams, service.connection_age) = (None, None);
        }
        if kind == Kind::Drained {
            service.connection_age = Some(millis(random.between(5_000, 15_000)));
        }
        if matches!(kind, Kind::Wild | Kind::Calm) {
            service.window =
                random.one_in(6).then(|| random.choose(&[0, 1, 100, 16_000, 1_000_000]));
            let life = random.one_in(6).then(|| random.of_any_size(1_000, 3_600_000));
            service.token_life = life.map(millis);
            service.tells_life = random.one_in(2);
            service.token_delay = millis(random.of_any_size(0, 2_000));
        }
        service
    }
}

impl Options {
    fn draw(random: &mut Random) -> Self {
        let transport = match random.between(0, 7) {
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
    fn draw(random: &mut Random, span: u64, proxies: usize) -> Self {
        let at = millis(random.between(0, span));
        let kinds = if proxies > 0 { 14 } else { 12 };
        let ends = [Some(How::Stall), Some(How::Close), Some(How::Reset), None];
        let place = usize::from(proxies > 1 && random.one_in(2));
        let minute = millis(random.of_any_size(1, 60_000));
        let what = match random.between(0, kinds) {
            0 => What::Conditions(draw_conditions(random, Kind::Wild)),
            1 => What::Outage(minute),
            2 => What::Forget,
            3 => What::Cut(random.choose(&[How::Close, How::Reset])),
            4 => What::Restart(minute),
            5 => What::Unanswered(minute),
            6 => What::Nameless(minute),
            7 => What::Sleep(millis(random.of_any_size(1, 7_200_000))),
            8 => What::Cut(How::Stall),
            9 => What::Reset,
            10 => What::Narrow(minute),
            11 => What::Revoke,
            12 => What::Move(random.choose(&ends), minute),
            13 => What::Fault(place, draw_fault(random)),
            _ => What::FaultAndCut(place, draw_fault(random)),
        };
        Self { at, what }
    }
}

impl Break {
    fn draw(random: &mut Random) -> Self {
        let pause = How::Pause(millis(random.of_any_size(1, 60_000)));
        Self {
            connection: usize::try_from(random.of_any_size(0, 12)).expect("small"),
            lane: usize::from(random.one_in(2)),
            at: usize::try_from(random.of_any_size(0, 20_000)).expect("small"),
            how: random.choose(&[How::Close, How::Reset, How::Stall, pause]),
        }
    }
}

impl Call {
    fn draw(random: &mut Random, kind: Kind, number: u64, span: u64) -> Self {
        let is_prompt = kind.is_prompt();
        let shape = match random.between(0, 9) {
            0..=4 => Shape::Unary,
            5..=7 => Shape::Stream,
            8 => Shape::Free,
            _ => Shape::Bidi,
        };
        let timeout = (!random.one_in(3)).then(|| {
            let least = random.choose(&[1, 1_000, 10_000, 10_000]);
            millis(random.of_any_size(if is_prompt { 30_000 } else { least }, 600_000))
        });
        let timeout = if shape == Shape::Bidi { timeout.or(Some(millis(60_000))) } else { timeout };
        let most = random.choose(&[200, 2_000, if is_prompt { 20_000 } else { 200_000 }]);
        let reading = !is_prompt && random.one_in(6);
        Self {
            number: usize::try_from(number).expect("small"),
            at: millis(random.between(0, span)),
            shape,
            size: usize::try_from(random.of_any_size(1, most)).expect("small"),
            timeout,
            patience: random.one_in(8).then(|| millis(random.of_any_size(0, 60_000))),
            reading: millis(if reading { random.of_any_size(1, 20_000) } else { 0 }),
            transport: match random.between(0, 15) {
                0 => Some(Transport::Grpc),
                1 => Some(Transport::Rest),
                _ => None,
            },
            resend: random.one_in(8).then(|| draw_resend(random)),
            answer: Answer::draw(random, shape, is_prompt),
        }
    }
}

impl Answer {
    fn draw(random: &mut Random, shape: Shape, is_prompt: bool) -> Self {
        let is_stream = matches!(shape, Shape::Stream | Shape::Bidi);
        let has_thought = !is_prompt && random.one_in(3);
        let pauses = !is_prompt && random.one_in(2);
        let codes =
            [Code::Unavailable, Code::ResourceExhausted, Code::Internal, Code::InvalidArgument];
        let messages = if is_stream { random.of_any_size(1, 12) } else { 1 };
        let most = random.choose(&[200, 2_000, 40_000]);
        // An image, now and then.
        let most = if is_stream && random.one_in(100) { 4_000_000 } else { most };
        Self {
            thought: millis(if has_thought { random.of_any_size(1, 240_000) } else { 0 }),
            messages: usize::try_from(messages).expect("small"),
            size: usize::try_from(random.of_any_size(1, most)).expect("small"),
            pause: millis(if pauses { random.of_any_size(1, 30_000) } else { 0 }),
            error: random.one_in(10).then(|| random.choose(&codes)),
            is_endless: shape == Shape::Stream && random.one_in(20),
            refused: if random.one_in(8) { random.choose(&[1, 1, 2, 7]) } else { 0 },
            asks: random.one_in(3).then(|| millis(random.of_any_size(1, 20_000))),
        }
    }
}

fn draw_conditions(random: &mut Random, kind: Kind) -> Conditions {
    if kind.is_prompt() || matches!(kind, Kind::Queue | Kind::Drained) {
        return Conditions { latency: millis(random.between(1, 20)), rate: None };
    }
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

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
