//! The command line: what a person, a script or a service manager sees of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tonic::Code;

use super::process::{Serving, folder, program, to};
use crate::setting::{GENERATE, LIST_MODELS, STREAM, answer, call, question, text_of};

async fn output_of(mut command: Command) -> Output {
    spawn_blocking(move || command.output().expect("a process")).await.expect("no panic")
}

fn line_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let remedies = text.lines().skip(1);
    assert!(remedies.clone().all(|line| line.starts_with("  to do: ")), "one line: {text}");
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_stream_ends_it_in_order() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    for (patience, code) in [("60", Code::Ok), ("0", Code::Unavailable)] {
        let gate = Arc::new(Semaphore::new(1));
        let reply = Reply::messages([answer("a"), answer("b")]).gate(Arc::clone(&gate));
        emulator.on(STREAM, reply);
        let serving = Serving::start(
            &emulator,
            folder.path(),
            &["--listen", "127.0.0.1:0", "--shutdown-timeout", patience],
        );
        let client = serving.client().build().expect("a bridge");
        let mut client = GenerativeServiceClient::new(client);
        let mut stream =
            client.stream_generate_content(question("?")).await.expect("a stream").into_inner();
        assert_eq!(text_of(&stream.message().await.unwrap().unwrap()), "a");
        serving.signal("TERM");
        if code == Code::Ok {
            gate.add_permits(1);
        }
        let mut ended = Code::Ok;
        loop {
            match stream.message().await {
                Ok(Some(message)) => assert_eq!(text_of(&message), "b"),
                Ok(None) => break,
                Err(status) => {
                    ended = status.code();
                    break;
                }
            }
        }
        assert_eq!(ended, code);
        let (exit, log) = serving.ended().await;
        assert_eq!(exit, Some(0), "{log}");
        assert!(log.contains("all connections have ended"), "{log}");
    }
}

#[tokio::test]
async fn clients_recover_when_it_is_started_again() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let first = Serving::start(&emulator, folder.path(), &["--listen", "127.0.0.1:0"]);
    let client = first.client().build().expect("a bridge");
    assert_eq!(call(client.clone(), GENERATE, &question("?")).await.status.code(), Code::Ok);
    let address = first.address.clone();
    first.signal("TERM");
    assert_eq!(first.ended().await.0, Some(0));
    let down = call(client.clone(), GENERATE, &question("?")).await;
    assert_eq!(down.status.code(), Code::Unavailable, "{:?}", down.status);
    let second = Serving::start(&emulator, folder.path(), &["--listen", &address]);
    // The same client, with the same trust: the certificate was kept.
    let up = call(client, GENERATE, &question("?")).await;
    assert_eq!(up.status.code(), Code::Ok, "{:?}", up.status);
    drop(second);
}

/// A process that is killed has no end at which it could keep anything.
#[tokio::test]
async fn what_it_has_learnt_of_a_method_outlives_a_kill() {
    let authority = Authority::new("Corp Inspection CA");
    let emulator = Emulator::builder().authority(authority.clone()).start().await;
    let emulator = emulator.expect("an emulator");
    let proxy = HostileProxy::builder().authority(authority).spare(LIST_MODELS);
    let proxy = proxy.start(Fault::UnroutedPage).await.expect("a proxy");
    let folder = folder(&emulator);
    let start = || {
        let mut command = program();
        let (endpoint, url) = (emulator.endpoint(), proxy.url());
        command.env("XDG_STATE_HOME", folder.path()).args(["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--endpoint", &endpoint, "--proxy", &url, "--log-format", "json"]);
        command.arg("--root-certificates").arg(folder.path().join("root.pem"));
        command.arg("--certificate-folder").arg(folder.path().join("certificate"));
        Serving::started_by(command)
    };
    let ask = async |serving: &Serving| {
        let client = serving.client().build().expect("a bridge");
        call(client, GENERATE, &question("?")).await.status.code()
    };
    let first = start();
    let answered = [ask(&first).await, ask(&first).await];
    assert!(answered[0] != Code::Ok && answered[1] == Code::Ok, "{answered:?}");
    let kept = || {
        let files = std::fs::read_dir(folder.path().join("genai-bridge/verdicts")).ok()?;
        let texts = files.map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
        texts.flatten().find(|text| text.contains(GENERATE))
    };
    while kept().is_none() {
        assert_eq!(ask(&first).await, Code::Ok);
    }
    first.signal("KILL");
    assert_eq!(first.ended().await.0, None);
    assert!(kept().is_some());
    let second = start();
    assert_eq!(ask(&second).await, Code::Ok, "it need not learn that again");
}

#[tokio::test]
async fn it_tells_early_whether_the_service_can_be_reached() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nowhere = format!("https://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    for (endpoint, words) in
        [(emulator.endpoint(), "the service answers"), (nowhere, "cannot be reached now")]
    {
        let mut command = program();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--proxy",
            "none",
            "--endpoint",
            &endpoint,
        ]);
        command.arg("--root-certificates").arg(folder.path().join("root.pem"));
        command.arg("--certificate-folder").arg(folder.path().join("certificate"));
        let mut process = command.stderr(Stdio::piped()).spawn().expect("a process");
        let log = BufReader::new(process.stderr.take().expect("piped"));
        // No call comes: the line appears by itself.
        let told = spawn_blocking(move || {
            log.lines().map_while(Result::ok).find(|line| line.contains(words))
        });
        let told = told.await.expect("no panic").expect(words);
        assert!(told.contains("advice") == words.contains("cannot"), "{told}");
        process.kill().expect("it runs");
        process.wait().expect("an end");
    }
}

#[tokio::test]
async fn what_keeps_it_from_serving_is_one_line_and_a_failure() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).expect("an address");
    let here = folder.path().display().to_string();
    let root = format!("{here}/root.pem");
    let missing = format!("{here}/missing.pem");
    for (options, expected) in [
        (vec!["--listen", &taken.1], "cannot listen on 127.0.0.1"),
        (vec!["--listen", "0.0.0.0:0"], "other machines can reach 0.0.0.0"),
        (vec!["--certificate", &missing, "--key", &missing], "missing.pem: No such file"),
        (vec!["--certificate", &root, "--key", &root], "no PEM private key"),
        (vec!["--certificate", &here, "--key", &root], "cannot read"),
        (vec!["--descriptors", &root], "descriptor"),
        (vec!["--api-key-env", "A_KEY_BY_MISTAKE"], "no environment variable of that name"),
        (vec!["--log-file", &here], "cannot open the log"),
    ] {
        let mut command = program();
        command.arg("serve").args(to(&emulator, folder.path())).args(&options);
        command.arg("--certificate-folder").arg(folder.path().join("certificate"));
        let output = output_of(command).await;
        let line = line_of(&output);
        assert!(
            line.starts_with("genai-bridge: ") && line.contains(expected),
            "{options:?}: {line}"
        );
        assert!(!line.contains("A_KEY_BY_MISTAKE"), "{line}");
        assert_eq!(output.status.code(), Some(1), "{options:?}");
    }
    for name in ["proxy", "root-certificates"] {
        let mut command = program();
        command.args(["serve", &format!("--{name}"), "ftp://nonsense"]);
        let output = output_of(command).await;
        line_of(&output);
        assert_eq!(output.status.code(), Some(1), "{name}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_answered_with_an_example() {
    for address in ["localhost:50051", "50051", ":50051"] {
        let mut command = program();
        command.args(["serve", "--listen", address]);
        let output = output_of(command).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("such as 127.0.0.1:50051"), "{text}");
        assert_eq!(output.status.code(), Some(2), "{address}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_for_the_log_is_told_once_and_calls_go_on() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let mut command = program();
    command.arg("serve").args(to(&emulator, folder.path())).args(["--listen", &address]);
    command.args(["--log-file", "/dev/full", "--certificate-folder"]).arg(folder.path());
    let mut process = command.stderr(Stdio::piped()).spawn().expect("a process");
    let mut log = BufReader::new(process.stderr.take().expect("piped"));
    let mut line = String::new();
    log.read_line(&mut line).expect("a line");
    assert!(line.contains("/dev/full: No space left on device"), "{line}");
    let trust = folder.path().join("ca.pem");
    let serving = Serving::of(process, log, address, trust);
    for _ in 0..3 {
        let client = serving.client().build().expect("a bridge");
        assert_eq!(call(client, GENERATE, &question("?")).await.status.code(), Code::Ok);
    }
    serving.signal("TERM");
    assert_eq!(serving.ended().await, (Some(0), String::new()), "told once");
}

#[tokio::test]
async fn run_gives_a_program_its_sidecar_and_passes_its_exit_code_on() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let mut command = program();
    command.env("SECRET", "the-real-key").env("no_proxy", "corp.test");
    command.arg("run").args(to(&emulator, folder.path())).args(["--api-key-env", "SECRET", "--"]);
    command.args(["sh", "-c", "env; grep -c BEGIN $GRPC_DEFAULT_SSL_ROOTS_FILE_PATH; exit 7"]);
    let output = output_of(command).await;
    assert_eq!(output.status.code(), Some(7));
    let text = String::from_utf8_lossy(&output.stdout);
    for line in [
        "GENAI_BRIDGE_ADDRESS=localhost:",
        "GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=/",
        "NODE_EXTRA_CA_CERTS=/",
        "SSL_CERT_FILE=/",
        "no_proxy=corp.test,localhost,127.0.0.1,::1",
        "NO_PROXY=localhost,127.0.0.1,::1",
        "GEMINI_API_KEY=genai-bridge",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
    assert!(!text.contains("the-real-key"), "the program need not hold the key");
    let roots: usize = text.lines().last().and_then(|line| line.parse().ok()).expect("a count");
    assert!(roots > 1, "the system's roots stand beside the sidecar's");
}

#[tokio::test]
async fn run_ends_with_the_signal_that_ended_the_program() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let mut command = program();
    command.arg("run").args(to(&emulator, folder.path()));
    command.args(["--", "sh", "-c", "echo ready; exec sleep 60"]).stdout(Stdio::piped());
    let mut process = command.spawn().expect("a process");
    let code = spawn_blocking(move || {
        let mut line = String::new();
        let output = process.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill").success());
        process.wait().expect("an end").code()
    });
    assert_eq!(code.await.expect("no panic"), Some(128 + 15));
    let mut command = program();
    command.args(["run", "--", "there-is-no-such-program"]);
    let output = output_of(command).await;
    assert!(line_of(&output).contains(r#"cannot start "there-is-no-such-program""#));
}
