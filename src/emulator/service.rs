//! Service: one request, to the transport that it came over.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tonic::Status;

use super::methods::{Method, Methods};
use super::page::Page;
use super::record::Record;
use super::refusal::{key_invalid, key_missing};
use super::script::{Reply, Script};
use super::{gemini, grpc, rest};

pub(super) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// What all connections of an emulator share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) methods: Arc<Methods>,
    pub(super) script: Script,
    /// By verb and path.
    pub(super) pages: Script<Page>,
    pub(super) record: Arc<Record>,
    pub(super) key: Option<String>,
}

impl Service {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let content_type = request.headers().get(http::header::CONTENT_TYPE);
        let is_grpc =
            content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if is_grpc && request.version() == Version::HTTP_2 {
            grpc::answer(self, request).await
        } else {
            rest::answer(self, request).await
        }
    }

    /// What the script says, else Gemini's built-in answer, else the empty message.
    pub(super) fn reply(&self, method: &Method, message: &Bytes) -> Reply {
        let scripted = self.script.take(&method.path);
        scripted
            .or_else(|| gemini::answer(&method.path, message))
            .unwrap_or_else(|| Reply::encoded(Bytes::new()))
    }

    /// Asks for the key, if one is required.
    pub(super) fn admit(&self, headers: &HeaderMap, parameter: Option<&str>) -> Result<(), Status> {
        let Some(key) = &self.key else { return Ok(()) };
        let header = headers.get("x-goog-api-key").and_then(|value| value.to_str().ok());
        match header.or(parameter) {
            None => Err(key_missing()),
            Some(given) if given == key => Ok(()),
            Some(_) => Err(key_invalid()),
        }
    }
}
