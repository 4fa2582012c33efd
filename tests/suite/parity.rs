//! The same script through both transports gives the same messages, codes, details and metadata.

use std::collections::BTreeSet;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::candidate::FinishReason;
use genai_bridge::{Bridge, BridgeBuilder, RetryPolicy, Schema, Transport, rpc};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tower_service::Service;

use crate::carriers::{channel, reqwest_for};
use crate::messages::{
    Binding, bindings, descriptors, example_of, filled, methods, path_of, pool, set,
};
use crate::setting::{Outcome, answer, direct, frame, outcome_of};

/// Differences that stand in the nature of the two protocols: `case<TAB>reason`, at most 2 % of
/// all.
const KNOWN_GAPS: &str = include_str!("../data/known_gaps.txt");

/// How many fillings of each message are tried: as many as the largest oneof needs in the main.
const VARIANTS: usize = 8;

/// Resource names of `google.longrunning.Operations`, whose rules are in no annotation.
const OPERATIONS: &[(&str, &[&str])] = &[
    (
        "GetOperation",
        &[
            "tunedModels/a/operations/b",
            "generatedFiles/a/operations/b",
            "batches/a",
            "models/a/operations/b",
            "corpora/a/operations/b",
            "ragStores/a/operations/b",
            "ragStores/a/upload/operations/b",
        ],
    ),
    ("ListOperations", &["tunedModels/a", "batches", "models/a", "operations"]),
    ("DeleteOperation", &["batches/a", "operations/a/b"]),
    ("CancelOperation", &["batches/a", "tunedModels/a/operations/b"]),
];

#[tokio::test]
async fn both_transports_tell_the_caller_the_same() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridges = Bridges::with(|| direct(&emulator));
    let mut gaps = compare_all(&emulator, &bridges).await;
    gaps.extend(newer_than_the_schema(&emulator).await);
    assert_eq!(gaps, known_gaps(), "tests/data/known_gaps.txt must list exactly what differs");
}

/// What the program brings hides nothing, and adds no gap: the same cases over its carriers, and
/// over each beside ours.
#[tokio::test]
async fn what_the_program_brings_tells_the_caller_the_same() {
    let emulator = Emulator::start().await.expect("an emulator");
    let known: BTreeSet<String> =
        known_gaps().into_iter().filter(|gap| !gap.starts_with(NEWER)).collect();
    for (with_channel, with_reqwest) in [(true, true), (true, false), (false, true)] {
        let bridges = Bridges::with(|| {
            let mut bridge = direct(&emulator);
            if with_channel {
                bridge = bridge.grpc_carrier(channel(&emulator));
            }
            if with_reqwest {
                bridge = bridge.rest_carrier(reqwest_for(&emulator));
            }
            bridge
        });
        let gaps = compare_all(&emulator, &bridges).await;
        assert_eq!(gaps, known, "channel: {with_channel}, reqwest: {with_reqwest}");
    }
}

/// Every case, and what differs.
async fn compare_all(emulator: &Emulator, bridges: &Bridges) -> BTreeSet<String> {
    let (mut cases, mut gaps, mut carried) = (0, BTreeSet::new(), BTreeSet::new());
    for method in methods() {
        for (number, prepare) in ways(&method).into_iter().enumerate() {
            for variant in 0..VARIANTS {
                let mut request = filled(&method.input(), variant);
                prepare.apply(&mut request);
                let name = format!("{} {number}.{variant}", method.full_name());
                let seed = variant + method.full_name().len();
                for reply in [success(&method, variant), failure(seed)] {
                    cases += 1;
                    let found = bridges.compare(emulator, &method, &request, &reply).await;
                    gaps.extend(found.map(|what| format!("{name} {}: {what}", reply.name)));
                }
                carried.insert(method.full_name().to_owned());
            }
        }
    }
    println!("{} methods, {cases} cases, {} known gaps", carried.len(), gaps.len());
    assert!(carried.len() >= 64 + 4, "{carried:?}");
    assert!(gaps.len() * 50 <= cases);
    gaps
}

fn known_gaps() -> BTreeSet<String> {
    KNOWN_GAPS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
        .collect()
}

const NEWER: &str = "an enum value newer than the schema";

/// A service whose enum has a value that the schema of the bridges lacks: over REST it comes as a
/// name.
async fn newer_than_the_schema(emulator: &Emulator) -> Option<String> {
    let (name, other) = (b"MALFORMED_FUNCTION_CALL", b"MALFORMED_FUNCTION_CALX");
    let mut older = descriptors().to_vec();
    while let Some(at) = older.windows(name.len()).position(|part| part == name) {
        older[at..at + other.len()].copy_from_slice(other);
    }
    let schema = Schema::from_descriptor_set(&older).expect("a schema");
    let bridges = Bridges::with(|| direct(emulator).schema(schema.clone()));
    let method = methods().into_iter().find(|method| method.name() == "GenerateContent");
    let method = method.expect("a method");
    let mut request = filled(&method.input(), 0);
    ways(&method)[0].apply(&mut request);
    let mut reply = answer("half");
    reply.candidates[0].finish_reason = FinishReason::MalformedFunctionCall.into();
    let reply = DynamicMessage::decode(method.output(), reply.encode_to_vec().as_slice());
    let messages = vec![reply.expect("a reply")];
    let reply = with_metadata(Reply::messages(messages.clone()));
    let script = Script { name: "success", reply, messages, status: Status::ok("") };
    let found = bridges.compare(emulator, &method, &request, &script).await;
    found.map(|what| format!("{NEWER}: {what}"))
}

/// How a request is made to fit one binding.
struct Way(Vec<(String, String)>);

impl Way {
    fn apply(&self, request: &mut DynamicMessage) {
        for (field, value) in &self.0 {
            set(request, field, value);
        }
    }
}

fn ways(method: &MethodDescriptor) -> Vec<Way> {
    if method.parent_service().full_name() == "google.longrunning.Operations" {
        let names = OPERATIONS.iter().find(|(name, _)| *name == method.name());
        let names = names.map_or(&[][..], |(_, names)| names);
        return names.iter().map(|name| Way(vec![("name".into(), (*name).into())])).collect();
    }
    let values = |binding: &Binding| {
        let variables = binding.variables().into_iter();
        Way(variables.map(|(field, pattern)| (field, example_of(&pattern))).collect())
    };
    bindings(method).iter().map(values).collect()
}

struct Script {
    name: &'static str,
    reply: Reply,
    messages: Vec<DynamicMessage>,
    status: Status,
}

fn success(method: &MethodDescriptor, variant: usize) -> Script {
    // Without a message a stream of a model does not end well over REST.
    let count = if method.is_server_streaming() { 1 + variant % 3 } else { 1 };
    let messages: Vec<_> = (0..count).map(|at| filled(&method.output(), variant + at)).collect();
    let reply = Reply::messages(messages.clone());
    Script { name: "success", reply: with_metadata(reply), messages, status: Status::ok("") }
}

/// Each code in turn, with details of several types.
fn failure(seed: usize) -> Script {
    let code = Code::from_i32(i32::try_from(seed * 5 % 16 + 1).expect("small"));
    let message = "50 % of \u{1f600}\nis \"too much\"";
    let details = [
        any(
            "google.rpc.ErrorInfo",
            &rpc::ErrorInfo {
                reason: "API_KEY_INVALID".into(),
                domain: "googleapis.com".into(),
                metadata: [("service".to_owned(), "generativelanguage".to_owned())].into(),
            },
        ),
        any(
            "google.rpc.RetryInfo",
            &rpc::RetryInfo {
                retry_delay: Some(prost_types::Duration { seconds: 30, nanos: 500_000_000 }),
            },
        ),
        any(
            "google.rpc.BadRequest",
            &rpc::BadRequest {
                field_violations: vec![rpc::bad_request::FieldViolation {
                    field: "contents[0]".into(),
                    description: "empty".into(),
                    ..Default::default()
                }],
            },
        ),
    ];
    let details = details.into_iter().take(seed % 4).collect::<Vec<_>>();
    let status = if details.is_empty() {
        Status::new(code, message)
    } else {
        let packed = rpc::Status { code: code.into(), message: message.into(), details };
        Status::with_details(code, message, packed.encode_to_vec().into())
    };
    Script {
        name: "failure",
        reply: with_metadata(Reply::error(status.clone())),
        messages: Vec::new(),
        status,
    }
}

fn any(name: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: message.encode_to_vec(),
    }
}

fn with_metadata(reply: Reply) -> Reply {
    reply.metadata("x-told", "plain").metadata("x-told-bin", [0, 1, 2])
}

struct Bridges {
    grpc: Bridge,
    rest: Bridge,
}

impl Bridges {
    fn with(builder: impl Fn() -> BridgeBuilder) -> Self {
        let with = |transport| {
            let builder = builder().transport(transport).retry(RetryPolicy::none());
            builder.build().expect("a bridge")
        };
        Self { grpc: with(Transport::Grpc), rest: with(Transport::Rest) }
    }

    /// What differs between the transports, or from the script.
    async fn compare(
        &self,
        emulator: &Emulator,
        method: &MethodDescriptor,
        request: &DynamicMessage,
        script: &Script,
    ) -> Option<String> {
        emulator.clear();
        let path = path_of(method);
        emulator.on(&path, script.reply.clone());
        let over_grpc = send(self.grpc.clone(), &path, request).await;
        let over_rest = send(self.rest.clone(), &path, request).await;
        let received = emulator.received();
        let [first, second] = received.as_slice() else {
            return Some(format!(
                "{} calls arrived; over REST {:?}",
                received.len(),
                over_rest.status
            ));
        };
        let decode =
            |bytes: &[u8]| DynamicMessage::decode(method.input(), bytes).expect("a message");
        for (received, is_rest) in [(first, false), (second, true)] {
            assert_eq!(received.is_rest(), is_rest);
            if decode(received.message()) != *request {
                return Some(format!("request, rest: {is_rest}"));
            }
            for (name, value) in [("x-asked", "plain"), ("x-asked-bin", "AAEC")] {
                if received.headers().get(name).is_none_or(|found| found != value) {
                    return Some(format!("request metadata {name}, rest: {is_rest}"));
                }
            }
        }
        differs_from(script, method, &over_grpc)
            .map(|what| format!("gRPC {what}"))
            .or_else(|| differs_from(script, method, &over_rest).map(|what| format!("REST {what}")))
    }
}

async fn send(mut bridge: Bridge, path: &str, request: &DynamicMessage) -> Outcome {
    let body = http_body_util::Full::new(frame(&request.encode_to_vec()));
    let request = http::Request::post(path)
        .header("x-asked", "plain")
        .header("x-asked-bin", "AAEC")
        .body(tonic::body::Body::new(body))
        .expect("a request");
    outcome_of(bridge.call(request).await).await
}

fn differs_from(script: &Script, method: &MethodDescriptor, outcome: &Outcome) -> Option<String> {
    let decode = |bytes: &bytes::Bytes| DynamicMessage::decode(method.output(), bytes.clone());
    let messages: Result<Vec<_>, _> = outcome.messages.iter().map(decode).collect();
    let (status, expected) = (&outcome.status, &script.status);
    if messages.as_ref() != Ok(&script.messages) {
        Some("messages".into())
    } else if (status.code(), status.message()) != (expected.code(), expected.message()) {
        Some(format!("status {status:?}"))
    } else if details_of(status) != details_of(expected) {
        Some("details".into())
    } else if !has_metadata(&outcome.head) {
        Some("metadata".into())
    } else {
        None
    }
}

/// The details as messages: the order of fields on the wire says nothing.
fn details_of(status: &Status) -> (i32, String, Vec<DynamicMessage>) {
    let packed = rpc::Status::decode(status.details()).expect("google.rpc.Status");
    let unpack = |any: &prost_types::Any| {
        let name = any.type_url.rsplit('/').next().expect("a name");
        let of = pool().get_message_by_name(name).expect("a known type");
        DynamicMessage::decode(of, any.value.as_slice()).expect("a message")
    };
    (packed.code, packed.message, packed.details.iter().map(unpack).collect())
}

fn has_metadata(head: &MetadataMap) -> bool {
    let binary = head.get_bin("x-told-bin").and_then(|value| value.to_bytes().ok());
    head.get("x-told").is_some_and(|value| value == "plain")
        && binary.is_some_and(|value| *value == [0, 1, 2])
}
