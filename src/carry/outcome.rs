//! Outcome: what an attempt, or the body of its answer, showed of the network; told to the fallback
//! and counted.

use tracing::debug;

use super::core::Core;
use crate::bridge::options::ActiveTransport;
use crate::call::deadline::Deadline;
use crate::call::{Call, Judged};
use crate::error::{Error, ErrorKind};
use crate::fallback::Event;
use crate::symptom::SymptomKind;

impl Core {
    /// Takes how an attempt ended.
    pub(super) fn note_attempt(
        &self,
        transport: ActiveTransport,
        call: &Call,
        sent: Result<Judged, Error>,
    ) -> Result<Judged, Error> {
        let symptom = sent.as_ref().err().and_then(Error::symptom);
        let symptom = symptom.map(|symptom| symptom.kind().name());
        debug!(transport = transport.as_str(), ok = sent.is_ok(), symptom, "attempt");
        if let Some(expired) = ended_by_peers_timer(call, &sent) {
            self.note_peers_timer(transport);
            return Err(expired);
        }
        match &sent {
            // The caller gets the status as it came; the network has shown something all the same.
            Ok(judged) if judged.author.is_forged() => {
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
    pub(super) fn note_deadline(&self, transport: ActiveTransport, deadline: Deadline) {
        if transport == ActiveTransport::Grpc {
            let (began, symptom) = (deadline.began(), self.grpc.unanswered());
            self.fallback.record(Event::GrpcExpired { began, symptom });
        }
    }

    /// The peer ended a call about its deadline: it is there.
    pub(super) fn note_peers_timer(&self, transport: ActiveTransport) {
        if transport == ActiveTransport::Grpc {
            self.fallback.record(Event::GrpcHeard);
        }
    }

    /// Takes how an attempt, or the body of its answer, ended: without error, the service answered.
    pub(super) fn record(&self, transport: ActiveTransport, error: Option<&Error>) {
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
}

/// The end of an attempt about the call's deadline, which says nothing of the network.
fn ended_by_peers_timer(call: &Call, sent: &Result<Judged, Error>) -> Option<Error> {
    let deadline = call.deadline?;
    match sent {
        Ok(judged) => deadline.judge_status(judged.code, judged.author),
        Err(error) => deadline.judge(error.symptom()?),
    }
}
