//! HTTP: a call's verb, path, query and body as one HTTP request. The carrier adds the origin.

use bytes::Bytes;
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
    let target = target_of(path, &query)?;
    let whole = |data: Full<_>| Either::Right(Either::Left(data));
    let (content_type, body) = match body {
        RequestBody::None => (None, whole(Full::default())),
        RequestBody::Json(json) => (Some(HeaderValue::from_static(JSON)), Either::Left(json)),
        RequestBody::Raw { content_type, data } => (named(&content_type)?, whole(data.into())),
        RequestBody::Stream { content_type, body } => {
            (named(&content_type)?, Either::Right(Either::Right(body)))
        }
    };
    // hyper writes the length of what has bytes, and says nothing where there are none. Some
    // proxies refuse a POST that does not say that it has no body.
    let is_empty = verb != http::Method::GET && body.size_hint().exact() == Some(0);
    let mut built = http::Request::new(body);
    *built.method_mut() = verb;
    *built.uri_mut() = target.into();
    *built.headers_mut() = headers;
    let headers = built.headers_mut();
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    if is_empty {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(built)
}

/// A content type, if there is one.
fn named(content_type: &str) -> Result<Option<HeaderValue>, Error> {
    (!content_type.is_empty()).then(|| header_value(content_type)).transpose()
}

/// What we encoded must reach the wire as it is, or not at all.
fn target_of(path: String, query: &str) -> Result<PathAndQuery, Error> {
    let length = path.len();
    let mut text = path;
    if !query.is_empty() {
        text.extend(["?", query]);
    }
    let text = Bytes::from(text);
    // What parsing leaves out, it leaves out at the end.
    match PathAndQuery::from_maybe_shared(text.clone()) {
        Ok(target) if target.as_str().len() == text.len() && target.path().len() == length => {
            Ok(target)
        }
        Ok(_) | Err(_) => {
            let path = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
            let what = "the request does not map to a valid URL path";
            Err(Error::invalid_request(format!("{what}: `{path}`")))
        }
    }
}

/// Google's front end compresses for clients that say "gzip" here too
/// ([performance tips](https://developers.google.com/discovery/v1/performance#gzip)).
const USER_AGENT: &str = concat!("genai-bridge/", env!("CARGO_PKG_VERSION"), " (gzip)");

#[cfg(test)]
mod tests {
    use http::Method;
    use tonic::body::Body;

    use super::*;

    fn write(
        verb: Method,
        path: &str,
        query: &str,
        body: RequestBody,
    ) -> Option<http::Request<SentBody>> {
        let request = RestRequest { verb, path: path.to_owned(), query: query.to_owned(), body };
        write_http(request, HeaderMap::new()).ok()
    }

    #[test]
    fn what_has_no_bytes_says_so_unless_it_asks_only() {
        let raw = |data: &'static str| RequestBody::Raw {
            content_type: "text/plain".to_owned(),
            data: data.into(),
        };
        let stream = || RequestBody::Stream { content_type: String::new(), body: Body::empty() };
        for (verb, body, expected) in [
            (Method::GET, RequestBody::None, None),
            (Method::DELETE, RequestBody::None, Some("0")),
            (Method::POST, RequestBody::None, Some("0")),
            (Method::POST, raw(""), Some("0")),
            (Method::PUT, stream(), Some("0")),
            // The client writes it, by the body.
            (Method::POST, raw("a"), None),
        ] {
            let request = write(verb.clone(), "/a", "", body).expect("a request");
            let length = request.headers().get(header::CONTENT_LENGTH);
            assert_eq!(length.map(HeaderValue::as_bytes), expected.map(str::as_bytes), "{verb}");
        }
    }

    #[test]
    fn a_target_is_sent_as_it_was_written_or_not_at_all() {
        for (path, query, expected) in [
            ("/a", "", Some("/a")),
            ("/a:b", "c=d&e", Some("/a:b?c=d&e")),
            ("/a?b", "", None),
            ("/a#b", "", None),
            ("/a", "b#c", None),
            ("/a b", "", None),
            ("", "a", None),
        ] {
            let request = write(Method::GET, path, query, RequestBody::None);
            let target = request.map(|request| request.uri().to_string());
            assert_eq!(target.as_deref(), expected, "{path} {query}");
        }
    }
}
