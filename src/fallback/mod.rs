//! Fallback: which transport a call takes (the only locks, the only clock).

mod last_probe;
mod methods;
mod observer;
mod remembered;
mod resend;
#[cfg(test)]
mod shared;
mod state;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod tests;
mod transport_state;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

use last_probe::LastProbe;
pub(crate) use methods::LEAST_PATIENCE;
pub(crate) use observer::Observer;
use observer::SharedMethods;
pub(crate) use remembered::{Remembered, Term};
use resend::is_final;
pub(crate) use resend::may_resend;
pub(crate) use resend::{OtherTransport, ResendState};
pub(crate) use state::{Event, Expiry, Route};
use state::{Machine, State};
pub use transport_state::TransportState;

use crate::bridge::options::ActiveTransport;
use crate::error::Error;
use crate::network::PerRuntime;
use crate::schema::Method;
use crate::symptom::{Symptom, SymptomKind};

/// Decides which transport a call takes, and remembers why.
#[derive(Debug)]
pub(crate) struct Fallback {
    machine: Mutex<Machine>,
    methods: Arc<SharedMethods>,
    /// The user chose a transport; read and written under the lock of the machine.
    is_fixed: AtomicBool,
    active: watch::Sender<TransportState>,
    /// A runtime that stands still ends no probe: each waits for its own.
    probes: PerRuntime<LastProbe>,
    /// How many probes were begun.
    begun: AtomicU64,
}

/// A probe under way.
#[derive(Debug)]
pub(crate) struct RunningProbe {
    number: u64,
    /// Tells those of its own runtime that wait for it.
    tell: Arc<LastProbe>,
}

impl Fallback {
    /// With a `fixed` transport, what single calls learn of the network changes nothing to be seen.
    pub(crate) fn new(expiry: Expiry, fixed: Option<ActiveTransport>) -> Self {
        let now = Instant::now();
        let machine = Machine::new(expiry, now);
        let mut active = TransportState::of(&machine);
        active.transport = fixed;
        let active = watch::Sender::new(active);
        Self {
            machine: Mutex::new(machine),
            methods: Arc::new(SharedMethods::new(expiry, active.clone())),
            is_fixed: AtomicBool::new(fixed.is_some()),
            active,
            probes: PerRuntime::default(),
            begun: AtomicU64::new(0),
        }
    }

    /// Where the next call goes, and the probe that the caller must begin now.
    pub(crate) fn route(&self, observer: Option<&mut Observer>) -> (Route, Option<RunningProbe>) {
        let now = Instant::now();
        let mut machine = self.lock();
        let running = self.begin_probe(&mut machine, now);
        let route = machine.route();
        drop(machine);
        let is_open =
            observer.is_none_or(|observer| observer.is_open_to(route == Route::Grpc, now));
        (if is_open { route } else { Route::Rest }, running)
    }

    fn begin_probe(&self, machine: &mut Machine, now: Instant) -> Option<RunningProbe> {
        let tell = machine.is_probe_due(now).then(|| self.probe())?;
        if tell.is_running() && !machine.wants_probe(now) {
            return None;
        }
        machine.on(Event::ProbeBegan, now);
        tell.begin();
        Some(RunningProbe { number: self.begun.fetch_add(1, Ordering::Relaxed) + 1, tell })
    }

    /// Takes how a probe ended. A failure counts only if no other probe began since: on a runtime
    /// that stood still meanwhile it is old.
    pub(crate) fn end_probe(&self, running: &RunningProbe, event: Event) {
        let failure = match &event {
            Event::ProbeFailed(symptom) => Some(symptom.clone()),
            _ => None,
        };
        let is_latest = running.number == self.begun.load(Ordering::Relaxed);
        if is_latest || matches!(event, Event::ProbeSucceeded) {
            self.record(event);
        }
        running.tell.end(failure);
    }

    /// Follows a call whose method has a REST form.
    pub(crate) fn observer(&self, method: &Arc<Method>) -> Observer {
        Observer::new(Arc::clone(&self.methods), Arc::clone(method))
    }

    /// Whether gRPC takes a call that has waited for its probe.
    pub(crate) fn takes(&self, observer: Option<&mut Observer>) -> bool {
        let is_on_grpc = self.is_on_grpc();
        let is_open_to = |observer: &mut Observer| observer.is_open_to(is_on_grpc, Instant::now());
        observer.is_none_or(is_open_to) && is_on_grpc
    }

    /// Takes what happened to a call or a probe.
    pub(crate) fn record(&self, event: Event) {
        let mut machine = self.lock();
        let before = machine.since();
        if let Event::Reset = event {
            self.methods.clear();
            // What a probe finds on the network of before says nothing of this one.
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.probes.all().iter().for_each(|probe| probe.end(None));
        }
        let verdict = machine.verdict();
        let changed = machine.on(event, Instant::now());
        if self.is_fixed.load(Ordering::Relaxed) {
            return;
        }
        if !changed {
            if machine.verdict() != verdict {
                self.active.send_replace(TransportState::of(&machine));
            }
            return;
        }
        let active = TransportState::of(&machine);
        self.active.send_replace(active.clone());
        drop(machine);
        let after = active.since.saturating_duration_since(before);
        match (active.transport, &active.symptom) {
            (Some(transport), Some(symptom)) => {
                info!(transport = transport.as_str(), %symptom, ?after, "transport changed");
            }
            (Some(transport), None) => {
                info!(transport = transport.as_str(), ?after, "transport changed");
            }
            (None, _) => info!(?after, "gRPC must be proven again"),
        }
    }

    /// Takes the user's choice of a transport, or, with `None`, goes on with what was learnt. What
    /// else holds the choice is set in one step with it: `set` must not wait.
    pub(crate) fn fix(&self, fixed: Option<ActiveTransport>, set: impl FnOnce()) {
        let machine = self.lock();
        set();
        self.is_fixed.store(fixed.is_some(), Ordering::Relaxed);
        let active = match fixed {
            Some(_) => TransportState { transport: fixed, since: Instant::now(), symptom: None },
            None => TransportState::of(&machine),
        };
        self.active.send_replace(active);
    }

    /// What is held against gRPC now.
    pub(crate) fn verdicts(&self) -> Remembered {
        Remembered { grpc: self.lock().verdict(), methods: self.methods.verdicts() }
    }

    /// Takes over what was held against gRPC before; `symptom` says why, where it is all calls.
    pub(crate) fn remember(
        &self,
        remembered: &Remembered,
        symptom: impl Fn(SymptomKind) -> Symptom,
    ) {
        let now = Instant::now();
        for (path, term) in &remembered.methods {
            self.methods.remember(path, *term, now);
        }
        let Some((kind, term)) = remembered.grpc else { return };
        let mut machine = self.lock();
        machine.remember(symptom(kind), term, now);
        if !self.is_fixed.load(Ordering::Relaxed) {
            self.active.send_replace(TransportState::of(&machine));
        }
    }

    /// Waits for the end of the probe in flight; `Some` if it failed on the network.
    ///
    /// # Errors
    /// It failed so that no transport may try again for the call that waits.
    pub(crate) async fn probe_failure(&self) -> Result<Option<Symptom>, Error> {
        match self.probe().until_ended().await {
            Some(symptom) if is_final(symptom.kind()) => Err(symptom.into()),
            failure => Ok(failure),
        }
    }

    /// How the last probe failed, if it did and none has begun since.
    pub(crate) fn failed_probe(&self) -> Option<Symptom> {
        self.probe().failure()
    }

    /// The last probe of the caller's runtime.
    fn probe(&self) -> Arc<LastProbe> {
        self.probes.here(LastProbe::default)
    }

    /// Whether gRPC carries the calls now.
    pub(crate) fn is_on_grpc(&self) -> bool {
        matches!(self.lock().state(), State::OnGrpc)
    }

    pub(crate) fn transport_state(&self) -> TransportState {
        self.active.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<TransportState> {
        self.active.subscribe()
    }

    /// The machine holds plain values, each event leaves it whole: a panic elsewhere spoils
    /// nothing.
    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
