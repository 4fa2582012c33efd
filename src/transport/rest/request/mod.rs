//! Request: a message becomes verb, path, query and body by the method's HTTP rule.

mod form;
pub(crate) mod http;
mod query;
pub(crate) mod target;

use ::http::header::{CONTENT_TYPE, HeaderValue};
use bytes::Bytes;

use form::{JSON, header_value, invalid};
pub(crate) use form::{RequestBody, RestRequest};

use crate::error::{Error, ErrorKind};
use crate::json::{MAX_DEPTH, Wire, WriteOptions, text_of_field, write_field, write_message};
use crate::schema::rule::{Rule, RuleBody};
use crate::schema::template::{Mismatch, Reason};
use crate::schema::{Kind, MessageId, Method, Schema, Special, WireType};
use crate::transport::rest::request::query::write_query;

/// `bytes` fields from this size on become base64 while they are sent.
const GAP_FROM: usize = 64 * 1024;

impl Schema {
    /// The HTTP request for a call: path, query and body by the method's `google.api.http` rule.
    /// The first binding that fits the message is taken. There is no host in it, and there are no
    /// credentials.
    ///
    /// # Errors
    /// The schema has no such method, the method has no HTTP rule ([`ErrorKind::Unsupported`]), or
    /// the message fits no HTTP rule ([`ErrorKind::InvalidRequest`]; the text names each rule,
    /// field, pattern and value).
    pub fn http_request(&self, path: &str, wire: &[u8]) -> Result<::http::Request<Bytes>, Error> {
        let unknown =
            || Error::new(ErrorKind::Unsupported, format!("the schema has no method `{path}`"));
        let method = self.method(path).ok_or_else(unknown)?;
        let request = write_request(self, method, &Bytes::copy_from_slice(wire))?;
        let mut target = request.path;
        if !request.query.is_empty() {
            target.push('?');
            target.push_str(&request.query);
        }
        let mut http = ::http::Request::new(Bytes::new());
        *http.method_mut() = request.verb;
        *http.uri_mut() = target.parse().map_err(|error: ::http::uri::InvalidUri| {
            Error::invalid_request("the message gives no valid URL").with_source(error)
        })?;
        let (content_type, body) = match request.body {
            RequestBody::None => return Ok(http),
            RequestBody::Json(json) => (HeaderValue::from_static(JSON), json.into_bytes()),
            RequestBody::Raw { content_type, data } => (header_value(&content_type)?, data),
            RequestBody::Stream { .. } => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "this HTTP rule does not support streaming",
                ));
            }
        };
        http.headers_mut().insert(CONTENT_TYPE, content_type);
        *http.body_mut() = body;
        Ok(http)
    }
}

/// The first binding that fits the message.
pub(crate) fn write_request(
    schema: &Schema,
    method: &Method,
    message: &Bytes,
) -> Result<RestRequest, Error> {
    let mut misfits = Vec::new();
    for rule in method.rest_form()? {
        match expand_path(schema, method.input, rule, message)? {
            Ok(path) => return write_parts(schema, method.input, rule, path, message),
            Err(misfit) => misfits.push(misfit),
        }
    }
    Err(Error::invalid_request(format!(
        "the request fits no HTTP rule of `{}`: {}",
        method.path,
        misfits.join("; ")
    )))
}

/// The path, or why the message does not fit this binding.
fn expand_path(
    schema: &Schema,
    input: MessageId,
    rule: &Rule,
    message: &Bytes,
) -> Result<Result<String, String>, Error> {
    let mut values = Vec::with_capacity(rule.variables.len());
    for path in &rule.variables {
        values.push(
            text_of_field(schema, input, path, message).map_err(|fault| invalid(fault, message))?,
        );
    }
    let expanded = rule.template.expand(|index| values.get(index).cloned().flatten());
    Ok(expanded.map_err(|Mismatch { variable, reason }| {
        let pattern =
            rule.template.variables().nth(variable).map(ToString::to_string).unwrap_or_default();
        let (field, pattern) = pattern.split_once('=').unwrap_or((&pattern, ""));
        let value = values.get(variable).and_then(Option::as_deref).unwrap_or_default();
        match reason {
            Reason::Empty => format!("field `{field}` is empty (`{pattern}` is expected)"),
            Reason::Pattern => format!("field `{field}` is `{value}`, not `{pattern}`"),
            Reason::DotSegment => {
                format!("field `{field}` is `{value}`, and a segment `.` or `..` would lead to another path")
            }
        }
    }))
}

fn write_parts(
    schema: &Schema,
    input: MessageId,
    rule: &Rule,
    path: String,
    message: &Bytes,
) -> Result<RestRequest, Error> {
    let query = match rule.body {
        RuleBody::All => String::new(),
        RuleBody::None | RuleBody::Field(_) => write_query(schema, input, rule, message)?,
    };
    let body = write_body(schema, input, rule, message)?;
    Ok(RestRequest { verb: rule.verb.clone(), path, query, body })
}

fn write_body(
    schema: &Schema,
    input: MessageId,
    rule: &Rule,
    message: &Bytes,
) -> Result<RequestBody, Error> {
    let options =
        WriteOptions { omit: &rule.variables, gap_from: Some(GAP_FROM), ..WriteOptions::default() };
    let table = schema.message(input);
    let json = match rule.body {
        RuleBody::None => return Ok(RequestBody::None),
        RuleBody::All if table.special == Special::HttpBody => return raw_body(message),
        RuleBody::All => write_message(schema, input, message, options),
        RuleBody::Field(number) => {
            let Some(field) = table.field_of_number(number) else { return Ok(RequestBody::None) };
            match field.kind {
                Kind::Message(id) if schema.message(id).special == Special::HttpBody => {
                    return raw_body(&field_payload(message, number)?);
                }
                _ => write_field(schema, input, field, message, options),
            }
        }
    };
    json.map(RequestBody::Json).map_err(|fault| invalid(fault, message))
}

/// The last length-delimited value of a field.
fn field_payload(message: &Bytes, number: u32) -> Result<Bytes, Error> {
    let mut wire = Wire::new(message);
    let mut found = Bytes::new();
    while !wire.is_empty() {
        let field = wire.next_field(MAX_DEPTH).map_err(|fault| invalid(fault, message))?;
        if field.number == number && field.wire_type == WireType::Delimited {
            let value = Wire::new(field.value).delimited();
            found = message.slice_ref(value.map_err(|fault| invalid(fault, message))?);
        }
    }
    Ok(found)
}

/// `content_type` and `data` of a `google.api.HttpBody`.
fn raw_body(message: &Bytes) -> Result<RequestBody, Error> {
    let content_type = String::from_utf8_lossy(&field_payload(message, 1)?).into_owned();
    Ok(RequestBody::Raw { content_type, data: field_payload(message, 2)? })
}
