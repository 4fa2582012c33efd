//! Gemini: what only this API knows: replies, parameters, errors in plain words.

mod advice;
mod content;
mod defaults;
mod details;
mod operations;
pub mod parameters;
mod prompt;
pub mod reply;

pub use advice::{Advice, Speaker, advice, advice_for};

pub use details::Details;
pub use prompt::prompt;

pub(crate) use defaults::{ENDPOINT, deadline, end_fields, probe_call, retry_policy};
pub(crate) use prompt::model_name;

use std::sync::OnceLock;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::json::{Mode, read_message};
use crate::proto::DESCRIPTORS;
use crate::schema::Schema;

/// The services of v1 and v1beta, and `google.longrunning.Operations` as they offer it, with what
/// only REST has. Compiled once in a process.
///
/// ```
/// use genai_bridge::v1beta::Content;
/// use prost::Message;
///
/// let turn = Content::user("Why?").encode_to_vec();
/// let json = genai_bridge::gemini::schema()?
///     .json_from_message("google.ai.generativelanguage.v1beta.Content", &turn)?;
/// assert_eq!(json, br#"{"parts":[{"text":"Why?"}],"role":"user"}"#);
/// # Ok::<(), genai_bridge::Error>(())
/// ```
///
/// # Errors
/// None that is known: the descriptors are the crate's own.
pub fn schema() -> Result<Schema, Error> {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    if let Some(schema) = SCHEMA.get() {
        return Ok(schema.clone());
    }
    let schema =
        Schema::with_http_overrides(&Bytes::from_static(DESCRIPTORS), operations::HTTP_RULES)?;
    Ok(SCHEMA.get_or_init(|| schema).clone())
}

/// A message out of JSON that the service wrote to a request without a method.
///
/// # Errors
/// The text is not the JSON of such a message.
pub(crate) fn read_json<M: prost::Message + Default>(name: &str, text: &[u8]) -> Result<M, Error> {
    let schema = schema()?;
    let unreadable = |why: String| {
        Error::new(ErrorKind::MalformedAnswer, format!("the answer is not a valid `{name}`: {why}"))
    };
    let id = schema.message_id(name).ok_or_else(|| unreadable("it is unknown".to_owned()))?;
    let mut wire = Vec::new();
    read_message(&schema, id, text, Mode::Answer, &mut wire)
        .map_err(|fault| unreadable(fault.to_string()))?;
    M::decode(wire.as_slice()).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_schema_has_its_http_rules() {
        let schema = schema().expect("a schema");
        for (path, bindings) in [
            ("/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent", 3),
            ("/google.ai.generativelanguage.v1.ModelService/ListModels", 1),
            ("/google.ai.generativelanguage.v1beta.GenerativeService/BidiGenerateContent", 0),
            ("/google.longrunning.Operations/GetOperation", 7),
        ] {
            let method = schema.method(path).expect(path);
            assert_eq!(method.rules.len(), bindings, "{path}");
        }
    }
}
