//! Sentence: a question of one sentence, bare and with the metadata that the bridge sends.

use std::time::Duration;

use bytes::Bytes;
use genai_bridge::v1beta::{Content, GenerateContentRequest, Part, part::Data};
use prost::Message;
use tonic::Request;
use tonic::metadata::MetadataValue;

pub fn question() -> Request<GenerateContentRequest> {
    Request::new(GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![content("Why is the sky blue? Answer in one sentence.", "user")],
        ..GenerateContentRequest::default()
    })
}

/// With the metadata that the bridge sends.
pub fn dressed_question() -> Request<GenerateContentRequest> {
    let mut request = question();
    let metadata = request.metadata_mut();
    let mut key = MetadataValue::from_static("none");
    key.set_sensitive(true);
    metadata.insert("x-goog-api-key", key);
    metadata.insert("x-goog-api-client", MetadataValue::from_static("bench/0.14.0 grpc/0.14.0"));
    let parameters = MetadataValue::from_static("model=models%2Fgemini-2.5-flash");
    metadata.insert("x-goog-request-params", parameters);
    request.set_timeout(Duration::from_secs(600));
    request
}

pub fn content(text: &str, role: &str) -> Content {
    let part = Part { data: Some(Data::Text(text.into())), ..Part::default() };
    Content { parts: vec![part], role: role.into(), ..Default::default() }
}

/// The message as a frame of gRPC.
pub fn frame(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    frame.extend(message);
    frame.into()
}
