//! Stats: counters of what has happened so far.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tonic::Code;

use crate::bridge::options::ActiveTransport;
use crate::json::Lenience;
use crate::symptom::SymptomKind;
use crate::transport::grpc::GrpcTransport;
use crate::transport::rest::RestTransport;

/// Counts since the bridge was built, shared by its clones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    grpc_connections: usize,
    rest_connections: usize,
    queued: u64,
    calls: u64,
    grpc_attempts: u64,
    rest_attempts: u64,
    grpc_probes: u64,
    rest_probes: u64,
    switches: u64,
    retries: u64,
    resends: u64,
    failures: HashMap<End, u64>,
    fields_left_out: u64,
    symptoms: HashMap<SymptomKind, u64>,
    leniences: HashMap<Lenience, u64>,
}

/// How a call ended: its code, and what the network did, where that is why.
pub(crate) type End = (Code, Option<SymptomKind>);

impl Stats {
    /// Connections of this transport that are open and accept calls at this moment.
    pub fn connections(&self, transport: ActiveTransport) -> usize {
        match transport {
            ActiveTransport::Grpc => self.grpc_connections,
            ActiveTransport::Rest => self.rest_connections,
        }
    }

    /// Requests over REST that waited because all connections were in use. If this number grows,
    /// raise [`rest_connections`](crate::BridgeBuilder::rest_connections).
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Calls that began, whether or not they succeeded.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Calls handed to this transport, including resends and retries, without probes.
    pub fn attempts(&self, transport: ActiveTransport) -> u64 {
        match transport {
            ActiveTransport::Grpc => self.grpc_attempts,
            ActiveTransport::Rest => self.rest_attempts,
        }
    }

    /// Free calls that the bridge itself made over this transport: to prove gRPC, to check a silent
    /// connection, or to check that REST reaches the service.
    pub fn probes(&self, transport: ActiveTransport) -> u64 {
        match transport {
            ActiveTransport::Grpc => self.grpc_probes,
            ActiveTransport::Rest => self.rest_probes,
        }
    }

    /// Calls that went over REST because gRPC failed: for the call itself, or in the probe that the
    /// call waited for. Calls whose head start merely ran out are not counted.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    /// Attempts that followed an error of the service, by the [`RetryPolicy`](crate::RetryPolicy).
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Attempts that followed a failure of the network, by the
    /// [`ResendPolicy`](crate::ResendPolicy).
    pub fn resends(&self) -> u64 {
        self.resends
    }

    /// Calls that ended with this code, from the service or from the bridge.
    pub fn failures(&self, code: Code) -> u64 {
        self.failures_where(|failure| failure.0 == code)
    }

    /// Calls that failed with this symptom, including calls that failed because the probe they
    /// waited for met it.
    pub fn failures_by(&self, kind: SymptomKind) -> u64 {
        self.failures_where(|failure| failure.1 == Some(kind))
    }

    fn failures_where(&self, is_meant: impl Fn(&End) -> bool) -> u64 {
        self.failures.iter().filter(|(failure, _)| is_meant(failure)).map(|(_, count)| count).sum()
    }

    /// How the calls that failed did so, and how many of each.
    #[cfg(feature = "cli")]
    pub(crate) fn all_failures(&self) -> impl Iterator<Item = (End, u64)> {
        self.failures.iter().map(|(failure, count)| (*failure, *count))
    }

    /// Fields that requests over gRPC left out because only REST has them: ids and metadata of
    /// earlier answers. Each attempt counts.
    pub fn fields_left_out(&self) -> u64 {
        self.fields_left_out
    }

    /// How often a call met this symptom, in an attempt or in the probe that it waited for. A call
    /// that was sent again may have succeeded in the end.
    pub fn symptoms(&self, kind: SymptomKind) -> u64 {
        self.symptoms.get(&kind).copied().unwrap_or_default()
    }

    /// The number of messages over REST that were read despite this oddity.
    pub fn leniences(&self, lenience: Lenience) -> u64 {
        self.leniences.get(&lenience).copied().unwrap_or_default()
    }
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    grpc_attempts: AtomicU64,
    rest_attempts: AtomicU64,
    grpc_probes: AtomicU64,
    rest_probes: AtomicU64,
    switches: AtomicU64,
    retries: AtomicU64,
    resends: AtomicU64,
    failures: Mutex<HashMap<End, u64>>,
    fields_left_out: AtomicU64,
    symptoms: Mutex<HashMap<SymptomKind, u64>>,
}

impl Counters {
    pub(crate) fn count_call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_attempt(&self, transport: ActiveTransport) {
        match transport {
            ActiveTransport::Grpc => self.grpc_attempts.fetch_add(1, Relaxed),
            ActiveTransport::Rest => self.rest_attempts.fetch_add(1, Relaxed),
        };
    }

    pub(crate) fn count_probe(&self, transport: ActiveTransport) {
        match transport {
            ActiveTransport::Grpc => self.grpc_probes.fetch_add(1, Relaxed),
            ActiveTransport::Rest => self.rest_probes.fetch_add(1, Relaxed),
        };
    }

    pub(crate) fn count_switch(&self) {
        self.switches.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_resend(&self) {
        self.resends.fetch_add(1, Relaxed);
    }

    /// Counts how a call ended, if that is no success.
    pub(crate) fn count_end(&self, end: End) {
        if end.0 == Code::Ok {
            return;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(end).or_default() += 1;
    }

    pub(crate) fn count_left_out(&self, fields: u64) {
        self.fields_left_out.fetch_add(fields, Relaxed);
    }

    pub(crate) fn count_symptom(&self, kind: SymptomKind) {
        let mut symptoms = self.symptoms.lock().unwrap_or_else(PoisonError::into_inner);
        *symptoms.entry(kind).or_default() += 1;
    }

    /// Together with what the transports count themselves.
    pub(crate) fn snapshot(&self, grpc: &GrpcTransport, rest: &RestTransport) -> Stats {
        let lenience = |lenience| (lenience, rest.leniences().of(lenience));
        Stats {
            grpc_connections: grpc.connections(),
            rest_connections: rest.connections(),
            queued: rest.queued(),
            leniences: Lenience::ALL.into_iter().map(lenience).collect(),
            calls: self.calls.load(Relaxed),
            grpc_attempts: self.grpc_attempts.load(Relaxed),
            rest_attempts: self.rest_attempts.load(Relaxed),
            grpc_probes: self.grpc_probes.load(Relaxed),
            rest_probes: self.rest_probes.load(Relaxed),
            switches: self.switches.load(Relaxed),
            retries: self.retries.load(Relaxed),
            resends: self.resends.load(Relaxed),
            failures: self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            fields_left_out: self.fields_left_out.load(Relaxed),
            symptoms: self.symptoms.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
