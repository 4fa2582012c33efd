//! Last probe: how the last probe of gRPC ended, for the calls that wait for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::symptom::Symptom;

/// Of one runtime. Those who wait go on in the order in which they came.
#[derive(Debug)]
pub(super) struct LastProbe {
    state: Mutex<ProbeState>,
    ended: Notify,
}

#[derive(Debug, Clone)]
enum ProbeState {
    Running,
    Ended(Option<Symptom>),
}

impl Default for LastProbe {
    fn default() -> Self {
        Self { state: Mutex::new(ProbeState::Ended(None)), ended: Notify::new() }
    }
}

impl LastProbe {
    pub(super) fn is_running(&self) -> bool {
        matches!(*self.state(), ProbeState::Running)
    }

    pub(super) fn begin(&self) {
        *self.state() = ProbeState::Running;
    }

    /// `failure` is what it met on the network.
    pub(super) fn end(&self, failure: Option<Symptom>) {
        *self.state() = ProbeState::Ended(failure);
        self.ended.notify_waiters();
    }

    /// What it met, if it has failed and none has begun since.
    pub(super) fn failure(&self) -> Option<Symptom> {
        match &*self.state() {
            ProbeState::Running => None,
            ProbeState::Ended(failure) => failure.clone(),
        }
    }

    /// Waits for its end.
    pub(super) async fn until_ended(&self) -> Option<Symptom> {
        loop {
            let ended = self.ended.notified();
            if !self.is_running() {
                return self.failure();
            }
            ended.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, ProbeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
