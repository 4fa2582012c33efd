//! gRPC: a call over HTTP/2, its bytes untouched, to the bridge.

use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service as _;

use super::account::Account;
use super::intake::Intake;
use crate::bridge::Bridge;
use crate::call::Answer;
use crate::call::frame::PREFIX_LENGTH;

/// Sends a call. A message that comes alone is read here, so that nobody keeps a call open by
/// sending it slowly.
///
/// # Errors
/// The status of a call that got no answer of the service.
pub(super) async fn call(
    bridge: &Bridge,
    intake: &Intake,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<Answer, Status> {
    let core = bridge.core();
    let (head, body) = request.into_parts();
    let method = core.find_method(head.uri.path());
    let body = if method.is_some_and(|method| !method.client_streaming) {
        let limit = core.max_message_size().saturating_add(PREFIX_LENGTH);
        Body::new(Full::new(intake.receive(&head, body, account, limit).await?))
    } else {
        Body::new(body)
    };
    let mut call = Request::new(body);
    *call.method_mut() = head.method;
    *call.uri_mut() = head.uri;
    *call.headers_mut() = head.headers;
    bridge.clone().call(call).await
}
