//! Message: path, query and body of a REST request put together again, by prost-reflect, strictly.

use std::collections::BTreeMap;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use tonic::Status;

use super::binding::BodyRule;
use super::field::{field_of, fields_along};
use super::methods::Route;
use super::refusal::bad_request;

/// The body of a REST request.
#[derive(Debug)]
pub(super) struct RequestBody<'a> {
    pub(super) content_type: &'a str,
    pub(super) bytes: &'a [u8],
}

/// The message that a REST request means.
///
/// # Errors
/// `INVALID_ARGUMENT`, with the detail that Google gives: something in the request does not fit.
pub(super) fn assemble(
    route: &Route<'_>,
    query: &[(String, String)],
    body: &RequestBody<'_>,
) -> Result<DynamicMessage, Status> {
    let input = route.method.descriptor.input();
    let mut message = read_body(&input, &route.binding.body, body)?;
    set_query(&mut message, route, query)?;
    for (path, value) in &route.captures {
        let fault = |why| bad_request(path, format!("Invalid value at '{path}': {why}"));
        set_field(&mut message, path, &[value]).map_err(fault)?;
    }
    Ok(message)
}

fn read_body(
    input: &MessageDescriptor,
    rule: &BodyRule,
    body: &RequestBody<'_>,
) -> Result<DynamicMessage, Status> {
    let field = match rule {
        BodyRule::Absent if body.bytes.is_empty() => return Ok(DynamicMessage::new(input.clone())),
        BodyRule::Absent => return Err(bad_request("", "The request takes no body.")),
        BodyRule::Whole => None,
        BodyRule::Field(name) => field_of(input, name),
    };
    let kind = field.as_ref().map(FieldDescriptor::kind);
    let target = kind.as_ref().map_or(Some(input), Kind::as_message);
    if let Some(raw) = target.filter(|target| target.full_name() == "google.api.HttpBody") {
        let raw = http_body(raw, body);
        let Some(field) = field else { return Ok(raw) };
        let mut message = DynamicMessage::new(input.clone());
        message.set_field(&field, Value::Message(raw));
        return Ok(message);
    }
    if body.bytes.is_empty() {
        return Ok(DynamicMessage::new(input.clone()));
    }
    if !body.content_type.starts_with("application/json") {
        let text =
            format!("Invalid content type {:?}: application/json expected.", body.content_type);
        return Err(bad_request("", text));
    }
    let Some(field) = field else { return read_json(input, body.bytes) };
    // A body that is JSON by itself cannot break out of the object around it.
    serde_json::from_slice::<IgnoredAny>(body.bytes).map_err(|error| bad_json(&error))?;
    let name = format!("{{\"{}\":", field.json_name());
    read_json(input, &[name.as_bytes(), body.bytes, b"}"].concat())
}

fn http_body(descriptor: &MessageDescriptor, body: &RequestBody<'_>) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("content_type", Value::String(body.content_type.to_owned()));
    message.set_field_by_name("data", Value::Bytes(body.bytes.to_vec().into()));
    message
}

fn read_json(descriptor: &MessageDescriptor, text: &[u8]) -> Result<DynamicMessage, Status> {
    let value: Json = serde_json::from_slice(text).map_err(|error| bad_json(&error))?;
    if let Some((at, name)) = unknown_name(descriptor, &value, "") {
        let place = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
        let text = format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
        );
        return Err(bad_request(&at, text));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let message = DynamicMessage::deserialize(descriptor.clone(), &mut reader);
    let message = message.map_err(|error| bad_json(&error))?;
    reader.end().map_err(|error| bad_json(&error))?;
    Ok(message)
}

fn bad_json(error: &serde_json::Error) -> Status {
    bad_request("", format!("Invalid JSON payload received. {error}"))
}

/// The first name that is no field, and the path to the object it stands in.
fn unknown_name(
    descriptor: &MessageDescriptor,
    value: &Json,
    at: &str,
) -> Option<(String, String)> {
    let Json::Object(entries) = value else { return None };
    if descriptor.full_name().starts_with("google.protobuf.") {
        return None;
    }
    entries.iter().find_map(|(name, value)| {
        let by_json_name = descriptor.get_field_by_json_name(name);
        let Some(field) = by_json_name.or_else(|| descriptor.get_field_by_name(name)) else {
            return Some((at.to_owned(), name.clone()));
        };
        let dot = if at.is_empty() { "" } else { "." };
        unknown_name_in_field(&field, value, &format!("{at}{dot}{}", field.name()))
    })
}

fn unknown_name_in_field(
    field: &FieldDescriptor,
    value: &Json,
    at: &str,
) -> Option<(String, String)> {
    let Kind::Message(descriptor) = field.kind() else { return None };
    match value {
        Json::Object(entries) if field.is_map() => {
            let Kind::Message(descriptor) = descriptor.map_entry_value_field().kind() else {
                return None;
            };
            let mut values = entries.values().enumerate();
            values.find_map(|(i, value)| {
                unknown_name(&descriptor, value, &format!("{at}[{i}].value"))
            })
        }
        Json::Array(values) => {
            let mut values = values.iter().enumerate();
            values.find_map(|(i, value)| unknown_name(&descriptor, value, &format!("{at}[{i}]")))
        }
        value => unknown_name(&descriptor, value, at),
    }
}

fn set_query(
    message: &mut DynamicMessage,
    route: &Route<'_>,
    query: &[(String, String)],
) -> Result<(), Status> {
    let mut parameters = BTreeMap::<&str, Vec<&String>>::new();
    for (name, value) in query {
        parameters.entry(name).or_default().push(value);
    }
    for (name, values) in parameters {
        if !is_free(name, route) {
            return Err(unbound(name, "could not be found in request message."));
        }
        set_field(message, name, &values).map_err(|why| unbound(name, &why))?;
    }
    Ok(())
}

/// Whether neither path nor body has this field.
fn is_free(name: &str, route: &Route<'_>) -> bool {
    let input = route.method.descriptor.input();
    let Some(fields) = fields_along(&input, name) else { return false };
    let is_in_path = route
        .captures
        .iter()
        .any(|(path, _)| fields_along(&input, path).is_some_and(|bound| bound == fields));
    let is_in_body = match &route.binding.body {
        BodyRule::Absent => false,
        BodyRule::Whole => true,
        BodyRule::Field(body) => field_of(&input, body).as_ref() == fields.first(),
    };
    !is_in_path && !is_in_body
}

fn unbound(name: &str, why: &str) -> Status {
    let text = format!(
        "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' {why}"
    );
    bad_request("", text)
}

/// Sets the field at `path` from the texts that a URL has for it.
fn set_field<T: AsRef<str>>(
    message: &mut DynamicMessage,
    path: &str,
    values: &[T],
) -> Result<(), String> {
    let descriptor = message.descriptor();
    if let Some((name, rest)) = path.split_once('.') {
        let field = field_of(&descriptor, name).ok_or("could not be found in request message.")?;
        let inner = message.get_field_mut(&field).as_message_mut();
        return set_field(inner.ok_or("leads through a field that is no message.")?, rest, values);
    }
    let field = field_of(&descriptor, path).ok_or("could not be found in request message.")?;
    let texts = values.iter().map(|value| leaf_json(&field.kind(), value.as_ref()));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let value = match texts.as_slice() {
        _ if field.is_map() => return Err("is a map.".to_owned()),
        texts if field.is_list() => format!("[{}]", texts.join(",")),
        [text] => text.clone(),
        _ => return Err("has several values.".to_owned()),
    };
    let text = format!("{{\"{}\":{value}}}", field.json_name());
    let mut reader = serde_json::Deserializer::from_str(&text);
    let holder = DynamicMessage::deserialize(descriptor, &mut reader);
    let mut holder = holder.map_err(|error| format!("has a wrong value: {error}"))?;
    if let Some(value) = holder.take_field(&field) {
        message.set_field(&field, value);
    }
    Ok(())
}

/// A text of the URL as JSON of the field's kind.
fn leaf_json(kind: &Kind, text: &str) -> Result<String, String> {
    let is_number = text.parse::<i32>().is_ok();
    match kind {
        Kind::Bool => bool_json(text),
        Kind::Enum(_) if is_number => Ok(text.to_owned()),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.BoolValue" => bool_json(text),
            name if name.starts_with("google.protobuf.") && !STRUCTURED.contains(&name) => {
                Ok(Json::from(text).to_string())
            }
            _ => Err("is a message.".to_owned()),
        },
        _ => Ok(Json::from(text).to_string()),
    }
}

fn bool_json(text: &str) -> Result<String, String> {
    match text {
        "true" | "false" => Ok(text.to_owned()),
        _ => Err("is neither true nor false.".to_owned()),
    }
}

/// Well-known types that have no form in a query.
const STRUCTURED: &[&str] = &[
    "google.protobuf.Any",
    "google.protobuf.Empty",
    "google.protobuf.ListValue",
    "google.protobuf.Struct",
    "google.protobuf.Value",
];
