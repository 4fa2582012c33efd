//! Transport state: what is to be seen of all that, from outside.

use std::fmt;

use tokio::time::Instant;

use super::state::{Machine, State};
use crate::bridge::options::ActiveTransport;
use crate::symptom::Symptom;

/// Which transport the next call takes, since when, and why.
#[derive(Debug, Clone)]
pub struct TransportState {
    pub(super) transport: Option<ActiveTransport>,
    pub(super) since: Instant,
    pub(super) symptom: Option<Symptom>,
}

impl TransportState {
    pub(super) fn of(machine: &Machine) -> Self {
        let (transport, symptom) = match machine.state() {
            State::Unproven => (None, None),
            State::OnGrpc => (Some(ActiveTransport::Grpc), None),
            State::OnRest { symptom, .. } => (Some(ActiveTransport::Rest), Some(symptom.clone())),
        };
        Self { transport, since: machine.since(), symptom }
    }

    /// The transport of the next call; `None` while gRPC has not proven itself on this network.
    pub fn transport(&self) -> Option<ActiveTransport> {
        self.transport
    }

    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why REST carries the calls, where it does so because gRPC is broken.
    pub fn symptom(&self) -> Option<&Symptom> {
        self.symptom.as_ref()
    }
}

impl fmt::Display for TransportState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.transport, &self.symptom) {
            (None, _) => f.write_str("not settled yet"),
            (Some(ActiveTransport::Grpc), _) => f.write_str("gRPC"),
            (Some(ActiveTransport::Rest), None) => f.write_str("REST"),
            (Some(ActiveTransport::Rest), Some(symptom)) => write!(f, "REST, because {symptom}"),
        }
    }
}
