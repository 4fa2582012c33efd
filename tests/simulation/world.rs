//! World: all that happens in one run, drawn from a seed by `draw`. It is plain data, so that a
//! failing one can be made smaller.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ResendPolicy, Transport};
use tonic::Code;

use crate::weather::Conditions;

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// What each proxy before the service does from the start; the bridge knows the first one.
    pub(crate) proxies: Vec<Fault>,
    pub(crate) options: Options,
    pub(crate) service: Service,
    pub(crate) events: Vec<Event>,
    pub(crate) breaks: Vec<Break>,
    pub(crate) calls: Vec<Call>,
}

/// How the service stands behind all calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) max_streams: Option<u32>,
    /// Bytes that a stream may send at once.
    pub(crate) window: Option<u32>,
    /// At which it ends each connection, gracefully.
    pub(crate) connection_age: Option<Duration>,
    /// It wants tokens that it refuses at this age; else it wants the key.
    pub(crate) token_life: Option<Duration>,
    /// Whether the source of the tokens says how long they live.
    pub(crate) tells_life: bool,
    /// The source takes so long for each.
    pub(crate) token_delay: Duration,
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
    /// New connections meet this at the proxy of this place.
    Fault(usize, Fault),
    /// So do all, as the open ones end.
    FaultAndCut(usize, Fault),
    /// What is large is lost for so long, and sent again in vain: its connection carries nothing
    /// any more.
    Narrow(Duration),
    /// The service refuses the tokens that it has given so far.
    Revoke,
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
    /// The service moves to another host. The name leads there after so long; till then the old
    /// host takes no connections if those that were open end so, and else it serves on.
    Move(Option<How>, Duration),
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
    /// It carries nothing for so long.
    Pause(Duration),
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
    /// It says with that how long to wait.
    pub(crate) asks: Option<Duration>,
    /// The last message of a stream does not say that it is the last.
    pub(crate) is_endless: bool,
}

impl World {
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

    pub(crate) fn narrows(&self) -> Vec<(Duration, Duration)> {
        let narrows = self.events.iter().filter_map(|event| match event.what {
            What::Narrow(length) => Some((event.at, event.at + length)),
            _ => None,
        });
        narrows.collect()
    }

    /// Nothing changes, and no connection breaks: what holds at the start holds to the end.
    pub(crate) fn is_calm(&self) -> bool {
        let is_quick = |conditions: Conditions| conditions.rate.is_none_or(|rate| rate >= 100_000);
        let is_calm = |event: &Event| match event.what {
            What::Conditions(conditions) => event.at.is_zero() && is_quick(conditions),
            _ => false,
        };
        self.breaks.is_empty() && self.events.iter().all(is_calm)
    }

    /// Connections end, and are not hurt in another way: where they are told of it, one after the
    /// other, and the network is good between.
    pub(crate) fn only_cuts(&self) -> bool {
        let is_near = |conditions: Conditions| {
            conditions.rate.is_none() && conditions.latency <= Duration::from_millis(20)
        };
        let is_cut = |event: &Event| match event.what {
            What::Conditions(conditions) => event.at.is_zero() && is_near(conditions),
            What::Cut(How::Close | How::Reset) => event.at > MOMENT,
            _ => false,
        };
        let cuts = self.events.iter().filter(|event| matches!(event.what, What::Cut(_)));
        let cuts: Vec<Duration> = cuts.map(|event| event.at).collect();
        let are_apart = cuts.windows(2).all(|two| two[1] > two[0] + MOMENT);
        self.breaks.is_empty() && are_apart && self.events.iter().all(is_cut)
    }

    /// A firewall forgets the open connections now and then, and the network is good.
    pub(crate) fn only_forgets(&self) -> bool {
        let is_meant = |event: &Event| match event.what {
            What::Conditions(conditions) => {
                event.at.is_zero()
                    && conditions.rate.is_none()
                    && conditions.latency <= Duration::from_millis(20)
            }
            What::Forget => true,
            _ => false,
        };
        self.breaks.is_empty() && self.events.iter().all(is_meant)
    }

    /// The outages of a network that is good but for them: nothing leads anywhere, and no
    /// connection is hurt.
    pub(crate) fn only_outages(&self) -> Option<Vec<(Duration, Duration)>> {
        let is_near = |conditions: Conditions| {
            conditions.rate.is_none() && conditions.latency <= Duration::from_millis(20)
        };
        let mut outages = Vec::new();
        for event in &self.events {
            match event.what {
                What::Conditions(conditions) if event.at.is_zero() && is_near(conditions) => {}
                // There is no connection yet.
                What::Restart(length) if event.at.is_zero() => outages.push((event.at, length)),
                What::Nameless(length) => outages.push((event.at, event.at + length)),
                _ => return None,
            }
        }
        let are_apart = outages.windows(2).all(|two| two[1].0 > two[0].1 + MOMENT);
        (self.breaks.is_empty() && are_apart).then_some(outages)
    }

    /// When the name of the service has moved for the last time, where nothing else happens on a
    /// good network.
    pub(crate) fn moved(&self) -> Option<Duration> {
        let is_meant = |event: &Event| match event.what {
            What::Conditions(conditions) => {
                event.at.is_zero()
                    && conditions.rate.is_none()
                    && conditions.latency <= Duration::from_millis(20)
            }
            What::Move(..) => true,
            _ => false,
        };
        let moves = self.events.iter().filter_map(|event| match event.what {
            What::Move(_, length) => Some(event.at + length),
            _ => None,
        });
        let is_only = self.breaks.is_empty() && self.events.iter().all(is_meant);
        moves.max().filter(|_| is_only)
    }

    /// When connections become good, where the first one is bad and stays so: it ends streams.
    pub(crate) fn mended(&self) -> Option<Duration> {
        let [Fault::SecondMessageReset] = self.proxies[..] else { return None };
        let [first, event] = &self.events[..] else { return None };
        let is_near = |conditions: Conditions| {
            conditions.rate.is_none() && conditions.latency <= Duration::from_millis(20)
        };
        let is_good = matches!(first.what, What::Conditions(conditions) if is_near(conditions));
        let is_mended = event.what == What::Fault(0, Fault::Pass);
        let is_quiet = self.calls.iter().all(|call| {
            let answer = call.answer;
            let is_late = call.at > event.at + MOMENT || call.shape == Shape::Unary;
            is_late && answer.error.is_none() && answer.refused == 0 && !answer.is_endless
        });
        let begins_early = self.calls.iter().any(|call| call.at + MOMENT < event.at);
        let holds = is_good && is_mended && is_quiet && begins_early && self.is_prompt();
        (holds && self.breaks.is_empty()).then_some(event.at)
    }

    /// The service answers each call at once, and nobody is in a hurry.
    pub(crate) fn is_prompt(&self) -> bool {
        self.service.token_life.is_none()
            && self.service.window.is_none()
            && self.calls.iter().all(|call| {
                call.answer.thought.is_zero()
                    && call.timeout.is_none_or(|timeout| timeout >= Duration::from_secs(30))
                    && call.size <= 20_000
                    && call.reading.is_zero()
            })
    }

    /// No call waits for another one's place.
    pub(crate) fn has_room(&self) -> bool {
        self.options.rest_connections > self.calls.len()
            && self.service.max_streams.is_none()
            && self.service.window.is_none()
    }

    /// Of the first proxy; without one, nothing.
    pub(crate) fn fault(&self) -> Fault {
        self.proxies.first().copied().unwrap_or(Fault::Pass)
    }

    /// How often a proxy begins to do this.
    pub(crate) fn times_of(&self, fault: Fault) -> u64 {
        let at_first = self.proxies.iter().filter(|it| **it == fault).count();
        let is_it = |what: What| match what {
            What::Fault(_, it) | What::FaultAndCut(_, it) => it == fault,
            _ => false,
        };
        let later = self.events.iter().filter(|event| is_it(event.what)).count();
        (at_first + later) as u64
    }

    pub(crate) fn has_proxy(&self) -> bool {
        !self.proxies.is_empty()
    }
}

/// For a probe, and what it finds, to be over.
const MOMENT: Duration = Duration::from_secs(10);

/// Where there is no TLS, faults of TLS are none.
pub(crate) fn faults() -> Vec<Fault> {
    let of_tls = ["handshake-", "http2-hello-", "no-application-protocol", "inspect-"];
    let is_of_tls = |fault: &Fault| of_tls.iter().any(|name| fault.name().starts_with(name));
    Fault::ALL.iter().copied().filter(|fault| !is_of_tls(fault)).collect()
}
