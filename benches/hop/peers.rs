//! The hops, each started with its settings. What is not installed is left out, and said so.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use genai_bridge::emulator::Authority;

use crate::Failure;

/// A folder with certificates and settings, removed at the end.
pub(crate) struct Place {
    folder: PathBuf,
    upstream: String,
}

/// A running hop, ended when dropped.
pub(crate) struct Hop {
    pub(crate) name: String,
    pub(crate) port: String,
    process: Child,
}

impl Place {
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("genai-bridge-hop-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let authority = Authority::new("Bench root");
        let (leaf, key) = authority.leaf(&["localhost"]);
        std::fs::write(folder.join("ca.pem"), authority.pem())?;
        std::fs::write(folder.join("both.pem"), [leaf.as_str(), &key].concat())?;
        std::fs::write(folder.join("leaf.pem"), leaf)?;
        std::fs::write(folder.join("leaf.key"), key)?;
        Ok(Self { folder, upstream: free_port()? })
    }

    pub(crate) fn folder(&self) -> &str {
        self.folder.to_str().unwrap_or_default()
    }

    /// The service, and the hops before it.
    pub(crate) fn start(&self, builds: &[&str]) -> Result<(Hop, Vec<Hop>), Failure> {
        let own = std::env::current_exe()?;
        let service = self.run("service", &self.upstream, &own, &["service", "PORT", "DIR"])?;
        let mut hops = Vec::new();
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/genai-bridge");
        let of_crate = [format!("genai-bridge={default}")];
        let builds: Vec<&str> = match builds {
            [] => of_crate.iter().map(String::as_str).collect(),
            builds => builds.to_vec(),
        };
        for (name, binary) in builds.iter().filter_map(|build| build.split_once('=')) {
            hops.push(self.run(name, &free_port()?, Path::new(binary), &BRIDGE)?);
        }
        hops.push(self.run("floor", &free_port()?, &own, &["floor", "PORT", "UPSTREAM", "DIR"])?);
        let others: [(&str, &str, &[&str]); 3] = [
            ("haproxy.cfg", include_str!("haproxy.cfg"), &["haproxy", "-db", "-f"]),
            ("nginx.conf", include_str!("nginx.conf"), &["nginx", "-c"]),
            (
                "envoy.yaml",
                include_str!("envoy.yaml"),
                &["envoy", "--concurrency", "1", "-l", "error", "-c"],
            ),
        ];
        for (file, settings, command) in others {
            let (port, file) = (free_port()?, self.folder.join(file));
            std::fs::write(&file, self.fill(settings, &port))?;
            let &[name, ref arguments @ ..] = command else { continue };
            let arguments = [arguments, &[file.to_str().unwrap_or_default()]].concat();
            match self.run(name, &port, Path::new(name), &arguments) {
                Ok(hop) => hops.push(hop),
                Err(error) => eprintln!("{name} is left out: {error}"),
            }
        }
        Ok((service, hops))
    }

    fn fill(&self, text: &str, port: &str) -> String {
        text.replace("PORT", port).replace("UPSTREAM", &self.upstream).replace("DIR", self.folder())
    }

    fn run(
        &self,
        name: &str,
        port: &str,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Hop, Failure> {
        let arguments = arguments.iter().map(|it| self.fill(it, port));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn()?;
        let mut hop = Hop { name: name.to_owned(), port: port.to_owned(), process };
        for _ in 0..100 {
            if TcpStream::connect(format!("127.0.0.1:{port}")).is_ok() {
                return Ok(hop);
            }
            if let Some(status) = hop.process.try_wait()? {
                return Err(format!("it ended with {status}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("it does not listen".into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Hop {
    /// Itself and its workers.
    pub(crate) fn processes(&self) -> Vec<String> {
        let own = self.process.id().to_string();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().map(str::to_owned).chain([own]).collect()
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = Command::new("kill").arg(process).status();
        }
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<String, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string())
}

const BRIDGE: [&str; 17] = [
    "serve",
    "--listen",
    "127.0.0.1:PORT",
    "--endpoint",
    "https://localhost:UPSTREAM",
    "--root-certificates",
    "DIR/ca.pem",
    "--certificate",
    "DIR/leaf.pem",
    "--key",
    "DIR/leaf.key",
    "--proxy",
    "none",
    "--transport",
    "grpc",
    "--log-level",
    "error",
];
