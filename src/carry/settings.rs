//! Settings: the choices of the builder that a call reads.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::bridge::options::{ResendPolicy, Transport};
use crate::dialect::Dialect;
use crate::network::Address;
use crate::probe::liveness::inquiry::Patience;
use crate::schema::Method;

/// Choices of the builder that a call reads.
pub(crate) struct Settings {
    pub(crate) dialect: Dialect,
    /// Of the service, for traces.
    pub(crate) server: Address,
    pub(crate) transport: ChosenTransport,
    pub(crate) resend: ResendPolicy,
    pub(crate) grpc_head_start: Duration,
    pub(crate) default_deadline: DefaultDeadline,
    /// `None` for no limit.
    pub(crate) stream_idle_limit: Option<Duration>,
    pub(crate) stream_under: bool,
    pub(crate) patience: Patience,
    pub(crate) max_message_size: usize,
    pub(crate) rest_http2: bool,
}

/// The bridge's transport, which may be switched while calls run.
#[derive(Debug)]
pub(crate) struct ChosenTransport(AtomicU8);

impl ChosenTransport {
    pub(crate) fn new(transport: Transport) -> Self {
        let chosen = Self(AtomicU8::new(0));
        chosen.set(transport);
        chosen
    }

    pub(crate) fn get(&self) -> Transport {
        match self.0.load(Ordering::Relaxed) {
            GRPC => Transport::Grpc,
            REST => Transport::Rest,
            _ => Transport::Auto,
        }
    }

    pub(super) fn set(&self, transport: Transport) {
        let number = match transport {
            Transport::Auto => AUTO,
            Transport::Grpc => GRPC,
            Transport::Rest => REST,
        };
        self.0.store(number, Ordering::Relaxed);
    }
}

const AUTO: u8 = 0;
const GRPC: u8 = 1;
const REST: u8 = 2;

/// The time a call has when its caller gave none.
#[derive(Clone, Copy)]
pub(crate) enum DefaultDeadline {
    /// The same for each method; `None` for no limit.
    Fixed(Option<Duration>),
    /// By the service's own configuration, which knows methods by their path.
    ByMethod(fn(&str) -> Option<Duration>),
    /// By the configuration that came with the schema.
    OfSchema,
}

impl DefaultDeadline {
    /// For a request without a method: as long as a model may write, or where the verb only looks,
    /// as other calls.
    pub(super) fn of_verb(self, verb: &http::Method) -> Option<Duration> {
        match self {
            Self::Fixed(timeout) => timeout,
            Self::ByMethod(_) if verb.is_safe() => Some(LOOK),
            Self::ByMethod(_) => Some(WORK),
            Self::OfSchema => None,
        }
    }

    /// A stream that the client writes, and a method that nobody here knows, have none.
    pub(super) fn of(self, method: Option<&Method>) -> Option<Duration> {
        let method = method.filter(|method| !method.client_streaming)?;
        match self {
            Self::Fixed(timeout) => timeout,
            Self::ByMethod(table) => table(&method.path),
            Self::OfSchema => method.config.timeout,
        }
    }
}

const LOOK: Duration = Duration::from_secs(60);
const WORK: Duration = Duration::from_secs(600);
