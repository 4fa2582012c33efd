//! Witness: a call of `Transport::Auto` that tells how gRPC and REST treat its method.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Code;
use tracing::info;

use super::methods::{Fate, Methods, Teller, Way};
use super::state::Expiry;
use crate::bridge::options::ActiveTransport;
use crate::call::word::{Word, code_in};
use crate::error::{Error, ErrorKind};
use crate::schema::Method;
use crate::symptom::Mark;

/// What is known of each method, and the lock on it.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Methods>);

impl Ledger {
    pub(super) fn new(expiry: Expiry) -> Self {
        Self(Mutex::new(Methods::new(expiry)))
    }

    pub(super) fn clear(&self) {
        self.methods().clear();
    }

    fn methods(&self) -> MutexGuard<'_, Methods> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call, as what is known of its method hears of it. A trial of gRPC that is dropped untold is left to another call.
pub(crate) struct Witness {
    ledger: Arc<Ledger>,
    method: Arc<Method>,
    teller: Teller,
    way: Way,
}

impl Witness {
    pub(super) fn new(ledger: Arc<Ledger>, method: Arc<Method>) -> Self {
        let teller = Teller { began: Instant::now(), is_trial: false, was_late: false };
        Self { ledger, method, teller, way: Way::Open }
    }

    /// Whether a way over gRPC is open to the method. The call takes it where gRPC `is_decided`.
    pub(super) fn has_way(&mut self, is_decided: bool, now: Instant) -> bool {
        let mut methods = self.ledger.methods();
        let way = methods.way(&self.method.path, now);
        if is_decided {
            if way == Way::Trial {
                methods.begin_trial(&self.method.path);
                self.teller.is_trial = true;
            }
            self.way = way;
        }
        way != Way::Rest
    }

    /// The call's connection must be younger than this.
    pub(crate) fn younger_than(&self) -> Option<Instant> {
        match self.way {
            Way::Younger(than) => Some(than),
            Way::Open | Way::Trial | Way::Rest => None,
        }
    }

    /// How long the call may be unanswered before it asks about REST.
    pub(crate) fn patience(&self) -> Duration {
        self.ledger.methods().patience(&self.method.path)
    }

    /// Whether the call, out of patience, should ask: one of a method asks for all.
    pub(crate) fn begin_question(&self) -> bool {
        self.ledger.methods().begin_question(&self.method.path, Instant::now())
    }

    /// REST reaches the service, while gRPC leaves the call unanswered.
    pub(crate) fn is_late(&mut self) {
        self.tell(Fate::Late);
        self.teller.was_late = true;
    }

    /// An answer came, and nothing of it was lost; its status is in `head`, or was OK.
    pub(crate) fn answered(&mut self, by: ActiveTransport, head: &HeaderMap, took: Duration) {
        match by {
            ActiveTransport::Grpc => self.grpc_answered(head, took),
            ActiveTransport::Rest => {
                self.tell(Fate::RestCarried { said: code_in(head).unwrap_or(Code::Ok) });
            }
        }
    }

    /// No answer came, or not all of it; nothing had come for `waited`.
    pub(crate) fn failed(&mut self, on: ActiveTransport, error: &Error, waited: Duration) {
        let is_expired = error.kind() == ErrorKind::DeadlineExceeded;
        let is_silent = is_expired && waited >= LONG_WAIT;
        self.tell(match (on, error.symptom()) {
            (ActiveTransport::Grpc, Some(symptom)) => {
                Fate::Broken { mark: symptom.kind().mark(), said: None }
            }
            (ActiveTransport::Grpc, None) if is_silent => {
                Fate::Broken { mark: Mark::Ambiguous, said: None }
            }
            (ActiveTransport::Rest, Some(_)) => Fate::RestBroken,
            (ActiveTransport::Rest, None) if is_expired => Fate::RestBroken,
            (ActiveTransport::Grpc | ActiveTransport::Rest, None) => Fate::Unknown,
        });
    }

    fn grpc_answered(&mut self, head: &HeaderMap, took: Duration) {
        self.tell(match Word::of(head) {
            Word::Service | Word::Refusal(_) => Fate::Carried { took },
            // The service keeps the call's deadline, too.
            Word::Failure(Code::Cancelled | Code::DeadlineExceeded) if took < LONG_WAIT => {
                Fate::Unknown
            }
            Word::Failure(code) => Fate::Broken { mark: Mark::Ambiguous, said: Some(code) },
        });
    }

    fn tell(&mut self, fate: Fate) {
        let method = &*self.method.path;
        let changed = self.ledger.methods().tell(method, self.teller, fate, Instant::now());
        if let Some(transport) = changed {
            info!(method, transport = transport.as_str(), ?fate, "transport of a method changed");
        }
        self.teller.is_trial = false;
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if self.teller.is_trial {
            self.tell(Fate::Unknown);
        }
    }
}

/// Who gives a call less time than this may have given it too little.
const LONG_WAIT: Duration = Duration::from_secs(2);
