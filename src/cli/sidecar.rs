//! Sidecar: the arguments that `serve` and `run` share.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use genai_bridge::sidecar::{Sidecar, SidecarBuilder};
use genai_bridge::{Bridge, RetryPolicy, Schema};
use tracing::{info, warn};

use super::connection::Connection;
use super::files;
use super::remedy::on_the_command_line;
use super::state::KeptVerdict;
use super::values::{count, seconds, seconds_or_none};
use super::wrong_setting::WrongSetting;

#[derive(Debug, Args)]
pub(super) struct SidecarOptions {
    #[command(flatten)]
    connection: Connection,

    /// The FileDescriptorSets of an API other than Gemini, as protoc --include_imports
    /// --descriptor_set_out writes them
    #[arg(
        long,
        value_name = "FILE",
        env = "GENAI_BRIDGE_DESCRIPTORS",
        value_delimiter = ',',
        num_args = 1..,
        requires = "endpoint"
    )]
    descriptors: Vec<PathBuf>,

    /// Reads the API key from this environment variable, and adds it to calls without a key. If
    /// an SDK requires a key, give it the key `genai-bridge`: the sidecar replaces it
    #[arg(long, value_name = "VARIABLE", env = "GENAI_BRIDGE_API_KEY_ENV")]
    pub(super) api_key_env: Option<String>,

    #[command(flatten)]
    limits: LimitOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitOptions {
    /// Limit for one message, of a request or of an answer
    #[arg(long, value_name = "MIB", env = "GENAI_BRIDGE_MAX_MESSAGE", value_parser = count::<usize>, default_value = "64")]
    max_message: usize,

    /// Limit for the memory of all requests in flight together
    #[arg(
        long,
        value_name = "MIB",
        env = "GENAI_BRIDGE_MAX_REQUEST_MEMORY",
        value_parser = count::<usize>,
        default_value = "512"
    )]
    max_request_memory: usize,

    /// Limit for the connections of clients; further connections wait
    #[arg(
        long,
        value_name = "NUMBER",
        env = "GENAI_BRIDGE_MAX_CONNECTIONS",
        value_parser = count::<usize>,
        default_value = "1000"
    )]
    max_connections: usize,

    /// Limit for concurrent calls on one connection; further calls wait
    #[arg(long, value_name = "NUMBER", env = "GENAI_BRIDGE_MAX_STREAMS", value_parser = count::<u32>, default_value = "1000")]
    max_streams: u32,

    /// Limit for concurrent calls over all connections; further calls are refused
    #[arg(long, value_name = "NUMBER", env = "GENAI_BRIDGE_MAX_CALLS", value_parser = count::<usize>, default_value = "4000")]
    max_calls: usize,

    /// Limit for the connections to the service while calls go over REST; further calls wait
    /// [default: a quarter of the file descriptors, at most 1024]
    #[arg(long, value_name = "NUMBER", env = "GENAI_BRIDGE_REST_CONNECTIONS", value_parser = count::<usize>)]
    rest_connections: Option<usize>,

    /// Time limit for a whole request to arrive
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GENAI_BRIDGE_REQUEST_TIMEOUT",
        value_parser = seconds,
        default_value = "60"
    )]
    request_timeout: Duration,

    /// Closes a client's connection that has had no call for this time
    #[arg(long, value_name = "SECONDS", env = "GENAI_BRIDGE_IDLE_TIMEOUT", value_parser = seconds, default_value = "300")]
    idle_timeout: Duration,

    /// Time limit for running calls after SIGTERM; then the sidecar ends them
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GENAI_BRIDGE_SHUTDOWN_TIMEOUT",
        value_parser = seconds_or_none,
        default_value = "30"
    )]
    shutdown_timeout: Duration,
}

impl SidecarOptions {
    /// A sidecar with these options on this bridge, and none yet of where it listens.
    pub(super) fn sidecar(&self, bridge: Bridge) -> SidecarBuilder {
        let limits = &self.limits;
        let sidecar = Sidecar::builder(bridge)
            .threads(threads())
            .connections(limits.max_connections)
            .streams(limits.max_streams)
            .calls(limits.max_calls)
            .request_memory(limits.max_request_memory.saturating_mul(MIB))
            .request_timeout(limits.request_timeout)
            .idle_timeout(limits.idle_timeout)
            .shutdown_timeout(limits.shutdown_timeout);
        if self.has_credentials() { sidecar.replace_placeholder_key() } else { sidecar }
    }

    /// Whether calls that bring no key of their own get credentials here.
    pub(super) fn has_credentials(&self) -> bool {
        #[cfg(feature = "adc")]
        if self.connection.adc {
            return true;
        }
        self.api_key_env.is_some()
    }

    /// The bridge that carries the calls. Clients retry by themselves, so that it does not.
    ///
    /// # Errors
    /// A file, the key or a setting is wrong.
    pub(super) fn bridge(&self) -> io::Result<Bridge> {
        let mut bridge = self
            .connection
            .builder()?
            .retry(RetryPolicy::none())
            .max_message_size(self.limits.max_message.saturating_mul(MIB));
        if let Some(connections) = self.limits.rest_connections {
            bridge = bridge.rest_connections(connections);
        }
        if let Some(variable) = &self.api_key_env {
            // Not repeated: it may be the key itself, given by mistake.
            let key = std::env::var(variable).map_err(|_| {
                let what = "--api-key-env: no environment variable of that name is set, or its value is not text";
                WrongSetting::new(what, "give the name of the variable that holds the key, not the key")
            })?;
            bridge = bridge.api_key(key);
        }
        if !self.descriptors.is_empty() {
            bridge = bridge.schema(self.schema()?);
        }
        let bridge = self.kept_verdict().give_to(bridge);
        Ok(bridge.build().map_err(WrongSetting::from)?)
    }

    pub(super) fn kept_verdict(&self) -> KeptVerdict {
        KeptVerdict::of(self.connection.endpoint())
    }

    /// Descriptor sets one after the other are one set of all their files.
    fn schema(&self) -> Result<Schema, WrongSetting> {
        let mut all = Vec::new();
        for path in &self.descriptors {
            let set = files::read(DESCRIPTORS, path)?;
            if set.is_empty() {
                let what = format!("{} is empty", path.display());
                return Err(WrongSetting::new(what, USE_PROTOC));
            }
            all.extend(set);
        }
        Schema::from_descriptor_set(&all).map_err(|error| {
            let what = format!("{DESCRIPTORS}: {}", WrongSetting::from(error).what);
            WrongSetting::new(what, USE_PROTOC)
        })
    }
}

/// Half of the processors, which a sidecar shares with its clients. One thread would do no more
/// than the main thread does.
fn threads() -> usize {
    let half = std::thread::available_parallelism().map_or(1, usize::from) / 2;
    if half > 1 { half } else { 0 }
}

/// Says early in the log whether the service can be reached: the first call may be hours away.
pub(super) async fn tell_reach(bridge: Bridge) {
    match bridge.connect().await {
        Ok(transport) => info!(transport = transport.as_str(), "the service answers"),
        Err(error) => {
            let advice = error.advice().map(on_the_command_line);
            let advice = advice.as_deref();
            warn!(%error, advice, "the service cannot be reached now; the sidecar tries each call anyway");
        }
    }
}

const DESCRIPTORS: &str = "--descriptors";
const USE_PROTOC: &str =
    "write it with protoc --include_imports --descriptor_set_out=FILE your.proto";
const MIB: usize = 1024 * 1024;
