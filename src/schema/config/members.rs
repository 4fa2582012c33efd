//! Members: parts of a configuration file by their names.

use serde_json::Value;

/// The elements of a list; none, if there is no such member.
pub(super) fn list<'v>(of: &'v Value, name: &str) -> Result<&'v [Value], String> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(elements)) => Ok(elements),
        Some(_) => Err(format!("`{name}` is no list")),
    }
}

/// A text; empty, if there is no such member.
pub(super) fn text<'v>(of: &'v Value, name: &str) -> Result<&'v str, String> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("`{name}` is no text")),
    }
}
