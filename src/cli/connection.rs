//! Connection: the arguments that say how the service is reached, the same for each command.

use std::path::PathBuf;
use std::time::Duration;

use genai_bridge::{Bridge, BridgeBuilder, Proxy, Transport};

use super::files;
use super::values::seconds;
use super::wrong_setting::WrongSetting;

/// How the service is reached. A key never comes from an argument.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// Which transport carries the calls
    #[arg(long, value_enum, env = "GENAI_BRIDGE_TRANSPORT", default_value = "auto")]
    transport: Choice,
    /// The service's address, HOST or https://HOST:PORT; the default scheme is https
    #[arg(
        long,
        value_name = "URL",
        env = "GENAI_BRIDGE_ENDPOINT",
        default_value = "https://generativelanguage.googleapis.com"
    )]
    endpoint: String,
    /// The proxy, such as http://proxy.corp:3128, or "none" [default: the environment's, such as
    /// `HTTPS_PROXY`, else the system proxy of Windows or macOS]
    #[arg(long, value_name = "URL", env = "GENAI_BRIDGE_PROXY")]
    proxy: Option<String>,
    /// Allows Kerberos, with the user's ticket, at the proxy with this name; .DOMAIN allows it at
    /// all proxies of that domain
    #[arg(long, value_name = "HOST", env = "GENAI_BRIDGE_PROXY_NEGOTIATE", value_delimiter = ',')]
    proxy_negotiate: Vec<String>,
    /// A file with additional root certificates, PEM or DER
    #[arg(
        long,
        value_name = "FILE",
        env = "GENAI_BRIDGE_ROOT_CERTIFICATES",
        value_delimiter = ','
    )]
    root_certificates: Vec<PathBuf>,
    /// A client certificate for mutual TLS, PEM, with its chain
    #[arg(
        long,
        value_name = "FILE",
        env = "GENAI_BRIDGE_CLIENT_CERTIFICATE",
        requires = "client_key"
    )]
    client_certificate: Option<PathBuf>,
    /// The client certificate's private key, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "GENAI_BRIDGE_CLIENT_KEY",
        requires = "client_certificate"
    )]
    client_key: Option<PathBuf>,
    /// Time limit to open a connection, from DNS to TLS [default: 5, or 10 through a proxy]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GENAI_BRIDGE_CONNECT_TIMEOUT",
        value_parser = seconds
    )]
    connect_timeout: Option<Duration>,
    /// Uses Application Default Credentials in place of an API key
    #[cfg(feature = "adc")]
    #[arg(long, env = "GENAI_BRIDGE_ADC")]
    pub(super) adc: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Choice {
    /// gRPC, and REST where the network breaks gRPC
    Auto,
    /// gRPC only
    Grpc,
    /// REST only
    Rest,
}

impl Connection {
    /// The settings with the credentials of the person: the environment's key, unless an option
    /// names others.
    ///
    /// # Errors
    /// As for [`builder`](Self::builder).
    pub(super) fn builder_with_credentials(&self) -> Result<BridgeBuilder, WrongSetting> {
        let builder = self.builder()?;
        #[cfg(feature = "adc")]
        if self.adc {
            return Ok(builder);
        }
        Ok(builder.api_key_from_env())
    }

    /// The settings; nothing is opened yet.
    ///
    /// # Errors
    /// A file cannot be read, or the proxy's URL cannot be used.
    pub(super) fn builder(&self) -> Result<BridgeBuilder, WrongSetting> {
        let transport = match self.transport {
            Choice::Auto => Transport::Auto,
            Choice::Grpc => Transport::Grpc,
            Choice::Rest => Transport::Rest,
        };
        let mut builder = Bridge::builder().transport(transport).endpoint(&self.endpoint);
        let proxy = match self.proxy.as_deref().map(str::trim) {
            None => Proxy::system(),
            Some("none") => Proxy::none(),
            Some(url) => Proxy::url(url)?,
        };
        builder = builder.proxy(proxy.negotiate(&self.proxy_negotiate));
        for file in &self.root_certificates {
            builder = builder.add_root_certificates(files::read_roots(ROOTS, file)?);
        }
        if let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) {
            let chain = files::read_certificate("--client-certificate", certificate)?;
            builder = builder.client_identity(chain, files::read_key("--client-key", key)?);
        }
        if let Some(timeout) = self.connect_timeout {
            builder = builder.connect_timeout(timeout);
        }
        #[cfg(feature = "adc")]
        if self.adc {
            builder = builder.credentials(genai_bridge::Credentials::adc());
        }
        Ok(builder)
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

const ROOTS: &str = "--root-certificates";
