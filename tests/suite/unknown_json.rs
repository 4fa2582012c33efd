//! `unknown_json`: what the schema does not know comes out of an answer over REST as text, and goes
//! back as it came.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use genai_bridge::emulator::Emulator;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{
    Candidate, Content, GenerateContentRequest, GenerateContentResponse, ListModelsRequest, Part,
    Schema, candidate::FinishReason,
};
use genai_bridge::{Bridge, Error, Proxy, Transport, gemini, v1};
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::Code;

use crate::setting::{GENERATE, LIST_MODELS, call, direct, question};

const REPLY: &str = "google.ai.generativelanguage.v1beta.GenerateContentResponse";
const PART: &str = "google.ai.generativelanguage.v1beta.Part";

fn read<M: Message + Default>(name: &str, json: &str) -> M {
    let schema = gemini::schema().expect("a schema");
    let wire = schema.message_from_json_ignoring_unknown(name, json.as_bytes()).expect(json);
    M::decode(wire.as_slice()).expect("a message")
}

fn write(name: &str, message: &impl Message) -> Result<String, Error> {
    let json = gemini::schema()?.json_from_message(name, &message.encode_to_vec())?;
    Ok(String::from_utf8(json).expect("UTF-8"))
}

#[test]
fn each_object_keeps_the_exact_text_of_what_it_does_not_know() {
    let text = r#"{"new" : [1.0, 123456789012345678901234567890, {"a":1,"a":2}],"candidates":[{"index":0,"spin":"up","content":{"parts":[{"text":"x","tint":null}],"aura":{}}}],"new":"twice"}"#;
    let reply: GenerateContentResponse = read(REPLY, text);
    let candidate = &reply.candidates[0];
    let content = candidate.content.as_ref().expect("content");
    let kept = [
        &reply.unknown_json,
        &candidate.unknown_json,
        &content.unknown_json,
        &content.parts[0].unknown_json,
    ];
    let expected = [
        r#"{"new" : [1.0, 123456789012345678901234567890, {"a":1,"a":2}],"new":"twice"}"#,
        r#"{"spin":"up"}"#,
        r#"{"aura":{}}"#,
        r#"{"tint":null}"#,
    ];
    assert_eq!(kept.map(|kept| std::str::from_utf8(kept).expect("UTF-8")), expected);
    let written = write(REPLY, &reply).expect("JSON");
    assert_eq!(
        written,
        r#"{"candidates":[{"content":{"parts":[{"text":"x","tint":null}],"aura":{}},"index":0,"spin":"up"}],"new" : [1.0, 123456789012345678901234567890, {"a":1,"a":2}],"new":"twice"}"#
    );
}

#[test]
fn what_has_a_known_name_or_is_odd_goes_its_way() {
    // Each way to nest, as deep as JSON is read.
    let deep = format!(r#"{{"deep":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let deep_objects = format!(r#"{{"deep":{}1{}}}"#, r#"{"a":"#.repeat(100), "}".repeat(100));
    let twice = format!(r#"{{"text":"a","deep":{0},"deep":{0}}}"#, "[[]]");
    let many = format!("{{{}}}", vec![r#""a":0"#; 100_000].join(","));
    let long = format!(r#"{{"long":"{}"}}"#, "x".repeat(10 << 20));
    for (given, expected) in [
        // The name of the field itself is no name in JSON.
        (r#"{"text":"a","unknownJson":"eHg="}"#, r#"{"text":"a","unknownJson":"eHg="}"#),
        (r#"{"text":"a","unknown_json":1}"#, r#"{"text":"a","unknown_json":1}"#),
        (r#"{"text":"a","te\u0078t2":1}"#, r#"{"text":"a","te\u0078t2":1}"#),
        (r#"{"holo":{"text":"b"}}"#, r#"{"holo":{"text":"b"}}"#),
        (deep.as_str(), deep.as_str()),
        (deep_objects.as_str(), deep_objects.as_str()),
        (twice.as_str(), twice.as_str()),
        (many.as_str(), many.as_str()),
        (long.as_str(), long.as_str()),
    ] {
        let part: Part = read(PART, given);
        assert!(write(PART, &part).expect("JSON") == expected, "{given:.80}");
    }
}

/// Objects of one known type inside each other: what is unknown in the innermost is kept, and one
/// beyond the limit is refused, not a fault of the stack.
#[test]
fn known_members_nest_as_deep_as_messages_may() {
    const SCHEMA: &str = "google.ai.generativelanguage.v1beta.Schema";
    let nested = |depth: usize| {
        format!(r#"{}{{"tint":[1]}}{}"#, r#"{"items":"#.repeat(depth - 1), "}".repeat(depth - 1))
    };
    for depth in [1, 50, 99, 100] {
        let message: Schema = read(SCHEMA, &nested(depth));
        assert_eq!(write(SCHEMA, &message).expect("JSON"), nested(depth), "{depth}");
    }
    let schema = gemini::schema().expect("a schema");
    for depth in [101, 100_000] {
        let error = schema.message_from_json_ignoring_unknown(SCHEMA, nested(depth).as_bytes());
        assert!(error.expect_err("too deep").to_string().contains("inside each other"), "{depth}");
    }
    for depth in [1000, 1_000_000] {
        let unknown = format!(r#"{{"deep":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let error = schema.message_from_json_ignoring_unknown(PART, unknown.as_bytes());
        assert!(error.expect_err("too deep").to_string().contains("inside each other"), "{depth}");
    }
}

#[test]
fn a_name_of_an_enum_that_nobody_knows_is_written_back_until_the_field_is_set_anew() {
    let text = r#"{"candidates":[{"finishReason":"ON_A_WHIM","index":1}]}"#;
    let reply: GenerateContentResponse = read(REPLY, text);
    let back: Value = serde_json::from_str(&write(REPLY, &reply).expect("JSON")).expect("JSON");
    assert_eq!(back, serde_json::from_str::<Value>(text).expect("JSON"));
    let mut changed = reply;
    changed.candidates[0].finish_reason = FinishReason::Stop.into();
    let written = write(REPLY, &changed).expect("JSON");
    assert_eq!(written, r#"{"candidates":[{"finishReason":"STOP","index":1}]}"#);
}

#[test]
fn what_is_written_by_hand_must_be_an_object_and_does_not_overrule_a_field() {
    let part = |unknown: &'static str| Part { unknown_json: unknown.into(), ..Part::text("a") };
    for (unknown, written) in [
        (r#"{"text":"b","tint":1}"#, r#"{"text":"a","tint":1}"#),
        // Another member of the same oneof.
        (r#"{"fileData":{"fileUri":"x"}}"#, r#"{"text":"a"}"#),
        (r#" { "thought" : true } "#, r#"{"text":"a","thought" : true}"#),
        ("{}", r#"{"text":"a"}"#),
    ] {
        assert_eq!(write(PART, &part(unknown)).expect(unknown), written);
    }
    for unknown in ["[]", "1", r#"{"a":1"#, r#"{"a":1}{"b":2}"#, r#"{"a":}"#] {
        let error = write(PART, &part(unknown)).expect_err(unknown).to_string();
        assert!(error.contains("`unknown_json` is not the text of a JSON object"), "{error}");
    }
}

#[test]
fn eq_and_hash_stay() {
    fn is_eq_and_hash<T: Eq + std::hash::Hash>() {}
    is_eq_and_hash::<genai_bridge::v1beta::Blob>();
    is_eq_and_hash::<genai_bridge::v1beta::ModalityTokenCount>();
    is_eq_and_hash::<v1::Blob>();
}

/// What the model says at each turn: tool calls of the service and of the caller, signatures, code,
/// and a kind of part that is newer than the crate.
fn turns() -> Vec<Value> {
    vec![
        json!([{"thought": true, "text": "hm", "thoughtSignature": "c2ln"}, {"text": "a", "tint": {"n": 1}}]),
        json!([{"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "toolName": "search", "args": {"q": ["x"]}, "id": "t1"}, "thoughtSignature": "c2lnMg=="},
               {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"hits": "12"}, "id": "t1"}}]),
        json!([{"executableCode": {"language": "PYTHON", "code": "1", "id": "c1"}},
               {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1", "id": "c1"}}]),
        json!([{"functionCall": {"name": "look", "args": {"at": "y"}, "id": "f1", "why": "9007199254740993"}, "thoughtSignature": "c2lnMw=="}]),
        json!([{"hologram": {"layers": [1, 2]}, "thoughtSignature": "c2lnNA=="}, {"text": "see"}]),
        json!([{"text": "so", "thoughtSignature": "c2lnNQ=="}]),
    ]
}

/// A service of REST alone, and the requests that it got.
async fn rest_service() -> (String, Arc<Mutex<Vec<Value>>>) {
    let received: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&received);
    let answer = move |body: String| {
        let mut seen = seen.lock().expect("no panic");
        seen.push(serde_json::from_str(&body).expect("JSON"));
        let parts = turns().swap_remove(seen.len() - 1);
        let content = json!({"role": "model", "parts": parts, "mood": "calm"});
        let candidates = json!([{"content": content, "finishReason": "STOP"}]);
        std::future::ready(json!({"candidates": candidates, "weather": "fine"}).to_string())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().route("/v1beta/models/{call}", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (endpoint, received)
}

/// Six turns over REST, each sent back with the next question.
async fn converse(bridge: Bridge) -> GenerateContentRequest {
    let mut client = GenerativeServiceClient::new(bridge);
    let mut request = GenerateContentRequest { contents: vec![], ..question("?") };
    for _ in turns() {
        request.contents.push(Content::user("go on"));
        let reply = client.generate_content(request.clone()).await.expect("an answer").into_inner();
        let turn = reply.candidates.into_iter().find_map(|candidate| candidate.content);
        request.contents.push(turn.expect("content"));
    }
    request
}

#[tokio::test]
async fn a_conversation_over_rest_goes_back_as_it_came() {
    let (endpoint, received) = rest_service().await;
    let builder = Bridge::builder().endpoint(endpoint).proxy(Proxy::none()).api_key("k");
    converse(builder.transport(Transport::Rest).build().expect("a bridge")).await;
    let received = received.lock().expect("no panic");
    let sent_back = received.last().expect("a request")["contents"].as_array().expect("a list");
    let model = sent_back.iter().filter(|turn| turn["role"] == "model").collect::<Vec<_>>();
    assert_eq!(model.len(), 5);
    for (turn, parts) in model.iter().zip(turns()) {
        assert_eq!(**turn, json!({"role": "model", "parts": parts, "mood": "calm"}));
    }
}

#[tokio::test]
async fn a_conversation_from_rest_goes_on_over_grpc_where_it_loses_no_data() {
    let (endpoint, _received) = rest_service().await;
    let builder = Bridge::builder().endpoint(endpoint).proxy(Proxy::none()).api_key("k");
    let history = converse(builder.transport(Transport::Rest).build().expect("a bridge")).await;
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    let refused = |contents: &[Content]| GenerateContentRequest {
        contents: contents.to_vec(),
        ..question("?")
    };
    // The tool call of the second turn; the part of a new kind, which may be data, of the fifth.
    for (turns, field) in
        [(2..4, "contents.parts.tool_call"), (8..10, "contents.parts.unknown_json")]
    {
        let outcome = call(bridge.clone(), GENERATE, &refused(&history.contents[turns])).await;
        assert_eq!(outcome.status.code(), Code::InvalidArgument);
        assert!(outcome.status.message().contains(&format!("`{field}`")), "{:?}", outcome.status);
    }
    assert!(emulator.received().is_empty());
    let mut rest: Vec<Content> = history.contents[..2].to_vec();
    rest.extend_from_slice(&history.contents[4..8]);
    rest.extend_from_slice(&history.contents[10..]);
    let outcome = call(bridge.clone(), GENERATE, &refused(&rest)).await;
    assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    // The mood of four turns, a tint, two ids, and why a function was called.
    assert_eq!(bridge.stats().fields_left_out(), 4 + 1 + 2 + 1);
    let received = emulator.received().pop().expect("a call");
    let sent = GenerateContentRequest::decode(received.message().clone()).expect("a message");
    let holds = |content: &Content| {
        let is_bare = |part: &Part| part.unknown_json.is_empty() && part.data.is_some();
        content.unknown_json.is_empty() && content.parts.iter().all(is_bare)
    };
    assert!(sent.contents.len() == rest.len() && sent.contents.iter().all(holds));
}

#[tokio::test]
async fn a_get_takes_it_in_its_query() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Rest).build().expect("a bridge");
    let request = ListModelsRequest {
        page_size: 2,
        unknown_json: r#"{"newFilter":"a b","flag":true}"#.into(),
        ..Default::default()
    };
    let _ = call(bridge.clone(), LIST_MODELS, &request).await;
    let target = emulator.received().pop().expect("a call").target().to_owned();
    assert!(target.ends_with("?flag=true&newFilter=a%20b&pageSize=2"), "{target}");
    let nested = ListModelsRequest { unknown_json: r#"{"a":{}}"#.into(), ..Default::default() };
    let outcome = call(bridge, LIST_MODELS, &nested).await;
    assert_eq!(outcome.status.code(), Code::InvalidArgument, "{:?}", outcome.status);
}

#[test]
fn a_reply_of_v1_is_read_with_what_it_has_over_rest() {
    use genai_bridge::gemini::reply::Reply;
    use genai_bridge::v1beta::FunctionCall;
    let call = FunctionCall { name: "look".into(), ..Default::default() };
    let part = v1::Part { data: Some(v1::part::Data::FunctionCall(call)), ..Default::default() };
    let content = v1::Content { parts: vec![part], ..Default::default() };
    let candidate = v1::Candidate {
        content: Some(content),
        finish_reason: v1::candidate::FinishReason::Stop.into(),
        ..Default::default()
    };
    let reply = v1::GenerateContentResponse { candidates: vec![candidate], ..Default::default() };
    let calls = reply.function_calls().expect("calls");
    assert_eq!(calls.iter().map(|call| call.name.as_str()).collect::<Vec<_>>(), ["look"]);
    let stopped = Candidate {
        finish_reason: FinishReason::Continuation.into(),
        continuation_token: vec![1].into(),
        ..Default::default()
    };
    let reply = GenerateContentResponse { candidates: vec![stopped], ..Default::default() };
    let error = reply.text().expect_err("not whole");
    assert!(error.advice().contains("continuation_token"), "{error:?}");
}
