//! Vertex AI as a service of Google's beside Gemini's own API: messages, streams and raw bodies,
//! alike on both transports.

use std::path::Path;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::{ActiveTransport, Bridge, Credentials, Schema, Transport};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

use crate::setting::{BOTH, Outcome, call, direct};

const SERVICE: &str = "/google.cloud.aiplatform.v1.PredictionService/";
const LIST_MODELS: &str = "/google.cloud.aiplatform.v1.ModelService/ListModels";
const MODEL: &str = "projects/p/locations/l/publishers/google/models/gemini-2.5-flash";

fn descriptors() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler =
        protox::Compiler::new([root.join("tests/data"), root.join("proto")]).expect("folders");
    compiler.include_imports(true).open_file("vertex.proto").expect("a proto");
    compiler.encode_file_descriptor_set()
}

struct Vertex {
    pool: DescriptorPool,
    emulator: Emulator,
}

impl Vertex {
    async fn start() -> Self {
        let set = descriptors();
        let emulator = Emulator::builder().descriptors(&set).start().await.expect("an emulator");
        Self { pool: DescriptorPool::decode(&set[..]).expect("a pool"), emulator }
    }

    /// As the documentation of `google_service` says.
    fn bridge(&self, transport: Transport) -> Bridge {
        let schema = Schema::from_descriptor_set(&descriptors()).expect("a schema");
        let location = br#"{"parent": "projects/p/locations/l", "pageSize": 1}"#;
        let probe =
            schema.message_from_json("google.cloud.aiplatform.v1.ListModelsRequest", location);
        let builder = direct(&self.emulator)
            .schema(schema)
            .google_service()
            .credentials(Credentials::bearer(|| async {
                Ok::<_, std::io::Error>("a token".to_owned())
            }))
            .probe_call(LIST_MODELS, probe.expect("a message"));
        builder.transport(transport).build().expect("a bridge")
    }

    fn message(&self, name: &str, json: Value) -> DynamicMessage {
        let full = if name.contains('.') {
            name.to_owned()
        } else {
            format!("google.cloud.aiplatform.v1.{name}")
        };
        let descriptor = self.pool.get_message_by_name(&full).expect("a type");
        DynamicMessage::deserialize(descriptor, json).expect("a message")
    }

    fn read(&self, name: &str, outcome: &Outcome) -> Vec<Value> {
        let full = if name.contains('.') {
            name.to_owned()
        } else {
            format!("google.cloud.aiplatform.v1.{name}")
        };
        let descriptor = self.pool.get_message_by_name(&full).expect("a type");
        let messages = outcome.messages.iter().map(|wire| {
            let message = DynamicMessage::decode(descriptor.clone(), wire.clone());
            serde_json::to_value(message.expect("a message")).expect("JSON")
        });
        messages.collect()
    }
}

fn said(text: &str) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]})
}

#[tokio::test]
async fn models_answer_whole_and_in_streams() {
    for transport in BOTH {
        let vertex = Vertex::start().await;
        let chunks = [said("Blue"), said(" sky")]
            .map(|json| vertex.message("GenerateContentResponse", json));
        let whole = &format!("{SERVICE}GenerateContent");
        let stream = &format!("{SERVICE}StreamGenerateContent");
        vertex.emulator.on(whole, Reply::message(&chunks[0]));
        vertex.emulator.on(stream, Reply::messages(chunks));
        let bridge = vertex.bridge(transport);
        let question =
            json!({"model": MODEL, "contents": [{"role": "user", "parts": [{"text": "?"}]}]});
        let question = vertex.message("GenerateContentRequest", question);
        for (path, expected) in
            [(whole, vec![said("Blue")]), (stream, vec![said("Blue"), said(" sky")])]
        {
            let outcome = call(bridge.clone(), path, &question).await;
            assert_eq!(outcome.status.code(), tonic::Code::Ok, "{:?}", outcome.status);
            assert_eq!(vertex.read("GenerateContentResponse", &outcome), expected, "{transport:?}");
        }
        let received = vertex.emulator.received();
        for (record, method) in
            received.iter().zip(["generateContent", "streamGenerateContent?alt=sse"])
        {
            let header = |name: &str| record.headers()[name].to_str().expect("text").to_owned();
            assert_eq!(header("authorization"), "Bearer a token");
            assert_eq!(header("x-goog-request-params"), format!("model={MODEL}"));
            // The first rule is for endpoints; a publisher's model takes the second.
            if transport == Transport::Rest {
                assert_eq!(record.target(), format!("/v1/{MODEL}:{method}"));
            }
        }
        assert_eq!(received.len(), 2);
    }
}

#[tokio::test]
async fn raw_bodies_pass_as_the_bytes_that_they_are() {
    let pieces = ["event: message_start\n", "data: {\"type\":\"ping\"}\n\n"];
    for transport in BOTH {
        let vertex = Vertex::start().await;
        let body = |data: &str| {
            let data = base64_simd::STANDARD.encode_to_string(data);
            vertex
                .message("google.api.HttpBody", json!({"contentType": "text/plain", "data": data}))
        };
        let whole = &format!("{SERVICE}RawPredict");
        let stream = &format!("{SERVICE}StreamRawPredict");
        vertex.emulator.on(whole, Reply::message(&body("{\"any\": [1]}")));
        vertex.emulator.on(stream, Reply::messages(pieces.map(body)));
        let bridge = vertex.bridge(transport);
        let question = base64_simd::STANDARD.encode_to_string("{\"max_tokens\":1}");
        let question = vertex.message(
            "RawPredictRequest",
            json!({"endpoint": MODEL, "httpBody": {"contentType": "application/json", "data": question}}),
        );
        for (path, expected) in [(whole, "{\"any\": [1]}".to_owned()), (stream, pieces.concat())] {
            let outcome = call(bridge.clone(), path, &question).await;
            assert_eq!(outcome.status.code(), tonic::Code::Ok, "{:?}", outcome.status);
            let read = vertex.read("google.api.HttpBody", &outcome);
            assert_eq!(read[0]["contentType"], "text/plain", "{transport:?}");
            let data = read.iter().flat_map(|body| {
                let data = body["data"].as_str().unwrap_or_default();
                base64_simd::STANDARD.decode_to_vec(data).expect("base64")
            });
            let data: Vec<u8> = data.collect();
            assert_eq!(String::from_utf8_lossy(&data), expected, "{transport:?}");
        }
    }
}

#[tokio::test]
async fn a_list_of_models_proves_grpc_before_it_carries_a_paid_call() {
    let vertex = Vertex::start().await;
    let answer = vertex.message("GenerateContentResponse", said("Blue"));
    let path = &format!("{SERVICE}GenerateContent");
    vertex.emulator.on(path, Reply::message(&answer));
    let bridge = vertex.bridge(Transport::Auto);
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    let question = vertex.message("GenerateContentRequest", json!({"model": MODEL}));
    assert_eq!(call(bridge, path, &question).await.status.code(), tonic::Code::Ok);
    let received = vertex.emulator.received();
    let methods: Vec<&str> =
        received.iter().map(genai_bridge::emulator::Received::method).collect();
    assert_eq!(methods, [LIST_MODELS, path]);
    assert!(received.iter().all(|record| !record.is_rest()));
}
