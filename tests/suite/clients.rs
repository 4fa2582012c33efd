//! Any tonic-generated client works on the bridge unchanged.

use std::time::Duration;

use genai_bridge::emulator::{Emulator, Received, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::model_service_client::ModelServiceClient;
use genai_bridge::v1beta::{GenerateContentResponse, ListModelsRequest};
use genai_bridge::{ActiveTransport, CallOptions, Error, ErrorKind, Schema, Transport};
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use crate::messages::descriptors;
use crate::setting::{
    BOTH, GENERATE, KEY, LIST_MODELS, STREAM, answer, client, direct, question, text_of,
};

#[tokio::test]
async fn unary_and_streamed_calls_are_answered_over_both_transports() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::message(&answer("whole")));
    emulator.on(STREAM, Reply::messages(["in ", "three ", "parts"].map(answer)));
    for (transport, carried_by) in
        [(Transport::Grpc, ActiveTransport::Grpc), (Transport::Rest, ActiveTransport::Rest)]
    {
        let mut client = client(direct(&emulator).transport(transport));
        let reply = client.generate_content(question("?")).await.expect("an answer");
        assert_eq!(reply.extensions().get(), Some(&carried_by));
        assert_eq!(text_of(reply.get_ref()), "whole");
        let reply = client.stream_generate_content(question("?")).await.expect("an answer");
        assert_eq!(reply.extensions().get(), Some(&carried_by));
        let mut messages = reply.into_inner();
        let mut texts = Vec::new();
        while let Some(message) = messages.message().await.expect("a message") {
            texts.push(text_of(&message));
        }
        assert_eq!(texts, ["in ", "three ", "parts"]);
    }
}

#[tokio::test]
async fn metadata_travels_both_ways_binary_too() {
    let emulator = Emulator::start().await.expect("an emulator");
    let reply =
        Reply::message(&answer("x")).metadata("x-told", "yes").metadata("x-told-bin", [0, 1, 2]);
    emulator.on(GENERATE, reply);
    for transport in BOTH {
        let mut request = Request::new(question("?"));
        request.metadata_mut().insert("x-asked", "a b".parse().expect("ascii"));
        request.metadata_mut().insert_bin("x-asked-bin", MetadataValue::from_bytes(&[0, 255]));
        let mut client = client(direct(&emulator).transport(transport));
        let reply = client.generate_content(request).await.expect("an answer");
        assert_eq!(reply.metadata().get("x-told").expect("told"), "yes");
        let binary = reply.metadata().get_bin("x-told-bin").expect("told").to_bytes();
        assert_eq!(binary.expect("base64"), [0, 1, 2].as_slice());
        let received = emulator.received().pop().expect("a call");
        assert_eq!(received.headers()["x-asked"], "a b");
        assert_eq!(received.headers()["x-asked-bin"], "AP8");
        assert_eq!(received.headers()["x-goog-api-key"], KEY);
        assert_eq!(received.headers()["x-goog-request-params"], "model=models/gemini-2.5-flash");
    }
}

#[tokio::test]
async fn names_of_http_are_no_metadata_on_either_transport() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let mut request = Request::new(question("?"));
        for (name, value) in
            [("content-encoding", "gzip"), ("expect", "100-continue"), ("proxy-authorization", "x")]
        {
            request.metadata_mut().insert(name, value.parse().expect("ascii"));
        }
        let mut client = client(direct(&emulator).transport(transport));
        client.generate_content(request).await.expect("an answer");
        let received = emulator.received().pop().expect("a call");
        for name in ["content-encoding", "expect", "proxy-authorization"] {
            assert!(!received.headers().contains_key(name), "{name} {transport:?}");
        }
    }
}

#[tokio::test]
async fn interceptors_and_origins_are_heeded() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        let add = |mut request: Request<()>| -> Result<Request<()>, Status> {
            request.metadata_mut().insert("x-goog-api-key", "of the call".parse().expect("ascii"));
            Ok(request)
        };
        let mut client = GenerativeServiceClient::with_interceptor(bridge.clone(), add);
        client.generate_content(question("?")).await.expect("an answer");
        let received = emulator.received().pop().expect("a call");
        assert_eq!(received.headers()["x-goog-api-key"], "of the call");
        let refuse = |_: Request<()>| Err(Status::aborted("by the interceptor"));
        let mut client = GenerativeServiceClient::with_interceptor(bridge.clone(), refuse);
        let status = client.generate_content(question("?")).await.expect_err("refused");
        assert_eq!(status.code(), Code::Aborted);
        let origin = "https://elsewhere.test".parse().expect("a URI");
        let mut client = GenerativeServiceClient::with_origin(bridge, origin);
        client.generate_content(question("?")).await.expect("an answer");
    }
    assert_eq!(emulator.count(GENERATE), 4);
}

#[tokio::test]
async fn compression_may_be_on() {
    let emulator = Emulator::start().await.expect("an emulator");
    let long = "compressible ".repeat(1000);
    emulator.on(GENERATE, Reply::message(&answer(&long)).compressed());
    for transport in BOTH {
        let mut client = client(direct(&emulator).transport(transport))
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip);
        let reply = client.generate_content(question(&long)).await.expect("an answer");
        assert_eq!(text_of(reply.get_ref()), long);
        let received = emulator.received().pop().expect("a call");
        let request: genai_bridge::v1beta::GenerateContentRequest =
            prost::Message::decode(received.message().clone()).expect("a message");
        assert_eq!(request, question(&long));
    }
}

#[tokio::test]
async fn message_limits_hold_on_both_transports() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::message(&answer(&"long ".repeat(10_000))));
    for transport in BOTH {
        let builder = || direct(&emulator).transport(transport);
        let mut limited = client(builder()).max_decoding_message_size(1000);
        let status = limited.generate_content(question("?")).await.expect_err("too large");
        assert_eq!(status.code(), Code::OutOfRange, "{transport:?}");
        let mut limited = client(builder().max_message_size(1000));
        let status = limited.generate_content(question("?")).await.expect_err("too large");
        assert_eq!(status.code(), Code::OutOfRange, "{transport:?}");
        let error = Error::of(&status).expect("ours");
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        assert!(error.to_string().contains("limit of 1000"), "{error}");
        let before = emulator.count(GENERATE);
        let status = limited.generate_content(question(&"long ".repeat(1000))).await;
        assert_eq!(status.expect_err("too large").code(), Code::OutOfRange);
        assert_eq!(emulator.count(GENERATE), before, "it was sent");
    }
}

#[tokio::test]
async fn a_call_may_choose_its_transport() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut client = client(direct(&emulator).transport(Transport::Grpc));
    let mut request = Request::new(question("?"));
    request.extensions_mut().insert(CallOptions::new().transport(Transport::Rest));
    let reply = client.generate_content(request).await.expect("an answer");
    assert_eq!(reply.extensions().get(), Some(&ActiveTransport::Rest));
    assert!(emulator.received().pop().expect("a call").is_rest());
}

#[tokio::test]
async fn a_fixed_transport_is_the_only_one_used() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let builder = direct(&emulator).transport(transport);
        let bridge = builder.build().expect("a bridge");
        let mut client = GenerativeServiceClient::new(bridge.clone());
        for _ in 0..3 {
            client.generate_content(question("?")).await.expect("an answer");
        }
        assert_eq!(
            bridge.transport_state().transport().map(ActiveTransport::as_str),
            match transport {
                Transport::Grpc => Some("grpc"),
                _ => Some("rest"),
            }
        );
    }
    let rest: Vec<bool> = emulator.received().iter().map(Received::is_rest).collect();
    assert_eq!(rest, [false, false, false, true, true, true]);
    assert_eq!(emulator.count(LIST_MODELS), 0, "no probe was asked for");
}

#[tokio::test]
async fn a_schema_of_ones_own_needs_nothing_of_geminis() {
    let emulator =
        Emulator::builder().descriptors(descriptors()).start().await.expect("an emulator");
    let schema = Schema::from_descriptor_set(descriptors()).expect("a schema");
    emulator.on(GENERATE, Reply::message(&GenerateContentResponse::default()));
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let builder = direct(&emulator).schema(schema.clone()).transport(transport);
        let mut client = client(builder.default_deadline(Duration::from_secs(10)));
        client.generate_content(question("?")).await.expect("an answer");
        let received = emulator.received().pop().expect("a call");
        assert!(!received.target().contains("alt="), "{}", received.target());
        assert!(!received.headers().contains_key("x-goog-api-client"));
    }
    assert_eq!(emulator.count(LIST_MODELS), 0);
}

#[tokio::test]
async fn many_clients_share_one_bridge() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).build().expect("a bridge");
    bridge.connect().await.expect("a transport");
    let calls = (0..50).map(|_| {
        let mut client = ModelServiceClient::new(bridge.clone());
        tokio::spawn(async move { client.list_models(ListModelsRequest::default()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no panic").expect("an answer");
    }
    assert_eq!(bridge.stats().attempts(ActiveTransport::Grpc), 50);
}
