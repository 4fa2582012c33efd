//! Options that cannot be used: each command ends with an exit code, and says what is wrong, where,
//! and what to do.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::setting::{KEY, NOWHERE};

/// Exit code and stderr of the program with these arguments, in an environment of these variables.
fn told(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.env_clear().env("XDG_STATE_HOME", NOWHERE).env("GEMINI_API_KEY", KEY);
    command.envs(environment.iter().copied()).args(arguments);
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!text.contains("panicked") && !text.contains(KEY), "{arguments:?}: {text}");
    (output.status.code(), text)
}

/// Where nobody listens: what is sent there fails at once.
fn nowhere() -> String {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    format!("http://{}", port.expect("a port"))
}

#[test]
fn a_value_that_no_option_takes_ends_the_command_as_a_wrong_argument() {
    let numbers = ["", " ", "0", "-1", "1.5", "ü", "18446744073709551615", "18446744073709551616"];
    for (command, option) in [
        ("generate", "--connect-timeout"),
        ("generate", "--timeout"),
        ("doctor", "--timeout"),
        ("verify", "--timeout"),
        ("serve", "--max-message"),
        ("serve", "--max-request-memory"),
        ("serve", "--max-connections"),
        ("serve", "--max-streams"),
        ("serve", "--max-calls"),
        ("serve", "--rest-connections"),
        ("serve", "--request-timeout"),
        ("serve", "--idle-timeout"),
    ] {
        for number in numbers {
            let (code, text) = told(&[command, option, number], &[]);
            let is_told = text.contains(option) && text.contains("not a whole number");
            assert!(code == Some(2) && is_told, "{command} {option} {number:?}: {code:?} {text}");
        }
    }
    for (arguments, word) in [
        (&["generate", ""][..], "<PROMPT>"),
        (&["generate", "?", "--model", ""], "the name of a model"),
        (&["doctor", "--model", "models/"], "the name of a model"),
        (&["verify", "--model", "a b"], "the name of a model"),
        (&["generate", "?", "--transport", ""], "--transport"),
        (&["upload", ""], "<FILE>"),
        (&["upload", "a", "--mime-type", "video"], "not a MIME type"),
        (&["upload", "a", "--mime-type", "a/b\n"], "not a MIME type"),
        (&["upload", "a", "--store", ""], "--store"),
        (&["upload", "a", "--wait", "0"], "--wait"),
        (&["download", ""], "such as files/abc-123"),
        (&["download", "../x"], "such as files/abc-123"),
        (&["upload", "a", "--store", "ü/x"], "fileSearchStores/mine"),
        (&["generate", "?", "--model", "a/b"], "the name of a model"),
        (&["download", "a", "--output", ""], "--output"),
        (&["serve", "--allow-host", "http://x"], "not a host name"),
        (&["serve", "--allow-host", ""], "not a host name"),
        (&["serve", "--listen", "127.0.0.1:99999"], "such as 127.0.0.1:50051"),
        (&["serve", "--admin", "ü:1"], "such as 127.0.0.1:50051"),
        (&["serve", "--log-level", ""], "not one of off"),
        (&["serve", "--log-format", "xml"], "text, json"),
        (&["serve", "--shutdown-timeout", "-1"], "not a whole number"),
        (&["run", "--"], "<COMMAND>"),
        (&["man", "nothing"], "the commands are doctor"),
        (&["completions", "tcsh"], "bash"),
    ] {
        let (code, text) = told(arguments, &[]);
        assert!(code == Some(2) && text.contains(word), "{arguments:?}: {code:?} {text}");
    }
}

/// A service manager writes `NAME=` for what is not set.
#[test]
fn an_empty_variable_counts_as_not_set_and_a_wrong_one_is_named() {
    let nowhere = nowhere();
    for name in [
        "GENAI_BRIDGE_TRANSPORT",
        "GENAI_BRIDGE_PROXY",
        "GENAI_BRIDGE_PROXY_NEGOTIATE",
        "GENAI_BRIDGE_ROOT_CERTIFICATES",
        "GENAI_BRIDGE_CLIENT_CERTIFICATE",
        "GENAI_BRIDGE_CLIENT_KEY",
        "GENAI_BRIDGE_CONNECT_TIMEOUT",
    ] {
        let (code, text) = told(&["generate", "?", "--endpoint", &nowhere], &[(name, "")]);
        assert!(code == Some(1) && text.contains("refused the connection"), "{name}: {text}");
    }
    for (variable, value) in
        [("GENAI_BRIDGE_TRANSPORT", "carrier-pigeon"), ("GENAI_BRIDGE_CONNECT_TIMEOUT", "soon")]
    {
        let (code, text) = told(&["generate", "?"], &[(variable, value)]);
        assert!(code == Some(2) && text.contains(variable) && text.contains(value), "{text}");
        // The command line comes first, and its own mistakes are its own.
        let (code, text) = told(&["generate", "?", "--transport", "x"], &[(variable, value)]);
        assert!(code == Some(2) && !text.contains("GENAI_BRIDGE_TRANSPORT"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_setting_that_cannot_be_used_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().to_str().expect("text");
    let [junk, empty] = ["junk", "empty"].map(|name| format!("{here}/{name}"));
    fs::write(&junk, "not a certificate").expect("a file");
    fs::write(&empty, "").expect("a file");
    let (missing, nowhere) = (format!("{here}/missing"), nowhere());
    let at = ["--endpoint", nowhere.as_str()];
    let unread = "check the file that --root-certificates names";
    for (arguments, what, remedy) in [
        (&["generate", "?", "--root-certificates", &missing][..], &*missing, unread),
        (&["generate", "?", "--root-certificates", here], here, unread),
        (&["generate", "?", "--root-certificates", &junk], &junk, unread),
        (&["generate", "?", "--root-certificates", &empty], &empty, unread),
        (&["verify", "--root-certificates", &junk], &junk, unread),
        (&["upload", "a", "--root-certificates", &junk], &junk, unread),
        (&["run", "--root-certificates", &junk, "--", "true"], &junk, unread),
        (
            &["generate", "?", "--client-certificate", &junk, "--client-key", &junk],
            "no PEM certificate",
            "--client-certificate names",
        ),
        (
            &["serve", "--certificate", &junk, "--key", &junk],
            "no PEM certificate",
            "--certificate names",
        ),
        (&["serve", "--certificate-folder", &junk], &junk, "--certificate-folder"),
        (&["serve", "--log-file", here], "cannot open the log", "--log-file"),
        (&["generate", "?", "--proxy", "ftp://x"], "proxy: the scheme", "http://host:port"),
        (&["generate", "?", "--proxy", "http://a:99999"], "from 1 to 65535", "http://host:port"),
    ] {
        let arguments = [arguments, &[]].concat();
        let (code, text) = told(&arguments, &[]);
        assert!(code.is_some_and(|code| code > 0), "{arguments:?}: {text}");
        let (what_is_wrong, to_do) = text.split_once("\n  to do: ").expect(&text);
        assert!(what_is_wrong.contains(what) && to_do.contains(remedy), "{arguments:?}: {text}");
    }
    for key in ["a\nb", "ü"] {
        let (code, text) = told(&["generate", "?"], &[("GEMINI_API_KEY", key)]);
        assert!(code == Some(1) && text.contains("check the key for line breaks"), "{text}");
    }
    for (file, what) in [(&junk, "not a descriptor set"), (&empty, "is empty")] {
        let (code, text) =
            told(&[&["run", "--descriptors", file][..], &at, &["--", "true"]].concat(), &[]);
        assert!(code == Some(1) && text.contains(what) && text.contains("protoc"), "{text}");
    }
    for variable in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] {
        let (code, text) = told(&["run", "--", "true"], &[(variable, &missing)]);
        let is_named = text.contains(&missing) && text.contains(variable);
        assert!(code == Some(1) && is_named, "{text}");
    }
    let path = ("PATH", "/usr/bin:/bin");
    for variable in ["NODE_EXTRA_CA_CERTS", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] {
        let (code, text) = told(&["run", "--", "true"], &[(variable, ""), path]);
        assert_eq!(code, Some(0), "{text}");
    }
}

#[cfg(feature = "negotiate")]
#[test]
fn a_wrong_name_for_kerberos_is_not_taken_for_a_wrong_url() {
    for name in ["", " ", "ü", ".", "http://p:1"] {
        let (code, text) = told(&["generate", "?", "--proxy-negotiate", name], &[]);
        let is_told = text.contains("neither that of a host nor a domain");
        assert!(code == Some(1) && is_told && !text.contains("http://"), "{name:?}: {text}");
        assert!(text.contains("--proxy-negotiate") && !text.contains("::"), "{name:?}: {text}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_or_an_address_that_cannot_be_had_is_told_with_the_systems_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().to_str().expect("text");
    let (missing, nowhere) = (format!("{here}/missing/file"), nowhere());
    let at = ["--endpoint", nowhere.as_str()];
    for (arguments, cause) in [
        (["upload", &missing, "--mime-type", "a/b"], "missing/file: No such file"),
        (["upload", here, "--mime-type", "a/b"], "is a directory"),
        (["download", "files/a", "--output", &missing], "missing/file: No such file"),
        (["download", "files/a", "--output", here], "Is a directory"),
    ] {
        let (code, text) = told(&[&arguments[..], &at].concat(), &[]);
        let (what, to_do) = text.split_once("\n  to do: ").expect(&text);
        assert!(code == Some(1) && what.contains(cause), "{arguments:?}: {text}");
        assert!(to_do.contains("check the path"), "{arguments:?}: {text}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).expect("an address");
    let folder_of = ["--certificate-folder", here];
    for (arguments, what) in [
        (&["--listen", &taken.1][..], "cannot listen on"),
        (&["--listen", "127.0.0.1:0", "--admin", &taken.1], "/healthz and /metrics on"),
    ] {
        let (code, text) = told(&[&["serve"], arguments, &folder_of].concat(), &[]);
        let is_told = text.contains(what) && text.contains("end the program that listens there");
        assert!(code == Some(1) && is_told, "{arguments:?}: {text}");
    }
}

/// Nothing has come that could be interrupted.
#[test]
fn a_download_from_nowhere_fails_at_once() {
    let nowhere = nowhere();
    let began = tokio::time::Instant::now();
    let (code, text) = told(&["download", "files/a", "--endpoint", &nowhere], &[]);
    assert!(code == Some(1) && text.contains("refused the connection"), "{text}");
    assert!(!text.contains("(connection refused)"), "said twice: {text}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_told() {
    for arguments in [&["man"][..], &["completions", "bash"], &["doctor", "--proxy", "ftp://x"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        command.env_clear().args(arguments).stdout(full);
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("cannot write to stdout: No space left"), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn verify_tells_a_wrong_setting_as_json_where_it_is_asked_for() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.env_clear().args(["verify", "--json", "--proxy", "ftp://x"]);
    let output = command.output().expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["exit_code"]), (Some(6), &6.into()));
    assert!(report["error"].as_str().is_some_and(|error| error.contains("scheme")), "{report}");
    assert!(report["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{report}");
}
