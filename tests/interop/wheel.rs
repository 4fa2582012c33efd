//! Wheel: the Python package in an environment without Rust, around Google's clients, behind
//! squid's ssl-bump.
//!
//! `.ci/python` builds it, into the environment that `GENAI_BRIDGE_WHEEL` names.

use std::path::PathBuf;
use std::process::Command;

use tokio::task::block_in_place;

use crate::bed::Bed;
use crate::clients::script;
use crate::proxies::start_squid;

const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs squid-openssl and the wheel"]
async fn googles_python_clients_answer_through_the_wheel() {
    let python = PathBuf::from(std::env::var_os("GENAI_BRIDGE_WHEEL").expect("the environment"));
    let mut bed = Bed::new("wheel").await;
    start_squid(&mut bed);
    bed.ready().await;
    bed.write("inspection.pem", bed.corp.pem());
    let mut command = Command::new(python.join("bin/python"));
    command.arg(script("wheel.py")).arg(bed.origin.endpoint());
    command.arg(bed.folder.join("inspection.pem"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &bed.folder);
    command.env("HTTPS_PROXY", format!("http://127.0.0.1:{}", bed.port("bump")));
    let output = block_in_place(|| command.output()).expect("a program");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success(), "{out}{err}");
    let answer = "The sky is blue because air scatters short waves most.";
    for line in [
        format!("google-generativeai: {answer}"),
        format!("google-genai: {answer}"),
        "wrong option: the sidecar did not start (exit code 2); stderr says why".to_owned(),
    ] {
        assert!(out.lines().any(|told| told == line), "{line}\n{out}{err}");
    }
    assert_eq!(bed.calls(GENERATE), 2);
}
