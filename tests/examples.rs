//! The examples run unchanged: the environment leads them to a proxy that breaks gRPC, and behind it stands the emulator.
//!
//! `.ci/examples` builds them first.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its setting is not as expected"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::part::Data;
use genai_bridge::v1beta::{GenerateContentRequest, Part};
use prost::Message as _;
use tempfile::TempDir;
use tokio::task::block_in_place;

const ANSWER: &str = "The sky is blue because air scatters short waves most.";
const KEY: &str = "a-key";
const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
const VERTEX: &str = "/google.cloud.aiplatform.v1.PredictionService/GenerateContent";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";

struct Setting {
    emulator: Emulator,
    proxy: HostileProxy,
    folder: TempDir,
}

impl Setting {
    async fn new() -> Self {
        let emulator = Emulator::builder().require_key(KEY).start().await;
        Self::with(emulator.expect("an emulator")).await
    }

    async fn with(emulator: Emulator) -> Self {
        let proxy = HostileProxy::builder().target(emulator.address());
        let proxy = proxy.start(Fault::InspectHttp1).await.expect("a proxy");
        let folder = tempfile::tempdir().expect("a folder");
        let setting = Self { emulator, proxy, folder };
        std::fs::write(setting.root(), setting.proxy.root_certificate()).expect("a file");
        setting
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// The example as a person starts it, in an environment that a company might give.
    fn example(&self, name: &str) -> Command {
        let test = std::env::current_exe().expect("this program");
        let folder = test.ancestors().nth(2).expect("target/debug").join("examples");
        let mut command = Command::new(folder.join(name));
        for variable in ["no_proxy", "NO_PROXY", "https_proxy", "grpc_proxy", "GOOGLE_API_KEY"] {
            command.env_remove(variable);
        }
        command
            .env("GEMINI_API_KEY", KEY)
            .env("HTTPS_PROXY", self.proxy.url())
            .env("SSL_CERT_FILE", self.root())
            .stdin(Stdio::null());
        command
    }
}

fn run(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        block_in_place(|| command.output()).expect("an example");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples"]
async fn text_prints_the_answer() {
    let setting = Setting::new().await;
    let (code, out, err) = run(setting.example("text"));
    assert_eq!((code, out.trim()), (Some(0), ANSWER), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples"]
async fn behind_a_proxy_says_which_transport_carries_the_calls() {
    let setting = Setting::new().await;
    let mut command = setting.example("behind_a_proxy");
    command.env_remove("HTTPS_PROXY").env_remove("SSL_CERT_FILE");
    command.arg(setting.proxy.url()).arg(setting.root());
    let (code, out, err) = run(command);
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    let [transport, because, carried, answer] = lines.as_slice() else { panic!("{out}") };
    assert_eq!((*transport, *carried), ("calls go over rest", "this one went over rest"));
    assert!(because.starts_with("because host generativelanguage.googleapis.com:443"), "{because}");
    assert_eq!(*answer, ANSWER);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples"]
async fn errors_come_with_their_remedy_and_exit_code() {
    let setting = Setting::new().await;
    let with = |transport: &str| {
        let mut command = setting.example("errors");
        command.args([transport, "why?"]);
        command
    };
    let (code, out, err) = run(with("rest"));
    assert_eq!((code, out.trim()), (Some(0), ANSWER), "{err}");
    let (code, _, err) = run(with("grpc"));
    assert!(code == Some(5) && err.contains("HTTP/2"), "{code:?}: {err}");
    let mut without_key = with("rest");
    without_key.env_remove("GEMINI_API_KEY");
    let (code, _, err) = run(without_key);
    assert!(code == Some(6) && err.contains("GEMINI_API_KEY"), "{code:?}: {err}");
    let mut wrong_key = with("rest");
    wrong_key.env("GEMINI_API_KEY", "another-key");
    let (code, _, err) = run(wrong_key);
    assert!(code == Some(1) && !err.contains("another-key") && !err.is_empty(), "{code:?}: {err}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples"]
async fn an_own_channel_carries_the_call_and_an_own_reqwest_where_the_channel_cannot() {
    let setting = Setting::new().await;
    let mesh = Emulator::builder().plaintext().start().await.expect("a mesh");
    let mut command = setting.example("own_clients");
    command.arg(mesh.endpoint());
    let (code, out, err) = run(command);
    let sent = format!("the channel sends {GENERATE}");
    assert!(code == Some(0) && out.contains(&sent) && out.contains("over grpc\n"), "{out}{err}");
    assert_eq!((mesh.count(GENERATE), setting.emulator.count(GENERATE)), (1, 0));

    let mut command = setting.example("own_clients");
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    command.arg(format!("http://{}", nobody.expect("a port")));
    let (code, out, err) = run(command);
    assert!(code == Some(0) && out.contains("over rest\n") && out.contains(ANSWER), "{out}{err}");
    assert_eq!((mesh.count(GENERATE), setting.emulator.count(GENERATE)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples"]
async fn an_upload_is_asked_about_and_deleted() {
    let setting = Setting::new().await;
    let report = setting.folder.path().join("report.pdf");
    std::fs::write(&report, vec![7; 100_000]).expect("a file");
    let mut command = setting.example("upload");
    command.arg(&report).arg("What does it say?");
    let (code, out, err) = run(command);
    assert_eq!((code, out.trim()), (Some(0), ANSWER), "{err}");
    assert!(err.contains("100000 bytes"), "{err}");
    let received = setting.emulator.received();
    let asked = received.iter().find(|call| call.method() == GENERATE).expect("a question");
    let asked = GenerateContentRequest::decode(asked.message().clone()).expect("a message");
    let Some([question, file]) = asked.contents.first().map(|turn| turn.parts.as_slice()) else {
        panic!("{asked:?}")
    };
    assert_eq!(question, &Part::text("What does it say?"));
    let Some(Data::FileData(file)) = &file.data else { panic!("{file:?}") };
    let name = file.file_uri.split_once("/v1beta/").expect("an address").1;
    assert_eq!(setting.emulator.file(name), None, "{name} is deleted");
}

/// The example is a package of its own; `.ci/examples` builds it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples"]
async fn vertex_is_called_with_the_credentials_of_the_environment() {
    let mut compiler = protox::Compiler::new(["examples/vertex/proto", "proto"]).expect("folders");
    compiler.include_imports(true).open_file("vertex.proto").expect("a proto");
    let emulator = Emulator::builder().descriptors(&compiler.encode_file_descriptor_set());
    let setting = Setting::with(emulator.start().await.expect("an emulator")).await;
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let key = key.expect("a key").serialize_pem();
    let account = serde_json::json!({
        "type": "service_account", "client_email": "a@b.test", "private_key_id": "1", "private_key": key,
        "project_id": "p", "token_uri": "https://nobody.test/token",
    });
    let file = setting.folder.path().join("account.json");
    std::fs::write(&file, account.to_string()).expect("a file");
    // candidates { content { parts { text } } }
    let answer = b"\x12\x0c\x12\x0a\x12\x08\x0a\x06It is.".to_vec();
    setting.emulator.on(VERTEX, Reply::encoded(answer));
    let mut command = setting.example("../vertex");
    command.env("GOOGLE_APPLICATION_CREDENTIALS", file).args(["p", "europe-west1", "Is it?"]);
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (Some(0), "over rest\nIt is.\n"), "{err}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples"]
async fn the_web_service_streams_counts_and_ends_in_peace() {
    let setting = Setting::new().await;
    let mut command = setting.example("web_service");
    command.arg("127.0.0.1:0").stdout(Stdio::piped());
    block_in_place(|| {
        let mut service = Ended(command.spawn().expect("an example"));
        let mut line = String::new();
        let mut output = BufReader::new(service.0.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://").expect("an address");
        let answer = get(address, "/?prompt=why");
        let has_all = ANSWER.split(' ').all(|word| answer.contains(word));
        assert!(has_all && !answer.contains('['), "{answer}");
        assert!(get(address, "/").contains("400 Bad Request"));
        assert!(get(address, "/metrics").contains("gemini_calls_total 1\n"));
        let interrupted = Command::new("kill").args(["-INT", &service.0.id().to_string()]).status();
        assert!(interrupted.expect("kill").success());
        assert_eq!(service.0.wait().expect("an end").code(), Some(0));
    });
    assert_eq!(setting.emulator.count(STREAM), 1, "one paid call");
}

fn get(address: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a listener");
    let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
