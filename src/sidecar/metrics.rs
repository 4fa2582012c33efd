//! Metrics: what the sidecar did, counted, as Prometheus reads it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::bridge::Bridge;
use crate::bridge::options::ActiveTransport;
use crate::error::{Error, ErrorKind};
use crate::json::Lenience;
use crate::symptom::SymptomKind;
use crate::transport::rest::name_of_code;

/// The counters of a sidecar, beside those of its bridge.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    calls: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
    connections: IntGauge,
    refused: IntCounter,
    bridge: Mutex<BridgeMetrics>,
}

/// Copies of what the bridge counts, brought up to date when they are read.
#[derive(Debug)]
struct BridgeMetrics {
    bridge: Bridge,
    attempts: IntCounterVec,
    switches: IntCounter,
    retries: IntCounter,
    resends: IntCounter,
    queued: IntCounter,
    fields_left_out: IntCounter,
    failures: IntCounterVec,
    symptoms: IntCounterVec,
    leniences: IntCounterVec,
    transport: IntGaugeVec,
    connections: IntGaugeVec,
}

/// An open connection.
pub(super) struct OpenConnection(IntGauge);

impl Metrics {
    /// # Errors
    /// Never, unless a name below is wrong.
    pub(super) fn new(bridge: Bridge) -> Result<Self, Error> {
        Self::build(bridge).map_err(|error| {
            Error::new(ErrorKind::Configuration, "metrics cannot be set up").with_source(error)
        })
    }

    fn build(bridge: Bridge) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let seconds =
            HistogramOpts::new("genai_bridge_call_seconds", "Time from head to end of an answer.")
                .buckets(BUCKETS.to_vec());
        Ok(Self {
            calls: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "genai_bridge_calls_total",
                        "Calls that ended, by method, code and the transport that carried them.",
                    ),
                    &["method", "code", "transport"],
                ),
            )?,
            seconds: register(&registry, HistogramVec::new(seconds, &["method"]))?,
            in_flight: register(
                &registry,
                IntGauge::new("genai_bridge_calls_in_flight", "Calls under way."),
            )?,
            connections: register(
                &registry,
                IntGauge::new("genai_bridge_connections", "Connections of clients."),
            )?,
            refused: register(
                &registry,
                IntCounter::new(
                    "genai_bridge_refused_total",
                    "Requests refused before they became calls: a web page's, or beyond a limit.",
                ),
            )?,
            bridge: Mutex::new(BridgeMetrics::build(bridge, &registry)?),
            registry,
        })
    }

    pub(super) fn begin_call(&self) {
        self.in_flight.inc();
    }

    pub(super) fn end_call(&self, method: &str, code: &str, transport: &str, elapsed: Duration) {
        self.in_flight.dec();
        self.calls.with_label_values(&[method, code, transport]).inc();
        self.seconds.with_label_values(&[method]).observe(elapsed.as_secs_f64());
    }

    pub(super) fn count_refusal(&self) {
        self.refused.inc();
    }

    pub(super) fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// All of it, as text.
    ///
    /// # Errors
    /// Never, unless a metric is malformed.
    pub(super) fn text(&self) -> prometheus::Result<String> {
        self.bridge.lock().unwrap_or_else(PoisonError::into_inner).update();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl BridgeMetrics {
    fn build(bridge: Bridge, registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, help| register(registry, IntCounter::new(name, help));
        let counters = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauges = |name, help| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), &["transport"]))
        };
        Ok(Self {
            bridge,
            attempts: counters(
                "genai_bridge_attempts_total",
                "Calls handed to a transport, retries and resends included.",
                &["transport"],
            )?,
            switches: counter(
                "genai_bridge_switches_total",
                "Calls that changed transport because the first one failed.",
            )?,
            retries: counter(
                "genai_bridge_retries_total",
                "Attempts after an answer of the service that invites another.",
            )?,
            resends: counter(
                "genai_bridge_resends_total",
                "Attempts after a failure of the network.",
            )?,
            queued: counter(
                "genai_bridge_queued_total",
                "Requests over REST that waited because all connections were in use.",
            )?,
            fields_left_out: counter(
                "genai_bridge_fields_left_out_total",
                "Fields that only REST has, left out of requests over gRPC.",
            )?,
            failures: counters(
                "genai_bridge_failures_total",
                "gRPC calls that failed, by code, and by what the network did.",
                &["code", "symptom"],
            )?,
            symptoms: counters(
                "genai_bridge_symptoms_total",
                "What the network did to calls, also to those that succeeded in the end.",
                &["symptom"],
            )?,
            leniences: counters(
                "genai_bridge_leniences_total",
                "What answers over REST were read in spite of.",
                &["lenience"],
            )?,
            transport: gauges(
                "genai_bridge_transport",
                "1 for the transport that the next call takes.",
            )?,
            connections: gauges(
                "genai_bridge_upstream_connections",
                "Connections to the service.",
            )?,
        })
    }

    fn update(&self) {
        let stats = self.bridge.stats();
        let follow = |counter: &IntCounter, value: u64| {
            counter.inc_by(value.saturating_sub(counter.get()));
        };
        for transport in [ActiveTransport::Grpc, ActiveTransport::Rest] {
            let counter = self.attempts.with_label_values(&[transport.as_str()]);
            follow(&counter, stats.attempts(transport));
            let is_active = self.bridge.transport_state().transport() == Some(transport);
            self.transport.with_label_values(&[transport.as_str()]).set(is_active.into());
            let connections = i64::try_from(stats.connections(transport)).unwrap_or(i64::MAX);
            self.connections.with_label_values(&[transport.as_str()]).set(connections);
        }
        for ((code, symptom), count) in stats.all_failures() {
            let symptom = symptom.map_or("", SymptomKind::name);
            follow(&self.failures.with_label_values(&[name_of_code(code), symptom]), count);
        }
        // A counter appears with the first that it counts.
        let met = |kind: &SymptomKind| Some(stats.symptoms(*kind)).filter(|count| *count > 0);
        for (kind, count) in SymptomKind::ALL.iter().filter_map(|kind| Some((kind, met(kind)?))) {
            follow(&self.symptoms.with_label_values(&[kind.name()]), count);
        }
        for lenience in Lenience::ALL {
            follow(
                &self.leniences.with_label_values(&[lenience.name()]),
                stats.leniences(lenience),
            );
        }
        follow(&self.switches, stats.switches());
        follow(&self.retries, stats.retries());
        follow(&self.resends, stats.resends());
        follow(&self.queued, stats.queued());
        follow(&self.fields_left_out, stats.fields_left_out());
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// From a call on loopback to the longest that the service allows, in seconds.
const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
];
