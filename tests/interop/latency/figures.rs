//! Figures: medians of rounds, so that one busy moment of the machine decides nothing.

use std::fs;

use tokio::time::Duration;

/// One figure, without the sidecar and with it, for each round.
#[derive(Default)]
pub(super) struct Pairs(Vec<[f64; 2]>);

impl Pairs {
    pub(super) fn add(&mut self, pair: [f64; 2]) {
        self.0.push(pair);
    }

    pub(super) fn direct(&self) -> f64 {
        median(self.0.iter().map(|pair| pair[0]))
    }

    pub(super) fn through(&self) -> f64 {
        median(self.0.iter().map(|pair| pair[1]))
    }

    /// Of the two figures of a round.
    pub(super) fn ratio(&self) -> f64 {
        median(self.0.iter().map(|pair| pair[1] / pair[0]))
    }

    /// What the second figure of a round is more than the first.
    pub(super) fn added(&self) -> f64 {
        median(self.0.iter().map(|pair| pair[1] - pair[0]))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The latencies of one client.
#[derive(Default)]
pub(super) struct Latencies {
    p50: Pairs,
    p99: Pairs,
}

impl Latencies {
    /// Adds a round, in microseconds.
    pub(super) fn add(&mut self, [mut direct, mut through]: [Vec<f64>; 2]) {
        direct.sort_by(f64::total_cmp);
        through.sort_by(f64::total_cmp);
        for (pairs, hundredth) in [(&mut self.p50, 50), (&mut self.p99, 99)] {
            pairs.add([&direct, &through].map(|side| side[side.len() * hundredth / 100]));
        }
    }

    pub(super) fn print(&self, client: &str) {
        for (name, pairs) in [("p50", &self.p50), ("p99", &self.p99)] {
            println!(
                "{client}, {name}: direct {:.0} µs, through the sidecar {:.0} µs: {:.2}x, {:.0} µs more",
                pairs.direct(),
                pairs.through(),
                pairs.ratio(),
                pairs.added(),
            );
        }
    }

    /// What a call takes longer, in microseconds.
    pub(super) fn added(&self) -> f64 {
        self.p50.added()
    }
}

/// The time that a process had on a processor so far; a tick of Linux is 10 ms.
pub(super) fn processor_time(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process that runs");
    // The name, in parentheses, may have spaces; user and system time are the 12th and 13th after
    // it.
    let after_name = text.rsplit_once(')').expect("a name").1;
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}
