//! Process: the memory and the open descriptors of another one, and how they grow.

use std::fs;

use tokio::time::Instant;

pub(super) struct Process {
    name: &'static str,
    id: u32,
    began: Instant,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    seconds: f64,
    /// Resident, in KiB.
    memory: f64,
    descriptors: f64,
}

impl Process {
    pub(super) fn new(name: &'static str, id: u32) -> Self {
        Self { name, id, began: Instant::now() }
    }

    pub(super) fn sample(&self) -> Sample {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        let memory = line.trim().trim_end_matches(" kB").parse().expect("a number");
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.id)).expect("a process").count();
        let descriptors = f64::from(u32::try_from(descriptors).expect("few"));
        Sample { seconds: self.began.elapsed().as_secs_f64(), memory, descriptors }
    }

    /// Prints what was seen. Where it was long, nothing may grow once the first quarter is over: the
    /// network is as bad in the second quarter as in the last one.
    pub(super) fn judge(&self, samples: &[Sample]) {
        let rest = &samples[samples.len() / 4..];
        let (memory, descriptors) = (|it: &Sample| it.memory, |it: &Sample| it.descriptors);
        println!(
            "{}: memory {:.0} KiB after a quarter, {:.0} at most, {:+.0} KiB an hour; descriptors {:.1}, {:.0} at most, {:+.1} an hour",
            self.name,
            rest[0].memory,
            most(rest, memory),
            slope(rest, memory) * 3600.0,
            mean(rest, descriptors),
            most(rest, descriptors),
            slope(rest, descriptors) * 3600.0,
        );
        let took = samples[samples.len() - 1].seconds;
        if took < LONG {
            return;
        }
        let third = rest.len() / 3;
        let (early, late) = (&rest[..third], &rest[2 * third..]);
        for (what, of) in [("memory", memory as fn(&Sample) -> f64), ("descriptors", descriptors)] {
            let (before, after) = (median(early, of), median(late, of));
            assert!(after <= before * 1.1, "{}: {what} grew from {before} to {after}", self.name);
        }
    }
}

/// Seconds: what is shorter says nothing of growth.
const LONG: f64 = 600.0;

fn count(samples: &[Sample]) -> f64 {
    f64::from(u32::try_from(samples.len()).expect("few"))
}

fn mean(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    samples.iter().map(of).sum::<f64>() / count(samples)
}

/// Bursts of some moods, which not every part of the run meets as often, do not count.
fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn most(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    samples.iter().map(of).fold(0.0, f64::max)
}

/// By least squares, a second.
fn slope(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let (time, value) = (mean(samples, |it| it.seconds), mean(samples, of));
    let both = samples.iter().map(|it| (it.seconds - time) * (of(it) - value)).sum::<f64>();
    let alone = samples.iter().map(|it| (it.seconds - time).powi(2)).sum::<f64>();
    both / alone
}
