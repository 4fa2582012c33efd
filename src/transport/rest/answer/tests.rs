//! What becomes of an answer over HTTP, whoever wrote it.

use http_body_util::BodyExt as _;

use super::frame::message_of;
use super::*;
use crate::schema::Schema;
use crate::transport::carrier::http1::client::HttpBody;

const UNARY: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";

/// Messages, and how the answer ends: a code, the kind of a symptom, or the kind of another error.
type Outcome = (Vec<Bytes>, String);

/// An answer of a status and headers, a line each.
pub(super) fn answer_of(head: &str, body: HttpBody) -> HttpAnswer {
    let mut lines = head.lines();
    let status = lines.next().and_then(|status| status.parse().ok()).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
    HttpAnswer { status, headers: headers.collect(), body }
}

async fn read(path: &str, status: u16, body: &str, chunk: usize) -> Outcome {
    let schema = Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("the schema");
    read_by(schema, path, status, body, chunk).await
}

async fn read_by(schema: Schema, path: &str, status: u16, body: &str, chunk: usize) -> Outcome {
    let body = HttpBody::in_chunks(body.as_bytes(), chunk);
    read_body(schema, path, status, body).await
}

async fn read_body(schema: Schema, path: &str, status: u16, body: HttpBody) -> Outcome {
    let method = std::sync::Arc::clone(schema.method(path).expect("a method"));
    let reading = Reading {
        schema,
        method,
        max_message_size: 1 << 10,
        max_metadata_size: 1 << 20,
        end_fields: &[],
        leniences: std::sync::Arc::default(),
    };
    let answer = answer_of(&status.to_string(), body);
    let answer = match read_http_answer(answer, reading).await {
        Ok(answer) => answer,
        Err(error) => return (Vec::new(), name(&error)),
    };
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return (Vec::new(), format!("{:?}", status.code()));
    }
    let mut body = answer.into_body();
    let mut messages = Vec::new();
    loop {
        match body.frame().await.expect("trailers or an error") {
            Err(status) => return (messages, name(Error::of(&status).expect("our error"))),
            Ok(frame) => match frame.into_data() {
                Ok(frame) => messages.push(frame),
                Err(frame) => {
                    let trailers = frame.into_trailers().expect("trailers");
                    let status = Status::from_header_map(&trailers).expect("a status");
                    return (messages, format!("{:?}", status.code()));
                }
            },
        }
    }
}

pub(super) fn name(error: &Error) -> String {
    let symptom = error.symptom().map(|symptom| format!("{:?}", symptom.kind()));
    symptom.unwrap_or_else(|| format!("{:?}", error.kind()))
}

/// Three tokens, and what no schema knows in `unknown_json`.
const WITH_NEW: &[u8] = b"\0\0\0\0\x15\x08\x03\x82\xe8\xda\xf6\x07\r{\"new\": [{}]}";
const WITH_NULL: &[u8] = b"\0\0\0\0\x16\x08\x03\x82\xe8\xda\xf6\x07\x0e{\"error\":null}";
const WITH_EMPTY: &[u8] = b"\0\0\0\0\x14\x08\x03\x82\xe8\xda\xf6\x07\x0c{\"error\":\"\"}";

#[tokio::test]
async fn a_unary_answer_is_one_message_or_an_error() {
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(6 << 10));
    let cases: &[(u16, &str, &[&[u8]], &str)] = &[
        (200, "{\"totalTokens\": 3}", &[b"\0\0\0\0\x02\x08\x03"], "Ok"),
        (200, "{\"totalTokens\": 3, \"new\": [{}]}", &[WITH_NEW], "Ok"),
        (200, "{}", &[b"\0\0\0\0\0"], "Ok"),
        (200, "", &[], "NotJson"),
        (204, "", &[], "NotJson"),
        (200, " \r\n", &[], "NotJson"),
        (200, "{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}", &[], "Unavailable"),
        (200, "[{\"error\":{\"code\":429}}]", &[], "ResourceExhausted"),
        (200, "{\"error\":{}}", &[], "Unknown"),
        (404, "[{\"error\":{\"code\":404}}]", &[], "NotFound"),
        (
            400,
            "{\"error\":{\"code\":400,\"status\":\"FAILED_PRECONDITION\"}}",
            &[],
            "FailedPrecondition",
        ),
        (403, "<html>", &[], "ForeignError"),
        (502, "", &[], "ForeignError"),
        (302, "", &[], "Redirected"),
        (200, "<html>", &[], "NotJson"),
        (200, "welcome", &[], "NotJson"),
        (200, "{\"totalTokens\": ", &[], "BodyTruncated"),
        (200, "{\"totalTokens\": }", &[], "BodyMalformed"),
        (200, "[{}]", &[], "NotJson"),
        (200, "null", &[], "NotJson"),
        (200, "\"blocked\"", &[], "NotJson"),
        (200, "7", &[], "NotJson"),
        (200, "{\"verdict\":\"stopped\"}", &[], "NotJson"),
        (200, "{\"error\":\"no\"}", &[], "NotJson"),
        (200, "{\"totalTokens\":3,\"error\":\"no\"}", &[], "NotJson"),
        (200, "{\"result\":{\"totalTokens\":3}}", &[], "NotJson"),
        (200, "{\"totalTokens\":3,\"error\":null}", &[WITH_NULL], "Ok"),
        (200, "{\"error\":\"\",\"totalTokens\":3}", &[WITH_EMPTY], "Ok"),
        (200, "\u{feff}{\"total_tokens\":3}", &[b"\0\0\0\0\x02\x08\x03"], "Ok"),
        (200, "{\"code\":5,\"message\":\"m\"}", &[], "NotFound"),
        (200, "{\"error\":\"m\",\"code\":3}", &[], "InvalidArgument"),
        (200, "{\"error\":{\"code\":14}}", &[], "Unavailable"),
        (200, "{\"error\":{\"code\":429}} <!-- gate -->", &[], "ResourceExhausted"),
        (503, "\u{feff}{\"error\":{\"code\":503}}\n\n<!-- gate -->", &[], "Unavailable"),
        (503, "data: {\"error\":{\"code\":14}}\n\n", &[], "Unavailable"),
        (429, "{\"error\":{\"message\":\"m\",\"type\":\"t\"}}", &[], "ForeignError"),
        (200, &large, &[], "MessageTooLarge"),
    ];
    for (status, body, messages, end) in cases {
        let found = read(UNARY, *status, body, 7).await;
        let expected: Outcome =
            (messages.iter().map(|m| Bytes::from_static(m)).collect(), (*end).into());
        assert_eq!(found, expected, "{status} {body:.80}");
    }
}

/// An HTTP status, a body, and what it comes to: how many messages, and how it ends.
type StreamCase = (u16, String, usize, &'static str);

const EVENT: &str = "data: {\"responseId\":\"a\"}\r\n\r\n";

/// An event, and what follows it.
fn after(rest: &str) -> String {
    format!("{EVENT}{rest}")
}

#[tokio::test]
async fn a_streamed_answer_never_ends_well_where_it_was_cut_or_failed() {
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(6 << 10));
    check_streams(vec![
        (200, String::new(), 0, "Ok"),
        (200, "[]".into(), 0, "Ok"),
        (200, after(""), 1, "Ok"),
        (200, after(EVENT), 2, "Ok"),
        (200, after("data: [DONE]\n\n"), 1, "Ok"),
        (
            200,
            after("data: {\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}\n\n"),
            1,
            "Unavailable",
        ),
        (200, after("{\n \"error\": {\n  \"code\": 429\n }\n}\n"), 1, "ResourceExhausted"),
        (200, after("[{\"error\":{\"code\":500}}]"), 1, "Internal"),
        (200, after("data: {\"error\":{}}\n\n"), 1, "Unknown"),
        (200, "{\"error\":{\"code\":404}}".into(), 0, "NotFound"),
        (200, "[{\"responseId\":\"a\"},\n{\"error\":{\"code\":503}}]".into(), 1, "Unavailable"),
        (404, "{\"error\":{\"code\":404}}".into(), 0, "NotFound"),
        (404, "[{\"error\":{\"code\":404}}]".into(), 0, "NotFound"),
        (200, after("data: {\"responseId\":"), 1, "BodyTruncated"),
        (200, after("data: {\"responseId\":\n\n"), 1, "BodyTruncated"),
        (200, after("{\n \"error\": {"), 1, "BodyTruncated"),
        (200, after("dat"), 1, "BodyTruncated"),
        (200, "[{\"responseId\":\"a\"}".into(), 1, "BodyTruncated"),
        (200, "[{\"responseId\":\"a\"},".into(), 1, "BodyTruncated"),
        (200, "[".into(), 0, "BodyTruncated"),
        (200, after("upstream error\n"), 1, "BodyMalformed"),
        (200, after("data: x\n\n"), 1, "BodyMalformed"),
        (200, "welcome\n".into(), 0, "NotJson"),
        (200, "\n<html>".into(), 0, "NotJson"),
        (502, "<html>".into(), 0, "ForeignError"),
        (200, format!("data: {large}\n\n"), 0, "MessageTooLarge"),
    ])
    .await;
}

#[tokio::test]
async fn a_streamed_answer_is_read_in_each_framing_whoever_wrote_it() {
    check_streams(vec![
        (204, String::new(), 0, "NotJson"),
        (200, "{\"responseId\":\"a\"}\n{\"responseId\":\"b\"}\n".into(), 2, "Ok"),
        (200, "{\"responseId\":\"a\"}{}".into(), 2, "Ok"),
        (200, "{\"result\":{\"responseId\":\"a\"}}\n{\"result\":{}}".into(), 2, "Ok"),
        (200, "[{\"result\":{\"responseId\":\"a\"}}]".into(), 1, "Ok"),
        (200, "data: {\"result\" : {\"responseId\":\"a\"} }\n\n".into(), 1, "Ok"),
        (
            200,
            "{\"result\":{\"responseId\":\"a\"}}{\"error\":{\"code\":14}}".into(),
            1,
            "Unavailable",
        ),
        (200, "{\"error\":{\"grpc_code\":5,\"http_code\":404}}".into(), 0, "NotFound"),
        (200, "{\"result\":\"stopped\"}".into(), 0, "NotJson"),
        (200, "{\"result\":{},\"more\":1}".into(), 0, "NotJson"),
        (200, "{\"responseId\":\"a\"}\n{\"responseId".into(), 1, "BodyTruncated"),
        (200, "{\"responseId\":\"a\"}\n<html>".into(), 1, "BodyMalformed"),
        (200, "data: {}\n\ndata: {\"verdict\":\"stopped\"}\n\n".into(), 1, "BodyMalformed"),
        (200, "data: {\"verdict\":\"stopped\"}\n\n".into(), 0, "NotJson"),
        (200, "data: null\n\n".into(), 0, "NotJson"),
        (200, "null".into(), 0, "NotJson"),
        (200, after("data: {\"mood\":\"calm\"}\n\n"), 2, "Ok"),
        (200, after("data: {\"message\":\"calm\"}\n\n"), 2, "Ok"),
        (200, after("data: {\"message\":\"m\",\"status\":\"no\"}\n\n"), 1, "BodyMalformed"),
        (200, after("data: {\"errors\":[\"m\"]}\n\n"), 1, "BodyMalformed"),
        (200, after("data: {\"fault\":{}}\n\n"), 1, "BodyMalformed"),
        (200, after("data: {\"error\":\"m\"}\n\n"), 1, "BodyMalformed"),
        (200, after("data: {\"error\":null}\n\n"), 2, "Ok"),
        (200, after("data: {\"code\":8,\"message\":\"m\"}\n\n"), 1, "ResourceExhausted"),
        (200, after("event: ping\ndata: {\"type\":\"ping\"}\n\n"), 1, "Ok"),
        (200, after("event: error\ndata: {\"error\":{\"code\":503}}\n\n"), 1, "Unavailable"),
        (200, after("event: error\ndata: no more\n\n"), 1, "BodyMalformed"),
    ])
    .await;
}

async fn check_streams(cases: Vec<StreamCase>) {
    for (status, body, messages, end) in cases {
        for chunk in [1, 2, 5, body.len().max(1)] {
            let (found, found_end) = read(STREAM, status, &body, chunk).await;
            assert_eq!(
                (found.len(), found_end.as_str()),
                (messages, end),
                "{status} {body:.80} by {chunk}"
            );
        }
    }
}

#[tokio::test]
async fn blanks_before_a_stream_are_not_held() {
    let body = format!("{}data: {{\"responseId\":\"a\"}}\n\n", " ".repeat(8 << 10));
    for chunk in [1, 5, body.len()] {
        let (messages, end) = read(STREAM, 200, &body, chunk).await;
        assert_eq!((messages.len(), end.as_str()), (1, "Ok"), "by {chunk}");
    }
}

pub(super) fn shop() -> Schema {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([root.join("proto"), root.join("tests/data")]);
    let compiler = compiler.as_mut().expect("folders");
    compiler.include_imports(true).open_file("shop.proto").expect("a proto");
    Schema::from_descriptor_set(&compiler.encode_file_descriptor_set()).expect("a schema")
}

/// A message as it stands on the wire.
fn wire(name: &str, json: &str) -> Bytes {
    let message = shop().message_from_json(&format!("shop.v1.{name}"), json.as_bytes());
    message.expect("a message").into()
}

#[tokio::test]
async fn each_kind_of_answer_has_its_own_foreign_ones() {
    let slip = wire("Slip", "{\"id\":\"a\"}");
    let verdict = wire("Verdict", "{\"result\":{\"id\":\"a\"}}");
    let error = wire("Verdict", "{\"error\":\"text\"}");
    let none = Bytes::new();
    let cases: &[(&str, &str, &[&Bytes], &str)] = &[
        // The names that a gateway wraps with are the message's own.
        ("Judge", "{\"result\":{\"id\":\"a\"}}", &[&verdict], "Ok"),
        ("Judge", "{\"error\":\"text\"}", &[&error], "Ok"),
        ("Judge", "{\"error\":{\"code\":404}}", &[], "NotFound"),
        ("Hear", "{\"result\":{\"id\":\"a\"}}\n{\"error\":\"text\"}", &[&verdict, &error], "Ok"),
        ("Watch", "{\"result\":{\"id\":\"a\"}}{\"result\":{}}", &[&slip, &none], "Ok"),
        ("Watch", "", &[], "Ok"),
        // Nothing at all is an empty message, and anything is none.
        ("Erase", "", &[&none], "Ok"),
        ("Erase", "{}", &[&none], "Ok"),
        ("Erase", "{\"deleted\":true}", &[], "NotJson"),
        ("Erase", "{\"error\":{\"code\":404}}", &[], "NotFound"),
        ("Erase", "null", &[], "NotJson"),
        // The answer is one field of the message.
        ("Inner", "{\"id\":\"a\"}", &[&verdict], "Ok"),
        ("Inner", "{\"verdict\":\"stopped\"}", &[], "NotJson"),
        ("Inner", "{\"error\":{\"code\":404}}", &[], "NotFound"),
        ("Inner", "", &[], "NotJson"),
        ("Inner", "null", &[], "NotJson"),
    ];
    for (method, body, messages, end) in cases {
        let (found, found_end) =
            read_by(shop(), &format!("/shop.v1.Shop/{method}"), 200, body, 3).await;
        let found: Vec<&[u8]> = found.iter().map(message_of).collect();
        let expected: Vec<&[u8]> = messages.iter().map(AsRef::as_ref).collect();
        assert_eq!((found, found_end.as_str()), (expected, *end), "{method} {body}");
    }
}

#[tokio::test]
async fn a_struct_takes_any_object_and_a_body_any_bytes() {
    for (method, body, json) in [
        ("Free", "{\"error\":{\"code\":404}}", "{\"error\":{\"code\":404}}"),
        ("Free", "{\"result\":1}", "{\"result\":1}"),
        ("Page", "<html>", "{\"data\":\"PGh0bWw+\"}"),
        ("Page", "", "{}"),
    ] {
        let (found, end) = read_by(shop(), &format!("/shop.v1.Shop/{method}"), 200, body, 3).await;
        assert_eq!((found.len(), end.as_str()), (1, "Ok"), "{method} {body}");
        let name = if method == "Free" { "google.protobuf.Struct" } else { "google.api.HttpBody" };
        let found = shop()
            .json_from_message(name, found.first().map(message_of).expect("one"))
            .expect("JSON");
        assert_eq!(String::from_utf8_lossy(&found), json);
    }
}

#[tokio::test]
async fn bytes_of_any_type_are_streamed_as_they_come() {
    let (found, end) = read_by(shop(), "/shop.v1.Shop/Pages", 200, "<html> and {\"a\":1}", 8).await;
    let data: Vec<String> = found
        .iter()
        .map(|frame| shop().json_from_message("google.api.HttpBody", message_of(frame)))
        .map(|json| String::from_utf8(json.expect("JSON")).expect("UTF-8"))
        .collect();
    assert_eq!(
        data,
        ["{\"data\":\"PGh0bWw+IGE=\"}", "{\"data\":\"bmQgeyJhIjo=\"}", "{\"data\":\"MX0=\"}"]
    );
    assert_eq!(end, "Ok");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_stalls_is_read_as_far_as_it_came() {
    let whole =
        r#"{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}"#;
    for (body, expected) in [(whole, "ResourceExhausted"), (&whole[..20], "ForeignError")] {
        let schema = Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("the schema");
        let began = tokio::time::Instant::now();
        let (_, end) = read_body(schema, UNARY, 429, HttpBody::stalling(body.as_bytes())).await;
        assert_eq!((end.as_str(), began.elapsed()), (expected, ERROR_LIMIT), "{body}");
    }
}
