//! `genai-bridge verify`: each question is answered both ways, and the exit code says what it comes
//! to.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use genai_bridge::emulator::{Emulator, Fault, Page, Reply};
use genai_bridge::v1beta::{FunctionCall, Model, Part, part::Data};
use http::Method;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tonic::Status;

use crate::setting::{KEY, LIST_MODELS, STREAM, answer, behind};

const GET_MODEL: &str = "/google.ai.generativelanguage.v1beta.ModelService/GetModel";
const COUNT: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";
const NO_MODEL: &str = "/v1beta/models/no-such-model-of-anyone:streamGenerateContent";
const MODEL: &str = "/v1beta/models/gemini-2.5-flash";

async fn verify(emulator: &Emulator, arguments: &[&str]) -> Output {
    let root =
        std::env::temp_dir().join(format!("genai-bridge-verify-{}.pem", emulator.address().port()));
    std::fs::write(&root, emulator.root_certificate()).expect("a file");
    let mut command = program(&emulator.endpoint());
    command.args(arguments).arg("--root-certificates").arg(&root);
    let output = run(command).await;
    std::fs::remove_file(root).expect("the file");
    output
}

fn program(endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.env_clear().env("GEMINI_API_KEY", KEY).args(["verify", "--endpoint", endpoint]);
    command
}

async fn run(mut command: Command) -> Output {
    let output =
        spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs");
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(KEY));
    }
    output
}

/// The verdict on each question, and the exit code.
fn verdicts(output: &Output) -> (BTreeMap<String, String>, i32) {
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let answers = report["answers"].as_array().expect("answers").iter();
    let text = |answer: &Value, name: &str| answer[name].as_str().expect("a text").to_owned();
    for answer in report["answers"].as_array().expect("answers") {
        println!(
            "{:<11} {}: {}",
            text(answer, "verdict"),
            text(answer, "question"),
            text(answer, "seen")
        );
    }
    let code = output.status.code().expect("an exit code");
    assert_eq!(report["exit_code"], code);
    (answers.map(|answer| (text(answer, "question"), text(answer, "verdict"))).collect(), code)
}

/// What the service is assumed to say; the emulator itself lets any model write.
async fn as_assumed() -> Emulator {
    let emulator = Emulator::builder().require_key(KEY).start().await.expect("an emulator");
    let refusal = r#"{"error":{"code":404,"message":"no such model","status":"NOT_FOUND"}}"#;
    let page = Page::new(404).header("content-type", "text/event-stream").piece(refusal);
    emulator.on_path(&Method::POST, NO_MODEL, page);
    emulator
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_answers_as_the_service_is_assumed_to() {
    let emulator = as_assumed().await;
    let (found, code) = verdicts(&verify(&emulator, &["--json", "--spend-tokens"]).await);
    let others: Vec<_> = found.iter().filter(|(_, verdict)| *verdict != "as assumed").collect();
    assert_eq!((others, code), (Vec::new(), 0));
    assert!(found.len() > 20);
    assert_eq!(emulator.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_spend_tokens_lets_a_model_write() {
    let emulator = as_assumed().await;
    let (found, code) = verdicts(&verify(&emulator, &["--json"]).await);
    assert_eq!(code, 0);
    assert_eq!(found.values().filter(|verdict| *verdict == "skipped").count(), 4);
    let is_paid = |method: &str| method.ends_with("GenerateContent");
    let spent = emulator.received();
    // A stream of a model that does not exist costs nothing.
    let spent = spent.iter().filter(|call| is_paid(call.method()) && !call.is_rest());
    assert_eq!(spent.count(), 0);
}

/// A front end that is another one in everything.
async fn elsewhere() -> Emulator {
    let emulator = Emulator::start().await.expect("an emulator");
    let json = || Page::json("{}");
    emulator.on_path(&Method::GET, "/v1beta/no-such-thing", json());
    emulator.on_path(&Method::DELETE, "/v1beta/models", json());
    let two = r#"{"models":[{"name":"models/a"},{"name":"models/b"}],"nextPageToken":"same"}"#;
    emulator.on_path(&Method::GET, "/v1beta/models", Page::json(two));
    emulator.on_path(
        &Method::POST,
        NO_MODEL,
        Page::events(["data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n"]),
    );
    emulator.on_path(
        &Method::POST,
        &format!("{MODEL}:countTokens"),
        Page::json("{\"totalTokens\":1}"),
    );
    let place = format!("{}/elsewhere", emulator.endpoint());
    let start = Page::new(200).header("x-goog-upload-status", "active");
    emulator.on_path(
        &Method::POST,
        "/upload/v1beta/files",
        start.header("x-goog-upload-url", &place),
    );
    emulator.on_path(&Method::POST, "/elsewhere", Page::new(200));
    emulator.on(GET_MODEL, Reply::message(&Model::default()));
    emulator
}

/// A service that refuses what it is assumed to take, and writes otherwise.
async fn refusing() -> Emulator {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(COUNT, Reply::error(Status::invalid_argument("no")));
    let refusal = r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}"#;
    let page = Page::new(400).header("content-type", "application/json").piece(refusal);
    emulator.on_path(&Method::GET, "/v1beta/models", page);
    let mut two_parts = answer("a");
    let call =
        Part { data: Some(Data::FunctionCall(FunctionCall::default())), ..Default::default() };
    two_parts.candidates[0].content.as_mut().expect("content").parts.push(call);
    emulator.on(STREAM, Reply::message(&two_parts));
    emulator.on_path(
        &Method::POST,
        &format!("{MODEL}:streamGenerateContent"),
        Page::events(["data: {\"candidates\":[{\"finishReason\":1}]}\r\n\r\n"]),
    );
    emulator
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_can_be_answered_otherwise() {
    let arguments = ["--json", "--spend-tokens", "--timeout", "5"];
    let (emulator, proxy) = behind(Fault::Page403).await;
    let url = proxy.url();
    let behind_page = [&arguments[..], &["--proxy", &url]].concat();
    let denied = Emulator::start().await.expect("an emulator");
    denied.on(LIST_MODELS, Reply::error(Status::permission_denied("not this key")));
    let runs = [
        ("another front end", 3, verify(&elsewhere().await, &arguments).await),
        ("refusals", 3, verify(&refusing().await, &arguments).await),
        ("a proxy that answers gRPC with a page", 3, verify(&emulator, &behind_page).await),
        ("a key that may not", 4, verify(&denied, &arguments).await),
    ];
    let (mut asked, mut otherwise) = (BTreeSet::new(), BTreeSet::new());
    for (name, expected, output) in runs {
        println!("{name}:");
        let (found, code) = verdicts(&output);
        assert_eq!(code, expected, "{name}");
        for (question, verdict) in found {
            if verdict != "as assumed" {
                otherwise.insert(question.clone());
            }
            asked.insert(question);
        }
    }
    assert_eq!(asked.difference(&otherwise).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_an_outage_from_a_wrong_setting() {
    let closed = Emulator::start().await.expect("an emulator").endpoint();
    let output = run(program(&closed)).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("unanswered  grpc: does gRPC carry a free call?"), "{text}");
    let mut without_key = program(&closed);
    without_key.env_remove("GEMINI_API_KEY");
    let output = run(without_key).await;
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("GEMINI_API_KEY"));
}
