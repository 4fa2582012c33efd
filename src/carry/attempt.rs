//! Attempts: one call is sent until a transport carries it: again on the same one, or once on the other.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use crate::bridge::Inner;
use crate::bridge::options::{ActiveTransport, Transport};
use crate::call::deadline::{Deadline, expired};
use crate::call::word::is_forged;
use crate::call::{Answer, Call, GRPC_STATUS};
use crate::credentials::secrets_of;
use crate::error::{Error, ErrorKind};
use crate::fallback::{Course, Event, Other, Route, Witness};
use crate::symptom::SymptomKind;
use crate::transport::carrier::http1::HttpVersions;

/// An answer, and how it came.
pub(crate) struct Carried {
    pub(crate) answer: Answer,
    pub(crate) transport: ActiveTransport,
    /// How long the service took to begin it.
    pub(crate) took: Duration,
    /// Where the answer's end tells more.
    pub(crate) witness: Option<Witness>,
}

/// Where a call goes first.
struct Choice {
    transport: ActiveTransport,
    /// What gRPC's proof met, if that is why the call goes over REST.
    because: Option<Error>,
    /// The proof was still under way when the call went over REST.
    is_early: bool,
}

impl Choice {
    fn of(transport: ActiveTransport) -> Self {
        Self { transport, because: None, is_early: false }
    }
}

impl Inner {
    /// Repeats the call as long as the service's own answer invites it and the policy agrees.
    pub(crate) async fn send_with_retries(
        self: &Arc<Self>,
        call: &mut Call,
    ) -> Result<Carried, Error> {
        let mut attempt = 1;
        let mut renewed = false;
        let mut witness = self.witness(call);
        loop {
            let carried = self.send(call, witness.as_mut()).await?;
            if !renewed && self.is_rejected(call, &carried.answer) {
                renewed = true;
                call.metadata.remove(header::AUTHORIZATION);
                self.authorise(call).await?;
                continue;
            }
            let Some(wait) = self.retries.wait_before_next(call, &carried.answer, attempt) else {
                return Ok(Carried { witness, ..carried });
            };
            debug!(attempt, ?wait, "the service's answer is tried again");
            self.counters.count_retry();
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// Only where there is a choice is there something to tell.
    fn witness(&self, call: &Call) -> Option<Witness> {
        let method = call.method.as_ref().filter(|_| self.is_auto(call) && call.has_rest_form())?;
        Some(self.fallback.witness(method))
    }

    /// Whether the service refused our token, so that a new one may help. It refuses before any work.
    fn is_rejected(&self, call: &Call, answer: &Answer) -> bool {
        let status = answer.headers().get(&GRPC_STATUS);
        status.is_some_and(|code| code == "16")
            && call.message.is_in_hand()
            && self.credentials.invalidate(&call.metadata)
    }

    /// Sends the call until a transport carries it, or until its failure is final.
    async fn send(
        self: &Arc<Self>,
        call: &mut Call,
        mut witness: Option<&mut Witness>,
    ) -> Result<Carried, Error> {
        let choice = self.choose(call, witness.as_deref_mut()).await?;
        let may_switch = self.is_auto(call) && choice.because.is_none();
        let policy = call.options.resend.unwrap_or(self.settings.resend);
        let mut course = Course::new(choice.transport, policy, may_switch);
        let mut first = choice.because;
        loop {
            let transport = course.transport();
            let error = match self.send_over(transport, call, witness.as_deref_mut()).await {
                Ok(carried) => return Ok(carried),
                Err(error) => error,
            };
            let Some(next) = self.next_transport(call, &mut course, &error) else {
                let early = || self.fallback.failed_proof().map(Error::from);
                let first = first.or_else(|| choice.is_early.then(early).flatten());
                return Err(both_causes(first, error));
            };
            self.counters.count_resend();
            if next != transport {
                self.counters.count_switch();
                first.get_or_insert(error);
            }
        }
    }

    /// The verdict on a failed attempt: the transport to send the call over once more, if any.
    fn next_transport(
        &self,
        call: &Call,
        course: &mut Course,
        error: &Error,
    ) -> Option<ActiveTransport> {
        let symptom = error.symptom().filter(|_| call.message.is_in_hand())?;
        let is_on_grpc = self.fallback.is_on_grpc();
        course.after(symptom, Other { has_rest_form: call.has_rest_form(), is_on_grpc })
    }

    async fn choose(
        &self,
        call: &mut Call,
        mut witness: Option<&mut Witness>,
    ) -> Result<Choice, Error> {
        if let Some(transport) = self.transport_of(call).fixed() {
            return Ok(Choice::of(transport));
        }
        let route = self.begin_route(&call.metadata, witness.as_deref_mut());
        match (route, call.has_rest_form()) {
            (Route::Grpc, _) | (Route::Rest, false) => Ok(Choice::of(ActiveTransport::Grpc)),
            (Route::Rest, true) => Ok(Choice::of(ActiveTransport::Rest)),
            (Route::AfterProof, false) => {
                let proof = self.fallback.proof_failure();
                within(call.deadline, Busy::Proving(self.grpc.hop()), proof).await?;
                Ok(Choice::of(ActiveTransport::Grpc))
            }
            (Route::AfterProof, true) => self.choose_by_proof(call.time_left(), witness).await,
        }
    }

    /// gRPC if its proof ends well within the head start, else REST.
    async fn choose_by_proof(
        &self,
        left: Option<Duration>,
        witness: Option<&mut Witness>,
    ) -> Result<Choice, Error> {
        let head_start = self.settings.grpc_head_start;
        let patience = left.map_or(head_start, |left| left.min(head_start));
        let Ok(ended) = timeout(patience, self.fallback.proof_failure()).await else {
            return Ok(Choice { is_early: true, ..Choice::of(ActiveTransport::Rest) });
        };
        Ok(match ended? {
            None if self.fallback.takes(witness) => Choice::of(ActiveTransport::Grpc),
            None => Choice::of(ActiveTransport::Rest),
            Some(symptom) => {
                self.counters.count_switch();
                let because = Some(symptom.into());
                Choice { because, ..Choice::of(ActiveTransport::Rest) }
            }
        })
    }

    /// One attempt; what it shows of the network goes to `fallback`.
    async fn send_over(
        self: &Arc<Self>,
        transport: ActiveTransport,
        call: &mut Call,
        witness: Option<&mut Witness>,
    ) -> Result<Carried, Error> {
        call.attempts += 1;
        self.counters.count_attempt(transport);
        match transport {
            ActiveTransport::Grpc => self.send_over_grpc(call, witness).await,
            ActiveTransport::Rest => {
                let sent = self.send_over_rest(call).await;
                if let (Some(witness), Err(error)) = (witness, &sent) {
                    witness.failed(transport, error, Duration::ZERO);
                }
                let took = Duration::ZERO;
                sent.map(|answer| Carried { answer, transport, took, witness: None })
            }
        }
    }

    async fn send_over_grpc(
        self: &Arc<Self>,
        call: &mut Call,
        mut witness: Option<&mut Witness>,
    ) -> Result<Carried, Error> {
        let transport = ActiveTransport::Grpc;
        let began = Instant::now();
        let than = witness.as_deref().and_then(Witness::younger_than);
        let deadline = call.deadline;
        let hop = self.grpc.hop();
        let attempt = async {
            let seat = self.grpc.take_younger_seat(than);
            let seat = within(deadline, Busy::Connecting(hop), seat).await?;
            if self.is_auto(call) {
                self.watch_over(&seat.line(), call);
            }
            let answered = async {
                tokio::select! {
                    answer = self.grpc.send(call, seat) => answer,
                    never = self.ask_when_late(witness.as_deref_mut()) => match never {},
                }
            };
            within(deadline, Busy::OnGrpc(hop), answered).await
        };
        let sent = attempt.await;
        let sent = self.note_attempt(transport, call, sent);
        let took = began.elapsed();
        if let (Some(witness), Err(error)) = (witness, &sent) {
            witness.failed(transport, error, took);
        }
        if self.is_auto(call) {
            // A symptom may have asked for a proof, which runs beside the calls.
            self.begin_route(&call.metadata, None);
        }
        sent.map(|answer| Carried { answer, transport, took, witness: None })
    }

    /// Beside a call that is unanswered for far longer than its like took: a free call over REST shows whether the
    /// next one should go there, and not wait the same way.
    async fn ask_when_late(&self, witness: Option<&mut Witness>) -> Infallible {
        let Some(witness) = witness else { return pending().await };
        let mut patience = witness.patience();
        loop {
            sleep(patience).await;
            if witness.begin_question() && Box::pin(self.is_reached_over_rest()).await {
                witness.is_late();
            }
            patience *= 2;
        }
    }

    async fn is_reached_over_rest(&self) -> bool {
        let mut metadata = HeaderMap::new();
        // What the service says to a call without a key comes from the service, too.
        let _ = self.credentials.authorise(&mut metadata).await;
        self.connect_rest(&metadata).await.is_ok()
    }

    /// One attempt over REST.
    pub(crate) async fn send_over_rest(&self, call: &mut Call) -> Result<Answer, Error> {
        let versions = self.http_versions(self.transport_of(call));
        let deadline = call.deadline;
        // Boxed, or each call on gRPC would carry the room that REST needs.
        let attempt = Box::pin(self.rest.send(call, versions));
        let sent = within(deadline, Busy::OnRest(self.grpc.hop()), attempt).await;
        self.note_attempt(ActiveTransport::Rest, call, sent)
    }

    /// Takes how an attempt ended; a secret that the peer repeated does not leave with the error.
    fn note_attempt(
        &self,
        transport: ActiveTransport,
        call: &Call,
        mut sent: Result<Answer, Error>,
    ) -> Result<Answer, Error> {
        debug!(transport = transport.as_str(), ok = sent.is_ok(), "attempt");
        if let Err(error) = &mut sent {
            secrets_of(&call.metadata).for_each(|secret| error.hide(secret));
        }
        if let Some(expired) = ended_by_peers_timer(call, &sent) {
            self.note_peers_timer(transport);
            return Err(expired);
        }
        match &sent {
            // The caller gets the status as it came; the network has shown something all the same.
            Ok(answer) if is_forged(answer.headers()) => {
                let forged = self.grpc.symptom(SymptomKind::ForgedStatus);
                self.record(transport, Some(&forged.into()));
            }
            Ok(_) => self.record(transport, None),
            Err(error) => {
                match call.deadline.filter(|_| error.kind() == ErrorKind::DeadlineExceeded) {
                    Some(deadline) => self.note_deadline(transport, deadline),
                    None => self.record(transport, Some(error)),
                }
            }
        }
        sent
    }

    /// A call ended at its deadline, unanswered.
    pub(crate) fn note_deadline(&self, transport: ActiveTransport, deadline: Deadline) {
        if transport == ActiveTransport::Grpc {
            let (began, symptom) = (deadline.began(), self.grpc.unanswered());
            self.fallback.record(Event::GrpcExpired { began, symptom });
        }
    }

    /// The peer ended a call about its deadline: it is there.
    pub(crate) fn note_peers_timer(&self, transport: ActiveTransport) {
        if transport == ActiveTransport::Grpc {
            self.fallback.record(Event::GrpcHeard);
        }
    }

    /// Takes how an attempt, or the body of its answer, ended: without error, the service answered.
    pub(crate) fn record(&self, transport: ActiveTransport, error: Option<&Error>) {
        let symptom = error.and_then(Error::symptom);
        if let Some(symptom) = symptom {
            self.counters.count_symptom(symptom.kind());
        }
        let event = match (transport, symptom) {
            (ActiveTransport::Grpc, Some(symptom)) => Event::GrpcBroke(symptom.clone()),
            (ActiveTransport::Grpc, None) if error.is_none() => Event::GrpcAnswered,
            (ActiveTransport::Rest, None) if error.is_none() => Event::RestAnswered,
            (ActiveTransport::Grpc | ActiveTransport::Rest, _) => return,
        };
        self.fallback.record(event);
    }

    fn transport_of(&self, call: &Call) -> Transport {
        call.options.transport.unwrap_or(self.settings.transport)
    }

    /// REST speaks HTTP/1.1 unless it is told otherwise, and after a fallback always: HTTP/2 is what may be broken.
    pub(crate) fn http_versions(&self, transport: Transport) -> HttpVersions {
        if self.settings.rest_http2 && transport == Transport::Rest {
            HttpVersions::Any
        } else {
            HttpVersions::One
        }
    }

    fn is_auto(&self, call: &Call) -> bool {
        self.transport_of(call).fixed().is_none()
    }
}

/// The end of an attempt about the call's deadline, which says nothing of the network.
fn ended_by_peers_timer(call: &Call, sent: &Result<Answer, Error>) -> Option<Error> {
    let deadline = call.deadline?;
    match sent {
        Ok(answer) => deadline.judge_status(answer.headers(), is_forged(answer.headers())),
        Err(error) => deadline.judge(error.symptom()?),
    }
}

/// What a call is busy with, and with whom; told when its deadline passes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Busy<'a> {
    Reading,
    Authorising,
    Proving(&'a str),
    Connecting(&'a str),
    OnGrpc(&'a str),
    OnRest(&'a str),
}

impl fmt::Display for Busy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reading => f.write_str("while the request was read"),
            Self::Authorising => f.write_str("while credentials were fetched"),
            Self::Proving(hop) => write!(f, "while gRPC was proven to {hop}"),
            Self::Connecting(hop) => write!(f, "while a gRPC connection was opened to {hop}"),
            Self::OnGrpc(hop) => write!(f, "before {hop} had answered over gRPC"),
            Self::OnRest(hop) => write!(f, "before {hop} had answered over REST"),
        }
    }
}

/// Ends `work` at the call's deadline, with an error that says what it was busy with.
pub(crate) async fn within<T>(
    deadline: Option<Deadline>,
    busy: Busy<'_>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(deadline) = deadline else { return work.await };
    let expired = || expired(&format!(" {busy}"));
    // The timer alone would let the work begin, and send.
    if deadline.time_left().is_zero() {
        return Err(expired());
    }
    timeout_at(deadline.at(), work).await.unwrap_or_else(|_| Err(expired()))
}

/// The error of a call that failed on both transports. What the network did not cause, such as
/// a deadline or a message that fits no rule, is an error of its own.
fn both_causes(first: Option<Error>, last: Error) -> Error {
    match first {
        Some(first) if last.symptom().is_some() => last.after(first),
        Some(_) | None => last,
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::consume_budget;

    use super::*;

    #[tokio::test]
    async fn a_deadline_ends_work_that_never_rests() {
        let work = async {
            loop {
                consume_budget().await;
            }
        };
        let deadline = Deadline::after(Duration::from_millis(10));
        let ended: Result<(), Error> = within(deadline, Busy::Reading, work).await;
        assert_eq!(ended.expect_err("no end").kind(), ErrorKind::DeadlineExceeded);
    }
}
