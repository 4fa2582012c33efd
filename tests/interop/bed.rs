//! Bed: an origin, certificates, and real proxies on free ports of loopback, ended by process id.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use genai_bridge::emulator::{Authority, Emulator, Page};
use http::Method;
use tokio::net::TcpStream;
use tokio::time::{Duration, interval, timeout};

/// What proxies stand between: a service, and the files they need.
pub(crate) struct Bed {
    /// Over TLS, for proxies that pass it through.
    pub(crate) origin: Emulator,
    /// In plaintext, for proxies that end TLS.
    plain: Emulator,
    /// Signs in the name of every host, as inspecting proxies do.
    pub(crate) corp: Authority,
    pub(crate) folder: PathBuf,
    /// Accepts, and never says a word.
    silent: TcpListener,
    ports: HashMap<String, u16>,
    processes: Vec<Process>,
}

impl Bed {
    pub(crate) async fn new(name: &str) -> Self {
        let folder = std::env::temp_dir()
            .join(format!("genai-bridge-interop-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let bed = Self {
            origin: Emulator::start().await.expect("an origin"),
            plain: Emulator::builder().plaintext().start().await.expect("an origin"),
            corp: Authority::new("Corp Inspection CA"),
            folder,
            silent: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"),
            ports: HashMap::new(),
            processes: Vec::new(),
        };
        let (leaf, key) = bed.corp.leaf(&["localhost", "127.0.0.1"]);
        bed.write("corp-ca.pem", &bed.corp.pem_with_key());
        bed.write("corp-leaf.pem", &leaf);
        bed.write("corp-leaf.key", &key);
        bed.write("corp-leaf-both.pem", &format!("{leaf}{key}"));
        bed.write("origin.pem", bed.origin.root_certificate());
        // "user" with the password "tr0mb0ne", in Apache MD5 form.
        bed.write("passwords", "user:$apr1$aaaaaaaa$hIQ/liPoX4GMxz7iA.Ggl0\n");
        bed
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a file");
    }

    /// Fills a model of `tests/interop/conf` in.
    pub(crate) fn configure(&mut self, model: &str) -> PathBuf {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/conf").join(model);
        let text = self.fill(fs::read_to_string(path).expect("a model"));
        self.write(model, &text);
        self.folder.join(model)
    }

    /// Puts addresses in, for `@port name@` a free port of that name.
    pub(crate) fn fill(&mut self, mut text: String) -> String {
        let closed = free_address();
        for (name, address) in [
            ("ORIGIN", self.origin.address()),
            ("PLAIN", self.plain.address()),
            ("SILENT", self.silent.local_addr().expect("an address")),
            ("CLOSED", closed),
        ] {
            text = text.replace(&format!("@{name}@"), &address.to_string());
            text = text.replace(&format!("@{name}_PORT@"), &address.port().to_string());
        }
        text = text.replace("@FOLDER@", &self.folder.display().to_string());
        while let Some((before, after)) = text.split_once("@port ") {
            let (name, rest) = after.split_once('@').expect("a name ends with @");
            text = format!("{before}{}{rest}", self.port(name));
        }
        text
    }

    /// The port of that name; a new one if nothing has it yet.
    pub(crate) fn port(&mut self, name: &str) -> u16 {
        if let Some(port) = self.ports.get(name) {
            return *port;
        }
        // A port that is free still may be another name's: two of one proxy would share it.
        let free = std::iter::repeat_with(|| free_address().port());
        let is_new = |port: &u16| !self.ports.values().any(|taken| taken == port);
        let port = free.take(1_000).find(is_new).expect("a free port");
        self.ports.insert(name.to_owned(), port);
        port
    }

    /// Starts a proxy that stays in the foreground.
    pub(crate) fn start(&mut self, program: &str, configure: impl FnOnce(&mut Command)) {
        let mut command = command(program);
        configure(&mut command);
        let log = fs::File::create(self.folder.join(format!("{program}.out"))).expect("a file");
        command.stdout(log.try_clone().expect("a file")).stderr(log).stdin(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        self.processes.push(Process { child, program: program.to_owned() });
    }

    /// Waits until every port that was given out is listened on.
    pub(crate) async fn ready(&mut self) {
        for (name, port) in &self.ports {
            let listens = async {
                let mut ticks = interval(Duration::from_millis(50));
                while TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.is_err() {
                    ticks.tick().await;
                    for process in &mut self.processes {
                        process.assert_alive(&self.folder);
                    }
                }
            };
            let waited = timeout(Duration::from_secs(60), listens).await;
            waited.unwrap_or_else(|_| panic!("nothing listens on port `{name}`"));
        }
    }

    /// What the service answers at a path, whoever ends TLS.
    pub(crate) fn serve(&self, verb: &Method, path: &str, page: &Page) {
        self.origin.on_path(verb, path, page.clone());
        self.plain.on_path(verb, path, page.clone());
    }

    /// The paid calls that reached the service so far.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.origin.count(method) + self.plain.count(method)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.processes.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Process {
    child: Child,
    program: String,
}

impl Process {
    fn assert_alive(&mut self, folder: &Path) {
        if let Some(status) = self.child.try_wait().expect("a process") {
            let log = fs::read_to_string(folder.join(format!("{}.out", self.program)));
            panic!("{} ended with {status}: {}", self.program, log.unwrap_or_default());
        }
    }
}

/// Ends the process, which ends those it started.
impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
    }
}

/// Debian puts servers where only root looks for them.
pub(crate) fn command(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("env");
    command.arg(format!("PATH={path}:/usr/sbin:/usr/lib/squid")).arg(program);
    command
}

/// An address on which nobody listens now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address")
}

pub(crate) async fn until_it_listens(address: SocketAddr) {
    let mut ticks = interval(Duration::from_millis(50));
    while TcpStream::connect(address).await.is_err() {
        ticks.tick().await;
    }
}
