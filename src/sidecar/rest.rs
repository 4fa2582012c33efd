//! REST: a request that is REST already goes on as it is, without transcoding or fallback.

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use hyper::body::Incoming;
use tonic::Status;

use super::account::Account;
use super::intake::Intake;
use super::own_origin::OwnOrigin;
use super::placeholder::{is_key, move_to_bearer};
use crate::bridge::Bridge;
use crate::bridge::options::ActiveTransport;
use crate::call::Answer;
use crate::credentials::API_KEY;

/// Sends a request.
///
/// # Errors
/// The status of a request that got no answer.
pub(super) async fn forward(
    bridge: &Bridge,
    intake: &Intake,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<Answer, Status> {
    let core = bridge.core();
    if asks_for_websocket(request.headers()) {
        return Err(Status::unimplemented(
            "the sidecar does not carry WebSockets: the Live API goes over gRPC, or past it",
        ));
    }
    let (mut head, body) = request.into_parts();
    let own = head.extensions.remove::<OwnOrigin>();
    let bytes: Bytes = intake.receive(&head, body, account, core.max_message_size()).await?;
    let has_own =
        [header::AUTHORIZATION, API_KEY].iter().any(|name| head.headers.contains_key(name));
    if !has_own && !has_key_in_query(&head.uri) {
        core.add_credentials(&mut head.headers).await?;
        if is_openai(&head.uri) {
            move_to_bearer(&mut head.headers);
        }
    }
    let path = head.uri.into_parts().path_and_query;
    let path = path.ok_or_else(|| Status::invalid_argument("the request has no path"))?;
    let mut request = Request::new(bytes);
    *request.method_mut() = head.method;
    *request.uri_mut() = path.into();
    *request.headers_mut() = head.headers;
    let mut answer = core.forward(request).await?;
    if let Some(own) = own {
        own.keep(answer.headers_mut(), core);
    }
    answer.extensions_mut().insert(ActiveTransport::Rest);
    Ok(answer)
}

/// Any other upgrade is an offer, such as `h2c` of curl and Java, and may be passed over
/// ([RFC 9110, section 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)).
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let mut names = offers.flat_map(|list| list.split(',')).map(str::trim);
    names.any(|name| name.eq_ignore_ascii_case("websocket"))
}

/// `/v1beta/openai/chat/completions` and its like
/// ([OpenAI compatibility](https://ai.google.dev/gemini-api/docs/openai)).
fn is_openai(uri: &Uri) -> bool {
    uri.path().split('/').nth(2) == Some("openai")
}

/// The key or token as a parameter.
fn has_key_in_query(uri: &Uri) -> bool {
    let parameters = uri.query().unwrap_or_default().split('&');
    let mut names = parameters.filter_map(|parameter| parameter.split('=').next());
    names.any(|name| is_key(name) || name == "access_token")
}
