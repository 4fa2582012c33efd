//! Foreign: what is neither gRPC nor REST is refused, in the words that its client understands.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::Full;
use serde_json::json;
use tonic::Status;
use tonic::body::Body;

use super::refusal::Form;
use crate::call::Answer;
use crate::transport::grpc::is_grpc_content_type;

/// The answer to a request in another protocol; `None` for gRPC and REST.
pub(super) fn refuse_foreign<B>(request: &Request<B>) -> Option<Answer> {
    let refuse = |what: &str| Status::unimplemented(format!("the sidecar {what}"));
    if request.method() == Method::CONNECT {
        let what = "is not a proxy: give its address to the client in place of the service's";
        return Some(Form::Rest.refuse(refuse(what)));
    }
    if let Some(content_type) = request.headers().get(CONTENT_TYPE) {
        let name = content_type.as_bytes();
        if name.starts_with(b"application/grpc-web") {
            let mut answer =
                Form::Grpc.refuse(refuse("does not speak gRPC-Web, only gRPC and REST"));
            answer.headers_mut().insert(CONTENT_TYPE, content_type.clone());
            return Some(answer);
        }
        if is_grpc_content_type(name) && request.version() != Version::HTTP_2 {
            return Some(Form::Grpc.refuse(refuse("speaks gRPC over HTTP/2, not over HTTP/1.1")));
        }
    }
    is_connect(request.headers())
        .then(|| refuse_connect(&refuse("does not speak Connect, only gRPC and REST")))
}

/// [Connect](https://connectrpc.com/docs/protocol), unary or streamed.
fn is_connect(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    headers.contains_key(&CONNECT_VERSION)
        || content_type.is_some_and(|name| name.starts_with(b"application/connect+"))
}

/// An error as Connect writes it.
fn refuse_connect(status: &Status) -> Answer {
    let error = json!({"code": "unimplemented", "message": status.message()});
    let mut answer = Answer::new(Body::new(Full::from(error.to_string())));
    *answer.status_mut() = StatusCode::NOT_IMPLEMENTED;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

static CONNECT_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
