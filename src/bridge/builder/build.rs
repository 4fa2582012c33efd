//! Build: makes the bridge of checked settings.

use std::sync::Arc;

use super::BridgeBuilder;
use super::preset::Preset;
use crate::bridge::Bridge;
use crate::bridge::verdict::Verdict;
use crate::carry::{ChosenTransport, Core, Parts, Settings};
use crate::error::{Error, ErrorKind};
use crate::fallback::{Expiry, Fallback};
use crate::gemini::{self, parameters::Guard};
use crate::network::{Network, NetworkSettings, Origin, TlsSettings};
use crate::probe::Probe;
use crate::retry::{Retries, RetryPolicies};
use crate::transport::carrier::http1::default_connections;
use crate::transport::grpc::{AnswerLimits, GrpcTransport};
use crate::transport::rest::{RestSettings, RestTransport};

impl BridgeBuilder {
    /// Checks the settings and makes the bridge. It opens no connection and needs no runtime.
    ///
    /// # Errors
    /// A setting is wrong ([`ErrorKind::Configuration`](crate::ErrorKind::Configuration),
    /// [`ErrorKind::Schema`](crate::ErrorKind::Schema)), or [`from_env`](Self::from_env) found no
    /// key ([`ErrorKind::Credentials`](crate::ErrorKind::Credentials)) or a value that it cannot
    /// use.
    pub fn build(self) -> Result<Bridge, Error> {
        self.build_parts().map(|built| built.bridge)
    }

    /// The bridge, and the network below it.
    pub(crate) fn build_parts(self) -> Result<Built, Error> {
        self.environment.map_or(Ok(()), Err)?;
        let has_connector = self.connector.is_some();
        let network = Network::new(NetworkSettings {
            proxy: self.proxy,
            tls: TlsSettings {
                roots: self.roots,
                client_identity: self.client_identity,
                prepared: self.tls,
            },
            connect_timeout: self.connect_timeout,
            connector: self.connector,
            is_https: self.endpoint.starts_with("https:"),
        })?;
        let origin = Origin::parse(&self.endpoint, self.allow_plaintext)?;
        check_connector(has_connector, &origin)?;
        let preset = Preset::new(self.schema, self.probe)?;
        let preset = preset.adapted(self.has_probe, self.own_dialect);
        let credentials = self.credentials?;
        credentials.check()?;
        let limits =
            AnswerLimits { message: self.max_message_size, metadata: self.max_metadata_size };
        let rest = RestSettings {
            max_message_size: self.max_message_size,
            max_metadata_size: self.max_metadata_size,
            connections: self.rest_connections.unwrap_or_else(default_connections),
            dialect: preset.dialect,
            end_fields: gemini::end_fields,
        };
        let grpc = GrpcTransport::new(self.grpc_carrier, &network, &origin, limits)?;
        let schema = preset.schema.clone();
        let rest = RestTransport::new(schema, self.rest_carrier, &network, &origin, rest)?;
        let bridge = Bridge::new(Core::new(Parts {
            credentials,
            grpc: Arc::new(grpc),
            rest,
            schema: preset.schema,
            probe: Probe::new(preset.probe),
            fallback: Arc::new(Fallback::new(Expiry::default(), self.transport.fixed())),
            retries: Retries::new(self.retry.map_or(preset.retries, RetryPolicies::Fixed)),
            counters: Arc::default(),
            guard: Guard::new(self.parameters, self.model_limits),
            settings: Settings {
                dialect: preset.dialect,
                server: origin.address().clone(),
                transport: ChosenTransport::new(self.transport),
                resend: self.resend,
                grpc_head_start: self.grpc_head_start,
                default_deadline: self.default_deadline.unwrap_or(preset.deadline),
                stream_idle_limit: self.stream_idle_limit,
                stream_under: self.stream_under,
                patience: self.patience,
                max_message_size: self.max_message_size,
                rest_http2: self.rest_http2,
            },
            network: network.clone(),
        }));
        self.verdict.iter().for_each(|verdict| take_over(verdict, &bridge));
        Ok(Built { bridge, network, origin })
    }
}

fn check_connector(is_given: bool, origin: &Origin) -> Result<(), Error> {
    if is_given && origin.socket().is_some() {
        let what = "a connector of your own cannot be used with an endpoint over a Unix socket";
        return Err(Error::new(ErrorKind::Configuration, what));
    }
    Ok(())
}

/// A verdict of another network says nothing of this one.
fn take_over(verdict: &Verdict, bridge: &Bridge) {
    if verdict.network() == bridge.core().network_name() {
        bridge.core().remember(verdict.remembered());
    }
}

/// What [`BridgeBuilder::build_parts`] makes.
pub(crate) struct Built {
    pub(crate) bridge: Bridge,
    pub(crate) network: Network,
    pub(crate) origin: Origin,
}
