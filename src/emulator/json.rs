//! JSON: answers and errors as Google prints them, by prost-reflect.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use tonic::{Code, Status};

use super::field::field_of;
use super::methods::Route;
use super::query::Query;
use crate::proto::DESCRIPTORS;
use crate::rpc;

/// How one answer is printed.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    pub(super) output: MessageDescriptor,
    /// The field that alone makes up the answer.
    response_body: Option<Box<str>>,
    has_enum_numbers: bool,
    is_pretty: bool,
}

impl Printer {
    pub(super) fn new(route: &Route<'_>, query: &Query) -> Self {
        Self {
            output: route.method.descriptor.output(),
            response_body: route.binding.response_body.clone(),
            has_enum_numbers: query.has_enum_numbers,
            is_pretty: query.is_pretty,
        }
    }

    /// On one line, as an event needs it.
    pub(super) fn compact(self) -> Self {
        Self { is_pretty: false, ..self }
    }

    /// A message of the answer; no line end behind it.
    ///
    /// # Errors
    /// `INTERNAL`: the script holds another type's bytes.
    pub(super) fn print(&self, wire: &Bytes) -> Result<Vec<u8>, Status> {
        let message = DynamicMessage::decode(self.output.clone(), wire.clone());
        let message = message.map_err(|error| self.wrong_script(&error))?;
        let message = Printed { message, has_enum_numbers: self.has_enum_numbers };
        let Some(name) = &self.response_body else { return self.write(&message) };
        let whole = serde_json::to_value(&message).map_err(|error| self.wrong_script(&error))?;
        let field = field_of(&self.output, name);
        let value = field.as_ref().and_then(|field| whole.get(field.json_name()));
        match (value, field) {
            (Some(value), _) => self.write(value),
            (None, Some(field)) if field.is_list() => Ok(b"[]".to_vec()),
            (None, _) => Ok(b"{}".to_vec()),
        }
    }

    /// Content type and bytes of a `google.api.HttpBody`; `None` if the answer is no such message.
    pub(super) fn raw_body(&self, wire: &Bytes) -> Option<Result<(String, Vec<u8>), Status>> {
        if self.output.full_name() != "google.api.HttpBody" {
            return None;
        }
        let decoded = DynamicMessage::decode(self.output.clone(), wire.clone());
        Some(decoded.map_err(|error| self.wrong_script(&error)).map(|message| {
            let content_type = message.get_field_by_name("content_type");
            let data = message.get_field_by_name("data");
            let content_type = content_type.as_deref().and_then(Value::as_str).unwrap_or_default();
            let data = data.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
            (content_type.to_owned(), data.into())
        }))
    }

    /// An error, in the form that has the HTTP status as its code.
    pub(super) fn print_error(&self, status: &Status) -> Vec<u8> {
        let error =
            serde_json::to_vec_pretty(&ErrorBody { status, pool: self.output.parent_pool() });
        // Text instead of JSON makes a test fail on it; it cannot happen with maps in memory.
        error.unwrap_or_else(|error| error.to_string().into_bytes())
    }

    fn write(&self, value: &impl Serialize) -> Result<Vec<u8>, Status> {
        let text = if self.is_pretty {
            serde_json::to_vec_pretty(value)
        } else {
            serde_json::to_vec(value)
        };
        text.map_err(|error| self.wrong_script(&error))
    }

    fn wrong_script(&self, error: &dyn std::error::Error) -> Status {
        let name = self.output.full_name();
        Status::internal(format!("the script's message cannot be printed as {name}: {error}"))
    }
}

/// The HTTP status of a code and the code's name.
pub(super) fn http_form(code: Code) -> (u16, &'static str) {
    match code {
        Code::Ok => (200, "OK"),
        Code::Cancelled => (499, "CANCELLED"),
        Code::Unknown => (500, "UNKNOWN"),
        Code::InvalidArgument => (400, "INVALID_ARGUMENT"),
        Code::DeadlineExceeded => (504, "DEADLINE_EXCEEDED"),
        Code::NotFound => (404, "NOT_FOUND"),
        Code::AlreadyExists => (409, "ALREADY_EXISTS"),
        Code::PermissionDenied => (403, "PERMISSION_DENIED"),
        Code::ResourceExhausted => (429, "RESOURCE_EXHAUSTED"),
        Code::FailedPrecondition => (400, "FAILED_PRECONDITION"),
        Code::Aborted => (409, "ABORTED"),
        Code::OutOfRange => (400, "OUT_OF_RANGE"),
        Code::Unimplemented => (501, "UNIMPLEMENTED"),
        Code::Internal => (500, "INTERNAL"),
        Code::Unavailable => (503, "UNAVAILABLE"),
        Code::DataLoss => (500, "DATA_LOSS"),
        Code::Unauthenticated => (401, "UNAUTHENTICATED"),
    }
}

struct Printed {
    message: DynamicMessage,
    has_enum_numbers: bool,
}

impl Serialize for Printed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new().use_enum_numbers(self.has_enum_numbers);
        self.message.serialize_with_options(serializer, &options)
    }
}

struct ErrorBody<'a> {
    status: &'a Status,
    pool: &'a DescriptorPool,
}

impl Serialize for ErrorBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(Some(1))?;
        body.serialize_entry("error", &Inner(self))?;
        body.end()
    }
}

struct Inner<'a>(&'a ErrorBody<'a>);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(ErrorBody { status, pool }) = self;
        let (code, name) = http_form(status.code());
        let mut error = serializer.serialize_map(None)?;
        error.serialize_entry("code", &code)?;
        error.serialize_entry("message", status.message())?;
        error.serialize_entry("status", name)?;
        let details = rpc::Status::decode(status.details()).unwrap_or_default().details;
        let details: Vec<_> = details.iter().map(|any| Detail { any, pool }).collect();
        if !details.is_empty() {
            error.serialize_entry("details", &details)?;
        }
        error.end()
    }
}

/// Holds the types of Google's error details, which a descriptor set of one's own may lack.
static GEMINI: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());

/// A detail as JSON with `@type`; of a type that nobody here knows, its bytes in base64.
struct Detail<'a> {
    any: &'a prost_types::Any,
    pool: &'a DescriptorPool,
}

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let type_name = self.any.type_url.rsplit('/').next().unwrap_or_default();
        let known = [Some(self.pool), GEMINI.as_ref()].into_iter().flatten().find_map(|pool| {
            pool.get_message_by_name(type_name)?;
            let mut any = DynamicMessage::new(pool.get_message_by_name("google.protobuf.Any")?);
            any.transcode_from(self.any).ok()?;
            Some(any)
        });
        if let Some(any) = known {
            return any.serialize(serializer);
        }
        let mut detail = serializer.serialize_map(Some(2))?;
        detail.serialize_entry("@type", &self.any.type_url)?;
        let value = base64_simd::STANDARD.encode_to_string(&self.any.value);
        detail.serialize_entry("value", &value)?;
        detail.end()
    }
}
