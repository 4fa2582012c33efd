//! Status: the service's JSON errors, as a gRPC status.

use bytes::Bytes;
use http::header::HeaderMap;
use prost::Message as _;
use prost_types::Any;
use serde_json::Value;
use tonic::{Code, Status};

use crate::call::status_in;
use crate::json::{Mode, elements, member, read_message};
use crate::rpc;
use crate::schema::Schema;
use crate::symptom::style::{CodeAt, Style, object_of};
use crate::symptom::words::{first_value, text_of};

/// Reads an error body of the service, or of a transcoder that speaks for it: what stands before
/// and after its JSON does not matter.
///
/// `http` is the HTTP status it came with. `None`: the body is not theirs.
pub(crate) fn read_status(schema: &Schema, http: u16, body: &[u8]) -> Option<Status> {
    let text = text_of(body);
    let (raw, value) = first_value(&text)?;
    let object = object_of(&value);
    let style = Style::of(object)?;
    let code = code_of(style.code, object, http)?;
    let details = details_of(raw.as_bytes(), style.code).unwrap_or_default();
    let details = details.into_iter().filter_map(|detail| read_detail(schema, detail)).collect();
    Some(with_details(code, style.message_of(object), details))
}

/// The failure that headers or trailers tell as those of gRPC do. Envoy writes so, unless it is
/// told to write errors as JSON.
pub(super) fn failure_in(headers: &HeaderMap) -> Option<Status> {
    status_in(headers).filter(|status| status.code() != Code::Ok)
}

fn code_of(at: CodeAt, object: &Value, http: u16) -> Option<Code> {
    match at {
        CodeAt::Nowhere => None,
        CodeAt::Number(at) => grpc_code(object.pointer(at)?.as_u64()?),
        CodeAt::Google => google_code(object.get("error")?, http),
    }
}

/// Google's wrapper names the code; its number is the HTTP status, or a transcoder's gRPC code.
/// Inside a success, where the service alone can have put it, it may say neither.
fn google_code(error: &Value, http: u16) -> Option<Code> {
    let number = error.get("code").and_then(Value::as_u64);
    let name = error.get("status").and_then(Value::as_str);
    let is_error = http >= 400;
    if is_error && number.is_none() && name.is_none() {
        return None;
    }
    let by_status = || {
        let number = number.filter(|_| !is_error).map(|number| u16::try_from(number).unwrap_or(0));
        code_of_http(number.unwrap_or(http))
    };
    let named = name.and_then(code_named).filter(|code| *code != Code::Ok);
    Some(named.or_else(|| grpc_code(number?)).unwrap_or_else(by_status))
}

/// An error's number in `google.rpc.Code`.
fn grpc_code(number: u64) -> Option<Code> {
    let code = i32::try_from(number).ok().filter(|number| (1..=16).contains(number))?;
    Some(Code::from_i32(code))
}

/// The details as they are written: their fields keep the order of the wire.
fn details_of(text: &[u8], at: CodeAt) -> Option<Vec<&[u8]>> {
    let object = match elements(text) {
        Ok(elements) => elements.into_iter().find(|element| member(element, "error").is_some())?,
        Err(_) => text,
    };
    let error = if at == CodeAt::Number("/code") { object } else { member(object, "error")? };
    elements(member(error, "details")?).ok()
}

/// A status with its details packed as gRPC does.
fn with_details(code: Code, message: &str, details: Vec<Any>) -> Status {
    if details.is_empty() {
        return Status::new(code, message);
    }
    let packed = rpc::Status { code: code.into(), message: message.to_owned(), details };
    Status::with_details(code, message, Bytes::from(packed.encode_to_vec()))
}

/// Each detail alone: one that cannot be read must not cost the others.
///
/// A schema need not have the types of `google.rpc`: those come from our own. A detail of a type
/// that neither has is kept as a `google.protobuf.Struct` of its JSON.
fn read_detail(schema: &Schema, detail: &[u8]) -> Option<Any> {
    let url = member(detail, "@type").and_then(|url| serde_json::from_slice::<String>(url).ok());
    let url = url.unwrap_or_default();
    let name = url.rsplit('/').next().unwrap_or_default();
    let has_types = schema.message_id(name).and(schema.message_id(ANY)).is_some();
    let schema = if has_types { schema } else { Schema::own()? };
    let mut wire = Vec::new();
    read_message(schema, schema.message_id(ANY)?, detail, Mode::Answer, &mut wire).ok()?;
    Any::decode(wire.as_slice()).ok()
}

const ANY: &str = "google.protobuf.Any";

/// By the name of a `google.rpc.Code`.
pub(crate) fn code_named(name: &str) -> Option<Code> {
    Some(match name {
        "OK" => Code::Ok,
        "CANCELLED" => Code::Cancelled,
        "UNKNOWN" => Code::Unknown,
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        "NOT_FOUND" => Code::NotFound,
        "ALREADY_EXISTS" => Code::AlreadyExists,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "ABORTED" => Code::Aborted,
        "OUT_OF_RANGE" => Code::OutOfRange,
        "UNIMPLEMENTED" => Code::Unimplemented,
        "INTERNAL" => Code::Internal,
        "UNAVAILABLE" => Code::Unavailable,
        "DATA_LOSS" => Code::DataLoss,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        _ => return None,
    })
}

/// The name of a `google.rpc.Code`.
#[cfg(feature = "cli")]
pub(crate) const fn name_of_code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The HTTP status that Google gives to a code.
#[cfg(feature = "cli")]
pub(crate) const fn http_of_code(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unauthenticated => 401,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

/// By HTTP status, as Google's libraries map an error that does not name its code
/// ([`google/rpc/code.proto`](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/rpc/code.proto)).
pub(crate) const fn code_of_http(status: u16) -> Code {
    match status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::Aborted,
        416 => Code::OutOfRange,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        402..=498 => Code::FailedPrecondition,
        500..=599 => Code::Internal,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::DESCRIPTORS;

    fn schema() -> Schema {
        Schema::from_descriptor_set(DESCRIPTORS).expect("the schema")
    }

    /// As `google.rpc.Code` has them.
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    #[test]
    fn a_code_is_found_by_its_name() {
        for (name, code) in NAMES.into_iter().zip((0..).map(Code::from)) {
            assert_eq!(code_named(name), Some(code));
            #[cfg(feature = "cli")]
            assert_eq!(name_of_code(code), name);
        }
        assert_eq!(code_named("cancelled"), None);
    }

    #[test]
    fn the_number_of_a_transcoder_is_a_code_of_grpc() {
        let schema = schema();
        for number in 0..20_u8 {
            let body = format!(r#"{{"code":{number},"message":"m","details":[]}}"#);
            let found = read_status(&schema, 500, body.as_bytes()).map(|status| status.code());
            let is_code = (1..=16).contains(&number);
            assert_eq!(found, is_code.then(|| Code::from_i32(number.into())), "{number}");
        }
    }

    #[test]
    fn headers_tell_a_failure_and_no_success() {
        let told = |code: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", code.parse().expect("a value"));
            failure_in(&headers).map(|status| status.code())
        };
        assert_eq!((told("5"), told("0")), (Some(Code::NotFound), None));
        assert!(failure_in(&HeaderMap::new()).is_none());
    }

    #[test]
    fn every_form_of_error_gives_its_code() {
        let cases: &[(u16, &str, Option<Code>)] = &[
            (
                400,
                r#"{"error":{"code":400,"status":"FAILED_PRECONDITION"}}"#,
                Some(Code::FailedPrecondition),
            ),
            (409, r#"{"error":{"code":409,"status":"ALREADY_EXISTS"}}"#, Some(Code::AlreadyExists)),
            (
                403,
                r#"[{"error":{"code":403,"status":"PERMISSION_DENIED"}}]"#,
                Some(Code::PermissionDenied),
            ),
            (429, r#"{"error":{"code":429,"message":"m"}}"#, Some(Code::ResourceExhausted)),
            (503, r#"{"error":{"code":"busy","status":"OK"}}"#, Some(Code::Unavailable)),
            (418, r#"{"error":{"status":"A_NEW_ONE"}}"#, Some(Code::FailedPrecondition)),
            (404, r#"{"code":5,"message":"m","details":[]}"#, Some(Code::NotFound)),
            (200, r#"{"error":{"code":503,"message":"m"}}"#, Some(Code::Unavailable)),
            (200, r#"[{"error":{"code":500,"status":"INTERNAL"}}]"#, Some(Code::Internal)),
            (200, r#"{"error":{"message":"m"}}"#, Some(Code::Unknown)),
            (200, r#"{"error":{}}"#, Some(Code::Unknown)),
            // Words of others: a gateway, a proxy, a page.
            (403, r#"{"code":403,"message":"blocked"}"#, None),
            (403, r#"{"status":"error","message":"blocked"}"#, None),
            (403, r#"{"error":"blocked"}"#, None),
            (502, r#"{"error":{"message":"bad gateway"}}"#, None),
            (400, r#"{"code":0}"#, None),
            (403, "[]", None),
            (403, "null", None),
            (403, "<html>", None),
            (403, "", None),
            (403, r#"{"error":{"code":403"#, None),
        ];
        let schema = schema();
        for (http, body, expected) in cases {
            let found = read_status(&schema, *http, body.as_bytes());
            assert_eq!(found.map(|status| status.code()), *expected, "{http} {body}");
        }
    }

    #[test]
    fn a_detail_that_cannot_be_read_does_not_cost_the_others() {
        let body = r#"{"error":{"code":429,"message":"m\u00e9","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s","new":{}},
            {"@type":"type.googleapis.com/nobody.knows.This","reason":"r"},
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"r","metadata":{"a":"b"}},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"soon"}
        ]}}"#;
        let status = read_status(&schema(), 429, body.as_bytes()).expect("a status");
        assert_eq!(status.message(), "m\u{e9}");
        let packed = rpc::Status::decode(status.details()).expect("a packed status");
        assert_eq!((packed.code, packed.message.as_str()), (8, "m\u{e9}"));
        let kinds: Vec<&str> =
            packed.details.iter().filter_map(|any| any.type_url.rsplit('.').next()).collect();
        assert_eq!(kinds, ["RetryInfo", "Struct", "ErrorInfo", "Struct"]);
        let first = packed.details.first().expect("a detail");
        let retry = rpc::RetryInfo::decode(first.value.as_slice()).expect("its type");
        assert_eq!(retry.retry_delay.map(|delay| delay.seconds), Some(30));
    }

    #[test]
    fn a_schema_without_the_types_of_errors_loses_no_detail() {
        let body = br#"{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}]}}"#;
        let bare = Schema::from_descriptor_set(&[]).expect("an empty schema");
        let status = read_status(&bare, 429, body).expect("a status");
        assert_eq!(
            status.details(),
            read_status(&schema(), 429, body).expect("a status").details()
        );
        assert!(!status.details().is_empty());
    }

    #[test]
    fn http_statuses_map_as_googles_libraries_map_them() {
        for (status, code) in [
            (400, Code::InvalidArgument),
            (401, Code::Unauthenticated),
            (402, Code::FailedPrecondition),
            (403, Code::PermissionDenied),
            (404, Code::NotFound),
            (408, Code::FailedPrecondition),
            (409, Code::Aborted),
            (416, Code::OutOfRange),
            (429, Code::ResourceExhausted),
            (498, Code::FailedPrecondition),
            (499, Code::Cancelled),
            (500, Code::Internal),
            (501, Code::Unimplemented),
            (502, Code::Internal),
            (503, Code::Unavailable),
            (504, Code::DeadlineExceeded),
            (599, Code::Internal),
            (200, Code::Unknown),
            (302, Code::Unknown),
            (600, Code::Unknown),
        ] {
            assert_eq!(code_of_http(status), code, "{status}");
        }
    }
}
