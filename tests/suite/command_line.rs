//! The command line: what it writes where, and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

use genai_bridge::emulator::{Emulator, Fault, Reply};
use genai_bridge::v1beta::candidate::FinishReason;
use tokio::task::spawn_blocking;
use tonic::Status;

use crate::setting::{GENERATE, KEY, NOWHERE, STREAM, answer, behind};

/// Runs `genai-bridge` with its key in the environment and nothing else of ours.
async fn run(emulator: &Emulator, arguments: &[&str]) -> Output {
    run_in(emulator, arguments, Path::new(NOWHERE)).await
}

/// The same, with this folder for what it keeps.
async fn run_in(emulator: &Emulator, arguments: &[&str], state: &Path) -> Output {
    let root =
        std::env::temp_dir().join(format!("genai-bridge-root-{}.pem", emulator.address().port()));
    std::fs::write(&root, emulator.root_certificate()).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.env_clear().env("GEMINI_API_KEY", KEY).args(arguments);
    command.env("XDG_STATE_HOME", state);
    command.args(["--endpoint", &emulator.endpoint(), "--root-certificates"]).arg(&root);
    let output =
        spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs");
    std::fs::remove_file(root).expect("the file");
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(KEY));
    }
    output
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn generate_writes_the_answer_to_stdout_and_the_transport_to_stderr() {
    let emulator = Emulator::start().await.expect("an emulator");
    for stream in [&[][..], &["--stream"]] {
        for transport in ["grpc", "rest"] {
            let arguments = [&["generate", "why?", "--transport", transport], stream].concat();
            let (code, out, err) = texts(&run(&emulator, &arguments).await);
            assert_eq!(
                (code, out.as_str()),
                (Some(0), "The sky is blue because air scatters short waves most.\n")
            );
            assert_eq!(err, format!("genai-bridge: answered over {transport}\n"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generate_says_what_went_wrong_and_keeps_what_had_come() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut stopped = answer("half");
    stopped.candidates[0].finish_reason = FinishReason::MaxTokens.into();
    emulator.on(GENERATE, Reply::message(&stopped));
    let (code, out, err) = texts(&run(&emulator, &["generate", "why?"]).await);
    assert_eq!((code, out.as_str()), (Some(1), "half\n"));
    assert!(err.contains("MAX_TOKENS") && err.contains("max_output_tokens"), "{err}");

    let broken = Reply::messages([answer("half")]).then_error(Status::internal("oh"));
    emulator.on(STREAM, broken);
    for transport in ["grpc", "rest"] {
        let arguments = ["generate", "why?", "--stream", "--transport", transport];
        let (code, out, err) = texts(&run(&emulator, &arguments).await);
        assert_eq!((code, out.as_str()), (Some(1), "half\n"));
        assert!(err.contains("INTERNAL: oh") && err.contains("shorten the prompt"), "{err}");
    }
}

/// A reply that nothing ends, or that ends for a reason nobody here knows, is no success on either
/// transport.
#[tokio::test(flavor = "multi_thread")]
async fn generate_fails_where_the_answer_may_be_cut() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (reason, words) in [(0, "nothing says why the model stopped"), (4711, "reason 4711")] {
        let mut cut = answer("half");
        cut.candidates[0].finish_reason = reason;
        emulator.on(GENERATE, Reply::message(&cut));
        emulator.on(STREAM, Reply::message(&cut));
        for transport in ["grpc", "rest"] {
            for stream in [&[][..], &["--stream"]] {
                let arguments = ["generate", "why?", "--transport", transport];
                let (code, out, err) =
                    texts(&run(&emulator, &[&arguments[..], stream].concat()).await);
                assert_eq!((code, out.as_str()), (Some(1), "half\n"), "{arguments:?} {stream:?}");
                let cut_events = reason == 0 && transport == "rest" && !stream.is_empty();
                let words = if cut_events { "no message says why" } else { words };
                assert!(err.contains(words), "{arguments:?} {stream:?}: {err}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctors_exit_code_tells_its_result() {
    for (fault, code, word) in [
        (Fault::Inspect, 0, "all is well"),
        (Fault::InspectHttp1, 3, "FAILED   http2"),
        (Fault::ConnectForbidden, 5, "For the network team"),
    ] {
        let (emulator, proxy) = behind(fault).await;
        let url = proxy.url();
        let (found, out, err) = texts(&run(&emulator, &["doctor", "--proxy", &url]).await);
        assert_eq!((found, err.as_str()), (Some(code), ""), "{out}");
        assert!(out.contains(word) && !out.contains('\u{1b}'), "{out}");
        let (found, out, _) = texts(&run(&emulator, &["doctor", "--json", "--proxy", &url]).await);
        let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((found, &json["exit_code"]), (Some(code), &code.into()));
    }
}

/// The program with these arguments and no environment but these variables.
fn alone(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.env_clear().env("XDG_STATE_HOME", NOWHERE);
    command.envs(environment.iter().copied()).args(arguments);
    texts(&command.output().expect("it runs"))
}

#[test]
fn the_doctor_tells_wrong_settings_as_all_else() {
    let with_key = [("GEMINI_API_KEY", KEY)];
    for (arguments, evidence, remedy) in [
        (["--endpoint", "ftp://x"], "endpoint: the scheme", "https://host:port"),
        (["--endpoint", "https://x/v1"], "endpoint: a path", "https://host:port"),
        (["--proxy", "ftp://x"], "proxy: the scheme", "http://host:port"),
        (["--root-certificates", "/no/such/file"], "cannot read /no/such/file", ""),
    ] {
        let (code, text, err) = alone(&[&["doctor"][..], &arguments].concat(), &with_key);
        assert_eq!((code, err.as_str()), (Some(6), ""), "{text}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains(evidence) && text.contains(remedy), "{text}");
        let (code, out, err) = alone(&[&["doctor", "--json"][..], &arguments].concat(), &with_key);
        let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((code, err.as_str(), &json["exit_code"]), (Some(6), "", &6.into()));
        let settings = &json["checks"][0];
        assert_eq!(
            (&settings["step"], &settings["outcome"]),
            (&"settings".into(), &"failed".into())
        );
        assert!(settings["evidence"].as_str().expect("text").contains(evidence), "{out}");
        assert_eq!(json["checks"].as_array().expect("a list").len(), 13);
    }
}

#[test]
fn without_a_key_generate_says_which_variable_holds_it() {
    let (code, out, err) = alone(&["generate", "why?"], &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("set GEMINI_API_KEY") && !err.contains("builder"), "{err}");
}

#[cfg(unix)]
#[test]
fn a_program_that_does_not_start_gives_the_exit_code_of_a_shell() {
    let no_file = tempfile::NamedTempFile::new().expect("a file");
    let not_executable = no_file.path().to_str().expect("text");
    for (program, code) in
        [("no-such-program", 127), ("/no/such/program", 127), (not_executable, 126)]
    {
        let (found, _, err) = alone(&["run", "--", program], &[("PATH", "/usr/bin:/bin")]);
        assert_eq!(found, Some(code), "{err}");
        assert!(err.contains(program), "{err}");
    }
}

#[test]
fn each_command_says_its_exit_codes() {
    for command in ["doctor", "generate", "serve", "run", "upload", "download", "verify"] {
        let (code, out, _) = alone(&[command, "--help"], &[]);
        assert!(code == Some(0) && out.contains("Exit codes:"), "{out}");
    }
}

#[test]
fn a_command_that_chooses_its_transports_itself_lists_no_choice() {
    for (command, is_listed) in [
        ("generate", true),
        ("serve", true),
        ("doctor", false),
        ("upload", false),
        ("download", false),
        ("verify", false),
    ] {
        let (_, help, _) = alone(&[command, "--help"], &[]);
        let (_, page, _) = alone(&["man", command], &[]);
        let found = (help.contains("--transport"), page.contains("\\-\\-transport"));
        assert_eq!(found, (is_listed, is_listed), "{command}");
    }
}

#[test]
fn completions_and_manual_pages_name_the_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, out, err) = alone(&["completions", shell], &[]);
        assert!(code == Some(0) && out.contains("spend-tokens"), "{shell}: {err}");
    }
    for (arguments, words) in [
        (&["man"][..], "genai\\-bridge"),
        (&["man", "serve"], "allow\\-remote"),
        (&["man", "run"], "127"),
    ] {
        let (code, out, err) = alone(arguments, &[]);
        assert!(code == Some(0) && out.starts_with(".ie") && out.contains(words), "{err}{out}");
    }
    let (code, _, err) = alone(&["man", "nothing"], &[]);
    assert!(code == Some(2) && err.contains("nothing") && err.contains("doctor"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_needs_its_key_and_a_time_is_a_number() {
    for (arguments, word) in [
        (&["--client-certificate", "a.pem"][..], "--client-key"),
        (&["--connect-timeout", "0"], "seconds"),
        (&["--timeout", "soon"], "seconds"),
    ] {
        let (code, _, err) = alone(&[&["generate", "why?"][..], arguments].concat(), &[]);
        assert!(code == Some(2) && err.contains(word), "{err}");
    }
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::never());
    let (code, _, err) = texts(&run(&emulator, &["generate", "why?", "--timeout", "1"]).await);
    assert!(code == Some(1) && err.contains("deadline passed"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_are_named() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (arguments, word) in [
        (&["generate"][..], "<PROMPT>"),
        (&["generate", "?", "--transport", "carrier-pigeon"], "carrier-pigeon"),
        (&["generate", "?", "--proxy", "ftp://a"], "the scheme is none of"),
        (&["generate", "?", "--root-certificates", "/no/such/file"], "/no/such/file"),
    ] {
        let (code, out, err) = texts(&run(&emulator, arguments).await);
        assert!(code != Some(0) && out.is_empty() && err.contains(word), "{arguments:?}: {err}");
    }
}

/// What a command has learnt of the network is kept for the next one, in the user's state folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_behind_a_bad_proxy_does_not_prove_grpc_each_time() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().to_owned();
    let generate = async |arguments: &[&str]| {
        let url = proxy.url();
        let before = proxy.counts().tunnels();
        let arguments = [&["generate", "why?", "--proxy", &url], arguments].concat();
        let output = run_in(&emulator, &arguments, &state).await;
        let (code, _, err) = texts(&output);
        assert_eq!((code, err.as_str()), (Some(0), "genai-bridge: answered over rest\n"));
        proxy.counts().tunnels() - before
    };
    assert_eq!(generate(&[]).await, 2, "gRPC's probe and REST");
    let kept = || std::fs::read_dir(state.join("genai-bridge/verdicts")).expect("a folder");
    let file = kept().next().expect("a file").expect("a name").path();
    let text = std::fs::read_to_string(&file).expect("a text");
    assert!(text.starts_with("genai-bridge verdict 1\n") && !text.contains(KEY), "{text}");
    for _ in 0..3 {
        assert_eq!(generate(&[]).await, 1, "REST alone");
    }
    assert_eq!(kept().count(), 1);
    // A file that was spoilt is passed over, and written anew.
    std::fs::write(&file, "genai-bridge verdict 2\n").expect("a file");
    assert_eq!(generate(&[]).await, 2);
    assert_eq!(generate(&[]).await, 1);
    // What holds for another network stays: gRPC is not at fault here.
    let elsewhere = text.replace("127.0.0.1", "proxy.test");
    std::fs::write(&file, &elsewhere).expect("a file");
    proxy.set(Fault::Pass);
    let url = proxy.url();
    let arguments = ["generate", "why?", "--proxy", &url, "--transport", "grpc"];
    assert_eq!(texts(&run_in(&emulator, &arguments, &state).await).0, Some(0));
    assert_eq!(std::fs::read_to_string(&file).expect("a text"), elsewhere);
    // Where it was healed, nothing is left of it.
    let expired = text.lines().map(|line| match line.strip_prefix("grpc ") {
        Some(rest) => format!("grpc {} 1000000000 1\n", rest.split(' ').next().expect("a symptom")),
        None => format!("{line}\n"),
    });
    std::fs::write(&file, expired.collect::<String>()).expect("a file");
    let output = run_in(&emulator, &arguments, &state).await;
    assert_eq!(texts(&output).0, Some(0));
    assert_eq!(kept().count(), 0);
}
