//! Kinds: what kinds of worlds are drawn, and what is particular to each.

use std::time::Duration;

use genai_bridge::Transport;
use genai_bridge::emulator::Fault;
use tonic::Code;

use crate::random::Random;
use crate::world::{Call, Event, How, Options, Shape, What};

/// What kind of a world it is: some promises hold in such worlds alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Wild,
    /// Nothing changes.
    Calm,
    /// Nothing changes, the network is near, and all are quick.
    Prompt,
    /// As before, and connections are cut.
    Cut,
    /// As before, and a firewall forgets them.
    Forgotten,
    /// As before, and a proxy changes its mind about gRPC, again and again.
    Fickle,
    /// A proxy breaks gRPC, and now and then nothing is reached at all.
    Dim,
    /// The network is good, but now and then its name is not known.
    Off,
    /// The service ends connections, gracefully, and they are cut before their calls are over.
    Drained,
    /// The network is good, and the service fails all calls.
    Down,
    /// The network is good, and the service refuses all calls for a while.
    Busy,
    /// The network is good, and answers are large.
    Heavy,
    /// The network is good, and the first connection is not.
    OneBad,
    /// The network is good, and the service moves to another host.
    Moved,
    /// The network is good, and all wait for the few connections of REST.
    Queue,
}

impl Kind {
    /// Proxies do no harm, at first.
    pub(crate) fn is_good(self) -> bool {
        !matches!(self, Self::Wild | Self::Calm | Self::Prompt | Self::Dim | Self::OneBad)
    }

    /// The network is near, and all are quick.
    pub(crate) fn is_prompt(self) -> bool {
        !matches!(self, Self::Wild | Self::Calm | Self::Queue | Self::Drained)
    }
}

/// As often as they stand here.
pub(crate) const KINDS: &[Kind] = &[
    Kind::Wild,
    Kind::Wild,
    Kind::Wild,
    Kind::Wild,
    Kind::Wild,
    Kind::Calm,
    Kind::Calm,
    Kind::Prompt,
    Kind::Prompt,
    Kind::Cut,
    Kind::Forgotten,
    Kind::Forgotten,
    Kind::Fickle,
    Kind::Fickle,
    Kind::Dim,
    Kind::Off,
    Kind::Drained,
    Kind::Down,
    Kind::Busy,
    Kind::Heavy,
    Kind::OneBad,
    Kind::Moved,
    Kind::Queue,
];

pub(crate) fn draw_span(random: &mut Random, kind: Kind) -> u64 {
    match kind {
        Kind::Fickle | Kind::Dim => 7_200_000,
        Kind::Forgotten | Kind::Moved | Kind::OneBad | Kind::Off => random.between(60_000, 150_000),
        Kind::Queue | Kind::Drained => random.between(1_000, 60_000),
        _ if random.one_in(8) => 7_200_000,
        _ => random.of_any_size(100, 600_000),
    }
}

/// What happens in worlds of this kind.
pub(crate) fn draw_events(random: &mut Random, kind: Kind, span: u64, events: &mut Vec<Event>) {
    let mut add = |at: u64, what| events.push(Event { at: millis(at), what });
    match kind {
        Kind::Cut | Kind::Forgotten => {
            for place in 1..=random.between(1, 5) {
                let cut = What::Cut(random.choose(&[How::Close, How::Reset]));
                let what = if kind == Kind::Cut { cut } else { What::Forget };
                add(place * 15_000 + random.between(0, 3_000), what);
            }
        }
        Kind::Drained => {
            for place in 1..=random.between(2, 6) {
                let how = random.choose(&[How::Close, How::Reset]);
                add(place * 8_000 + random.between(0, 8_000), What::Cut(how));
            }
        }
        Kind::Fickle => draw_changes(random, span, events),
        Kind::Dim => {
            let (mut at, restarts) = (0, random.one_in(2));
            while at < span {
                at += random.between(60_000, 900_000);
                let length = millis(random.between(60_000, 600_000));
                add(at, if restarts { What::Restart(length) } else { What::Nameless(length) });
            }
        }
        Kind::Off => {
            let mut at = if random.one_in(2) {
                let length = random.between(100, 20_000);
                add(0, What::Restart(millis(length)));
                length + 12_000
            } else {
                12_000
            };
            for _ in 0..random.between(1, 4) {
                let length = random.between(100, 20_000);
                add(at, What::Nameless(millis(length)));
                at += length + random.between(12_000, 30_000);
            }
        }
        Kind::OneBad => add(15_000, What::Fault(0, Fault::Pass)),
        Kind::Moved => {
            let ends = [Some(How::Stall), Some(How::Close), Some(How::Reset), None];
            for place in 1..=random.between(1, 2) {
                let stale = millis(random.of_any_size(1, 30_000));
                add(place * 20_000, What::Move(random.choose(&ends), stale));
            }
        }
        Kind::Wild
        | Kind::Calm
        | Kind::Prompt
        | Kind::Busy
        | Kind::Down
        | Kind::Heavy
        | Kind::Queue => {}
    }
}

/// What sets calls and options of this kind apart.
pub(crate) fn shape(random: &mut Random, kind: Kind, options: &mut Options, calls: &mut [Call]) {
    match kind {
        Kind::Busy => {
            options.attempts = 5;
            let refused = random.choose(&[1, 2, 7]);
            for call in calls.iter_mut() {
                call.answer.refused = refused;
            }
        }
        Kind::Down => {
            options.attempts = 1;
            let mut codes = [Code::Unavailable, Code::Internal];
            if random.one_in(2) {
                codes[1] = codes[0];
            }
            for call in calls.iter_mut() {
                call.answer.error = Some(random.choose(&codes));
                call.answer.refused = 0;
            }
        }
        Kind::Drained => {
            for call in calls.iter_mut() {
                call.answer.thought = millis(random.between(1, 20_000));
            }
        }
        Kind::Off => {
            if let Some(call) = calls.first_mut() {
                call.at = millis(1);
            }
        }
        Kind::Heavy => {
            for call in calls.iter_mut().filter(|call| call.shape == Shape::Stream) {
                call.answer.messages = usize::try_from(random.between(2, 12)).expect("small");
                call.answer.size = usize::try_from(random.between(1, 1_000_000)).expect("small");
            }
        }
        Kind::OneBad => {
            options.transport = Transport::Auto;
            options.head_start = options.head_start.max(millis(300));
            stream_late(calls);
        }
        Kind::Queue => {
            (options.transport, options.rest_connections) =
                (Transport::Rest, random.choose(&[1, 2, 3, 3, 64, 1_000]));
            for call in calls.iter_mut() {
                call.transport = None;
                call.answer.thought = millis(random.of_any_size(1, 4_000));
            }
        }
        _ => {}
    }
}

/// One call opens the first connection; streams come once later ones are good.
fn stream_late(calls: &mut [Call]) {
    for (place, call) in calls.iter_mut().enumerate() {
        call.transport = None;
        (call.answer.error, call.answer.refused, call.answer.is_endless) = (None, 0, false);
        if call.shape == Shape::Stream {
            call.answer.messages = call.answer.messages.max(2);
        }
        if place % 4 == 0 || call.at <= millis(25_000) {
            (call.shape, call.answer.messages) = (Shape::Unary, 1);
        }
    }
    if let Some(call) = calls.first_mut() {
        call.at = millis(1);
    }
}

/// Has calls about the times when connections are forgotten, or when an outage ends.
pub(crate) fn surround(random: &mut Random, events: &[Event], calls: &mut [Call]) {
    let mut calls = calls.iter_mut().skip(1);
    let mut add = |at: Duration| calls.next().into_iter().for_each(|call| call.at = at);
    for event in events {
        match event.what {
            What::Forget => {
                add(event.at.saturating_sub(millis(random.between(0, 2_000))));
                add(event.at + millis(random.of_any_size(0, 1_500)));
                // While that is doubted.
                add(event.at + millis(random.between(6_200, 8_500)));
            }
            What::Restart(length) | What::Nameless(length) => {
                for _ in 0..3 {
                    add((event.at + length).saturating_sub(millis(random.between(0, 80))));
                }
            }
            _ => {}
        }
    }
}

/// The proxy breaks gRPC for some minutes, and lets it pass for some.
fn draw_changes(random: &mut Random, span: u64, events: &mut Vec<Event>) {
    let fault = random.choose(&[Fault::TrailersStripped, Fault::Page502, Fault::NoStreams]);
    let mut at = 0;
    for fault in [fault, Fault::Pass].into_iter().cycle() {
        at += random.between(20_000, 600_000);
        if at > span {
            return;
        }
        events.push(Event { at: millis(at), what: What::FaultAndCut(0, fault) });
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
