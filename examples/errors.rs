//! The transport from a flag, and each error with its remedy: `cargo run --example errors rest "Why is the sky blue?"`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::process::ExitCode;
use std::time::Duration;

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Error, ErrorKind, RetryPolicy, Transport};
use genai_bridge::{gemini, gemini::reply::Reply};
use tonic::{Code, Request, Status};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (transport, prompt) = match arguments.as_slice() {
        [transport, prompt] => (transport.as_str(), prompt.as_str()),
        _ => ("auto", "Why is the sky blue?"),
    };
    match ask(transport, prompt).await {
        Ok(text) => println!("{text}"),
        Err(status) => return explain(&status),
    }
    ExitCode::SUCCESS
}

async fn ask(transport: &str, prompt: &str) -> Result<String, Status> {
    let transport = match transport {
        "grpc" => Transport::Grpc,
        "rest" => Transport::Rest,
        _ => Transport::Auto,
    };
    let retry = RetryPolicy::google().also(Code::ResourceExhausted).max_attempts(3);
    let bridge = Bridge::builder().from_env().transport(transport).retry(retry).build()?;
    let mut request = Request::new(gemini::prompt("gemini-2.5-flash", prompt));
    request.set_timeout(Duration::from_secs(30)); // for all attempts together
    let reply = GenerativeServiceClient::new(bridge).generate_content(request).await?;
    reply.get_ref().text().map_err(|stopped| Status::aborted(stopped.to_string()))
}

fn explain(status: &Status) -> ExitCode {
    if let Some(advice) = gemini::advice(status) {
        eprintln!("{advice}"); // what happened, why, what to do
    }
    // Programs decide by types, never by texts.
    match Error::of(status).map(Error::kind) {
        None => ExitCode::from(1), // the service said it, or the model stopped
        Some(ErrorKind::Connect | ErrorKind::Interrupted) => ExitCode::from(5), // the network
        Some(_) => ExitCode::from(6), // settings, credentials, the request
    }
}
