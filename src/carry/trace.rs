//! Trace: the span of one call, until the end of its answer, and the events on its way.
//!
//! The rule for levels, for all of the crate: `warn` where somebody should act or something is
//! lost, `info` where the road changes, `debug` for what one call or one connection does. A failed
//! call is its caller's to log.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status};
use tracing::field::{Empty, Value};
use tracing::{Span, debug, info, info_span, warn};

use crate::bridge::options::ActiveTransport;
use crate::bridge::stats::{Counters, End};
use crate::call::Call;
use crate::error::Error;
use crate::network::Address;
use crate::symptom::Symptom;

/// The span of one call, with OpenTelemetry's names
/// ([gRPC](https://github.com/open-telemetry/semantic-conventions/blob/v1.37.0/docs/rpc/grpc.md)).
///
/// It ends once. Dropped before, its caller gave the call up.
pub(crate) struct Trace {
    span: Span,
    /// Until the end is counted; never there in a trace that may not end the call.
    counters: Option<Arc<Counters>>,
}

impl Trace {
    pub(crate) fn begin(path: &str, server: &Address, counters: &Arc<Counters>) -> Self {
        let name = || path.trim_start_matches('/');
        let span = info_span!(
            "call",
            otel.name = name(),
            otel.kind = "client",
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = name().rsplit_once('/').map_or("", |(service, _)| service),
            rpc.method = name().rsplit_once('/').map_or(name(), |(_, method)| method),
            rpc.grpc.status_code = Empty,
            server.address = server.host(),
            server.port = server.port(),
            error.r#type = Empty,
            genai_bridge.transport = Empty,
            genai_bridge.attempts = Empty,
            genai_bridge.retries = Empty,
        );
        Self { span, counters: Some(Arc::clone(counters)) }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Leaves the span to whoever knows the end of the answer.
    pub(super) fn hand_over(&mut self) -> Self {
        Self {
            span: std::mem::replace(&mut self.span, Span::none()),
            counters: self.counters.take(),
        }
    }

    /// A trace of the same call that tells its events, and leaves its end to this one.
    pub(super) fn watch(&self) -> Self {
        Self { span: self.span(), counters: None }
    }

    /// How often the call was handed to a transport, and how often because the service's answer
    /// invited it.
    pub(super) fn count(&self, call: &Call) {
        self.record("genai_bridge.attempts", call.attempts);
        self.record("genai_bridge.retries", call.retries);
    }

    pub(super) fn carried_by(&self, transport: ActiveTransport) {
        self.record("genai_bridge.transport", transport.as_str());
    }

    /// The service's answer invites another attempt.
    pub(super) fn retried(&self, retries: u32, wait: Duration) {
        debug!(parent: &self.span, retries, ?wait, "the service's answer is tried again");
    }

    /// The call is sent again on the transport that failed.
    pub(super) fn resent(&self, transport: ActiveTransport, error: &Error) {
        debug!(parent: &self.span, transport = transport.as_str(), %error, "the call is sent again");
    }

    /// The call leaves a transport, or a probe that failed keeps it from gRPC.
    pub(super) fn switched(&self, to: ActiveTransport, error: &Error) {
        info!(parent: &self.span, transport = to.as_str(), %error, "the call changes its transport");
    }

    /// The network broke a stream after this many messages.
    pub(super) fn broke(&self, transport: ActiveTransport, messages: u64, error: &Error) {
        warn!(parent: &self.span, transport = transport.as_str(), messages, %error, "a stream broke");
    }

    /// The call ended with a status of the service.
    pub(super) fn end(&mut self, code: Code) {
        self.count_end((code, None));
    }

    /// The call ended with this, whoever said it.
    pub(super) fn end_with(&mut self, status: &Status) {
        let symptom = Error::of(status).and_then(Error::symptom).map(Symptom::kind);
        self.count_end((status.code(), symptom));
    }

    fn count_end(&mut self, end: End) {
        let Some(counters) = self.counters.take() else { return };
        counters.count_end(end);
        if let Some(kind) = end.1 {
            self.record("error.type", kind.name());
        }
        self.close(end.0);
    }

    fn close(&mut self, code: Code) {
        self.record("rpc.grpc.status_code", code as i32);
        if code != Code::Ok {
            self.record("otel.status_code", "ERROR");
        }
        self.span = Span::none();
    }

    /// `Span::record` looks the name up before it asks whether anybody listens.
    fn record(&self, name: &'static str, value: impl Value) {
        if !self.span.is_disabled() {
            self.span.record(name, value);
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if self.counters.is_some() {
            self.close(Code::Cancelled);
        }
    }
}
