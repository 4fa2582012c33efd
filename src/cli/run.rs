//! Run: `genai-bridge run -- COMMAND ..`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use genai_bridge::sidecar::{Identity, PLACEHOLDER_KEY, Sidecar};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::connection::read_file;
use super::log::LogOptions;
use super::sidecar::SidecarOptions;
use super::{in_full, tell};

/// Runs a program with a sidecar of its own, and ends with the program's exit code.
///
/// The program's environment names the sidecar (GENAI_BRIDGE_ADDRESS, GOOGLE_GEMINI_BASE_URL), makes gRPC and Node
/// trust it, and keeps it off proxies. What an SDK needs besides is in docs/sidecar.md; Google's Python SDK needs the
/// address as `api_endpoint` in its `client_options`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  genai-bridge run -- python app.py")]
pub(super) struct Arguments {
    #[command(flatten)]
    sidecar: SidecarOptions,

    #[command(flatten)]
    log: LogOptions,

    /// The program and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    arguments.log.begin(LevelFilter::WARN)?;
    let identity = Identity::self_made(&[]).map_err(in_full)?;
    let root = identity.root_certificate().unwrap_or_default().to_owned();
    let sidecar = arguments.sidecar.sidecar()?.identity(identity);
    let sidecar = sidecar.bind().await.map_err(in_full)?;
    let trust = Trust::write(&root)?;
    let signals = Signals::listen()?;
    let mut child = command(&arguments, &sidecar, &trust)?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(sidecar.serve(stop.clone().cancelled_owned()));
    let ended = signals.wait(&mut child).await;
    stop.cancel();
    serving.await.map_err(in_full)?;
    ended.map(exit_code)
}

/// Starts the program in its environment.
fn command(arguments: &Arguments, sidecar: &Sidecar, trust: &Trust) -> io::Result<Child> {
    let (program, rest) = arguments.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(rest);
    command.envs(environment(sidecar.address(), trust));
    if let Some(variable) = &arguments.sidecar.api_key_env {
        command.env_remove(variable);
        command.env("GEMINI_API_KEY", PLACEHOLDER_KEY).env("GOOGLE_API_KEY", PLACEHOLDER_KEY);
    }
    command.spawn().map_err(|error| {
        let program = program.to_string_lossy();
        io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
    })
}

/// What SDKs read: where the service is, what to trust, where no proxy stands.
fn environment(address: SocketAddr, trust: &Trust) -> Vec<(&'static str, OsString)> {
    let mut variables = vec![
        ("GENAI_BRIDGE_ADDRESS", format!("localhost:{}", address.port()).into()),
        ("GOOGLE_GEMINI_BASE_URL", format!("http://{address}").into()),
        ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", trust.grpc.clone().into()),
        ("NODE_EXTRA_CA_CERTS", trust.node.clone().into()),
    ];
    for (name, is_needed) in [("no_proxy", true), ("NO_PROXY", true), ("no_grpc_proxy", false)] {
        let before = std::env::var(name).ok().filter(|hosts| !hosts.is_empty());
        match before {
            Some(hosts) => variables.push((name, format!("{hosts},{LOOPBACK}").into())),
            None if is_needed => variables.push((name, LOOPBACK.into())),
            None => {}
        }
    }
    variables
}

/// Certificates for the program: the sidecar's, beside those it trusts already.
struct Trust {
    _folder: TempDir,
    grpc: PathBuf,
    node: PathBuf,
}

impl Trust {
    fn write(root: &str) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("genai-bridge-").tempdir()?;
        let write = |name: &str, before: String| {
            let path = folder.path().join(name);
            fs::write(&path, format!("{before}\n{root}")).map(|()| path)
        };
        let grpc = match std::env::var_os("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH") {
            Some(path) => read_text(Path::new(&path))?,
            None => system_roots(),
        };
        let node = match std::env::var_os("NODE_EXTRA_CA_CERTS") {
            Some(path) => read_text(Path::new(&path))?,
            None => String::new(),
        };
        Ok(Self { grpc: write("grpc.pem", grpc)?, node: write("node.pem", node)?, _folder: folder })
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read_file(path)?).into_owned())
}

/// A file of its own would take the place of gRPC's built-in roots for all of the program.
fn system_roots() -> String {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        tell("no root certificates on this system: the program's gRPC trusts the sidecar only");
    }
    found.certs.iter().map(pem).collect()
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = base64_simd::STANDARD.encode_to_string(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The signals that would end us, listened for before there is a program to leave alone.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (terminate, interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the program. It gets the terminal's signals by itself; SIGTERM is passed on.
    async fn wait(mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => terminate(child)?,
            }
        }
    }
}

#[cfg(unix)]
fn terminate(child: &Child) -> io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let process = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    process.map_or(Ok(()), |process| Ok(kill_process(process, Signal::TERM)?))
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn wait(self, child: &mut Child) -> io::Result<ExitStatus> {
        child.wait().await
    }
}

/// A shell's convention for a program that a signal ended: 128 and its number.
fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

const LOOPBACK: &str = "localhost,127.0.0.1,::1";
