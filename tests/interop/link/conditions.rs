//! Conditions: the lines.

use std::time::Duration;

use genai_bridge::emulator::hostile::Link;

pub(super) struct Condition {
    pub(super) name: &'static str,
    round_trip: u64,
    /// Bytes a second.
    rate: Option<u32>,
    loses_one_in: Option<u64>,
    narrow: Option<usize>,
    pub(super) weather: Weather,
    /// Bytes of each request.
    pub(super) size: usize,
}

/// What happens with the second call.
#[derive(Clone, Copy)]
pub(super) enum Weather {
    Fair,
    Outage(Duration),
    /// The open connections carry nothing any more.
    HalfOpen,
}

const NEAR: Condition = Condition {
    name: "near",
    round_trip: 20,
    rate: None,
    loses_one_in: None,
    narrow: None,
    weather: Weather::Fair,
    size: 200,
};

pub(super) const CONDITIONS: &[Condition] = &[
    NEAR,
    Condition { name: "300 ms RTT", round_trip: 300, ..NEAR },
    Condition { name: "600 ms RTT", round_trip: 600, ..NEAR },
    Condition { name: "3 % loss", round_trip: 60, loses_one_in: Some(33), size: 20_000, ..NEAR },
    Condition { name: "1 Mbit/s", round_trip: 60, rate: Some(125_000), size: 100_000, ..NEAR },
    Condition { name: "above 1,400 bytes lost", narrow: Some(1_400), size: 20_000, ..NEAR },
    Condition { name: "10 s outage", weather: Weather::Outage(Duration::from_secs(10)), ..NEAR },
    Condition { name: "half-open", weather: Weather::HalfOpen, ..NEAR },
];

impl Condition {
    pub(super) fn link(&self) -> Link {
        let mut link = Link::new().latency(Duration::from_millis(self.round_trip / 2));
        if let Some(rate) = self.rate {
            link = link.up(rate).down(rate);
        }
        if let Some(packets) = self.loses_one_in {
            link = link.loses_one_in(packets);
        }
        if let Some(bytes) = self.narrow {
            link = link.narrow(bytes);
        }
        link
    }
}
