//! Form: a call in the terms of HTTP: verb, path, query and body.

use bytes::Bytes;
use http::header::HeaderValue;
use tonic::body::Body;

use crate::error::Error;
use crate::json::{Fault, JsonBody};

/// A call in the terms of HTTP; no host, no credentials.
#[derive(Debug)]
pub(crate) struct RestRequest {
    pub(crate) verb: http::Method,
    pub(crate) path: String,
    /// Without `?`; empty for none.
    pub(crate) query: String,
    pub(crate) body: RequestBody,
}

/// What an HTTP request carries.
#[derive(Debug)]
pub(crate) enum RequestBody {
    None,
    Json(JsonBody),
    /// `google.api.HttpBody`: bytes of any type.
    Raw {
        content_type: String,
        data: Bytes,
    },
    /// Bytes as they come, which can be sent once.
    Stream {
        content_type: String,
        body: Body,
    },
}

impl RestRequest {
    /// `parameter` is encoded already.
    pub(crate) fn add_parameter(&mut self, parameter: &str) {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(parameter);
    }
}

pub(crate) const JSON: &str = "application/json";

pub(crate) fn header_value(content_type: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(content_type)
        .map_err(|_| Error::invalid_request("field `content_type` is not a valid header value"))
}

/// The request message cannot be read; the byte is told by its place in the whole of it.
pub(crate) fn invalid(fault: Box<Fault>, message: &[u8]) -> Error {
    let fault = fault.within(message);
    Error::invalid_request(format!("the request message: {fault}"))
}
