//! Serve: `genai-bridge serve`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use genai_bridge::sidecar::{Identity, ListenAddress};
use tracing::info;
use tracing::level_filters::LevelFilter;

use super::files;
use super::log::LogOptions;
use super::sidecar::{SidecarOptions, tell_reach};
use super::state::state_folder;
use super::tell::in_full;
use super::values::{address, host};
use super::wrong_setting::WrongSetting;

/// Serves gRPC and REST clients on a local address, and carries their calls to the Gemini API.
///
/// Point your client at the address in place of generativelanguage.googleapis.com. gRPC clients
/// over TLS must trust a certificate file. The first line of the log names it. For Google's
/// clients, set GRPC_DEFAULT_SSL_ROOTS_FILE_PATH to it. `genai-bridge run -- your-program` does all
/// this for one program.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES_AND_EXIT_CODES)]
pub(super) struct Arguments {
    /// The address to listen on: IP:PORT accepts TLS and plaintext; on Unix, unix:PATH is a
    /// plaintext socket that only this user may open
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "GENAI_BRIDGE_LISTEN",
        default_value = "127.0.0.1:50051"
    )]
    listen: ListenAddress,

    /// Serves /healthz and /metrics on this address, in plain HTTP [default: not served]
    #[arg(long, value_name = "ADDRESS", env = "GENAI_BRIDGE_ADMIN", value_parser = address)]
    admin: Option<SocketAddr>,

    #[command(flatten)]
    sidecar: SidecarOptions,

    #[command(flatten)]
    clients: ClientOptions,

    #[command(flatten)]
    log: LogOptions,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Clients")]
struct ClientOptions {
    /// A certificate of your own, PEM, with its chain [default: a generated one]
    #[arg(long, value_name = "FILE", env = "GENAI_BRIDGE_CERTIFICATE", requires = "key")]
    certificate: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", env = "GENAI_BRIDGE_KEY", requires = "certificate")]
    key: Option<PathBuf>,

    /// The folder of the generated certificate; clients must trust its ca.pem [default:
    /// genai-bridge in $XDG_STATE_HOME, in ~/.local/state, or on Windows in %LOCALAPPDATA%]
    #[arg(long, value_name = "FOLDER", env = "GENAI_BRIDGE_CERTIFICATE_FOLDER")]
    certificate_folder: Option<PathBuf>,

    /// An additional host name that clients may use; it is added to the generated certificate
    #[arg(long, value_name = "NAME", env = "GENAI_BRIDGE_ALLOW_HOST", value_delimiter = ',', value_parser = host)]
    allow_host: Vec<String>,

    /// Accepts calls from other machines, over TLS only. Whoever reaches the port can use the key
    /// of --api-key-env
    #[arg(long, env = "GENAI_BRIDGE_ALLOW_REMOTE")]
    allow_remote: bool,
}

const EXAMPLES_AND_EXIT_CODES: &str = "\
Examples:
  genai-bridge serve
  genai-bridge serve --listen 127.0.0.1:8443 --api-key-env GEMINI_API_KEY --admin 127.0.0.1:9090
  genai-bridge serve --listen unix:/run/user/1000/bridge.sock
  genai-bridge serve --proxy http://proxy.corp:3128 --root-certificates /etc/ssl/corp.pem

Exit codes:
  0  it was asked to end (SIGTERM, SIGINT)
  1  it cannot start: a setting, a file or the port; stderr says which
  2  the command line cannot be read";

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let _log = arguments.log.begin(LevelFilter::INFO)?;
    // Over a Unix socket nobody speaks TLS.
    let identity = arguments.listen.tcp().map(|_| arguments.clients.identity()).transpose()?;
    let (identity, root) = identity.map_or((None, None), |(identity, root)| (Some(identity), root));
    let bridge = arguments.sidecar.bridge()?;
    let sidecar = arguments.sidecar.sidecar(bridge.clone());
    let mut sidecar = sidecar.listen(arguments.listen);
    if let Some(identity) = identity {
        sidecar = sidecar.identity(identity);
    }
    if let Some(admin) = arguments.admin {
        sidecar = sidecar.admin(admin);
    }
    if arguments.clients.allow_remote {
        sidecar = sidecar.allow_remote();
    }
    for host in arguments.clients.allow_host {
        sidecar = sidecar.host(host);
    }
    let stop = stop_signal()?;
    let sidecar = sidecar.bind().await.map_err(WrongSetting::from)?;
    let admin = sidecar.admin_address().map(|address| address.to_string());
    info!(address = %sidecar.address(), admin, trust = root, "listening");
    let reach = tokio::spawn(tell_reach(bridge.clone()));
    let verdict = arguments.sidecar.kept_verdict();
    let following = tokio::spawn(verdict.clone().follow(bridge.clone()));
    sidecar.serve(stop).await;
    reach.abort();
    following.abort();
    verdict.keep_of(&bridge);
    Ok(ExitCode::SUCCESS)
}

impl ClientOptions {
    /// The certificate to show, and the file that clients trust for it.
    fn identity(&self) -> io::Result<(Identity, Option<String>)> {
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let chain = files::read_certificate("--certificate", certificate)?;
            let identity = Identity::from_pem(&chain, &files::read_key("--key", key)?);
            return Ok((identity.map_err(in_full)?, None));
        }
        let folder = self.certificate_folder.clone().or_else(state_folder).ok_or_else(|| {
            io::Error::other("this user has no home folder: set --certificate-folder")
        })?;
        let names: Vec<String> = self.allow_host.iter().map(|host| without_port(host)).collect();
        let identity = Identity::kept_in(&folder, &names).map_err(|error| {
            let remedy = "choose another folder with --certificate-folder";
            WrongSetting { remedy: Some(remedy.into()), ..WrongSetting::from(error) }
        })?;
        Ok((identity, Some(folder.join("ca.pem").display().to_string())))
    }
}

fn without_port(host: &str) -> String {
    let port = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    port.map_or(host, |(name, _)| name).to_owned()
}

/// Done when the process is asked to end.
///
/// # Errors
/// The system lets nobody listen for signals.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        let _ = interrupt.recv().await;
    })
}
