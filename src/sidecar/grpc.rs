//! gRPC: a call over HTTP/2, its bytes untouched, to the bridge.

use http::Request;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use super::account::Account;
use super::intake::Intake;
use crate::bridge::Bridge;
use crate::call::frame::PREFIX_LENGTH;
use crate::call::{Answer, Content};

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
    let content = if method.is_some_and(|method| !method.client_streaming) {
        let limit = core.max_message_size().saturating_add(PREFIX_LENGTH);
        Content::Whole(intake.receive(&head, body, account, limit).await?)
    } else {
        Content::Body(Body::new(body))
    };
    let mut call = Request::new(content);
    *call.method_mut() = head.method;
    *call.uri_mut() = head.uri;
    *call.headers_mut() = head.headers;
    bridge.carry(call).await
}
