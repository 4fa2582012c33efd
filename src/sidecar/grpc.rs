//! gRPC: a call over HTTP/2, its bytes untouched, to the bridge.

use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service as _;

use super::account::{Account, outcome_in};
use super::service::Service;
use crate::call::Answer;
use crate::frame::PREFIX_LENGTH;
use crate::policy::ActiveTransport;

/// Answers a call.
pub(super) async fn answer(
    service: &Service,
    request: Request<Incoming>,
    mut account: Account,
) -> Answer {
    let calls_ended = service.shutdown.calls_ended();
    let called = tokio::select! {
        called = call(service, request, &mut account) => called,
        () = calls_ended.cancelled() => Err(Status::unavailable("the sidecar is shutting down")),
    };
    let answer = match called {
        Ok(answer) => answer,
        Err(status) => return account.refuse(status),
    };
    account.carried_by(answer.extensions().get::<ActiveTransport>().copied());
    if let Some(outcome) = outcome_in(answer.headers()) {
        account.close(outcome);
    }
    answer.map(|body| account.follow(body, calls_ended))
}

/// A message that comes alone is read here, so that nobody keeps a call open by sending it slowly.
async fn call(
    service: &Service,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<Answer, Status> {
    let inner = service.bridge.inner();
    let (head, body) = request.into_parts();
    let method = inner.schema.find_method(head.uri.path());
    let body = if method.is_some_and(|method| !method.client_streaming) {
        let limit = inner.settings.max_message_size.saturating_add(PREFIX_LENGTH);
        Body::new(Full::new(service.receive(body, account, limit).await?))
    } else {
        Body::new(body)
    };
    let mut call = Request::new(body);
    *call.method_mut() = head.method;
    *call.uri_mut() = head.uri;
    *call.headers_mut() = head.headers;
    service.bridge.clone().call(call).await
}
