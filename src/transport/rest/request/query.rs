//! Query: the fields that neither path nor body holds, as parameters of the URL.

use crate::error::Error;
use crate::json::{
    Fault, MAX_DEPTH, Wire, WireField, WriteOptions, default_text, fields_of_value, members,
    normalise, text_of_value, write_message,
};
use crate::schema::rule::{Rule, RuleBody};
use crate::schema::template::encode;
use crate::schema::{Field, Kind, MessageId, Schema, Shape, Special};

use crate::transport::rest::request::form::invalid;

/// `name=value` pairs joined by `&`, sorted; empty without any.
///
/// # Errors
/// A field has no form in a query: a list of messages, a map, or a message of any JSON.
pub(crate) fn write_query(
    schema: &Schema,
    message: MessageId,
    rule: &Rule,
    wire: &[u8],
) -> Result<String, Error> {
    let mut query = Query { schema, rule, source: wire, trail: Vec::new(), pairs: Vec::new() };
    query.add_fields(message, "", wire, MAX_DEPTH)?;
    // Only the names: the elements of a list keep their order.
    query.pairs.sort_by(|one, two| one.0.cmp(&two.0));
    let mut text = String::new();
    for (name, value) in &query.pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        encode(value, &mut text);
    }
    Ok(text)
}

struct Query<'a> {
    schema: &'a Schema,
    rule: &'a Rule,
    /// The whole message.
    source: &'a [u8],
    trail: Vec<u32>,
    pairs: Vec<(String, String)>,
}

impl Query<'_> {
    fn add_fields(
        &mut self,
        id: MessageId,
        prefix: &str,
        wire: &[u8],
        depth: u32,
    ) -> Result<(), Error> {
        let message = self.schema.message(id);
        let depth =
            depth.checked_sub(1).ok_or_else(|| self.invalid(Wire::new(wire).fault("too deep")))?;
        // Each field once, the last value of a scalar, messages merged.
        let ordered = normalise(self.schema, message, Wire::new(wire), depth)
            .map_err(|fault| self.invalid(fault))?;
        let mut rest = Wire::new(&ordered);
        let mut present = Vec::new();
        while !rest.is_empty() {
            let (field, value) =
                next_field(message, &mut rest, depth).map_err(|fault| self.invalid(fault))?;
            let Some(field) = field else { continue };
            present.push(field.number);
            if !self.is_elsewhere(field.number) {
                self.add_field(field, prefix, value, depth)?;
            }
        }
        // The service refuses a request that lacks a required field, also one at its default.
        for field in message.fields.iter().filter(|field| field.required && is_scalar(field)) {
            if !present.contains(&field.number)
                && !self.is_elsewhere(field.number)
                && prefix.is_empty()
            {
                self.pairs.push((
                    parameter(prefix, field),
                    default_text(self.schema, field.kind).into_owned(),
                ));
            }
        }
        Ok(())
    }

    fn invalid(&self, fault: Box<Fault>) -> Error {
        invalid(fault, self.source)
    }

    /// Whether the path or the body holds the field.
    fn is_elsewhere(&self, number: u32) -> bool {
        let in_body = self.trail.is_empty() && self.rule.body == RuleBody::Field(number);
        in_body
            || self.rule.variables.iter().any(|path| {
                path.split_last()
                    .is_some_and(|(last, before)| *last == number && *before == *self.trail)
            })
    }

    fn add_field(
        &mut self,
        field: &Field,
        prefix: &str,
        value: &[u8],
        depth: u32,
    ) -> Result<(), Error> {
        let name = parameter(prefix, field);
        match (field.shape, field.kind) {
            (Shape::Map, _) | (Shape::Repeated, Kind::Message(_) | Kind::Group(_)) => {
                Err(no_form(&name))
            }
            (Shape::Repeated, kind) => self.add_elements(&name, kind, value),
            (Shape::Unknown, _) => self.add_unknown(prefix, value),
            (Shape::Implicit | Shape::Explicit, Kind::Message(id) | Kind::Group(id)) => {
                self.add_message(field, &name, id, value, depth)
            }
            (Shape::Implicit, _) if is_zero(value) && !field.required => Ok(()),
            // JSON's `null`, which no query parameter can say.
            (_, Kind::Enum(id)) if self.schema.enumeration(id).is_null => Ok(()),
            (Shape::Implicit | Shape::Explicit, kind) => {
                let text =
                    text_of_value(self.schema, kind, value).map_err(|fault| self.invalid(fault))?;
                self.pairs.push((name, text.into_owned()));
                Ok(())
            }
        }
    }

    /// What the schema does not know goes by the name that it came with.
    fn add_unknown(&mut self, prefix: &str, value: &[u8]) -> Result<(), Error> {
        let text = Wire::new(value).delimited().map_err(|fault| self.invalid(fault))?;
        for (name, value) in members(text).map_err(|fault| self.invalid(fault))? {
            let name = format!("{prefix}{}", String::from_utf8_lossy(&name));
            let value = match value {
                [b'{' | b'[', ..] => return Err(no_form(&name)),
                value => serde_json::from_slice::<String>(value)
                    .unwrap_or_else(|_| String::from_utf8_lossy(value).into_owned()),
            };
            let mut encoded = String::new();
            encode(&name, &mut encoded);
            self.pairs.push((encoded, value));
        }
        Ok(())
    }

    /// One parameter for each element, packed or not.
    fn add_elements(&mut self, name: &str, kind: Kind, value: &[u8]) -> Result<(), Error> {
        let mut wire = Wire::new(value);
        while !wire.is_empty() {
            let element =
                wire.value(0, kind.wire_type(), 0).map_err(|fault| self.invalid(fault))?;
            let text =
                text_of_value(self.schema, kind, element).map_err(|fault| self.invalid(fault))?;
            self.pairs.push((name.to_owned(), text.into_owned()));
        }
        Ok(())
    }

    fn add_message(
        &mut self,
        field: &Field,
        name: &str,
        id: MessageId,
        value: &[u8],
        depth: u32,
    ) -> Result<(), Error> {
        let inside = fields_of_value(field, value).map_err(|fault| self.invalid(fault))?;
        match self.schema.message(id).special {
            Special::No | Special::HttpBody => {
                self.trail.push(field.number);
                let added = self.add_fields(id, &format!("{name}."), inside, depth);
                self.trail.pop();
                added
            }
            Special::Timestamp | Special::Duration | Special::FieldMask | Special::Wrapper => {
                let source = bytes::Bytes::copy_from_slice(inside);
                let json = write_message(self.schema, id, &source, WriteOptions::default())
                    .map_err(|fault| self.invalid(fault))?;
                let json = json.into_bytes();
                // A wrapped string may hold escapes; all others are plain between their quotes.
                let text = serde_json::from_slice::<String>(&json)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&json).into_owned());
                self.pairs.push((name.to_owned(), text));
                Ok(())
            }
            Special::Any | Special::Struct | Special::Value | Special::ListValue => {
                Err(no_form(name))
            }
        }
    }
}

/// The next field and its value without the tag; of a repeated one, all elements that follow each
/// other.
fn next_field<'m, 'w>(
    message: &'m crate::schema::Message,
    rest: &mut Wire<'w>,
    depth: u32,
) -> Result<(Option<&'m Field>, &'w [u8]), Box<Fault>> {
    let WireField { number, wire_type, mut value, .. } = rest.next_field(depth)?;
    let field = message.field_of_number(number);
    // A packed run is its elements; its length tells nothing more.
    if let Some(field) = field.filter(|field| field.shape == Shape::Repeated)
        && field.kind.wire_type() != wire_type
    {
        value = Wire::new(value).delimited()?;
    }
    Ok((field, value))
}

fn parameter(prefix: &str, field: &Field) -> String {
    let mut name = prefix.to_owned();
    encode(&field.json_name, &mut name);
    name
}

fn is_scalar(field: &Field) -> bool {
    let is_single = matches!(field.shape, Shape::Implicit | Shape::Explicit);
    is_single && field.kind.message().is_none()
}

fn is_zero(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == 0)
}

fn no_form(name: &str) -> Error {
    Error::invalid_request(format!(
        "field `{name}` has no form in a URL query, where its method needs it"
    ))
}
