//! Observer: follows one call of `Transport::Auto`, and learns from it how gRPC and REST treat its
//! method.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Code;
use tracing::info;

use super::methods::{Change, MethodRoute, Methods, Observed, Outcome};
use super::remembered::Term;
use super::state::Expiry;
use super::transport_state::TransportState;
use crate::bridge::options::ActiveTransport;
use crate::call::author::Author;
use crate::error::{Error, ErrorKind};
use crate::schema::Method;
use crate::symptom::Mark;

/// What is known of each method, and the lock on it.
#[derive(Debug)]
pub(super) struct SharedMethods {
    methods: Mutex<Methods>,
    /// Who watches is woken by each verdict on a method, too.
    active: watch::Sender<TransportState>,
}

impl SharedMethods {
    pub(super) fn new(expiry: Expiry, active: watch::Sender<TransportState>) -> Self {
        Self { methods: Mutex::new(Methods::new(expiry)), active }
    }

    pub(super) fn clear(&self) {
        self.methods().clear();
    }

    pub(super) fn verdicts(&self) -> Vec<(Box<str>, Term)> {
        self.methods().verdicts()
    }

    pub(super) fn remember(&self, path: &str, term: Term, now: Instant) {
        self.methods().remember(path, term, now);
    }

    fn methods(&self) -> MutexGuard<'_, Methods> {
        self.methods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows one call, and tells what it shows of its method. A trial of gRPC that is dropped untold
/// is left to another call.
pub(crate) struct Observer {
    methods: Arc<SharedMethods>,
    method: Arc<Method>,
    observed: Observed,
    route: MethodRoute,
}

impl Observer {
    pub(super) fn new(methods: Arc<SharedMethods>, method: Arc<Method>) -> Self {
        let observed = Observed { began: Instant::now(), is_trial: false, was_late: false };
        Self { methods, method, observed, route: MethodRoute::Open }
    }

    /// Whether a route over gRPC is open to the method. The call takes it where gRPC `is_decided`.
    ///
    /// A trial is one to its end, whatever attempts the call needs.
    pub(super) fn is_open_to(&mut self, is_decided: bool, now: Instant) -> bool {
        if self.observed.is_trial {
            return true;
        }
        let mut methods = self.methods.methods();
        let route = methods.route(&self.method.path, now);
        if is_decided {
            if route == MethodRoute::Trial {
                methods.begin_trial(&self.method.path);
                self.observed.is_trial = true;
            }
            self.route = route;
        }
        route != MethodRoute::Rest
    }

    /// The call's connection must be younger than this.
    pub(crate) fn younger_than(&self) -> Option<Instant> {
        match self.route {
            MethodRoute::Younger(than) => Some(than),
            MethodRoute::Open | MethodRoute::Trial | MethodRoute::Rest => None,
        }
    }

    /// How long the call may be unanswered before it asks about REST.
    pub(crate) fn patience(&self) -> Duration {
        self.methods.methods().patience(&self.method.path)
    }

    /// Whether the call, out of patience, should ask: one of a method asks for all.
    pub(crate) fn begin_question(&self) -> bool {
        self.methods.methods().begin_question(&self.method.path, Instant::now())
    }

    /// REST reaches the service, while gRPC leaves the call unanswered.
    pub(crate) fn is_late(&mut self) {
        self.tell(Outcome::Late);
        self.observed.was_late = true;
    }

    /// An answer came, with this status, and nothing of it was lost.
    pub(crate) fn answered(
        &mut self,
        by: ActiveTransport,
        author: Author,
        said: Code,
        took: Duration,
    ) {
        match by {
            ActiveTransport::Grpc => self.grpc_answered(author, took),
            ActiveTransport::Rest => self.tell(Outcome::RestCarried { said }),
        }
    }

    /// No answer came, or not all of it; nothing had come for `waited`.
    pub(crate) fn failed(&mut self, on: ActiveTransport, error: &Error, waited: Duration) {
        let is_expired = error.kind() == ErrorKind::DeadlineExceeded;
        let is_silent = is_expired && waited >= LONG_WAIT;
        self.tell(match (on, error.symptom()) {
            (ActiveTransport::Grpc, Some(symptom)) => {
                Outcome::Broken { mark: symptom.kind().mark(), said: None }
            }
            (ActiveTransport::Grpc, None) if is_silent => {
                Outcome::Broken { mark: Mark::Ambiguous, said: None }
            }
            (ActiveTransport::Rest, Some(_)) => Outcome::RestBroken,
            (ActiveTransport::Rest, None) if is_expired => Outcome::RestBroken,
            (ActiveTransport::Grpc | ActiveTransport::Rest, None) => Outcome::Unknown,
        });
    }

    fn grpc_answered(&mut self, author: Author, took: Duration) {
        self.tell(match author {
            Author::Service | Author::Refusal(_) => Outcome::Carried { took },
            // The service keeps the call's deadline, too.
            Author::Failure(Code::Cancelled | Code::DeadlineExceeded)
            | Author::Forged(Code::Cancelled | Code::DeadlineExceeded)
                if took < LONG_WAIT =>
            {
                Outcome::Unknown
            }
            Author::Failure(code) | Author::Forged(code) => {
                Outcome::Broken { mark: Mark::Ambiguous, said: Some(code) }
            }
        });
    }

    fn tell(&mut self, outcome: Outcome) {
        let method = &*self.method.path;
        let change = self.methods.methods().tell(method, self.observed, outcome, Instant::now());
        if change.is_some() {
            self.methods.active.send_modify(|_| ());
        }
        if let Some(Change::Transport(transport)) = change {
            info!(
                method,
                transport = transport.as_str(),
                ?outcome,
                "transport of a method changed"
            );
        }
        self.observed.is_trial = false;
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if self.observed.is_trial {
            self.tell(Outcome::Unknown);
        }
    }
}

/// Who gives a call less time than this may have given it too little.
const LONG_WAIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::fallback::state::Machine;
    use crate::schema::Schema;
    use ActiveTransport::{Grpc, Rest};

    const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";

    /// The calls of one method, each a second after the other.
    struct Calls {
        methods: Arc<SharedMethods>,
        method: Arc<Method>,
    }

    impl Calls {
        fn new() -> Self {
            let schema = Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("a schema");
            let method = Arc::clone(schema.method(GENERATE).expect("a method"));
            let active = TransportState::of(&Machine::new(Expiry::default(), Instant::now()));
            let methods = SharedMethods::new(Expiry::default(), watch::Sender::new(active));
            Self { methods: Arc::new(methods), method }
        }

        async fn call(&self, ends: impl Fn(&mut Observer)) -> &Self {
            advance(Duration::from_secs(1)).await;
            ends(&mut Observer::new(Arc::clone(&self.methods), Arc::clone(&self.method)));
            self
        }

        fn route(&self) -> MethodRoute {
            self.methods.methods().route(GENERATE, Instant::now())
        }
    }

    fn expired() -> Error {
        Error::new(ErrorKind::DeadlineExceeded, "the call's deadline passed")
    }

    fn invalid() -> Error {
        Error::new(ErrorKind::InvalidRequest, "nothing of the network's")
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_counts_against_grpc_where_it_passed_in_a_long_silence() {
        let short = LONG_WAIT.saturating_sub(Duration::from_millis(1));
        for (error, waited, expected) in [
            (expired(), LONG_WAIT, MethodRoute::Rest),
            (expired(), short, MethodRoute::Open),
            (invalid(), LONG_WAIT, MethodRoute::Open),
        ] {
            let calls = Calls::new();
            for _ in 0..2 {
                calls.call(|observer| observer.failed(Grpc, &error, waited)).await;
            }
            assert_eq!(calls.route(), expected, "{error} {waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passes_over_rest_too_clears_grpc_of_its_suspicion() {
        for (error, is_cleared) in [(expired(), true), (invalid(), false)] {
            let calls = Calls::new();
            for _ in 0..2 {
                calls.call(|observer| observer.failed(Grpc, &expired(), LONG_WAIT)).await;
            }
            calls.call(|observer| observer.failed(Rest, &error, Duration::ZERO)).await;
            assert_eq!(matches!(calls.route(), MethodRoute::Younger(_)), is_cleared, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_one_failure_a_call_wants_a_connection_that_is_younger() {
        let calls = Calls::new();
        let observer = || Observer::new(Arc::clone(&calls.methods), Arc::clone(&calls.method));
        let mut first = observer();
        assert!(first.is_open_to(true, Instant::now()));
        assert_eq!(first.younger_than(), None);
        calls.call(|observer| observer.failed(Grpc, &expired(), LONG_WAIT)).await;
        let failed = Instant::now();
        advance(Duration::from_secs(1)).await;
        let mut next = observer();
        assert!(next.is_open_to(true, Instant::now()));
        assert_eq!(next.younger_than(), Some(failed));
    }

    #[tokio::test(start_paused = true)]
    async fn of_the_late_calls_of_a_method_one_asks_about_rest() {
        let calls = Calls::new();
        let [one, other] =
            [(); 2].map(|()| Observer::new(Arc::clone(&calls.methods), Arc::clone(&calls.method)));
        assert!(one.begin_question());
        assert!(!other.begin_question() && !one.begin_question());
        advance(one.patience()).await;
        assert!(other.begin_question());
    }

    #[tokio::test(start_paused = true)]
    async fn the_services_own_deadline_counts_as_long_as_ours() {
        let said = Code::DeadlineExceeded;
        for (took, expected) in
            [(Duration::from_secs(1), MethodRoute::Open), (LONG_WAIT, MethodRoute::Rest)]
        {
            let calls = Calls::new();
            for _ in 0..2 {
                let author = Author::Failure(said);
                calls.call(|observer| observer.answered(Grpc, author, said, took)).await;
            }
            assert_eq!(calls.route(), expected, "{took:?}");
        }
    }
}
