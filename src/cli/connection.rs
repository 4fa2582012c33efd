//! Connection: the arguments that say how the service is reached, the same for each command.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use genai_bridge::{Bridge, BridgeBuilder, Error, Proxy, Transport};

use super::tell::with_causes;

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
        let proxy = match self.proxy.as_deref() {
            None => Proxy::system(),
            Some("none") => Proxy::none(),
            Some(url) => Proxy::url(url)?,
        };
        builder = builder.proxy(proxy.negotiate(&self.proxy_negotiate));
        for file in &self.root_certificates {
            builder = builder.add_root_certificates(read_file(file)?);
        }
        if let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) {
            builder = builder.client_identity(read_file(certificate)?, read_file(key)?);
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

/// A file's bytes, or an error that names it.
pub(super) fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(file)
        .map_err(|error| io::Error::other(format!("cannot read {}: {error}", file.display())))
}

/// A setting that cannot be used.
#[derive(Debug)]
pub(super) struct WrongSetting {
    /// What is wrong with which one.
    pub(super) what: String,
    /// What to do about it, where that goes beyond the words above.
    pub(super) remedy: Option<&'static str>,
}

impl From<Error> for WrongSetting {
    fn from(error: Error) -> Self {
        Self { remedy: error.advice(), what: with_causes(&error) }
    }
}

impl From<io::Error> for WrongSetting {
    fn from(error: io::Error) -> Self {
        Self { what: error.to_string(), remedy: None }
    }
}

/// For lines on stderr.
impl From<WrongSetting> for io::Error {
    fn from(WrongSetting { what, remedy }: WrongSetting) -> Self {
        Self::other(remedy.map_or(what.clone(), |remedy| format!("{what}\n  to do: {remedy}")))
    }
}

/// # Errors
/// It is no number of seconds, or less than one.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "not a whole number of seconds, 1 or more".to_owned())
}
