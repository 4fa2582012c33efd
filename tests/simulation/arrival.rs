//! Arrival: what reached the service, as it says.

use std::time::Duration;

use genai_bridge::emulator::Received;
use tokio::time::Instant;

use crate::run::MARK;
use crate::service::number_in;

/// What reached the service, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Of the call; `None` where its message did not arrive whole, and for free calls of the
    /// bridge's own.
    pub(crate) number: Option<usize>,
    /// As its metadata says.
    pub(crate) marked: Option<usize>,
    pub(crate) at: Instant,
    /// What it may still take, as it says.
    pub(crate) timeout: Option<Duration>,
    pub(crate) is_rest: bool,
    pub(crate) is_probe: bool,
}

impl Arrival {
    pub(crate) fn of(it: &Received) -> Self {
        let header = |name| it.headers().get(name).and_then(|value| value.to_str().ok());
        let timeout = header("grpc-timeout").and_then(grpc_timeout).or_else(|| {
            let seconds: f64 = header("x-server-timeout")?.parse().ok()?;
            Some(Duration::from_secs_f64(seconds))
        });
        Self {
            number: number_in(it.method(), it.message()),
            marked: header(MARK).and_then(|mark| mark.parse().ok()),
            at: it.at(),
            timeout,
            is_rest: it.is_rest(),
            is_probe: it.method().ends_with("/ListModels"),
        }
    }
}

/// A number and its unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let nanos: u64 = match unit {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "S" => 1_000_000_000,
        "M" => 60_000_000_000,
        "H" => 3_600_000_000_000,
        _ => return None,
    };
    Some(Duration::from_nanos(number.parse::<u64>().ok()?.saturating_mul(nanos)))
}
