//! Status: the service's JSON errors, as a gRPC status.

use bytes::Bytes;
use prost::Message as _;
use prost_types::Any;
use serde_json::Value;
use tonic::{Code, Status};

use crate::json::{Unknown, read_message};
use crate::rpc;
use crate::schema::Schema;

/// Reads an error body: `{"error":{..}}`, the same in an array, or a bare `google.rpc.Status`.
///
/// `http` is the HTTP status it came with. `None`: the body is not the service's JSON.
pub(crate) fn read_status(schema: &Schema, http: u16, body: &[u8]) -> Option<Status> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let whole = match &value {
        Value::Array(elements) => elements.iter().find(|element| element.get("error").is_some())?,
        other => other,
    };
    let (error, is_wrapped) = match whole.get("error") {
        Some(error) if error.is_object() => (error, true),
        Some(_) => return None,
        None => (whole, false),
    };
    let number = error.get("code").and_then(Value::as_u64);
    let name = error.get("status").and_then(Value::as_str);
    if number.is_none() && name.is_none() {
        return None;
    }
    // Google's wrapper carries the HTTP status; the bare form carries the gRPC code itself.
    let code = match (name.and_then(code_named), is_wrapped, number) {
        (Some(code), _, _) => code,
        (None, false, Some(number)) => Code::from_i32(i32::try_from(number).unwrap_or(2)),
        (None, true, Some(number)) if http < 400 => {
            code_of_http(u16::try_from(number).unwrap_or(500))
        }
        (None, _, _) => code_of_http(http),
    };
    let code = if code == Code::Ok { Code::Unknown } else { code };
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let details = error.get("details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let details: Vec<Any> =
        details.iter().filter_map(|detail| read_detail(schema, detail)).collect();
    Some(with_details(code, message, details))
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
/// The JSON of a type that the schema lacks cannot become its bytes; such a detail is kept as a
/// `google.protobuf.Struct` of its JSON, under a type URL that says so.
fn read_detail(schema: &Schema, detail: &Value) -> Option<Any> {
    let any = schema.message_id("google.protobuf.Any");
    let text = serde_json::to_vec(detail).ok()?;
    let mut wire = Vec::new();
    if let Some(any) = any
        && read_message(schema, any, &text, Unknown::Ignore, &mut wire).is_ok()
    {
        return decode_any(&wire);
    }
    wire.clear();
    let structure = schema.message_id("google.protobuf.Struct")?;
    read_message(schema, structure, &text, Unknown::Ignore, &mut wire).ok()?;
    Some(Any { type_url: "type.googleapis.com/google.protobuf.Struct".into(), value: wire })
}

fn decode_any(wire: &[u8]) -> Option<Any> {
    Any::decode(wire).ok()
}

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
