//! Transcoders: what others make of a gRPC service over HTTP and JSON, held against the service
//! itself. Messages, codes and details must be the same.

mod envoy;
mod gateways;

use std::fs;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::{Bridge, Proxy, RetryPolicy, Schema, Transport};
use http_body_util::{BodyExt, Full};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service as _;

/// An API of a program's own: a small one, and Gemini's, with the types of errors' details.
pub(super) struct Api {
    pub(super) descriptors: Vec<u8>,
    pool: DescriptorPool,
}

impl Api {
    pub(super) fn compile() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().expect("a folder");
        let shop = fs::read_to_string(root.join("tests/data/shop.proto")).expect("a proto");
        // Envoy takes no set with such a rule.
        let shop = shop.replace(" response_body: \"result\"", "");
        fs::write(folder.path().join("shop.proto"), shop).expect("a file");
        let folders = [folder.path(), &root.join("proto")];
        let mut compiler = protox::Compiler::new(folders).expect("folders");
        compiler.include_imports(true);
        let files = [
            "shop.proto",
            "google/ai/generativelanguage/v1beta/generative_service.proto",
            "google/rpc/error_details.proto",
            "google/rpc/status.proto",
        ];
        compiler.open_files(files).expect("the protos compile");
        let descriptors = compiler.encode_file_descriptor_set();
        let pool = DescriptorPool::decode(&descriptors[..]).expect("a pool");
        Self { descriptors, pool }
    }

    pub(super) fn message(&self, name: &str, json: &Value) -> DynamicMessage {
        let descriptor = self.pool.get_message_by_name(name).expect("a type");
        DynamicMessage::deserialize(descriptor, json).expect("a message")
    }

    pub(super) fn bridge(&self, endpoint: &str, transport: Transport) -> Bridge {
        let schema = Schema::from_descriptor_set(&self.descriptors).expect("a schema");
        let builder = Bridge::builder().endpoint(endpoint).proxy(Proxy::none()).schema(schema);
        builder.transport(transport).retry(RetryPolicy::none()).build().expect("a bridge")
    }

    /// What a caller sees of one call.
    pub(super) async fn call(&self, bridge: &mut Bridge, case: &Case) -> Seen {
        let request = self.message(case.input, &case.request).encode_to_vec();
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(request.len()).expect("short"));
        frame.put_slice(&request);
        let body = Body::new(Full::new(frame.freeze()));
        let request = http::Request::post(case.method).body(body).expect("a request");
        let answer = match bridge.call(request).await {
            Ok(answer) => answer,
            Err(status) => return Seen::new(self, case, Bytes::new(), &status),
        };
        let (head, body) = answer.into_parts();
        let mut end = Status::from_header_map(&head.headers);
        let mut body = std::pin::pin!(body);
        let mut frames = BytesMut::new();
        while let Some(piece) = body.frame().await {
            match piece.map(http_body::Frame::into_data) {
                Err(status) => end = Some(status),
                Ok(Ok(data)) => frames.extend_from_slice(&data),
                Ok(Err(piece)) => {
                    let trailers = piece.into_trailers().expect("data or trailers");
                    end = Status::from_header_map(&trailers).or(end);
                }
            }
        }
        Seen::new(self, case, frames.freeze(), &end.expect("an answer ends with a status"))
    }
}

/// One call, and what the service answers.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) what: &'static str,
    pub(super) method: &'static str,
    input: &'static str,
    output: &'static str,
    request: Value,
    messages: Vec<Value>,
    error: Option<Status>,
}

impl Case {
    pub(super) fn reply(&self, api: &Api) -> Reply {
        let messages = self.messages.iter().map(|json| api.message(self.output, json));
        let reply = Reply::messages(messages);
        match &self.error {
            Some(error) => reply.then_error(error.clone()),
            None => reply,
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        [WATCH, STREAM].contains(&self.method)
    }
}

/// Messages as JSON; code, message and details as JSON.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) messages: Vec<Value>,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) details: Vec<Value>,
}

impl Seen {
    fn new(api: &Api, case: &Case, mut frames: Bytes, status: &Status) -> Self {
        let read = |name: &str, wire: Bytes| -> Value {
            let descriptor = api.pool.get_message_by_name(name).expect("a type");
            let message = DynamicMessage::decode(descriptor, wire).expect("a message");
            serde_json::to_value(message).expect("JSON")
        };
        let mut messages = Vec::new();
        while let Some(prefix) = frames.first_chunk::<5>() {
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            messages.push(read(case.output, frames.split_to(length + 5).slice(5..)));
        }
        let packed = read("google.rpc.Status", Bytes::copy_from_slice(status.details()));
        let details = packed["details"].as_array().cloned().unwrap_or_default();
        Self { messages, code: status.code(), message: status.message().to_owned(), details }
    }
}

/// A service that answers by the cases, and what it looks like over gRPC.
pub(super) async fn service(api: &Api) -> Emulator {
    let builder = Emulator::builder().descriptors(&api.descriptors).plaintext();
    builder.start().await.expect("an emulator")
}

/// Each case over gRPC, straight to the service, and over JSON, through the transcoder: alike.
pub(super) async fn compare(
    api: &Api,
    service: &Emulator,
    name: &str,
    endpoint: &str,
    cases: &[Case],
    prepare: impl Fn(&Case),
) -> Vec<String> {
    let mut over_grpc = api.bridge(&service.endpoint(), Transport::Grpc);
    let mut over_rest = api.bridge(endpoint, Transport::Rest);
    let mut faults = Vec::new();
    for case in cases {
        service.on(case.method, case.reply(api));
        let expected = api.call(&mut over_grpc, case).await;
        prepare(case);
        let found = api.call(&mut over_rest, case).await;
        let is_same = found == expected;
        println!("{name:24} {:42} {}", case.what, if is_same { "same" } else { "DIFFERS" });
        if !is_same {
            faults.push(format!("{name}, {}:\n  {found:?}\n  {expected:?}", case.what));
        }
    }
    faults
}

/// All kinds of answers: whole and streamed, each ending well, with an error of the service, with
/// details.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases(api: &Api) -> Vec<Case> {
    let ask = json!({"name": "a b/c?d"});
    let slip = |id: &str| {
        json!({
            "id": id, "lines": ["a\"\n", "é🌊", ""], "state": "SHUT", "count": "9007199254740993",
            "weight": "NaN", "raw": "AP/+", "stock": {"a": 1, "b": -2}, "size": 4_294_967_295_u32,
            "extra": {"@type": "type.googleapis.com/shop.v1.Ask", "name": "n"},
            "parts": [{"id": "inner", "word": ""}, {}],
        })
    };
    let get = Case {
        what: "a message",
        method: "/shop.v1.Shop/Get",
        input: "shop.v1.Ask",
        output: "shop.v1.Slip",
        request: ask.clone(),
        messages: vec![slip("one")],
        error: None,
    };
    let watch = Case { method: WATCH, what: "a stream", ..get.clone() };
    let said = |text: &str, reason: &str| {
        let content = json!({"role": "model", "parts": [{"text": text}]});
        json!({"candidates": [{"content": content, "finishReason": reason}]})
    };
    let stream = Case {
        what: "a stream of a model",
        method: STREAM,
        input: "google.ai.generativelanguage.v1beta.GenerateContentRequest",
        output: "google.ai.generativelanguage.v1beta.GenerateContentResponse",
        request: json!({"model": "models/m", "contents": [{"parts": [{"text": "?"}]}]}),
        messages: vec![said("Blue ", "FINISH_REASON_UNSPECIFIED"), said("sky", "STOP")],
        error: None,
    };
    let details = api.message(
        "google.rpc.Status",
        &json!({"code": 8, "message": "slow \u{fffd} down, \"50%\"", "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.500s"},
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R", "metadata": {"a": "b"}},
        ]}),
    );
    let message = "slow \u{fffd} down, \"50%\"";
    let detailed =
        Status::with_details(Code::ResourceExhausted, message, details.encode_to_vec().into());
    let plain = Status::not_found("no such slip");
    let failed = |case: &Case, what, messages: &[Value], error: &Status| Case {
        what,
        messages: messages.to_vec(),
        error: Some(error.clone()),
        ..case.clone()
    };
    vec![
        Case { what: "an empty message", messages: vec![json!({})], ..get.clone() },
        failed(&get, "an error", &[], &plain),
        failed(&get, "an error with details", &[], &detailed),
        Case { messages: vec![slip("1"), json!({}), slip("3")], ..watch.clone() },
        Case { what: "a stream of one message", ..watch.clone() },
        Case { what: "a stream of none", messages: vec![], ..watch.clone() },
        failed(&watch, "a stream that is an error", &[], &detailed),
        failed(&watch, "a stream that ends in an error", &[slip("1")], &detailed),
        Case {
            what: "nothing",
            method: "/shop.v1.Shop/Erase",
            output: "google.protobuf.Empty",
            messages: vec![json!({})],
            ..get.clone()
        },
        Case {
            what: "free JSON",
            method: "/shop.v1.Shop/Free",
            output: "google.protobuf.Struct",
            messages: vec![json!({"error": "a word", "code": 7, "list": [null, 1.5]})],
            ..get.clone()
        },
        Case {
            what: "a message with the names of a wrapper",
            method: "/shop.v1.Shop/Judge",
            output: "shop.v1.Verdict",
            messages: vec![json!({"result": {"id": "a"}, "error": "e"})],
            ..get.clone()
        },
        Case {
            what: "a body of any type",
            method: "/shop.v1.Shop/Page",
            output: "google.api.HttpBody",
            messages: vec![json!({"contentType": "text/html", "data": "PGI+"})],
            ..get.clone()
        },
        get,
        stream,
    ]
}

const WATCH: &str = "/shop.v1.Shop/Watch";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
