//! The program as a process: `serve`, ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};

use genai_bridge::emulator::Emulator;
use genai_bridge::{Bridge, BridgeBuilder, Proxy, RetryPolicy, Transport};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::setting::NOWHERE;

/// The program, with nothing of our own environment.
pub(super) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("XDG_STATE_HOME", NOWHERE);
    command
}

/// A folder with the emulator's root certificate in it.
pub(super) fn folder(emulator: &Emulator) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("root.pem"), emulator.root_certificate()).expect("a file");
    folder
}

/// Options for the way to the emulator.
pub(super) fn to(emulator: &Emulator, folder: &Path) -> Vec<String> {
    let roots = folder.join("root.pem").display().to_string();
    [
        "--endpoint",
        &emulator.endpoint(),
        "--root-certificates",
        &roots,
        "--proxy",
        "none",
        "--log-format",
        "json",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// `serve` as a process, ended with the test.
pub(super) struct Serving {
    pub(super) process: Child,
    /// The rest of its log, read all the while, so that it never waits for a reader.
    log: Option<JoinHandle<String>>,
    pub(super) address: String,
    pub(super) trust: PathBuf,
}

impl Serving {
    pub(super) fn start(emulator: &Emulator, folder: &Path, options: &[&str]) -> Self {
        let mut command = program();
        command.arg("serve").args(to(emulator, folder)).args(options);
        command.arg("--certificate-folder").arg(folder.join("certificate"));
        Self::started_by(command)
    }

    pub(super) fn started_by(mut command: Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().expect("a process");
        let mut log = BufReader::new(process.stderr.take().expect("piped"));
        let mut line = String::new();
        log.read_line(&mut line).expect("a line");
        let event: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert_eq!(event["message"], "listening", "{line}");
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        Self::of(process, log, text("address"), text("trust").into())
    }

    pub(super) fn of(
        process: Child,
        mut log: BufReader<ChildStderr>,
        address: String,
        trust: PathBuf,
    ) -> Self {
        let log = thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).expect("a log");
            text
        });
        Self { process, log: Some(log), address, trust }
    }

    pub(super) fn client(&self) -> BridgeBuilder {
        let port = self.address.rsplit_once(':').expect("a port").1;
        Bridge::builder()
            .endpoint(format!("https://localhost:{port}"))
            .add_root_certificates(std::fs::read(&self.trust).expect("a root"))
            .transport(Transport::Grpc)
            .retry(RetryPolicy::none())
            .proxy(Proxy::none())
    }

    /// The most memory that it has had so far, in KiB.
    #[cfg(target_os = "linux")]
    pub(super) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill");
        assert!(sent.success());
    }

    /// Its exit code and the rest of its log.
    pub(super) async fn ended(mut self) -> (Option<i32>, String) {
        spawn_blocking(move || {
            let code = self.process.wait().expect("an end").code();
            let log = self.log.take().expect("taken once").join().expect("no panic");
            (code, log)
        })
        .await
        .expect("no panic")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}
