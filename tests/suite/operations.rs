//! What takes minutes is waited for, and a list of many pages is one stream.

use std::time::Duration;

use genai_bridge::emulator::{Emulator, Page};
use genai_bridge::v1beta::model_service_client::ModelServiceClient;
use genai_bridge::v1beta::{ListModelsRequest, ListModelsResponse};
use genai_bridge::{Bridge, Error, ErrorKind, JsonAnswer, operations::unpack, pages};
use http::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::setting::{LIST_MODELS, direct};

const NAME: &str = "fileSearchStores/mine/upload/operations/one";
const PATH: &str = "/v1beta/fileSearchStores/mine/upload/operations/one";
const LONG: Duration = Duration::from_secs(20);

async fn setting() -> (Emulator, Bridge) {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).build().expect("a bridge");
    (emulator, bridge)
}

fn page(value: &Value) -> Page {
    Page::json(value.to_string())
}

#[tokio::test]
async fn an_operation_is_looked_at_until_it_is_done() {
    let (emulator, bridge) = setting().await;
    let metadata = json!({"@type": "type.googleapis.com/nobody.knows.This", "percent": 40});
    let response = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"});
    emulator.once_path(&Method::GET, PATH, page(&json!({"name": NAME, "metadata": metadata})));
    emulator.on_path(
        &Method::GET,
        PATH,
        page(&json!({"name": NAME, "done": true, "response": response})),
    );
    let mut looks = Vec::new();
    let operations = bridge.operations();
    let waited = operations.wait_with(NAME, LONG, |operation| looks.push(operation.clone()));
    let done = waited.await.expect("done");
    assert_eq!((looks.len(), looks[0].done, done.done), (2, false, true));
    let metadata = looks[0].metadata.as_ref().expect("metadata");
    let told: prost_types::Struct = unpack(metadata, "google.protobuf.Struct").expect("its JSON");
    assert!(told.fields.contains_key("percent"));
    let Some(genai_bridge::longrunning::operation::Result::Response(any)) = &done.result else {
        panic!("{done:?}")
    };
    let info: genai_bridge::rpc::RetryInfo = unpack(any, "google.rpc.RetryInfo").expect("its type");
    assert_eq!(info.retry_delay.map(|delay| delay.seconds), Some(7));
    let wrong = unpack::<genai_bridge::rpc::Help>(any, "google.rpc.Help");
    assert_eq!(wrong.expect_err("another type").kind(), ErrorKind::MalformedAnswer);
}

#[tokio::test]
async fn an_operation_that_fails_or_never_ends_is_an_error() {
    let (emulator, bridge) = setting().await;
    let error = json!({"code": 3, "message": "bad document", "details": []});
    emulator.on_path(
        &Method::GET,
        PATH,
        page(&json!({"name": NAME, "done": true, "error": error})),
    );
    let status = bridge.operations().wait(NAME, LONG).await.expect_err("failed");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "bad document"));
    assert!(Error::of(&status).is_none());
    emulator.on_path(&Method::GET, PATH, page(&json!({"name": NAME})));
    let status =
        bridge.operations().wait(NAME, Duration::from_millis(200)).await.expect_err("never");
    assert_eq!(Error::of(&status).expect("ours").kind(), ErrorKind::DeadlineExceeded);
    emulator.on_path(&Method::POST, "/v1/operations/a:cancel", Page::json("{}"));
    bridge.operations().v1().cancel("operations/a").await.expect("cancelled");
}

#[tokio::test]
async fn the_pages_of_a_list_are_one_stream() {
    let (emulator, bridge) = setting().await;
    let client = ModelServiceClient::new(bridge);
    let call = move |page_token| {
        let mut client = client.clone();
        async move {
            let request = ListModelsRequest { page_size: 1, page_token, ..Default::default() };
            client.list_models(request).await.map(tonic::Response::into_inner)
        }
    };
    let mut models = pages(call, |page: &ListModelsResponse| page.next_page_token.clone());
    let mut names = Vec::new();
    while let Some(page) = models.next().await {
        names.extend(page.expect("a page").models.into_iter().map(|model| model.name));
    }
    assert_eq!(
        names,
        ["models/gemini-2.5-flash", "models/gemini-2.5-pro", "models/gemini-embedding-001"]
    );
    assert!(models.next().await.is_none());
    assert!(emulator.count(LIST_MODELS) >= 3);
}

#[tokio::test]
async fn a_page_token_that_repeats_ends_the_stream_and_so_does_an_error() {
    let (emulator, bridge) = setting().await;
    let list = |token: &str| page(&json!({"voices": [1], "nextPageToken": token}));
    for token in ["a", "b", "a"] {
        emulator.once_path(&Method::GET, "/v1beta/voices", list(token));
    }
    let call = {
        let bridge = bridge.clone();
        move |token: String| {
            bridge.json(Method::GET, "/v1beta/voices").query("pageToken", token).send()
        }
    };
    let next = |page: &JsonAnswer| {
        let page: Value = page.json().expect("JSON");
        page["nextPageToken"].as_str().unwrap_or_default().to_owned()
    };
    let mut voices = pages(call.clone(), next);
    for _ in 0..3 {
        assert!(voices.next().await.expect("a page").is_ok());
    }
    let status = voices.next().await.expect("an end").expect_err("a circle");
    assert_eq!(Error::of(&status).expect("ours").kind(), ErrorKind::MalformedAnswer);
    assert!(voices.next().await.is_none());
    assert_eq!(emulator.received().len(), 3);

    emulator.once_path(&Method::GET, "/v1beta/voices", list("a"));
    emulator.on_path(
        &Method::GET,
        "/v1beta/voices",
        Page::new(403)
            .piece(r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#),
    );
    let mut voices = pages(call, next);
    assert!(voices.next().await.expect("a page").is_ok());
    let status = voices.next().await.expect("an end").expect_err("refused");
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(voices.next().await.is_none());
}
