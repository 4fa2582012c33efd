//! The emulator speaks as Gemini does, on both transports, from one script.

mod answers;
mod client;
mod errors;
mod rules;
mod streams;

use bytes::Bytes;
use genai_bridge::emulator::Emulator;
use genai_bridge::rpc;
use genai_bridge::v1beta::GenerateContentResponse;
use prost::Message;
use tonic::{Code, Status};

const LIST: &str = "/google.ai.generativelanguage.v1beta.ModelService/ListModels";
const GET_MODEL: &str = "/google.ai.generativelanguage.v1beta.ModelService/GetModel";
const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
const GENERATE_URL: &str = "/v1beta/models/m:generateContent";
const STREAM_URL: &str = "/v1beta/models/m:streamGenerateContent";

async fn plain() -> Emulator {
    Emulator::builder().plaintext().start().await.unwrap()
}

/// Messages that differ.
fn numbered(count: usize) -> Vec<GenerateContentResponse> {
    let response = |index: usize| GenerateContentResponse {
        model_version: index.to_string(),
        ..Default::default()
    };
    (0..count).map(response).collect()
}

/// A status with a detail, and a text beyond ASCII.
fn quota() -> Status {
    let pause = prost_types::Duration { seconds: 3, nanos: 500_000_000 };
    let info = rpc::RetryInfo { retry_delay: Some(pause) };
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let (code, message) = (Code::ResourceExhausted, "ça va trop vite");
    let status =
        rpc::Status { code: code.into(), message: message.to_owned(), details: vec![detail] };
    Status::with_details(code, message, Bytes::from(status.encode_to_vec()))
}

const QUOTA_JSON: &str = r#"{
  "error": {
    "code": 429,
    "message": "ça va trop vite",
    "status": "RESOURCE_EXHAUSTED",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "3.500s"
      }
    ]
  }
}"#;
