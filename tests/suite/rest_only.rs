//! What only REST has: a setting goes over REST or not at all, ids and metadata are left out over
//! gRPC.

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::bidi_generate_content_client_message::MessageType;
use genai_bridge::v1beta::file_service_client::FileServiceClient;
use genai_bridge::v1beta::generation_config::Modality;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::thinking_config::ThinkingLevel;
use genai_bridge::v1beta::tool::{ComputerUse, computer_use::Environment};
use genai_bridge::v1beta::{
    BidiGenerateContentClientMessage, BidiGenerateContentServerMessage, BidiGenerateContentSetup,
    CodeExecutionResult, Content, CreateFileRequest, ExecutableCode, File, FunctionDeclaration,
    GenerateContentRequest, GenerationConfig, ImageConfig, Part, Schema, ServiceTier,
    ThinkingConfig, Tool, ToolCall, part::Data,
};
use genai_bridge::{ActiveTransport, Error, ErrorKind, Transport, rpc, v1};
use prost::Message;
use tokio::sync::mpsc;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

use crate::setting::{
    BIDI, GENERATE, LIST_MODELS, STREAM, answer, call, call_raw, client, direct, frame, question,
};

/// Requests that only REST can carry, and the field that says so.
fn pinned() -> Vec<(&'static str, GenerateContentRequest)> {
    let config =
        |config| GenerateContentRequest { generation_config: Some(config), ..question("?") };
    let absent = GenerationConfig::default;
    let thinking =
        ThinkingConfig { thinking_level: ThinkingLevel::High.into(), ..Default::default() };
    let closed = || Schema {
        additional_properties: Some(Box::new(prost_types::Value {
            kind: Some(prost_types::value::Kind::BoolValue(false)),
        })),
        ..Default::default()
    };
    let deep = Schema { items: Some(Box::new(closed())), ..Default::default() };
    let declaration = FunctionDeclaration { parameters: Some(deep), ..Default::default() };
    let mapped = Schema { properties: [("a".to_owned(), closed())].into(), ..Default::default() };
    let computer = ComputerUse { environment: Environment::Mobile.into(), ..Default::default() };
    let with_tool = |tool| GenerateContentRequest { tools: vec![tool], ..question("?") };
    let call = Part { data: Some(Data::ToolCall(ToolCall::default())), ..Default::default() };
    vec![
        (
            "service_tier",
            GenerateContentRequest { service_tier: ServiceTier::Flex.into(), ..question("?") },
        ),
        ("store", GenerateContentRequest { store: Some(false), ..question("?") }),
        (
            "generation_config.thinking_config.thinking_level",
            config(GenerationConfig { thinking_config: Some(thinking), ..absent() }),
        ),
        (
            "generation_config.image_config.image_size",
            config(GenerationConfig {
                image_config: Some(ImageConfig { image_size: "4K".into(), ..Default::default() }),
                ..absent()
            }),
        ),
        (
            "generation_config.response_modalities",
            config(GenerationConfig {
                response_modalities: vec![Modality::Text.into(), Modality::Video.into()],
                ..absent()
            }),
        ),
        (
            "generation_config.response_schema.properties.additional_properties",
            config(GenerationConfig { response_schema: Some(mapped), ..absent() }),
        ),
        (
            "tools.function_declarations.parameters.items.additional_properties",
            with_tool(Tool { function_declarations: vec![declaration], ..Default::default() }),
        ),
        (
            "tools.computer_use.environment",
            with_tool(Tool { computer_use: Some(computer), ..Default::default() }),
        ),
        (
            "contents.parts.tool_call",
            GenerateContentRequest { contents: vec![Content::user(call)], ..question("?") },
        ),
    ]
}

/// The error of a refusal before anything was sent.
#[track_caller]
fn assert_refused(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains(&format!("field `{field}` ")), "{status:?}");
    let error = Error::of(status).expect("the bridge's own");
    assert_eq!((error.kind(), error.symptom().is_none()), (ErrorKind::InvalidRequest, true));
}

#[tokio::test]
async fn grpc_alone_refuses_a_setting_that_only_rest_has_before_anything_is_sent() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    for (field, request) in pinned() {
        for path in [GENERATE, STREAM] {
            let outcome = call(bridge.clone(), path, &request).await;
            assert_refused(&outcome.status, field);
        }
    }
    assert!(emulator.received().is_empty());
    assert_eq!(bridge.stats().attempts(ActiveTransport::Grpc), 0);
}

#[tokio::test]
async fn grpc_alone_refuses_it_in_a_compressed_message_too() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    let client = GenerativeServiceClient::new(bridge);
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let (field, request) = pinned().swap_remove(0);
    assert_refused(&client.generate_content(request).await.expect_err("refused"), field);
    assert!(emulator.received().is_empty());
    client.generate_content(question("?")).await.expect("an answer");
}

#[tokio::test]
async fn auto_sends_it_over_rest_without_a_word_against_grpc() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::message(&answer("blue")));
    let bridge = direct(&emulator).build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    let mut client = GenerativeServiceClient::new(bridge.clone());
    for (field, request) in pinned() {
        let answer = client.generate_content(request.clone()).await.expect(field);
        let carried = answer.extensions().get().copied();
        assert_eq!(carried, Some(ActiveTransport::Rest), "{field}");
        let received = emulator.received().pop().expect("a call");
        let read = GenerateContentRequest::decode(received.message().clone());
        assert!(received.is_rest() && read.expect("a message") == request, "{field}");
        let answer = client.generate_content(question("?")).await.expect("an answer");
        assert_eq!(answer.extensions().get().copied(), Some(ActiveTransport::Grpc), "{field}");
    }
    let state = bridge.transport_state();
    assert_eq!((state.transport(), state.symptom().is_none()), (Some(ActiveTransport::Grpc), true));
    let counts = bridge.stats();
    assert_eq!((counts.switches(), counts.resends(), emulator.count(LIST_MODELS)), (0, 0, 1));
}

#[tokio::test]
async fn a_field_inside_an_any_counts_like_any_other() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    let (field, inside) = pinned().swap_remove(2);
    let request_with = |type_url: &str| {
        let (type_url, value) = (type_url.to_owned(), inside.encode_to_vec());
        let details = vec![prost_types::Any { type_url, value }];
        let error = Some(rpc::Status { details, ..Default::default() });
        CreateFileRequest { file: Some(File { error, ..Default::default() }), ..Default::default() }
    };
    let mut client = FileServiceClient::new(bridge);
    let known = "type.googleapis.com/google.ai.generativelanguage.v1beta.GenerateContentRequest";
    let refused = client.create_file(request_with(known)).await.expect_err("refused");
    assert_refused(&refused, &format!("file.error.details.{field}"));
    // What nobody can read is passed on as it is.
    let unknown = request_with("type.googleapis.com/mine.Own");
    client.create_file(unknown.clone()).await.expect("an answer");
    assert_eq!(emulator.received().pop().expect("a call").message(), &unknown.encode_to_vec());
}

/// The bytes of an image are not searched, and what stands beside it is found all the same.
#[tokio::test]
async fn a_large_message_is_walked_for_its_parts() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    let image = Part::inline("image/png", [0xda, 0xf6, 0x07].repeat(100_000));
    let turn = Content { parts: vec![image], ..history().contents.swap_remove(0) };
    let with_image = |request: GenerateContentRequest| GenerateContentRequest {
        contents: [vec![turn.clone()], request.contents].concat(),
        ..request
    };
    let plain = with_image(question("?"));
    let outcome = call(bridge.clone(), GENERATE, &plain).await;
    assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    assert_eq!(emulator.received()[0].message(), &plain.encode_to_vec());
    for (field, request) in pinned() {
        let outcome = call(bridge.clone(), GENERATE, &with_image(request)).await;
        assert_refused(&outcome.status, field);
    }
    let outcome = call(bridge.clone(), GENERATE, &with_image(history())).await;
    assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    assert_eq!((emulator.received().len(), bridge.stats().fields_left_out()), (2, 2));
}

/// A turn whose parts hold the ids that only REST gives.
fn history() -> GenerateContentRequest {
    let code = ExecutableCode { code: "1".into(), id: "a".into(), ..Default::default() };
    let result = CodeExecutionResult { output: "1".into(), id: "a".into(), ..Default::default() };
    let turn = Content::model(Part { data: Some(Data::ExecutableCode(code)), ..Part::default() });
    let turn = turn
        .with(Part { data: Some(Data::CodeExecutionResult(result)), ..Part::default() })
        .with(Part { thought_signature: vec![0xda, 0xf6, 0x07].into(), ..Part::text("so") });
    GenerateContentRequest { contents: vec![turn, Content::user("And?")], ..question("?") }
}

#[tokio::test]
async fn ids_and_metadata_are_left_out_over_grpc_and_counted() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut without_ids = history();
    for part in &mut without_ids.contents[0].parts {
        match &mut part.data {
            Some(Data::ExecutableCode(code)) => code.id.clear(),
            Some(Data::CodeExecutionResult(result)) => result.id.clear(),
            _ => {}
        }
    }
    for (transport, sent, left_out) in
        [(Transport::Grpc, without_ids, 2), (Transport::Rest, history(), 0)]
    {
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        let outcome = call(bridge.clone(), GENERATE, &history()).await;
        assert_eq!(outcome.status.code(), Code::Ok, "{transport}");
        let received = emulator.received().pop().expect("a call");
        let read = GenerateContentRequest::decode(received.message().clone());
        assert_eq!(read.expect("a message"), sent, "{transport}");
        assert_eq!(bridge.stats().fields_left_out(), left_out, "{transport}");
    }
}

/// Of a Python client, say, that keeps what it does not know.
#[tokio::test]
async fn a_number_of_the_block_that_nobody_knows_does_not_reach_grpc() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    let mut foreign = question("?").encode_to_vec();
    // 266000300, of 7 and of "no number" where a number is due: `service_tier`.
    foreign.extend([0xe0, 0xfa, 0xda, 0xf6, 0x07, 7, 0x8a, 0xe8, 0xda, 0xf6, 0x07, 1, b'x']);
    let outcome = call_raw(bridge.clone(), GENERATE, frame(&foreign)).await;
    assert_eq!(outcome.status.code(), Code::Ok);
    let received = emulator.received().pop().expect("a call");
    assert_eq!(received.message(), &question("?").encode_to_vec());
    assert_eq!(bridge.stats().fields_left_out(), 2);
}

#[tokio::test]
async fn a_clients_own_field_with_a_number_of_the_block_goes_over_grpc() {
    #[derive(Clone, PartialEq, Message)]
    struct Ask {
        #[prost(string, tag = "266000001")]
        text: String,
    }
    let set = own_service();
    let emulator = Emulator::builder().descriptors(&set).start().await.expect("an emulator");
    let path = "/mine.Own/Ask";
    emulator.on(path, Reply::encoded(Vec::new()));
    let schema = genai_bridge::Schema::from_descriptor_set(&set).expect("a schema");
    let builder = direct(&emulator).schema(schema).transport(Transport::Grpc);
    let ask = Ask { text: "why".into() };
    let outcome = call(builder.build().expect("a bridge"), path, &ask).await;
    assert_eq!(outcome.status.code(), Code::Ok);
    assert_eq!(emulator.received().pop().expect("a call").message(), &ask.encode_to_vec());
}

/// A service whose one message has a field with a number of the block.
fn own_service() -> Vec<u8> {
    use prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
        MethodDescriptorProto, ServiceDescriptorProto,
    };
    let field = FieldDescriptorProto {
        name: Some("text".into()),
        number: Some(266_000_001),
        label: Some(1),
        r#type: Some(9),
        ..Default::default()
    };
    let message =
        DescriptorProto { name: Some("Message".into()), field: vec![field], ..Default::default() };
    let method = MethodDescriptorProto {
        name: Some("Ask".into()),
        input_type: Some(".mine.Message".into()),
        output_type: Some(".mine.Message".into()),
        ..Default::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Own".into()),
        method: vec![method],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("mine.proto".into()),
        package: Some("mine".into()),
        message_type: vec![message],
        service: vec![service],
        syntax: Some("proto3".into()),
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

fn setup(setup: BidiGenerateContentSetup) -> BidiGenerateContentClientMessage {
    BidiGenerateContentClientMessage {
        message_type: Some(MessageType::Setup(setup)),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_message_that_grpc_may_not_carry() {
    let plain = || setup(BidiGenerateContentSetup { model: "a".into(), ..Default::default() });
    let pinned = || {
        setup(BidiGenerateContentSetup {
            history_config: Some(Box::default()),
            ..Default::default()
        })
    };
    let field = "setup.history_config";
    for transport in [Transport::Grpc, Transport::Auto] {
        let emulator = Emulator::start().await.expect("an emulator");
        emulator.on(BIDI, Reply::messages([BidiGenerateContentServerMessage::default()]));
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        let mut client = GenerativeServiceClient::new(bridge.clone());
        let first = client.bidi_generate_content(tokio_stream::iter([pinned()])).await;
        assert_refused(&first.expect_err("refused"), field);
        assert_eq!(emulator.count(BIDI), 0, "{transport}: sent");

        let (sender, receiver) = mpsc::channel(1);
        sender.send(plain()).await.expect("a listener");
        let written = tokio_stream::wrappers::ReceiverStream::new(receiver);
        emulator.on(BIDI, Reply::never());
        let calling = client.bidi_generate_content(written);
        let refusing = async {
            sender.send(pinned()).await.expect("a listener");
            sender
        };
        let (answers, _sender) = tokio::join!(calling, refusing);
        let refused = match answers {
            Err(status) => status,
            Ok(answers) => answers.into_inner().message().await.expect_err("refused"),
        };
        assert_refused(&refused, field);
    }
}

#[tokio::test]
async fn a_request_of_v1_is_looked_at_like_one_of_v1beta() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    let path = "/google.ai.generativelanguage.v1.GenerativeService/GenerateContent";
    let tool = Tool::default();
    let request = v1::GenerateContentRequest { tools: vec![tool], ..Default::default() };
    assert_refused(&call(bridge, path, &request).await.status, "tools");
    assert!(emulator.received().is_empty());
}

#[tokio::test]
async fn the_refusal_says_how_the_call_can_go() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut client = client(direct(&emulator).transport(Transport::Grpc));
    let (_, request) = pinned().swap_remove(0);
    let status = client.generate_content(request).await.expect_err("refused");
    let advice = genai_bridge::gemini::advice(&status);
    let said = format!("{advice:?}");
    assert!(said.contains("set the transport to auto or rest"), "{said}");
}
