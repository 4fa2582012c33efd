//! What stands beside the protos of a service: HTTP rules, also of mixins, and deadlines and
//! retries by method.

use std::time::Duration;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::{Bridge, BridgeBuilder, ErrorKind, RetryPolicy, Schema, Transport};
use tonic::{Code, Status};

use crate::messages::descriptors_of;
use crate::setting::{BOTH, GENERATE, STREAM, answer, call, direct, question};

/// Gemini's API as a service of the user's own, with an operation that it serves.
fn schema(files: &[&str]) -> Result<Schema, genai_bridge::Error> {
    let set = descriptors_of(&[
        "google/ai/generativelanguage/v1beta/generative_service.proto",
        "google/longrunning/operations.proto",
    ]);
    Schema::from_descriptor_set_and_config(&set, files)
}

/// What REST sends of a call.
fn sent(schema: &Schema, method: &str, json: &str) -> String {
    let (package, name) = method.rsplit_once('/').expect("a method");
    let input = match name {
        "CountTokens" => "google.ai.generativelanguage.v1beta.CountTokensRequest".to_owned(),
        name => format!("{}.{name}Request", package.rsplit_once('.').expect("a package").0),
    };
    let wire = schema.message_from_json(&input, json.as_bytes()).expect("a message");
    let request = schema.http_request(&format!("/{method}"), &wire).expect("a request");
    let body = String::from_utf8_lossy(request.body()).into_owned();
    format!("{} {} {body}", request.method(), request.uri()).trim_end().to_owned()
}

const JSON: &str = r#"{
    "type": "google.api.Service",
    "apis": [{"name": "google.longrunning.Operations"}],
    "http": {"rules": [
        {"selector": "google.longrunning.Operations.GetOperation", "get": "/v0/{name=never/**}"},
        {"selector": "google.longrunning.Operations.GetOperation",
         "get": "/v9/{name=projects/*/operations/*}",
         "additionalBindings": [{"get": "/v9/{name=operations/**}"}]},
        {"selector": "google.longrunning.Operations.CancelOperation",
         "post": "/v9/{name=operations/**}:cancel", "body": "*"},
        {"selector": "google.cloud.location.Locations.ListLocations", "get": "/v9/{name=projects/*}/locations"},
        {"selector": "google.ai.generativelanguage.v1beta.GenerativeService.CountTokens",
         "custom": {"kind": "COUNT", "path": "/v9/{model=models/*}"}, "body": "contents"}
    ]}
}"#;

#[cfg(feature = "yaml")]
const YAML: &str = "
type: google.api.Service
config_version: 3
name: library.example.com
apis:
- name: google.longrunning.Operations
documentation:
  summary: |-
    Not read: {this, too}.
http:
  rules:
  - selector: google.longrunning.Operations.GetOperation
    get: '/v0/{name=never/**}'
  - selector: google.longrunning.Operations.GetOperation
    get: '/v9/{name=projects/*/operations/*}'
    additional_bindings:
    - get: '/v9/{name=operations/**}'
  - selector: google.longrunning.Operations.CancelOperation
    post: '/v9/{name=operations/**}:cancel'
    body: '*'
  - selector: google.cloud.location.Locations.ListLocations
    get: '/v9/{name=projects/*}/locations'
  - selector: google.ai.generativelanguage.v1beta.GenerativeService.CountTokens
    custom:
      kind: COUNT
      path: '/v9/{model=models/*}'
    body: contents
";

#[test]
fn rules_replace_those_of_the_protos_also_of_mixins() {
    let operations = "google.longrunning.Operations";
    let mut files = vec![JSON];
    #[cfg(feature = "yaml")]
    files.push(YAML);
    for file in files.drain(..) {
        let schema = schema(&[file]).expect("a schema");
        for (method, json, expected) in [
            ("GetOperation", r#"{"name":"operations/a/b"}"#, "GET /v9/operations/a/b"),
            (
                "GetOperation",
                r#"{"name":"projects/p/operations/1"}"#,
                "GET /v9/projects/p/operations/1",
            ),
            ("CancelOperation", r#"{"name":"operations/1"}"#, "POST /v9/operations/1:cancel {}"),
            // Without a rule, its own stays.
            ("DeleteOperation", r#"{"name":"operations/1"}"#, "DELETE /v1/operations/1"),
        ] {
            assert_eq!(sent(&schema, &format!("{operations}/{method}"), json), expected);
        }
        let count = "google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";
        let json = r#"{"model":"models/m","contents":[{"role":"user"}]}"#;
        assert_eq!(sent(&schema, count, json), r#"COUNT /v9/models/m [{"role":"user"}]"#);
        let never = br#"{"name":"never/1"}"#;
        let wire = schema.message_from_json("google.longrunning.GetOperationRequest", never);
        let path = "/google.longrunning.Operations/GetOperation";
        assert!(
            schema.http_request(path, &wire.expect("a message")).is_err(),
            "the last rule counts"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_reason() {
    for (file, reason) in [
        ("{", "service configuration 2: EOF while parsing"),
        (r#"{"name": "x"}"#, "neither `http` nor `methodConfig`"),
        (r#"{"http": {"rules": 1}}"#, "`rules` is no list"),
        (r#"{"http": {"rules": [{"get": "/v1"}]}}"#, "no `selector`"),
        (
            r#"{"http": {"rules": [{"selector": "a.B.C"}]}}"#,
            "rule of `a.B.C`: it has no verb and path",
        ),
        (
            r#"{"http": {"rules": [{"selector": "a.B.C", "get": "/a", "put": "/b"}]}}"#,
            "rule of `a.B.C`: it has two verbs",
        ),
        (r#"{"methodConfig": {}}"#, "`methodConfig` is no list"),
        (r#"{"methodConfig": [{"timeout": "60"}]}"#, "`60` is no duration"),
        (r#"{"methodConfig": [{"timeout": "-1s"}]}"#, "`-1s` is no duration"),
        (r#"{"methodConfig": [{"retryPolicy": {}}]}"#, "no `maxAttempts`"),
        (retry("SOMETIMES").as_str(), "there is no code \"SOMETIMES\""),
        (
            "selector: [",
            if cfg!(feature = "yaml") { "service configuration 2" } else { "feature `yaml`" },
        ),
    ] {
        let error = schema(&[JSON, file]).expect_err(file);
        assert_eq!(error.kind(), ErrorKind::Schema, "{file}");
        assert!(error.to_string().contains(reason), "{file}: {error}");
    }
}

/// Retries of this code for all methods of the service, at once.
fn retry(code: &str) -> String {
    format!(
        r#"{{"methodConfig": [
            {{"name": [{{"service": "google.ai.generativelanguage.v1beta.GenerativeService"}}],
             "timeout": "600s",
             "retryPolicy": {{"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.002s",
                              "backoffMultiplier": 1.3, "retryableStatusCodes": ["{code}"]}}}},
            {{"name": [{{"service": "google.ai.generativelanguage.v1beta.GenerativeService",
                       "method": "StreamGenerateContent"}}],
             "timeout": "0.050s"}}
        ]}}"#
    )
}

fn bridge(emulator: &Emulator, files: &[&str]) -> BridgeBuilder {
    direct(emulator).schema(schema(files).expect("a schema"))
}

async fn code_after_one_failure(emulator: &Emulator, bridge: &Bridge) -> Code {
    emulator.once(GENERATE, Reply::error(Status::aborted("again")));
    call(bridge.clone(), GENERATE, &question("?")).await.status.code()
}

#[tokio::test]
async fn retries_and_deadlines_are_those_of_the_configuration_unless_the_builder_says_otherwise() {
    let retry = retry("ABORTED");
    for transport in BOTH {
        let emulator = Emulator::start().await.expect("an emulator");
        let build =
            |builder: BridgeBuilder| builder.transport(transport).build().expect("a bridge");
        let with = build(bridge(&emulator, &[&retry]));
        assert_eq!(code_after_one_failure(&emulator, &with).await, Code::Ok, "{transport:?}");
        assert_eq!(with.stats().retries(), 1);
        for without in [
            build(bridge(&emulator, &[JSON])),
            build(bridge(&emulator, &[&retry]).retry(RetryPolicy::none())),
        ] {
            assert_eq!(code_after_one_failure(&emulator, &without).await, Code::Aborted);
        }
        // A method's own config takes the place of its service's, all of it.
        let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        emulator.on(STREAM, Reply::messages([answer("a")]).gate(gate));
        let late = call(with, STREAM, &question("?")).await.status;
        assert_eq!(late.code(), Code::DeadlineExceeded, "{transport:?}: {late:?}");
    }
}

#[tokio::test]
async fn a_service_of_googles_gets_the_headers_of_its_own_clients() {
    for (is_google, transport) in
        [(true, BOTH[0]), (true, BOTH[1]), (false, BOTH[0]), (false, BOTH[1])]
    {
        let emulator = Emulator::start().await.expect("an emulator");
        emulator.on(STREAM, Reply::messages([answer("a")]));
        let builder = bridge(&emulator, &[]).transport(transport).default_deadline(Duration::MAX);
        let builder = if is_google { builder.google_service() } else { builder };
        let bridge = builder.build().expect("a bridge");
        for path in [GENERATE, STREAM] {
            let status = call(bridge.clone(), path, &question("?")).await.status;
            assert_eq!(status.code(), Code::Ok, "{transport:?} {path}: {status:?}");
        }
        for (record, alt) in emulator.received().iter().zip([false, true]) {
            let header =
                |name| record.headers().get(name).map(|value| value.to_str().expect("text"));
            let routed = header("x-goog-request-params");
            assert_eq!(routed, is_google.then_some("model=models/gemini-2.5-flash"));
            let rest = transport == Transport::Rest;
            let client = if rest { "rest/" } else { "grpc/" };
            let named = header("x-goog-api-client").is_some_and(|value| value.contains(client));
            assert_eq!(named, is_google, "{transport:?}");
            assert_eq!(record.target().contains("alt=sse"), is_google && rest && alt);
        }
    }
}
