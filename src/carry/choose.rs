//! Choose: where a call goes first, and what settles that.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::timeout;

use super::core::Core;
use crate::bridge::options::{ActiveTransport, Transport};
use crate::call::Call;
use crate::call::deadline::{Busy, Deadline, within};
use crate::error::Error;
use crate::fallback::{Observer, Route};
use crate::network::require_runtime;
use crate::symptom::Symptom;
use crate::transport::carrier::http1::HttpVersions;

/// Where a call goes first.
pub(super) struct Choice {
    pub(super) transport: ActiveTransport,
    /// What gRPC's probe met, if that is why the call goes over REST.
    pub(super) because: Option<Error>,
    /// The probe was still under way when the call went over REST.
    pub(super) is_early: bool,
}

impl Choice {
    fn of(transport: ActiveTransport) -> Self {
        Self { transport, because: None, is_early: false }
    }
}

impl Core {
    pub(super) async fn choose(
        &self,
        call: &mut Call,
        mut observer: Option<&mut Observer>,
    ) -> Result<Choice, Error> {
        if let Some(field) = &call.rest_only {
            return self.choose_for_field(call, field).map(Choice::of);
        }
        if let Some(transport) = self.transport_of(call).fixed() {
            return Ok(Choice::of(transport));
        }
        let route = self.begin_route(&call.metadata, observer.as_deref_mut());
        match (route, call.has_rest_form()) {
            (Route::Grpc, _) | (Route::Rest, false) => Ok(Choice::of(ActiveTransport::Grpc)),
            (Route::Rest, true) => Ok(Choice::of(ActiveTransport::Rest)),
            (Route::AfterProbe, false) => {
                let probe = self.probe_failure();
                within(call.deadline, Busy::Proving(self.grpc.hop()), probe).await?;
                Ok(Choice::of(ActiveTransport::Grpc))
            }
            (Route::AfterProbe, true) => self.choose_by_probe(call.time_left(), observer).await,
        }
    }

    /// gRPC if its probe ends well within the head start, else REST.
    async fn choose_by_probe(
        &self,
        left: Option<Duration>,
        observer: Option<&mut Observer>,
    ) -> Result<Choice, Error> {
        let head_start = self.settings.grpc_head_start;
        let patience = left.map_or(head_start, |left| left.min(head_start));
        let Ok(ended) = timeout(patience, self.probe_failure()).await else {
            return Ok(Choice { is_early: true, ..Choice::of(ActiveTransport::Rest) });
        };
        Ok(match ended? {
            None if self.fallback.takes(observer) => Choice::of(ActiveTransport::Grpc),
            None => Choice::of(ActiveTransport::Rest),
            Some(symptom) => {
                self.counters.count_switch();
                let because = Some(symptom.into());
                Choice { because, ..Choice::of(ActiveTransport::Rest) }
            }
        })
    }

    /// How the probe failed that a call waits for: what broke it is a symptom of the call, too.
    async fn probe_failure(&self) -> Result<Option<Symptom>, Error> {
        let ended = self.fallback.probe_failure().await;
        let met = match &ended {
            Ok(symptom) => symptom.as_ref(),
            Err(error) => error.symptom(),
        };
        if let Some(symptom) = met {
            self.counters.count_symptom(symptom.kind());
        }
        ended
    }

    /// Settles the transport ahead of a call.
    pub(crate) async fn connect(&self) -> Result<ActiveTransport, Error> {
        require_runtime()?;
        let _pass = self.gate.enter()?;
        let mut metadata = HeaderMap::new();
        self.credentials.authorise(&mut metadata).await?;
        match self.transport() {
            Transport::Grpc => self.grpc.connect().await.map(|()| ActiveTransport::Grpc),
            Transport::Rest => self.connect_rest(&metadata).await,
            Transport::Auto => self.settle(&metadata).await,
        }
    }

    /// Proves gRPC unless it is known to work or to be broken, and REST if gRPC fails.
    pub(super) async fn settle(&self, metadata: &HeaderMap) -> Result<ActiveTransport, Error> {
        if self.begin_route(metadata, None) == Route::Rest {
            return Ok(ActiveTransport::Rest);
        }
        match self.fallback.probe_failure().await? {
            None if self.fallback.is_on_grpc() => Ok(ActiveTransport::Grpc),
            None => self.connect_rest(metadata).await,
            Some(symptom) => {
                let rest = self.connect_rest(metadata).await;
                rest.map_err(|error| error.after(symptom.into()))
            }
        }
    }

    /// Where the next call goes; begins a probe of gRPC if one is due.
    pub(super) fn begin_route(
        &self,
        metadata: &HeaderMap,
        observer: Option<&mut Observer>,
    ) -> Route {
        let (route, trial) = self.fallback.route(observer);
        if let Some(trial) = trial {
            if self.probe.is_a_call() {
                self.counters.count_probe(ActiveTransport::Grpc);
            }
            self.probe.begin(&self.grpc, &self.fallback, trial, metadata, &self.tasks);
        }
        route
    }

    /// Makes the free call over REST, or, where the schema has none, only opens a connection.
    pub(super) async fn connect_rest(
        &self,
        metadata: &HeaderMap,
    ) -> Result<ActiveTransport, Error> {
        match self.probe.call(metadata).filter(Call::has_rest_form) {
            Some(mut call) => {
                call.deadline = Deadline::after(REST_PROBE_LIMIT);
                self.counters.count_probe(ActiveTransport::Rest);
                self.send_over_rest(&mut call).await.map(drop)?;
            }
            None => self.rest.connect().await?,
        }
        Ok(ActiveTransport::Rest)
    }

    /// Whether the caller chose gRPC alone for what REST could carry.
    pub(super) fn is_rest_open(&self, call: &Call) -> bool {
        self.transport_of(call) == Transport::Grpc && call.has_rest_form()
    }

    pub(super) fn transport_of(&self, call: &Call) -> Transport {
        call.options.transport.unwrap_or_else(|| self.transport())
    }

    /// REST speaks HTTP/1.1 unless it is told otherwise, and after a fallback always: HTTP/2 is
    /// what may be broken.
    pub(super) fn http_versions(&self, transport: Transport) -> HttpVersions {
        if self.settings.rest_http2 && transport == Transport::Rest {
            HttpVersions::Any
        } else {
            HttpVersions::One
        }
    }

    pub(super) fn is_auto(&self, call: &Call) -> bool {
        self.transport_of(call).fixed().is_none()
    }
}

/// Time for the free call over REST: to connect, through a proxy perhaps, and to be answered.
const REST_PROBE_LIMIT: Duration = Duration::from_secs(15);
