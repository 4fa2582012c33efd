//! The service that is measured against, in a process of its own: this program, started once more.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::GenerateContentResponse;

/// The file that it writes its root certificate to. Unset, there is nothing to serve.
const ROOT_FILE: &str = "GENAI_BRIDGE_SERVICE_ROOT";
const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";

/// The process, ended with the measurement.
pub(super) struct ServiceProcess {
    process: Child,
    input: ChildStdin,
    /// Open as long as the process: after a minute it says that it still runs, and ends where
    /// nobody can read that.
    _output: Lines<BufReader<ChildStdout>>,
    pub(super) endpoint: String,
    pub(super) root: String,
}

impl ServiceProcess {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root.pem");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "latency::service::serves_until_its_input_ends"]);
        command.args(["--ignored", "--nocapture"]).env(ROOT_FILE, &root);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let input = process.stdin.take().expect("piped");
        let mut output = BufReader::new(process.stdout.take().expect("piped")).lines();
        let endpoint =
            output.find_map(|line| line.expect("text").strip_prefix("SERVES ").map(str::to_owned));
        let endpoint = endpoint.expect("an address");
        let root = fs::read_to_string(root).expect("a root");
        Self { process, input, _output: output, endpoint, root }
    }

    /// Lets it forget the calls it received.
    pub(super) fn clear(&mut self) {
        writeln!(self.input).expect("a reader");
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the measurement of latency"]
async fn serves_until_its_input_ends() {
    let Some(file) = std::env::var_os(ROOT_FILE) else { return };
    let emulator = Emulator::start().await.expect("an emulator");
    fs::write(file, emulator.root_certificate()).expect("a file");
    println!("\nSERVES {}", emulator.endpoint());
    tokio::task::block_in_place(|| {
        answer(&emulator);
        for _ in std::io::stdin().lines() {
            emulator.clear();
            answer(&emulator);
        }
    });
}

fn answer(emulator: &Emulator) {
    emulator.on(GENERATE, Reply::message(&GenerateContentResponse::default()));
}
