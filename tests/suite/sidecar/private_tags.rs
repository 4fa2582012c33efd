//! Private tags: a client of any kind may send fields with numbers of the crate's own block; none
//! of them reaches gRPC.

use bytes::Bytes;
use genai_bridge::emulator::Emulator;
use genai_bridge::emulator::Reply;
use genai_bridge::v1beta::{
    BidiGenerateContentClientMessage, BidiGenerateContentServerMessage, BidiGenerateContentSetup,
    Content, ExecutableCode, GenerateContentRequest, Part, ServiceTier,
    bidi_generate_content_client_message::MessageType, part::Data,
};
use genai_bridge::{Bridge, Schema, Transport};
use prost::Message as _;
use tonic::Code;

use super::admin::metrics;
use super::{Running, keyless};
use crate::setting::{BIDI, GENERATE, STREAM, call_raw, frame, question};

/// A client whose schema has no marks: it sends what it is given.
fn foreign(sidecar: &Running) -> Bridge {
    let schema = Schema::from_descriptor_set(&[]).expect("an empty schema");
    let client = sidecar.client().transport(Transport::Grpc).schema(schema);
    client.build().expect("a bridge")
}

/// A field of this number, with a text.
fn field(number: u32, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::string::encode(number, &text.to_owned(), &mut bytes);
    bytes
}

/// Whether the bytes hold a number of the block, as all of them end.
fn holds_private(message: &Bytes) -> bool {
    message.windows(3).any(|part| part == [0xda, 0xf6, 0x07])
}

/// Requests that lose something, and the request that is left.
fn reducible() -> Vec<(&'static str, Vec<u8>, GenerateContentRequest)> {
    let plain = question("?");
    let code = |id: &str| {
        let code = ExecutableCode { code: "1".into(), id: id.into(), ..Default::default() };
        let part = Part { data: Some(Data::ExecutableCode(code)), ..Part::default() };
        GenerateContentRequest { contents: vec![Content::model(part)], ..question("?") }
    };
    let of_nobody = |number| [plain.encode_to_vec(), field(number, "private")].concat();
    let inside = |bytes: Vec<u8>| {
        let mut outside = plain.encode_to_vec();
        prost::encoding::bytes::encode(2, &bytes, &mut outside);
        outside
    };
    let with_empty = GenerateContentRequest {
        contents: [plain.contents.clone(), vec![Content::user("!")]].concat(),
        ..plain.clone()
    };
    vec![
        ("an id", code("private").encode_to_vec(), code("")),
        ("the first number, of another type", of_nobody(266_000_000), plain.clone()),
        ("a number in between", of_nobody(266_000_300), plain.clone()),
        ("the last number", of_nobody(266_000_383), plain.clone()),
        (
            "one further down",
            inside([Content::user("!").encode_to_vec(), field(266_000_300, "private")].concat()),
            with_empty,
        ),
    ]
}

#[tokio::test]
async fn what_grpc_need_not_have_is_left_out_and_counted() {
    let emulator = Emulator::start().await.expect("an emulator");
    let admin = ([127, 0, 0, 1], 0).into();
    let upstream = keyless(&emulator).transport(Transport::Grpc);
    let sidecar = Running::start(upstream, |sidecar| sidecar.admin(admin)).await;
    let mut calls = 0;
    for (what, sent, left) in reducible() {
        for path in [GENERATE, STREAM] {
            let outcome = call_raw(foreign(&sidecar), path, frame(&sent)).await;
            assert_eq!(outcome.status.code(), Code::Ok, "{what}: {:?}", outcome.status);
            let received = emulator.received().pop().expect("a call");
            let message = received.message();
            assert!(!holds_private(message) && !received.is_rest(), "{what}");
            let read = GenerateContentRequest::decode(message.clone());
            assert_eq!(read.expect("a message"), left, "{what}");
            calls += 1;
        }
    }
    let line = format!("genai_bridge_fields_left_out_total {calls}\n");
    let text = metrics(&sidecar).await;
    assert!(text.contains(&line), "{line} is not in\n{text}");
}

#[tokio::test]
async fn what_pins_a_call_goes_over_rest_or_not_at_all() {
    let emulator = Emulator::start().await.expect("an emulator");
    let tier = ServiceTier::Flex.into();
    let request = GenerateContentRequest { service_tier: tier, ..question("?") };
    let sent = frame(&request.encode_to_vec());
    let sidecar = Running::over(&emulator).await;
    let outcome = call_raw(foreign(&sidecar), GENERATE, sent.clone()).await;
    assert_eq!(outcome.status.code(), Code::InvalidArgument);
    assert!(outcome.status.message().contains("`service_tier`"), "{:?}", outcome.status);
    assert!(emulator.received().is_empty());
    let sidecar = Running::start(keyless(&emulator), |sidecar| sidecar).await;
    let outcome = call_raw(foreign(&sidecar), GENERATE, sent).await;
    assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    let received = emulator.received().pop().expect("a call");
    let read = GenerateContentRequest::decode(received.message().clone());
    assert!(received.is_rest() && read.expect("a message") == request);
}

#[tokio::test]
async fn nor_does_one_in_a_stream_of_the_clients() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(BIDI, Reply::message(&BidiGenerateContentServerMessage::default()));
    let sidecar = Running::over(&emulator).await;
    let setup = BidiGenerateContentSetup { model: "models/m".into(), ..Default::default() };
    let plain = BidiGenerateContentClientMessage {
        message_type: Some(MessageType::Setup(setup)),
        ..Default::default()
    };
    let sent = [plain.encode_to_vec(), field(266_000_300, "private")].concat();
    let outcome = call_raw(foreign(&sidecar), BIDI, frame(&sent)).await;
    assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    let received = emulator.received_when(1).await.pop().expect("a call");
    assert_eq!(received.message(), &plain.encode_to_vec());
}
