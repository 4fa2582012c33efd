//! Parameters out of their range: refused before anything is sent, or logged once.

use genai_bridge::emulator::{Emulator, Fault};
use genai_bridge::gemini::Details;
use genai_bridge::v1beta::model_service_client::ModelServiceClient;
use genai_bridge::v1beta::{
    GenerateContentRequest, GenerationConfig, GetModelRequest, ServiceTier, ThinkingConfig,
};
use genai_bridge::{BridgeBuilder, Error, ErrorKind, ParameterCheck, Transport};
use prost::Message as _;
use tonic::Code;
use tracing::instrument::WithSubscriber as _;

use crate::secrets::Log;
use crate::setting::{BOTH, behind, client, direct, question, through};

fn hot(temperature: f32) -> GenerateContentRequest {
    let config = GenerationConfig { temperature: Some(temperature), ..Default::default() };
    GenerateContentRequest { generation_config: Some(config), ..question("?") }
}

#[tokio::test]
async fn reject_fails_before_anything_is_sent_and_names_each_field() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let builder = through(&emulator, &proxy).transport(transport);
        let mut client = client(builder.parameters(ParameterCheck::Reject));
        for temperature in [f32::NAN, f32::INFINITY, -1.0, 1.5] {
            let mut request = hot(temperature);
            request.model = "gemini".into();
            let status = client.generate_content(request.clone()).await.expect_err("refused");
            assert_eq!(status.code(), Code::InvalidArgument);
            assert_eq!(Error::of(&status).expect("ours").kind(), ErrorKind::InvalidRequest);
            let details = Details::of(&status);
            let fields: Vec<&str> = details
                .bad_request()
                .expect("field violations")
                .field_violations
                .iter()
                .map(|violation| violation.field.as_str())
                .collect();
            assert_eq!(fields, ["model", "generation_config.temperature"]);
            assert!(client.stream_generate_content(request).await.is_err());
        }
    }
    assert_eq!((emulator.received().len(), proxy.counts().tunnels()), (0, 0));
}

#[tokio::test]
async fn warn_logs_each_violation_once_and_sends_the_calls() {
    let emulator = Emulator::start().await.expect("an emulator");
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let calls = async {
        for transport in BOTH {
            let mut client = client(direct(&emulator).transport(transport));
            for temperature in [1.5, 1.6, 0.5] {
                client.generate_content(hot(temperature)).await.expect("an answer");
            }
        }
    };
    calls.with_subscriber(subscriber).await;
    let lines = log.text().matches("`generation_config.temperature` is 1.5, not 0 to 1").count();
    assert_eq!((lines, log.text().matches("WARN").count()), (2, 2), "{}", log.text());
}

#[tokio::test]
async fn what_only_rest_has_is_checked_as_well() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut client = client(direct(&emulator).parameters(ParameterCheck::Reject));
    for (request, said) in [
        (with_level(-1), "`generation_config.thinking_config.thinking_level` is -1"),
        (with_tier(-1), "`service_tier` is -1"),
    ] {
        let status = client.generate_content(request).await.expect_err("refused");
        assert!(status.message().contains(said), "{status}");
    }
    client.generate_content(with_tier(ServiceTier::Priority.into())).await.expect("an answer");
    assert_eq!(emulator.received().len(), 1);
}

fn with_level(thinking_level: i32) -> GenerateContentRequest {
    let thinking = ThinkingConfig { thinking_level, ..Default::default() };
    let config = GenerationConfig { thinking_config: Some(thinking), ..Default::default() };
    GenerateContentRequest { generation_config: Some(config), ..question("?") }
}

fn with_tier(service_tier: i32) -> GenerateContentRequest {
    GenerateContentRequest { service_tier, ..question("?") }
}

/// The service may know what the crate does not: it decides, and hears the value as it is.
#[tokio::test]
async fn a_value_that_is_newer_than_the_crate_is_the_services_to_judge() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut client = client(direct(&emulator).parameters(ParameterCheck::Reject));
    for request in [with_level(9), with_tier(9)] {
        client.generate_content(request.clone()).await.expect("an answer");
        let received = emulator.received().pop().expect("a request");
        let heard = GenerateContentRequest::decode(received.message().clone()).expect("a message");
        assert_eq!((heard, received.is_rest()), (request, true));
    }
}

#[tokio::test]
async fn a_models_own_limits_decide_where_they_are_known() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).build().expect("a bridge");
    let request = GetModelRequest { name: "models/gemini-2.5-flash".into(), ..Default::default() };
    let model =
        ModelServiceClient::new(bridge).get_model(request).await.expect("a model").into_inner();
    let strict = |builder: BridgeBuilder| client(builder.parameters(ParameterCheck::Reject));
    let mut knowing = strict(direct(&emulator).model_limits(&model));
    assert!(knowing.generate_content(hot(2.0)).await.is_ok());
    assert!(knowing.generate_content(hot(2.1)).await.is_err());
    assert!(strict(direct(&emulator)).generate_content(hot(2.0)).await.is_err());
    let mut off = client(direct(&emulator).parameters(ParameterCheck::Off));
    assert!(off.generate_content(hot(99.0)).await.is_ok());
}
