//! Clients that nobody here wrote: each sees through the sidecar, and a proxy that breaks gRPC, what it sees
//! of the service itself.
//!
//! `.ci/run` installs them, into the folder that `GENAI_BRIDGE_CLIENTS` names.

mod moving;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::rpc;
use genai_bridge::v1beta::candidate::FinishReason;
use genai_bridge::v1beta::{
    CachedContent, Candidate, Content, File, GenerateContentResponse, ListCachedContentsResponse,
    ListFilesResponse, Part, part::Data,
};
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::bed::Bed;
use crate::proxies::start_squid;

const VERSIONS: [&str; 2] = ["v1", "v1beta"];

/// What a client said it saw: client, case, and the rest.
type Seen = Vec<String>;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs squid-openssl and the clients"]
async fn clients_see_what_they_would_see_from_the_service() {
    let setting = Setting::start().await;
    let programs = [
        setting.python("client.py"),
        setting.python("genai.py"),
        Setting::node("client.mjs"),
        Setting::node("grpc.mjs"),
    ];
    for program in programs {
        let direct = setting.talk(setting.directly(&program));
        let through = setting.talk(setting.through_sidecar(&program));
        assert!(direct.len() > 10, "{direct:?}");
        for (straight, bridged) in direct.iter().zip(&through) {
            let mark = if straight == bridged { "same" } else { "DIFFERENT" };
            println!("{mark}: {straight}");
            if straight != bridged {
                println!("  through the sidecar: {bridged}");
            }
        }
        assert_eq!(direct, through);
    }
    let alone = setting.talk(setting.without_sidecar());
    println!("without a sidecar: {alone:?}");
    assert!(alone[0].contains("google.api_core.exceptions.RetryError"), "{alone:?}");
}

struct Setting {
    bed: Bed,
    /// squid's port that inspects.
    squid: String,
    clients: PathBuf,
}

impl Setting {
    async fn start() -> Self {
        let clients = std::env::var_os("GENAI_BRIDGE_CLIENTS").expect("the clients' folder");
        let mut bed = Bed::new("clients").await;
        start_squid(&mut bed);
        bed.ready().await;
        bed.write("inspection.pem", bed.corp.pem());
        let squid = format!("http://127.0.0.1:{}", bed.port("bump"));
        Self { bed, squid, clients: clients.into() }
    }

    fn python(&self, name: &str) -> Vec<PathBuf> {
        vec![self.clients.join("py/bin/python"), script(name)]
    }

    fn node(name: &str) -> Vec<PathBuf> {
        vec!["node".into(), script(name)]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.bed.folder.join(name)
    }

    /// A client that calls the service itself.
    fn directly(&self, program: &[PathBuf]) -> Command {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]);
        self.point_at_service(&mut command, "origin.pem");
        command
    }

    fn point_at_service(&self, command: &mut Command, root: &str) {
        command
            .env("GENAI_BRIDGE_ADDRESS", format!("localhost:{}", self.bed.origin.address().port()))
            .env("GOOGLE_GEMINI_BASE_URL", self.bed.origin.endpoint());
        for variable in [
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
            "REQUESTS_CA_BUNDLE",
            "SSL_CERT_FILE",
            "NODE_EXTRA_CA_CERTS",
        ] {
            command.env(variable, self.file(root));
        }
    }

    /// The same client as the child of a sidecar behind squid's ssl-bump.
    fn through_sidecar(&self, program: &[PathBuf]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
        // What another test has learnt of the same address would stay.
        command.env("XDG_STATE_HOME", "/dev/null/nowhere");
        command.args(["run", "--endpoint", &self.bed.origin.endpoint(), "--root-certificates"]);
        command.arg(self.file("inspection.pem"));
        command.env("HTTPS_PROXY", &self.squid).arg("--").args(program);
        command
    }

    /// The guide's client behind squid's ssl-bump, alone.
    fn without_sidecar(&self) -> Command {
        let python = self.python("client.py");
        let mut command = Command::new(&python[0]);
        command.arg(&python[1]).arg("retry-error");
        command.env("https_proxy", &self.squid);
        self.point_at_service(&mut command, "inspection.pem");
        command
    }

    /// Runs a client, and puts the service into the states that it asks for.
    fn talk(&self, mut command: Command) -> Seen {
        command.env("GENAI_BRIDGE_CLIENTS", &self.clients);
        command.env_remove("no_proxy").env_remove("NO_PROXY");
        let handle = Handle::current();
        let emulator = &self.bed.origin;
        tokio::task::block_in_place(move || {
            let mut process =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a client");
            let mut input = process.stdin.take().expect("piped");
            let output = BufReader::new(process.stdout.take().expect("piped"));
            let mut seen = Vec::new();
            for line in output.lines() {
                let line = line.expect("text");
                if let Some(result) = line.strip_prefix("RESULT ") {
                    seen.push(result.to_owned());
                } else if let Some(stage) = line.strip_prefix("STAGE ") {
                    handle.block_on(set(emulator, stage));
                    writeln!(input).expect("a reader");
                } else {
                    println!("{line}");
                }
            }
            assert!(process.wait().expect("an end").success(), "{seen:#?}");
            seen
        })
    }
}

/// A program in one of the clients' languages.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/clients").join(name)
}

/// Puts the service into a state.
async fn set(emulator: &Emulator, stage: &str) {
    if stage == "given up" {
        // What the client gave up has ended at the service too.
        assert!(emulator.cancelled_when(1).await >= 1, "a call was given up");
        return;
    }
    if matches!(stage, "interaction" | "interaction streamed") {
        return moving::set(emulator, stage);
    }
    emulator.clear();
    let stream = Reply::messages(["one", "two", "three"].map(answer));
    for version in VERSIONS {
        let generate = method(version, "GenerativeService/GenerateContent");
        let streaming = method(version, "GenerativeService/StreamGenerateContent");
        let (unary, streamed) = match stage {
            "fine" | "files" => (Reply::message(&answer("one two three")), stream.clone()),
            "silent" => (Reply::never(), Reply::never()),
            "endless" => {
                let gate = Arc::new(Semaphore::new(1));
                (Reply::never(), stream.clone().gate(gate))
            }
            code => (Reply::error(error(code)), Reply::error(error(code))),
        };
        emulator.on(&generate, unary);
        emulator.on(&streaming, streamed);
    }
    let file = File { name: "files/one".into(), ..File::default() };
    let files = ListFilesResponse { files: vec![file], ..ListFilesResponse::default() };
    emulator.on(&method("v1beta", "FileService/ListFiles"), Reply::message(&files));
    let cache = CachedContent { name: Some("cachedContents/one".into()), ..Default::default() };
    let caches = ListCachedContentsResponse { cached_contents: vec![cache], ..Default::default() };
    emulator.on(&method("v1beta", "CacheService/ListCachedContents"), Reply::message(&caches));
}

fn method(version: &str, name: &str) -> String {
    format!("/google.ai.generativelanguage.{version}.{name}")
}

fn answer(text: &str) -> GenerateContentResponse {
    let part = Part { data: Some(Data::Text(text.into())), ..Part::default() };
    let content = Content { parts: vec![part], role: "model".into(), ..Default::default() };
    let finish_reason = FinishReason::Stop.into();
    let candidate = Candidate { content: Some(content), finish_reason, ..Candidate::default() };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}

/// The service's errors, with the details that it gives.
fn error(code: &str) -> Status {
    let (code, message) = match code {
        "400" => (Code::InvalidArgument, "API key not valid. Please pass a valid API key."),
        "403" => (Code::PermissionDenied, "You do not have permission to access the tuned model."),
        "404" => (Code::NotFound, "models/x is not found for API version v1beta."),
        "429" => (Code::ResourceExhausted, "You exceeded your current quota."),
        "503" => (Code::Unavailable, "The model is overloaded. Please try again later."),
        other => panic!("no stage {other}"),
    };
    let info = rpc::ErrorInfo {
        reason: "A_REASON".into(),
        domain: "googleapis.com".into(),
        metadata: [("service".to_owned(), "generativelanguage.googleapis.com".to_owned())].into(),
    };
    let delay = prost_types::Duration { seconds: 30, nanos: 0 };
    let retry = rpc::RetryInfo { retry_delay: Some(delay) };
    let any = |name: &str, value: Vec<u8>| prost_types::Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value,
    };
    let details =
        vec![any("ErrorInfo", info.encode_to_vec()), any("RetryInfo", retry.encode_to_vec())];
    let status = rpc::Status { code: code.into(), message: message.into(), details };
    Status::with_details(code, message, status.encode_to_vec().into())
}
