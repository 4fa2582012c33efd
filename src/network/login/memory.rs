//! Memory: what one bridge has learnt about the login at its proxy. Time comes as an argument.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shared by all dials through one proxy.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    offered: Vec<String>,
    passed_over: Vec<String>,
}

/// How the last login ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    Untried,
    /// A tunnel was opened: with the scheme at this place, or without a login.
    Opened(Option<usize>),
    /// So many times in a row; nothing is sent before the time is over.
    Refused { times: u32, until: Instant },
}

impl Memory {
    pub(super) fn standing(&self) -> Standing {
        self.state().standing
    }

    /// Whether a login was refused so lately that it is not sent again.
    pub(super) fn holds_back(&self, now: Instant) -> bool {
        matches!(self.standing(), Standing::Refused { until, .. } if now < until)
    }

    pub(super) fn opened(&self, scheme: Option<usize>) {
        self.state().standing = Standing::Opened(scheme);
    }

    /// A service that runs for weeks must not ask for its account to be locked, nor stay away for
    /// good.
    pub(super) fn refused(&self, now: Instant) {
        let mut state = self.state();
        let times = match state.standing {
            Standing::Refused { times, .. } => times.saturating_add(1),
            Standing::Untried | Standing::Opened(_) => 1,
        };
        let hold = FIRST_HOLD.saturating_mul(2_u32.saturating_pow(times - 1)).min(LONGEST_HOLD);
        state.standing = Standing::Refused { times, until: now + hold };
    }

    /// What the proxy offers, and why some of it was not used.
    pub(super) fn note(&self, offered: Vec<String>, passed_over: Vec<String>) {
        let mut state = self.state();
        (state.offered, state.passed_over) = (offered, passed_over);
    }

    pub(super) fn noted(&self) -> (Vec<String>, Vec<String>) {
        let state = self.state();
        (state.offered.clone(), state.passed_over.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as a verdict against gRPC: three tries in half an hour, below what locks an account.
const FIRST_HOLD: Duration = Duration::from_secs(5 * 60);
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_held_back_for_longer_each_time() {
        let (memory, mut now) = (Memory::default(), Instant::now());
        assert!(!memory.holds_back(now));
        for minutes in [5, 10, 20, 40] {
            memory.refused(now);
            let end = now + Duration::from_secs(minutes * 60);
            assert!(memory.holds_back(end - Duration::from_secs(1)), "{minutes}");
            assert!(!memory.holds_back(end), "{minutes}");
            now = end;
        }
        for _ in 0..100 {
            memory.refused(now);
        }
        assert!(!memory.holds_back(now + LONGEST_HOLD));
        memory.opened(None);
        memory.refused(now);
        assert!(!memory.holds_back(now + FIRST_HOLD), "a login that was accepted begins anew");
    }
}
