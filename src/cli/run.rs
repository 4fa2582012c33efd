//! Run: `genai-bridge run -- COMMAND ..`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use genai_bridge::sidecar::{Identity, PLACEHOLDER_KEY, Sidecar};
use pem::Pem;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::files;
use super::log::LogOptions;
use super::sidecar::{SidecarOptions, tell_reach};
use super::tell::{in_full, tell};
use super::wrong_setting::WrongSetting;

/// Runs a program with a sidecar of its own, and ends with the program's exit code.
///
/// The program finds the sidecar by its environment: GENAI_BRIDGE_ADDRESS and
/// GOOGLE_GEMINI_BASE_URL. With other variables, gRPC clients, Node and programs that read
/// SSL_CERT_FILE trust the sidecar, and reach it without a proxy. Google's gRPC SDK for Python
/// (google-generativeai) also needs the address in its code:
/// `client_options={"api_endpoint": os.environ["GENAI_BRIDGE_ADDRESS"]}`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE_AND_EXIT_CODES)]
pub(super) struct Arguments {
    #[command(flatten)]
    sidecar: SidecarOptions,

    #[command(flatten)]
    log: LogOptions,

    /// The program and its arguments
    #[arg(help_heading = "Arguments", required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLE_AND_EXIT_CODES: &str = "\
Example:
  genai-bridge run -- python app.py

Exit codes:
  the program's own; 128 plus the number of the signal that ended it
  1    the sidecar did not start
  2    the command line cannot be read
  126  the program cannot be run
  127  there is no such program";

impl Arguments {
    fn program(&self) -> (&OsString, &[OsString]) {
        self.command.split_first().expect("an argument that is required")
    }
}

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let _log = arguments.log.begin(LevelFilter::WARN)?;
    let identity = Identity::self_made(&[]).map_err(in_full)?;
    let root = identity.root_certificate().unwrap_or_default().to_owned();
    let bridge = arguments.sidecar.bridge()?;
    let sidecar = arguments.sidecar.sidecar(bridge.clone()).identity(identity);
    let sidecar = sidecar.bind().await.map_err(WrongSetting::from)?;
    let trust = Trust::write(&root)?;
    let signals = Signals::listen()?;
    let mut child = match command(&arguments, &sidecar, &trust).spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_started(&arguments, &error)),
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(sidecar.serve(stop.clone().cancelled_owned()));
    let reach = tokio::spawn(tell_reach(bridge.clone()));
    let verdict = arguments.sidecar.kept_verdict();
    let following = tokio::spawn(verdict.clone().follow(bridge.clone()));
    let ended = signals.wait(&mut child).await;
    reach.abort();
    following.abort();
    stop.cancel();
    serving.await.map_err(in_full)?;
    verdict.keep_of(&bridge);
    ended.map(exit_code)
}

/// The program in its environment.
fn command(arguments: &Arguments, sidecar: &Sidecar, trust: &Trust) -> Command {
    let (program, rest) = arguments.program();
    let mut command = Command::new(program);
    command.args(rest);
    // Nothing else was asked for.
    if let Some(address) = sidecar.address().tcp() {
        command.envs(environment(address, trust));
    }
    if let Some(variable) = &arguments.sidecar.api_key_env {
        command.env_remove(variable);
    }
    if arguments.sidecar.has_credentials() {
        command.env("GEMINI_API_KEY", PLACEHOLDER_KEY).env("GOOGLE_API_KEY", PLACEHOLDER_KEY);
    }
    command
}

/// A shell's convention: 127 for a program that is not there, 126 for one that cannot be run.
fn not_started(arguments: &Arguments, error: &io::Error) -> ExitCode {
    let (remedy, code) = match error.kind() {
        io::ErrorKind::NotFound => ("check the program's name, and PATH", 127),
        _ => ("check that this user may run the file", 126),
    };
    let program = arguments.program().0.to_string_lossy();
    tell(&format!("cannot start {program:?}: {error}\n  to do: {remedy}"));
    ExitCode::from(code)
}

/// What SDKs read: where the service is, what to trust, where no proxy stands.
fn environment(address: SocketAddr, trust: &Trust) -> Vec<(&'static str, OsString)> {
    let mut variables = vec![
        ("GENAI_BRIDGE_ADDRESS", format!("localhost:{}", address.port()).into()),
        ("GOOGLE_GEMINI_BASE_URL", format!("http://{address}").into()),
        ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", trust.grpc.clone().into()),
        ("NODE_EXTRA_CA_CERTS", trust.node.clone().into()),
        ("SSL_CERT_FILE", trust.all.clone().into()),
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
    /// For OpenSSL, and what follows it: httpx, Ruby, Go on Linux, rustls.
    all: PathBuf,
}

impl Trust {
    fn write(root: &str) -> io::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("genai-bridge-").tempdir().map_err(|error| {
                let place = std::env::temp_dir();
                let what = format!("cannot make a folder in {}: {error}", place.display());
                WrongSetting::new(what, "name another folder in TMPDIR")
            })?;
        let write = |name: &str, before: String| {
            let path = folder.path().join(name);
            fs::write(&path, format!("{before}\n{root}")).map(|()| path)
        };
        let grpc = named_by("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")?.unwrap_or_else(system_roots);
        let node = named_by("NODE_EXTRA_CA_CERTS")?.unwrap_or_default();
        let all = named_by("SSL_CERT_FILE")?.unwrap_or_else(system_roots);
        let [grpc, node, all] =
            [write("grpc.pem", grpc)?, write("node.pem", node)?, write("all.pem", all)?];
        Ok(Self { grpc, node, all, _folder: folder })
    }
}

/// The text of the file that a variable names; `None` if the variable is not set, or empty.
fn named_by(variable: &str) -> Result<Option<String>, WrongSetting> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    let text = path.map(|path| files::read(variable, Path::new(&path))).transpose()?;
    Ok(text.map(|text| String::from_utf8_lossy(&text).into_owned()))
}

/// A file of its own would take the place of gRPC's built-in roots for all of the program.
fn system_roots() -> String {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        tell("no root certificates on this system: the program's gRPC trusts the sidecar only");
    }
    let pem = |certificate: &CertificateDer<'_>| Pem::new("CERTIFICATE", certificate.to_vec());
    pem::encode_many(&found.certs.iter().map(pem).collect::<Vec<_>>())
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

/// What a console sends to all of its programs, listened for before there is one to leave alone.
#[cfg(not(unix))]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    stop: tokio::signal::windows::CtrlBreak,
}

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Self { interrupt: ctrl_c()?, stop: ctrl_break()? })
    }

    /// Waits for the program, which gets the console's signals by itself.
    async fn wait(mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                _ = self.interrupt.recv() => {}
                _ = self.stop.recv() => {}
            }
        }
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
