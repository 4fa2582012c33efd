//! Placeholder: the key of clients that must have one, while the real one is the sidecar's.

use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri};

use crate::credentials::API_KEY;

/// A client that must send some key sends this one to have the sidecar's own.
pub const PLACEHOLDER_KEY: &str = "genai-bridge";

/// Takes it out, wherever clients put keys; the bridge then adds the sidecar's own.
pub(super) fn take_placeholder<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    if headers.get(&API_KEY).is_some_and(|key| key == PLACEHOLDER_KEY) {
        headers.remove(&API_KEY);
    }
    if headers.get(AUTHORIZATION).is_some_and(is_placeholder_token) {
        headers.remove(AUTHORIZATION);
    }
    if let Some(uri) = without_placeholder(request.uri()) {
        *request.uri_mut() = uri;
    }
}

/// `OpenAI` clients send the key as a bearer token.
fn is_placeholder_token(value: &HeaderValue) -> bool {
    value.as_bytes().strip_prefix(b"Bearer ") == Some(PLACEHOLDER_KEY.as_bytes())
}

/// The address without the parameter; `None` if it has none.
fn without_placeholder(uri: &Uri) -> Option<Uri> {
    let is_placeholder = |pair: &&str| {
        pair.split_once('=').is_some_and(|(name, key)| is_key(name) && key == PLACEHOLDER_KEY)
    };
    let query = uri.query()?;
    query.split('&').find(is_placeholder)?;
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_placeholder(pair)).collect();
    let text = match kept.as_slice() {
        [] => uri.path().to_owned(),
        kept => format!("{}?{}", uri.path(), kept.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// The parameter for a key ([system
/// parameters](https://cloud.google.com/apis/docs/system-parameters)).
pub(super) fn is_key(name: &str) -> bool {
    ["key", "$key", "%24key"].contains(&name)
}

/// Gives a key the place where the API expects it from `OpenAI` clients.
pub(super) fn move_to_bearer(headers: &mut HeaderMap) {
    let Some(key) = headers.remove(&API_KEY) else { return };
    let token = [b"Bearer ".as_slice(), key.as_bytes()].concat();
    if let Ok(mut token) = HeaderValue::from_bytes(&token) {
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_placeholder_is_taken_out_of_a_query() {
        let cases = [
            ("/v1/models?key=genai-bridge", Some("/v1/models")),
            ("/v1/models?alt=sse&key=genai-bridge&x=1", Some("/v1/models?alt=sse&x=1")),
            ("http://localhost:1/v1?$key=genai-bridge", Some("http://localhost:1/v1")),
            ("/v1/models?%24key=genai-bridge", Some("/v1/models")),
            ("/v1/models?key=mine", None),
            ("/v1/models?key=genai-bridge2", None),
            ("/v1/models?monkey=genai-bridge", None),
            ("/v1/models?key", None),
            ("/v1/models?", None),
            ("/v1/models", None),
        ];
        for (text, expected) in cases {
            let kept = without_placeholder(&Uri::from_static(text));
            assert_eq!(kept.map(|uri| uri.to_string()).as_deref(), expected, "{text}");
        }
    }
}
