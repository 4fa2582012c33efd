//! Attempts: one call is sent until a transport carries it: again on the same one, or once on the
//! other.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap};
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::core::Core;
use super::trace::Trace;
use crate::bridge::options::ActiveTransport;
use crate::call::deadline::{Busy, Deadline, until, within};
use crate::call::{Call, Judged};
use crate::error::Error;
use crate::fallback::{LEAST_PATIENCE, Observer, OtherTransport, ResendState};
use crate::transport::grpc::Seat;

/// An answer, and how it came.
pub(super) struct Carried {
    pub(super) judged: Judged,
    pub(super) transport: ActiveTransport,
    /// How long the service took to begin it.
    pub(super) took: Duration,
    /// Where the answer's end tells more.
    pub(super) observer: Option<Observer>,
}

impl Core {
    /// Repeats the call as long as the service's own answer invites it and the policy agrees.
    pub(super) async fn send_with_retries(
        self: &Arc<Self>,
        call: &mut Call,
        trace: &Trace,
    ) -> Result<Carried, Error> {
        let mut renewed = false;
        let mut observer = self.observer(call);
        loop {
            let carried = self.send(call, observer.as_mut(), trace).await?;
            if !renewed && self.is_rejected(call, carried.judged.code) {
                renewed = true;
                call.metadata.remove(header::AUTHORIZATION);
                self.authorise(call).await?;
                continue;
            }
            let attempt = call.retries + 1;
            let Some(wait) = self.retries.wait_before_next(call, &carried.judged, attempt) else {
                return Ok(Carried { observer, ..carried });
            };
            call.retries = attempt;
            trace.retried(attempt, wait);
            self.counters.count_retry();
            sleep(wait).await;
        }
    }

    /// Only where there is a choice is there something to tell.
    fn observer(&self, call: &Call) -> Option<Observer> {
        let has_choice = self.is_auto(call) && call.has_rest_form() && call.rest_only.is_none();
        let method = call.method.as_ref().filter(|_| has_choice)?;
        Some(self.fallback.observer(method))
    }

    /// Whether the service refused our token, so that a new one may help. It refuses before any
    /// work.
    fn is_rejected(&self, call: &Call, code: Option<Code>) -> bool {
        code == Some(Code::Unauthenticated)
            && call.message.is_in_hand()
            && self.credentials.invalidate(&call.metadata)
    }

    /// Sends the call until a transport carries it, or until its failure is final.
    async fn send(
        self: &Arc<Self>,
        call: &mut Call,
        mut observer: Option<&mut Observer>,
        trace: &Trace,
    ) -> Result<Carried, Error> {
        let choice = self.choose(call, observer.as_deref_mut()).await?;
        if let Some(because) = &choice.because {
            trace.switched(choice.transport, because);
        }
        let may_switch = self.is_auto(call) && choice.because.is_none() && call.rest_only.is_none();
        let policy = call.options.resend.unwrap_or(self.settings.resend);
        let mut resends = ResendState::new(choice.transport, policy, may_switch);
        let mut first = choice.because;
        loop {
            let transport = resends.transport();
            let error = match self.send_over(transport, call, observer.as_deref_mut()).await {
                Ok(carried) => return Ok(carried),
                Err(error) => error,
            };
            let Some(next) = self.next_transport(call, &mut resends, &error) else {
                let early = || self.fallback.failed_probe().map(Error::from);
                let first = first.or_else(|| choice.is_early.then(early).flatten());
                return Err(both_causes(first, error));
            };
            self.counters.count_resend();
            if next == transport {
                trace.resent(next, &error);
            } else {
                trace.switched(next, &error);
                self.counters.count_switch();
                first.get_or_insert(error);
            }
        }
    }

    /// The verdict on a failed attempt: the transport to send the call over once more, if any.
    fn next_transport(
        &self,
        call: &Call,
        resends: &mut ResendState,
        error: &Error,
    ) -> Option<ActiveTransport> {
        let symptom = error.symptom().filter(|_| call.message.is_in_hand())?;
        let is_on_grpc = self.fallback.is_on_grpc();
        resends.after(symptom, OtherTransport { has_rest_form: call.has_rest_form(), is_on_grpc })
    }

    /// One attempt; what it shows of the network goes to `fallback`.
    async fn send_over(
        self: &Arc<Self>,
        transport: ActiveTransport,
        call: &mut Call,
        observer: Option<&mut Observer>,
    ) -> Result<Carried, Error> {
        call.attempts += 1;
        self.counters.count_attempt(transport);
        match transport {
            ActiveTransport::Grpc => self.send_over_grpc(call, observer).await,
            ActiveTransport::Rest => {
                let sent = self.send_over_rest(call).await;
                if let (Some(observer), Err(error)) = (observer, &sent) {
                    observer.failed(transport, error, Duration::ZERO);
                }
                let took = Duration::ZERO;
                sent.map(|judged| Carried { judged, transport, took, observer: None })
            }
        }
    }

    async fn send_over_grpc(
        self: &Arc<Self>,
        call: &mut Call,
        mut observer: Option<&mut Observer>,
    ) -> Result<Carried, Error> {
        let transport = ActiveTransport::Grpc;
        if let Some(reduced) = &call.reduced {
            self.counters.count_left_out(reduced.left_out);
        }
        let began = Instant::now();
        let than = observer.as_deref().and_then(Observer::younger_than);
        let sent = self.answer_of_grpc(call, than, observer.as_deref_mut()).await;
        let sent = self.note_attempt(transport, call, sent);
        let took = began.elapsed();
        if let (Some(observer), Err(error)) = (observer, &sent) {
            observer.failed(transport, error, took);
        }
        let is_well = sent.as_ref().is_ok_and(|judged| !judged.author.is_forged());
        if !is_well && self.is_auto(call) {
            // A symptom may have asked for a probe, which runs beside the calls.
            self.begin_route(&call.metadata, None);
        }
        sent.map(|judged| Carried { judged, transport, took, observer: None })
    }

    async fn answer_of_grpc(
        self: &Arc<Self>,
        call: &mut Call,
        younger_than: Option<Instant>,
        observer: Option<&mut Observer>,
    ) -> Result<Judged, Error> {
        let seat = self.take_seat(call.deadline, younger_than).await?;
        if self.is_auto(call) {
            self.watch_over(&seat, call);
        }
        self.answer_on(seat, call, observer).await
    }

    /// By itself, or its room would stay with the call until the answer.
    async fn take_seat(
        &self,
        deadline: Option<Deadline>,
        younger_than: Option<Instant>,
    ) -> Result<Seat, Error> {
        let taken = pin!(self.grpc.take_younger_seat(younger_than));
        within(deadline, Busy::Connecting(self.grpc.hop()), taken).await
    }

    /// The answer on this seat. The observer asks about a call that takes long.
    async fn answer_on(
        &self,
        seat: Seat,
        call: &mut Call,
        observer: Option<&mut Observer>,
    ) -> Result<Judged, Error> {
        let (deadline, hop) = (call.deadline, self.grpc.hop());
        let mut answered = pin!(self.grpc.send(call, seat));
        let late = Instant::now() + LEAST_PATIENCE;
        if let Some(observer) = observer.filter(|_| deadline.is_none_or(|it| it.at() > late)) {
            // A call in time makes one timer, as without an observer.
            if let Some(answer) = until(late, answered.as_mut()).await {
                return answer;
            }
            let answered = async {
                tokio::select! {
                    biased;
                    answer = answered => answer,
                    never = self.ask_when_late(observer) => match never {},
                }
            };
            // Boxed, or each call would carry the room that a late one needs.
            return within(deadline, Busy::OnGrpc(hop), Box::pin(answered)).await;
        }
        within(deadline, Busy::OnGrpc(hop), answered).await
    }

    /// Beside a call that is unanswered for far longer than its like took: a free call over REST
    /// shows whether the next one should go there, and not wait the same way. It has waited for
    /// [`LEAST_PATIENCE`] before.
    async fn ask_when_late(&self, observer: &mut Observer) -> Infallible {
        let mut patience = observer.patience();
        sleep(patience.saturating_sub(LEAST_PATIENCE)).await;
        loop {
            if observer.begin_question() && Box::pin(self.is_reached_over_rest()).await {
                observer.is_late();
            }
            patience *= 2;
            sleep(patience).await;
        }
    }

    async fn is_reached_over_rest(&self) -> bool {
        let mut metadata = HeaderMap::new();
        // What the service says to a call without a key comes from the service, too.
        let _ = self.credentials.authorise(&mut metadata).await;
        self.connect_rest(&metadata).await.is_ok()
    }

    /// One attempt over REST.
    pub(super) async fn send_over_rest(&self, call: &mut Call) -> Result<Judged, Error> {
        let versions = self.http_versions(self.transport_of(call));
        let deadline = call.deadline;
        // Boxed, or each call on gRPC would carry the room that REST needs.
        let attempt = Box::pin(self.rest.send(call, versions));
        let sent = within(deadline, Busy::OnRest(self.rest.hop()), attempt).await;
        self.note_attempt(ActiveTransport::Rest, call, sent)
    }
}

/// The error of a call that failed on both transports. What the network did not cause, such as
/// a deadline or a message that fits no rule, is an error of its own.
fn both_causes(first: Option<Error>, last: Error) -> Error {
    match first {
        Some(first) if last.symptom().is_some() => last.after(first),
        Some(_) | None => last,
    }
}
