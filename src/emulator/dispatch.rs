//! Dispatch: one request, to the transport that it came over.

use http::{Request, Response, Version};
use hyper::body::Incoming;

use super::service::{AnswerBody, Service};
use super::{grpc, rest};

pub(super) async fn answer(service: &Service, request: Request<Incoming>) -> Response<AnswerBody> {
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    let is_grpc =
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if is_grpc && request.version() == Version::HTTP_2 {
        grpc::answer(service, request).await
    } else {
        rest::answer(service, request).await
    }
}
