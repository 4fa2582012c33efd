//! Application Default Credentials: each place they come from, and what is said where there are
//! none.
//!
//! They live in the environment, so each case is a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::{Credentials, Error, ErrorKind, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tonic::Status;

use crate::setting::{BOTH, GENERATE, client, direct, question};

/// A machine's home, and a server in place of Google's for tokens.
struct Machine {
    home: PathBuf,
    tokens: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Machine {
    async fn new(name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("genai-bridge-{name}-{}", std::process::id()));
        std::fs::create_dir_all(home.join(".config/gcloud")).expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let tokens = listener.local_addr().expect("an address").to_string();
        let asked = Arc::default();
        tokio::spawn(serve_tokens(listener, Arc::clone(&asked)));
        Self { home, tokens, asked }
    }

    fn with_credentials(self, json: &str) -> Self {
        let file = self.home.join(".config/gcloud/application_default_credentials.json");
        std::fs::write(file, json).expect("a file");
        self
    }

    /// Runs the first ignored test below in this machine's environment.
    async fn run(&self, set: &[(&'static str, String)]) -> String {
        self.run_test("a_call_with_what_the_environment_has", set).await
    }

    async fn run_test(&self, name: &'static str, set: &[(&'static str, String)]) -> String {
        let (home, set) = (self.home.clone(), set.to_vec());
        let output = spawn_blocking(move || run_child(name, &home, set)).await.expect("no panic");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        text
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn run_child(test: &str, home: &Path, set: Vec<(&'static str, String)>) -> Output {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "--ignored", "--nocapture", &format!("adc::{test}")])
        .env_remove("GOOGLE_APPLICATION_CREDENTIALS")
        .env_remove("GOOGLE_CLOUD_QUOTA_PROJECT")
        .env_remove("GCE_METADATA_HOST")
        .env("HOME", home)
        .env("NO_PROXY", "127.0.0.1")
        .envs(set)
        .output()
        .expect("started")
}

/// Gives a token to whoever asks, another one each time, and closes.
async fn serve_tokens(listener: TcpListener, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        tokio::spawn(give_token(stream, Arc::clone(&asked)));
    }
}

async fn give_token(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    let number = {
        let mut asked = asked.lock().expect("no panic");
        asked.push(line);
        asked.len()
    };
    let json = format!(
        r#"{{"access_token":"given-token-{number}","expires_in":3600,"token_type":"Bearer"}}"#
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{json}", json.len());
    // Whoever has gone needs no token.
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
#[ignore = "needs an environment made for it"]
async fn a_call_with_what_the_environment_has() {
    let emulator = Emulator::start().await.expect("an emulator");
    let builder = direct(&emulator).credentials(Credentials::adc()).transport(Transport::Rest);
    match client(builder).generate_content(question("?")).await {
        Ok(_) => {
            let headers = emulator.received()[0].headers().clone();
            println!("sent {:?}", headers["authorization"].to_str());
            println!("project {:?}", headers.get("x-goog-user-project"));
        }
        Err(status) => {
            let error = Error::of(&status).expect("ours");
            assert_eq!(error.kind(), ErrorKind::Credentials);
            println!("{:?}: {}", status.code(), status.message());
        }
    }
}

#[tokio::test]
#[ignore = "needs an environment made for it"]
async fn calls_whose_token_is_refused() {
    for transport in BOTH {
        let emulator = Emulator::start().await.expect("an emulator");
        emulator.once(GENERATE, Reply::error(Status::unauthenticated("revoked")));
        let builder = direct(&emulator).credentials(Credentials::adc()).transport(transport);
        let mut client = client(builder);
        for _ in 0..2 {
            client.generate_content(question("?")).await.expect("an answer");
        }
        for call in emulator.received() {
            println!("{transport:?} sent {:?}", call.headers()["authorization"].to_str());
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_kept() {
    let machine = Machine::new("refused").await;
    let server = ("GCE_METADATA_HOST", machine.tokens.clone());
    let text = machine.run_test("calls_whose_token_is_refused", &[server]).await;
    let sent: Vec<_> = text.lines().filter(|line| line.contains(" sent ")).collect();
    let expected = [("Grpc", 1), ("Grpc", 2), ("Grpc", 2), ("Rest", 3), ("Rest", 4), ("Rest", 4)];
    let expected = expected.map(|(transport, number)| {
        format!(r#"{transport} sent Ok("Bearer given-token-{number}")"#)
    });
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn an_authorised_user_pays_with_the_project_of_the_file() {
    let machine = Machine::new("user").await;
    let json = format!(
        r#"{{"type":"authorized_user","client_id":"id","client_secret":"hidden","refresh_token":"hidden",
           "token_uri":"http://{}/token","quota_project_id":"paying-project"}}"#,
        machine.tokens
    );
    let text = machine.with_credentials(&json).run(&[]).await;
    assert!(text.contains("Bearer given-token") && text.contains("paying-project"), "{text}");
}

#[tokio::test]
async fn a_service_account_signs_its_own_token() {
    let machine = Machine::new("service").await;
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .expect("a key")
        .serialize_pem();
    let file = machine.home.join("key.json");
    let json = format!(
        r#"{{"type":"service_account","client_email":"a@b.test","private_key_id":"1","private_key":"{}",
           "project_id":"p","token_uri":"http://{}/token"}}"#,
        key.replace('\n', "\\n"),
        machine.tokens
    );
    std::fs::write(&file, json).expect("a file");
    let project = ("GOOGLE_CLOUD_QUOTA_PROJECT", "named-project".to_owned());
    let named = ("GOOGLE_APPLICATION_CREDENTIALS", file.display().to_string());
    let text = machine.run(&[named, project]).await;
    assert!(text.contains("Bearer ey") && text.contains("named-project"), "{text}");
}

#[tokio::test]
async fn a_machine_of_google_is_asked_for_its_token() {
    let machine = Machine::new("metadata").await;
    let text = machine.run(&[("GCE_METADATA_HOST", machine.tokens.clone())]).await;
    assert!(text.contains("Bearer given-token"), "{text}");
    assert!(machine.asked.lock().expect("no panic")[0].contains("computeMetadata"));
}

#[tokio::test]
async fn without_credentials_every_place_is_named() {
    let machine = Machine::new("nothing").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = closed.local_addr().expect("an address").to_string();
    drop(closed);
    let text = machine.run(&[("GCE_METADATA_HOST", address.clone())]).await;
    for part in [
        "Unauthenticated: ",
        "GOOGLE_APPLICATION_CREDENTIALS is not set",
        "application_default_credentials.json does not exist",
        &address,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
