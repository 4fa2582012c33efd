//! Connection: the arguments that say how the service is reached, the same for each command.

use std::io;
use std::path::{Path, PathBuf};

use genai_bridge::{Bridge, BridgeBuilder, Error, Proxy, Transport};

/// How the service is reached. A key never comes from an argument.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// Which transport carries the calls; the doctor examines both
    #[arg(long, value_enum, env = "GENAI_BRIDGE_TRANSPORT", default_value = "auto")]
    transport: Choice,
    /// The service's address
    #[arg(
        long,
        value_name = "URL",
        env = "GENAI_BRIDGE_ENDPOINT",
        default_value = "https://generativelanguage.googleapis.com"
    )]
    endpoint: String,
    /// The proxy, or "none" [default: the environment's, such as `HTTPS_PROXY`]
    #[arg(long, value_name = "URL", env = "GENAI_BRIDGE_PROXY")]
    proxy: Option<String>,
    /// A file with root certificates to trust as well, PEM or DER
    #[arg(
        long,
        value_name = "FILE",
        env = "GENAI_BRIDGE_ROOT_CERTIFICATES",
        value_delimiter = ','
    )]
    root_certificates: Vec<PathBuf>,
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
    /// The settings; nothing is opened yet.
    ///
    /// # Errors
    /// A file cannot be read, or the proxy's URL cannot be used.
    pub(crate) fn builder(&self) -> io::Result<BridgeBuilder> {
        let transport = match self.transport {
            Choice::Auto => Transport::Auto,
            Choice::Grpc => Transport::Grpc,
            Choice::Rest => Transport::Rest,
        };
        let mut builder = Bridge::builder().transport(transport).endpoint(&self.endpoint);
        match self.proxy.as_deref() {
            None => {}
            Some("none") => builder = builder.proxy(Proxy::none()),
            Some(url) => builder = builder.proxy(Proxy::url(url).map_err(in_plain_words)?),
        }
        for file in &self.root_certificates {
            builder = builder.add_root_certificates(read_file(file)?);
        }
        Ok(builder)
    }
}

/// A file's bytes, or an error that names it.
pub(super) fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(file)
        .map_err(|error| io::Error::other(format!("cannot read {}: {error}", file.display())))
}

/// An error with its advice, for a line on stderr.
pub(crate) fn in_plain_words(error: Error) -> io::Error {
    match error.advice() {
        Some(advice) => io::Error::other(format!("{error}\n  to do: {advice}")),
        None => io::Error::other(error),
    }
}
