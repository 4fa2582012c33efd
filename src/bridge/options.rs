//! Policies: what a caller may choose, for a bridge or for one call.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tonic::Code;

use crate::symptom::UnknownName;

/// Which transport carries the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Transport {
    /// gRPC where the network carries it, REST where it does not. The default.
    #[default]
    Auto,
    /// gRPC only. It never goes over REST, and makes no probe.
    Grpc,
    /// REST only. It never opens a gRPC connection.
    Rest,
}

impl Transport {
    /// `auto`, `grpc` or `rest`, as in logs and options; [`FromStr`] reads it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Grpc => "grpc",
            Self::Rest => "rest",
        }
    }

    /// The one transport, where the user chose one.
    pub(crate) const fn fixed(self) -> Option<ActiveTransport> {
        match self {
            Self::Auto => None,
            Self::Grpc => Some(ActiveTransport::Grpc),
            Self::Rest => Some(ActiveTransport::Rest),
        }
    }
}

/// The transport that a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActiveTransport {
    /// gRPC over HTTP/2.
    Grpc,
    /// JSON over HTTP.
    Rest,
}

impl ActiveTransport {
    /// `grpc` or `rest`, as in logs and options; [`FromStr`] reads it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Rest => "rest",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ActiveTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Transport {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let all = [Self::Auto, Self::Grpc, Self::Rest];
        let found = all.into_iter().find(|transport| transport.as_str() == name);
        found.ok_or_else(|| UnknownName::new("transport", name))
    }
}

impl FromStr for ActiveTransport {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found =
            [Self::Grpc, Self::Rest].into_iter().find(|transport| transport.as_str() == name);
        found.ok_or_else(|| UnknownName::new("transport", name))
    }
}

/// When a call that the network broke may be sent a second time.
///
/// A call can cost money. So by default a call is sent again only if the service provably did not
/// process it. Once the caller has received a message of the answer, no policy sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ResendPolicy {
    /// Never: each call goes out once.
    Never,
    /// If the failure proves that the service did not process it
    /// ([`Delivery::NotSent`](crate::Delivery::NotSent),
    /// [`Delivery::Refused`](crate::Delivery::Refused)). The default.
    #[default]
    WhenUnprocessed,
    /// Also if nothing is proven, as long as no answer arrived. The call may be processed, and paid
    /// for, twice.
    WhenUnanswered,
}

impl ResendPolicy {
    const ALL: [Self; 3] = [Self::Never, Self::WhenUnprocessed, Self::WhenUnanswered];

    /// `never`, `when-unprocessed` or `when-unanswered`; [`FromStr`] reads it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::WhenUnprocessed => "when-unprocessed",
            Self::WhenUnanswered => "when-unanswered",
        }
    }
}

impl fmt::Display for ResendPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ResendPolicy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|policy| policy.as_str() == name);
        found.ok_or_else(|| UnknownName::new("resend policy", name))
    }
}

/// What the bridge does about parameters that the service documents as out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ParameterCheck {
    /// Nothing.
    Off,
    /// Logs each parameter once, as a `tracing` event at warn, and sends the call. The default,
    /// because some models accept more than is documented.
    #[default]
    Warn,
    /// Fails the call before anything is sent, with `INVALID_ARGUMENT` and `google.rpc.BadRequest`.
    /// A value of an enum that this version does not know is sent: the service may know it.
    Reject,
}

impl ParameterCheck {
    const ALL: [Self; 3] = [Self::Off, Self::Warn, Self::Reject];

    /// `off`, `warn` or `reject`; [`FromStr`] reads it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for ParameterCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ParameterCheck {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|check| check.as_str() == name);
        found.ok_or_else(|| UnknownName::new("parameter check", name))
    }
}

/// After which answers of the service a call is retried, how often, and how far apart.
///
/// It acts only on a status that the service itself sent. [`ResendPolicy`] decides about calls that
/// the network broke. All attempts share the call's one deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) initial_backoff: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) multiplier: f64,
    pub(crate) codes: Vec<Code>,
}

impl RetryPolicy {
    /// No retries.
    pub const fn none() -> Self {
        Self {
            max_attempts: 1,
            initial_backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
            multiplier: 1.0,
            codes: Vec::new(),
        }
    }

    /// What Google's service configuration of the Gemini API says: only `UNAVAILABLE` is retried,
    /// in up to 5 attempts. The longest wait is 1 s at first, then 1.3 times longer each time, up
    /// to 10 s, with full jitter.
    pub fn google() -> Self {
        Self {
            max_attempts: 5,
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            multiplier: 1.3,
            codes: vec![Code::Unavailable],
        }
    }

    /// The most attempts for a call, including the first one.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The longest wait before the first retry. Before each further retry it is `multiplier` times
    /// longer, up to `max`.
    #[must_use]
    pub const fn backoff(mut self, initial: Duration, multiplier: f64, max: Duration) -> Self {
        self.initial_backoff = initial;
        self.multiplier = multiplier;
        self.max_backoff = max;
        self
    }

    /// Also retries this code, for instance [`Code::ResourceExhausted`].
    #[must_use]
    pub fn also(mut self, code: Code) -> Self {
        if !self.codes.contains(&code) {
            self.codes.push(code);
        }
        self
    }
}

/// Choices for one call, put into the extensions of its [`tonic::Request`].
///
/// ```
/// use genai_bridge::{CallOptions, ResendPolicy};
///
/// let mut request = tonic::Request::new(());
/// request.extensions_mut().insert(CallOptions::new().resend(ResendPolicy::Never));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallOptions {
    pub(crate) transport: Option<Transport>,
    pub(crate) resend: Option<ResendPolicy>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) stream_under: Option<bool>,
}

impl CallOptions {
    /// No choices: the bridge's own settings apply.
    pub fn new() -> Self {
        Self::default()
    }

    /// The transport of this call.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// When this call may be sent a second time.
    #[must_use]
    pub fn resend(mut self, resend: ResendPolicy) -> Self {
        self.resend = Some(resend);
        self
    }

    /// After which answers this call is retried.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Whether the bridge carries this call, if it is a `GenerateContent`, as a stream: see
    /// [`BridgeBuilder::stream_under`](crate::BridgeBuilder::stream_under).
    #[must_use]
    pub fn stream_under(mut self, streamed: bool) -> Self {
        self.stream_under = Some(streamed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_is_read_as_it_is_written() {
        for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
        for transport in [ActiveTransport::Grpc, ActiveTransport::Rest] {
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
        let error = "GRPC".parse::<Transport>().expect_err("another name");
        assert_eq!(error.to_string(), r#"no transport is called "GRPC""#);
        assert!("auto".parse::<ActiveTransport>().is_err());
    }
}
