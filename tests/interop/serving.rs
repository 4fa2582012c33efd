//! `genai-bridge serve` as a process of its own, ended with the test.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command};

use genai_bridge::{Bridge, BridgeBuilder, Proxy, RetryPolicy, Transport};

use crate::bed::{free_address, until_it_listens};

pub(crate) struct Serving {
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) root: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Serving {
    /// Before the service at this address, which shows a certificate of this root.
    pub(crate) async fn before(endpoint: &str, root: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let roots = folder.path().join("root.pem");
        fs::write(&roots, root).expect("a file");
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
        // What another test has learnt of the same address would stay.
        command.env("XDG_STATE_HOME", "/dev/null/nowhere");
        command.args([
            "serve",
            "--listen",
            &address.to_string(),
            "--log-level",
            "error",
            "--root-certificates",
        ]);
        command.arg(&roots).arg("--certificate-folder").arg(folder.path());
        command.args(["--endpoint", endpoint]).args(options);
        let process = command.spawn().expect("a process");
        until_it_listens(address).await;
        let root = fs::read(folder.path().join("ca.pem")).expect("a root");
        Self { process, address, root, _folder: folder }
    }

    /// A client of it, over gRPC and TLS.
    pub(crate) fn client(&self) -> BridgeBuilder {
        Bridge::builder()
            .endpoint(self.endpoint())
            .add_root_certificates(self.root.as_slice())
            .api_key("a-key")
            .transport(Transport::Grpc)
            .retry(RetryPolicy::none())
            .proxy(Proxy::none())
    }

    /// Its address for clients that speak TLS.
    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill").success());
        self.process.wait().expect("an end").code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
