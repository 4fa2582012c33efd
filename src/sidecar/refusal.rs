//! Refusal: a status that the sidecar itself gives, in the form that the client speaks.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::Full;
use serde_json::json;
use tonic::Status;
use tonic::body::Body;

use crate::call::Answer;
use crate::transport::grpc::is_grpc_content_type;
use crate::transport::rest::{http_of_code, name_of_code};

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Grpc,
    Rest,
}

impl Form {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if request.version() == Version::HTTP_2 && content_type.is_some_and(is_grpc_content_type) {
            Self::Grpc
        } else {
            Self::Rest
        }
    }

    pub(super) fn refuse(self, status: Status) -> Answer {
        match self {
            Self::Grpc => status.into_http(),
            Self::Rest => refuse_rest(&status),
        }
    }
}

/// As the service writes its errors.
fn refuse_rest(status: &Status) -> Answer {
    let http = StatusCode::from_u16(http_of_code(status.code()))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let error = json!({"error": {
        "code": http.as_u16(),
        "message": status.message(),
        "status": name_of_code(status.code()),
    }});
    let mut answer = Answer::new(Body::new(Full::from(format!("{error:#}\n"))));
    *answer.status_mut() = http;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    *answer.headers_mut() = headers;
    answer
}
