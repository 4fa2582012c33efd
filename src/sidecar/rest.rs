//! REST: a request that is REST already goes on as it is, without transcoding or fallback.

use bytes::Bytes;
use http::{Request, Uri, header};
use hyper::body::Incoming;
use tonic::Status;

use super::account::{Account, Outcome};
use super::service::Service;
use crate::call::Answer;
use crate::policy::ActiveTransport;

/// Answers a request.
pub(super) async fn answer(
    service: &Service,
    request: Request<Incoming>,
    mut account: Account,
) -> Answer {
    let calls_ended = service.shutdown.calls_ended();
    let forwarded = tokio::select! {
        forwarded = forward(service, request, &mut account) => forwarded,
        () = calls_ended.cancelled() => Err(Status::unavailable("the sidecar is shutting down")),
    };
    let answer = match forwarded {
        Ok(answer) => answer,
        Err(status) => return account.refuse(status),
    };
    account.carried_by(Some(ActiveTransport::Rest));
    account.close(Outcome::Http(answer.status()));
    answer.map(|body| account.follow(body, calls_ended))
}

async fn forward(
    service: &Service,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<Answer, Status> {
    let inner = service.bridge.inner();
    if request.headers().contains_key(header::UPGRADE) {
        return Err(Status::unimplemented(
            "the sidecar does not carry WebSockets: the Live API goes over gRPC, or past it",
        ));
    }
    let (mut head, body) = request.into_parts();
    let bytes: Bytes = service.receive(body, account, inner.settings.max_message_size).await?;
    if !has_key_in_query(&head.uri) {
        inner.credentials.authorise(&mut head.headers).await?;
    }
    let path = head.uri.into_parts().path_and_query;
    let path = path.ok_or_else(|| Status::invalid_argument("the request has no path"))?;
    let mut request = Request::new(bytes);
    *request.method_mut() = head.method;
    *request.uri_mut() = path.into();
    *request.headers_mut() = head.headers;
    Ok(inner.forward(request).await?)
}

/// The key or token as a parameter
/// ([system parameters](https://cloud.google.com/apis/docs/system-parameters)).
fn has_key_in_query(uri: &Uri) -> bool {
    let parameters = uri.query().unwrap_or_default().split('&');
    let mut names = parameters.filter_map(|parameter| parameter.split('=').next());
    names.any(|name| ["key", "$key", "%24key", "access_token"].contains(&name))
}
