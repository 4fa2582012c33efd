//! Naming: names as descriptors have them, whole and quoted.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind};

/// A name as text; what is not UTF-8 is no name, and is found by nobody.
pub(super) fn text(name: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(name)
}

pub(super) fn qualified(scope: &str, name: &str) -> Box<str> {
    if scope.is_empty() { name.into() } else { [scope, ".", name].concat().into() }
}

/// A schema that cannot be used, and why.
pub(super) fn refused(why: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Schema, why)
}

/// A JSON string of a name, which may be a custom one with anything in it.
pub(super) fn quoted(name: &str) -> String {
    serde_json::to_string(name).unwrap_or_default()
}
