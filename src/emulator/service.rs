//! Service: what all connections of an emulator share: methods, script, record, key.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::combinators::UnsyncBoxBody;
use tonic::Status;

use super::admission::Admission;
use super::author::Author;
use super::files::store::Files;
use super::gemini;
use super::methods::{Method, Methods};
use super::page::Page;
use super::record::Record;
use super::refusal::{key_invalid, key_missing};
use super::script::{Reply, Script};

pub(super) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// What all connections of an emulator share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) methods: Arc<Methods>,
    pub(super) script: Script,
    pub(super) author: Author,
    /// By verb and path.
    pub(super) pages: Script<Page>,
    pub(super) files: Files,
    pub(super) record: Arc<Record>,
    pub(super) key: Option<String>,
    pub(super) admission: Admission,
}

impl Service {
    /// What the script says, else Gemini's built-in answer, else the empty message.
    pub(super) fn reply(&self, method: &Method, message: &Bytes) -> Reply {
        let scripted = self.script.take(&method.path);
        scripted
            .or_else(|| self.author.answer(&method.path, message))
            .or_else(|| gemini::answer(&method.path, message))
            .unwrap_or_else(|| Reply::encoded(Bytes::new()))
    }

    /// Asks the test who is let in, and for the key, if one is required.
    pub(super) fn admit(&self, headers: &HeaderMap, parameter: Option<&str>) -> Result<(), Status> {
        self.admission.admit(headers)?;
        let Some(key) = &self.key else { return Ok(()) };
        let header = headers.get("x-goog-api-key").and_then(|value| value.to_str().ok());
        match header.or(parameter) {
            None => Err(key_missing()),
            Some(given) if given == key => Ok(()),
            Some(_) => Err(key_invalid()),
        }
    }
}
