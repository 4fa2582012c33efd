//! Refusal: the errors that the service itself gives, worded as Google words them.

use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::rpc;

/// The JSON, or a query parameter, does not fit the request.
pub(super) fn bad_request(field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    let violation = rpc::bad_request::FieldViolation {
        field: field.to_owned(),
        description: description.clone(),
        ..Default::default()
    };
    let detail = rpc::BadRequest { field_violations: vec![violation] };
    with_detail(Code::InvalidArgument, &description, "google.rpc.BadRequest", &detail)
}

/// The API key is not the one that is required.
pub(super) fn key_invalid() -> Status {
    let message = "API key not valid. Please pass a valid API key.";
    refuse_key(Code::InvalidArgument, message, "API_KEY_INVALID")
}

/// There is no API key.
pub(super) fn key_missing() -> Status {
    let message = "Method doesn't allow unregistered callers (callers without established identity). \
                   Please use API Key or other form of API consumer identity to call this API.";
    refuse_key(Code::PermissionDenied, message, "CREDENTIALS_MISSING")
}

fn refuse_key(code: Code, message: &str, reason: &str) -> Status {
    let service = ("service".to_owned(), "generativelanguage.googleapis.com".to_owned());
    let detail = rpc::ErrorInfo {
        reason: reason.to_owned(),
        domain: "googleapis.com".to_owned(),
        metadata: [service].into(),
    };
    with_detail(code, message, "google.rpc.ErrorInfo", &detail)
}

fn with_detail(code: Code, message: &str, type_name: &str, detail: &impl Message) -> Status {
    let detail =
        Any { type_url: format!("type.googleapis.com/{type_name}"), value: detail.encode_to_vec() };
    let status =
        rpc::Status { code: code.into(), message: message.to_owned(), details: vec![detail] };
    Status::with_details(code, message, status.encode_to_vec().into())
}
