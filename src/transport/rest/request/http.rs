//! HTTP: a call's verb, path, query and body as one HTTP request. The carrier adds the origin.

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http_body::Body as _;
use http_body_util::{Either, Full};

use super::form::{JSON, RequestBody, RestRequest, header_value};
use crate::error::Error;
use crate::transport::carrier::http1::SentBody;

/// The request with the caller's `headers` and those that its body needs.
///
/// # Errors
/// The path is no URL's, or the content type no header's value.
pub(crate) fn write_http(
    request: RestRequest,
    headers: HeaderMap,
) -> Result<http::Request<SentBody>, Error> {
    let RestRequest { verb, path, query, body } = request;
    let target = target_of(&path, &query)?;
    let whole = |data: Full<_>| Either::Right(Either::Left(data));
    let (content_type, length, body) = match body {
        RequestBody::None if verb == http::Method::GET => (None, None, whole(Full::default())),
        // Some proxies refuse a POST that does not say that it has no body.
        RequestBody::None => (None, Some(0), whole(Full::default())),
        RequestBody::Json(json) => {
            (Some(HeaderValue::from_static(JSON)), Some(json.len()), Either::Left(json))
        }
        RequestBody::Raw { content_type, data } => {
            let length = Some(data.len());
            (named(&content_type)?, length, whole(data.into()))
        }
        RequestBody::Stream { content_type, body } => {
            let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
            (named(&content_type)?, length, Either::Right(Either::Right(body)))
        }
    };
    let mut built = http::Request::new(body);
    *built.method_mut() = verb;
    *built.uri_mut() = target.into();
    *built.headers_mut() = headers;
    let headers = built.headers_mut();
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(built)
}

/// A content type, if there is one.
fn named(content_type: &str) -> Result<Option<HeaderValue>, Error> {
    (!content_type.is_empty()).then(|| header_value(content_type)).transpose()
}

/// What we encoded must reach the wire as it is, or not at all.
fn target_of(path: &str, query: &str) -> Result<PathAndQuery, Error> {
    let refused = || {
        Error::invalid_request(format!("the request does not map to a valid URL path: `{path}`"))
    };
    let target = if query.is_empty() { path.to_owned() } else { [path, "?", query].concat() };
    let target = PathAndQuery::try_from(target).map_err(|_| refused())?;
    if target.path() != path || target.query().unwrap_or_default() != query {
        return Err(refused());
    }
    Ok(target)
}

/// Google's front end compresses for clients that say "gzip" here too
/// ([performance tips](https://developers.google.com/discovery/v1/performance#gzip)).
const USER_AGENT: &str = concat!("genai-bridge/", env!("CARGO_PKG_VERSION"), " (gzip)");
