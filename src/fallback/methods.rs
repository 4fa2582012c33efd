//! Methods: which of them gRPC does not carry although its probe passes, as a pure machine.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tonic::Code;

use super::remembered::Term;
use super::state::Expiry;
use crate::bridge::options::ActiveTransport;
use crate::call::author::is_failure;
use crate::symptom::Mark;

/// What gRPC did to the calls of each method. Only methods of the schema are told to it, so it does
/// not grow.
#[derive(Debug)]
pub(crate) struct Methods {
    known: FxHashMap<Box<str>, Method>,
    expiry: Expiry,
}

/// The route of a method's next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodRoute {
    /// Nothing speaks against gRPC.
    Open,
    /// gRPC failed it once: over a connection that is younger than that.
    Younger(Instant),
    /// gRPC, as the one call that tries it anew.
    Trial,
    Rest,
}

/// How one call fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// gRPC brought the service's answer, this long after it was asked.
    Carried { took: Duration },
    /// gRPC broke it, or brought a status that is perhaps not the service's.
    Broken { mark: Mark, said: Option<Code> },
    /// REST brought an answer: OK, or this status.
    RestCarried { said: Code },
    /// REST broke it.
    RestBroken,
    /// It is unanswered for far longer than its like took, and REST reaches the service.
    Late,
    /// It ended by itself, and shows nothing.
    Unknown,
}

/// A call that tells its outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed {
    pub(crate) began: Instant,
    pub(crate) is_trial: bool,
    /// It was [`Outcome::Late`] before.
    pub(crate) was_late: bool,
}

/// What a call changed for its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// This transport carries it now.
    Transport(ActiveTransport),
    /// REST carries it for longer.
    Term,
}

#[derive(Debug)]
struct Method {
    standing: Standing,
    since: Instant,
    /// The longest that gRPC took lately.
    usual: Option<Duration>,
    /// When a call that was late asked about REST.
    asked: Option<Instant>,
    /// Verdicts in a row; each doubles the expiry.
    verdicts: u32,
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    Good,
    /// One failure, forgotten after so many answers.
    Doubted {
        answers_left: u32,
    },
    /// The next call goes over REST: if that carries it, gRPC is to blame.
    Suspected {
        said: Option<Code>,
        is_late: bool,
    },
    /// REST carries the calls; after `until` one call at a time tries gRPC anew.
    OnRest {
        until: Instant,
        on_trial: bool,
        is_late: bool,
        /// A trial broke, and REST has had no call since. It gets one, however late that comes: no
        /// two calls in a row are risked.
        rest_first: bool,
    },
}

impl Methods {
    pub(crate) fn new(expiry: Expiry) -> Self {
        Self { known: FxHashMap::default(), expiry }
    }

    /// The route of the next call of `path`. A [`MethodRoute::Trial`] is not taken yet: see
    /// [`begin_trial`](Self::begin_trial).
    pub(crate) fn route(&self, path: &str, now: Instant) -> MethodRoute {
        let Some(method) = self.known.get(path) else { return MethodRoute::Open };
        match method.standing {
            Standing::Good => MethodRoute::Open,
            Standing::Doubted { .. } => MethodRoute::Younger(method.since),
            Standing::OnRest { until, on_trial: false, rest_first: false, .. } if until <= now => {
                MethodRoute::Trial
            }
            Standing::Suspected { .. } | Standing::OnRest { .. } => MethodRoute::Rest,
        }
    }

    /// The call that the route was for goes over gRPC; no other one does before its outcome is
    /// told.
    pub(crate) fn begin_trial(&mut self, path: &str) {
        if let Some(method) = self.known.get_mut(path)
            && let Standing::OnRest { on_trial, .. } = &mut method.standing
        {
            *on_trial = true;
        }
    }

    /// How long a call may be unanswered before REST is asked about.
    pub(crate) fn patience(&self, path: &str) -> Duration {
        let usual = self.known.get(path).and_then(|method| method.usual);
        usual.map_or(FIRST_PATIENCE, |usual| usual.saturating_mul(FAR_LONGER).max(LEAST_PATIENCE))
    }

    /// Whether a call that is late should ask about REST: one of a method asks for all.
    pub(crate) fn begin_question(&mut self, path: &str, now: Instant) -> bool {
        let patience = self.patience(path);
        let method = self.method(path, now);
        let is_open = matches!(method.standing, Standing::Good | Standing::Doubted { .. });
        let is_asked = method.asked.is_some_and(|asked| now < asked + patience);
        if is_open && !is_asked {
            method.asked = Some(now);
        }
        is_open && !is_asked
    }

    /// The verdicts against gRPC, as they outlive this.
    pub(crate) fn verdicts(&self) -> Vec<(Box<str>, Term)> {
        let known = self.known.iter();
        let terms = known.filter_map(|(path, method)| Some((path.clone(), method.term()?)));
        let mut terms: Vec<_> = terms.collect();
        terms.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        terms
    }

    /// `Good -> OnRest`, by a verdict of before. Where it has expired, the next call is the trial.
    pub(crate) fn remember(&mut self, path: &str, term: Term, now: Instant) {
        let longest = now + self.expiry.longest;
        let method = self.method(path, now);
        method.verdicts = term.verdicts;
        let until = term.until.min(longest);
        let standing =
            Standing::OnRest { until, on_trial: false, is_late: false, rest_first: false };
        method.enter(standing, now);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// Takes how a call of `path` fared; says what that changed for its method.
    pub(crate) fn tell(
        &mut self,
        path: &str,
        observed: Observed,
        outcome: Outcome,
        now: Instant,
    ) -> Option<Change> {
        let expiry = self.expiry;
        let method = self.method(path, now);
        let before = method.term();
        match outcome {
            Outcome::Carried { took } => method.carry(observed, took, expiry, now),
            Outcome::Broken { mark, said } => method.fail(observed, mark, said, expiry, now),
            Outcome::RestCarried { said } => {
                method.end_trial(observed);
                method.end_rests_turn();
                method.judge(said, expiry, now);
            }
            Outcome::RestBroken => {
                method.end_trial(observed);
                method.end_rests_turn();
                method.acquit(now);
            }
            Outcome::Late => method.suspect_silence(now),
            Outcome::Unknown => method.end_trial(observed),
        }
        match (before, method.term()) {
            (None, Some(_)) => Some(Change::Transport(ActiveTransport::Rest)),
            (Some(_), None) => Some(Change::Transport(ActiveTransport::Grpc)),
            (Some(before), Some(after)) if before != after => Some(Change::Term),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    fn method(&mut self, path: &str, now: Instant) -> &mut Method {
        if !self.known.contains_key(path) {
            self.known.insert(path.into(), Method::new(now));
        }
        self.known.get_mut(path).expect("just inserted")
    }
}

impl Method {
    fn new(now: Instant) -> Self {
        Self { standing: Standing::Good, since: now, usual: None, asked: None, verdicts: 0 }
    }

    /// Of the verdict against gRPC, if there is one.
    fn term(&self) -> Option<Term> {
        match self.standing {
            Standing::OnRest { until, .. } => Some(Term { until, verdicts: self.verdicts }),
            Standing::Good | Standing::Doubted { .. } | Standing::Suspected { .. } => None,
        }
    }

    fn carry(&mut self, observed: Observed, took: Duration, expiry: Expiry, now: Instant) {
        self.usual = Some(self.usual.map_or(took, |usual| took.max(usual / 8 * 7)));
        match &mut self.standing {
            Standing::Good if now >= self.since + expiry.after(self.verdicts) => self.verdicts = 0,
            Standing::Doubted { answers_left } if *answers_left > 1 => *answers_left -= 1,
            // Doubted -> Good: one failure among so many calls is a network's ordinary life.
            Standing::Doubted { .. } => self.enter(Standing::Good, now),
            // Suspected | OnRest -> Good: what was taken for silence was only slow.
            Standing::Suspected { is_late: true, .. } if observed.was_late => {
                self.enter(Standing::Good, now);
            }
            Standing::OnRest { is_late: true, .. } if observed.was_late => {
                self.verdicts = self.verdicts.saturating_sub(1);
                self.enter(Standing::Good, now);
            }
            // OnRest -> Good: the trial went well.
            Standing::OnRest { .. } if observed.is_trial => self.enter(Standing::Good, now),
            Standing::Good | Standing::Suspected { .. } | Standing::OnRest { .. } => {}
        }
    }

    fn fail(
        &mut self,
        observed: Observed,
        mark: Mark,
        said: Option<Code>,
        expiry: Expiry,
        now: Instant,
    ) {
        let is_certain = match mark {
            Mark::No => return self.end_trial(observed),
            Mark::Ambiguous => false,
            Mark::Certain => true,
        };
        match &mut self.standing {
            // Good -> Doubted: an ordinary loss, perhaps.
            Standing::Good if self.verdicts == 0 && !is_certain => {
                self.enter(Standing::Doubted { answers_left: FORGOTTEN_AFTER }, now);
            }
            // Good -> Suspected: a relapse, or a certain symptom.
            Standing::Good => self.enter(Standing::Suspected { said, is_late: false }, now),
            // Doubted -> Suspected: again, by a call that the first failure cannot have hit.
            Standing::Doubted { .. } if is_certain || observed.began > self.since => {
                self.enter(Standing::Suspected { said, is_late: false }, now);
            }
            // OnRest -> OnRest: still broken, for twice as long.
            Standing::OnRest { .. } if observed.is_trial => {
                let until = self.next_expiry(now, expiry);
                let standing =
                    Standing::OnRest { until, on_trial: false, is_late: false, rest_first: true };
                self.enter(standing, now);
            }
            Standing::Doubted { .. } | Standing::Suspected { .. } | Standing::OnRest { .. } => {}
        }
    }

    /// REST brought an answer.
    fn judge(&mut self, said: Code, expiry: Expiry, now: Instant) {
        match self.standing {
            // Suspected -> Good: gRPC said the same, so it was the service's word.
            Standing::Suspected { said: Some(by_grpc), .. } if by_grpc == said => {
                self.enter(Standing::Good, now);
            }
            // Suspected -> Doubted: a gateway may have said it, for its dead upstream.
            Standing::Suspected { .. } if is_failure(said) => self.acquit(now),
            // Suspected -> OnRest: REST carries what gRPC does not. The verdict holds from the
            // failure on: if the proof comes late, the network may be another, and the next call
            // tries gRPC.
            Standing::Suspected { is_late, .. } => {
                let until = self.next_expiry(self.since, expiry);
                let standing =
                    Standing::OnRest { until, on_trial: false, is_late, rest_first: false };
                self.enter(standing, now);
            }
            Standing::Good | Standing::Doubted { .. } | Standing::OnRest { .. } => {}
        }
    }

    /// When one more verdict in a row, of this time, expires.
    fn next_expiry(&mut self, from: Instant, expiry: Expiry) -> Instant {
        self.verdicts += 1;
        from + expiry.after(self.verdicts)
    }

    /// `Suspected -> Doubted`: REST fails as well, so gRPC is not to blame for what was seen.
    fn acquit(&mut self, now: Instant) {
        if let Standing::Suspected { .. } = self.standing {
            self.enter(Standing::Doubted { answers_left: FORGOTTEN_AFTER }, now);
        }
    }

    fn suspect_silence(&mut self, now: Instant) {
        if let Standing::Good | Standing::Doubted { .. } = self.standing {
            self.enter(Standing::Suspected { said: None, is_late: true }, now);
        }
    }

    fn end_rests_turn(&mut self) {
        if let Standing::OnRest { rest_first, .. } = &mut self.standing {
            *rest_first = false;
        }
    }

    fn end_trial(&mut self, observed: Observed) {
        if let Standing::OnRest { on_trial, .. } = &mut self.standing
            && observed.is_trial
        {
            *on_trial = false;
        }
    }

    fn enter(&mut self, standing: Standing, now: Instant) {
        (self.standing, self.since) = (standing, now);
    }
}

/// So many answers make up for one failure: fewer, and one bad host of several stays unnoticed;
/// more, and two losses that have nothing to do with each other look like one fault.
const FORGOTTEN_AFTER: u32 = 10;
/// For a method that gRPC has not answered yet: models that think take half a minute.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);
/// A connection that is dead is found out before that, and is not the method's fault.
pub(crate) const LEAST_PATIENCE: Duration = Duration::from_secs(10);
/// How often as long as its like took lately is far longer.
const FAR_LONGER: u32 = 4;
