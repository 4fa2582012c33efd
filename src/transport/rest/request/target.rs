//! Target: path and query of a request that a caller, or an answer, wrote; always on the bridge's
//! own origin.

use http::Uri;
use http::uri::PathAndQuery;

use crate::error::Error;
use crate::schema::template::{encode, has_dot_segment};

/// Path and query, fit to stand in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) path: String,
    /// Without `?`; empty for none.
    pub(crate) query: String,
}

impl Target {
    /// Reads `/path` or `/path?query`.
    ///
    /// # Errors
    /// It names another host, leaves its place by dots or by empty segments, or is no path of a
    /// URL. The query, which may hold a secret, is not repeated.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let refuse = |why: &str| Error::invalid_request(format!("the path `{path}` {why}"));
        if !path.starts_with('/') {
            return Err(refuse("does not begin with `/`: scheme and host are the endpoint's"));
        }
        if path.contains("//") || path.contains('\\') {
            return Err(refuse(
                "contains an empty segment or a backslash, which servers read as another path",
            ));
        }
        if has_dot_segment(path) {
            return Err(refuse("contains a segment `.` or `..`, which would lead to another path"));
        }
        let is_kept = text.is_ascii()
            && PathAndQuery::try_from(text)
                .is_ok_and(|read| read.path() == path && read.query().unwrap_or_default() == query);
        if !is_kept {
            return Err(refuse(
                "is not a path of a URL: percent-encode `#`, spaces and characters outside ASCII",
            ));
        }
        Ok(Self { path: path.to_owned(), query: query.to_owned() })
    }

    /// Reads a URL that an answer names: a path, or the whole URL of the same origin.
    ///
    /// # Errors
    /// It belongs to another origin, or [`parse`](Self::parse) refuses its path.
    pub(crate) fn on_origin(origin: &Uri, url: &str) -> Result<Self, Error> {
        if url.starts_with('/') && !url.starts_with("//") {
            return Self::parse(url);
        }
        let elsewhere = || {
            let host = Uri::try_from(url).ok().and_then(|url| url.host().map(str::to_owned));
            let host = host.unwrap_or_else(|| "another place".to_owned());
            let own = origin.host().unwrap_or_default();
            Error::invalid_request(format!(
                "the answer leads to {host}, and only {own} gets the key"
            ))
        };
        let parsed = Uri::try_from(url).map_err(|_| elsewhere())?;
        if place_of(&parsed).is_none() || place_of(&parsed) != place_of(origin) {
            return Err(elsewhere());
        }
        Self::parse(parsed.path_and_query().map_or("/", PathAndQuery::as_str))
    }

    /// Adds `name=value`, both encoded here.
    pub(crate) fn add_parameter(&mut self, name: &str, value: &str) {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        encode(name, &mut self.query);
        self.query.push('=');
        encode(value, &mut self.query);
    }
}

/// Scheme, host and port; `None` without one of them, or with a user before the host.
fn place_of(url: &Uri) -> Option<(String, String, u16)> {
    let scheme = url.scheme_str()?.to_ascii_lowercase();
    if url.authority()?.as_str().contains('@') {
        return None;
    }
    let host = url.host()?.to_ascii_lowercase();
    let port = url.port_u16().or(match scheme.as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    })?;
    Some((scheme, host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_where_it_is() {
        for text in [
            "/v1beta/interactions",
            "/v1beta/models/a:generateContent?alt=sse",
            "/v1/a..b/...",
            "/v1beta/files/a%2Fb?x=../y",
        ] {
            let target = Target::parse(text).expect(text);
            let (path, query) = text.split_once('?').unwrap_or((text, ""));
            assert_eq!((target.path.as_str(), target.query.as_str()), (path, query));
        }
        for text in [
            "",
            "v1beta/x",
            "https://other.test/v1",
            "//other.test/v1",
            "/v1//x",
            "/v1/../x",
            "/v1/./x",
            "/v1/%2e%2E/x",
            "/v1/..",
            "/v1/..%2fx",
            "/v1/x%5c..",
            "/v1/..\\x",
            "/\\other.test",
            "/v1/a b",
            "/v1/\u{e9}",
            "/v1/x#y",
            "/v1\r\nx: y",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_of_an_answer_is_of_the_same_origin() {
        let origin = Uri::from_static("https://api.test/");
        for url in
            ["/upload?id=1", "https://api.test/upload?id=1", "HTTPS://API.test:443/upload?id=1"]
        {
            let target = Target::on_origin(&origin, url).expect(url);
            assert_eq!((target.path.as_str(), target.query.as_str()), ("/upload", "id=1"));
        }
        for url in [
            "http://api.test/upload",
            "https://api.test:444/upload",
            "https://api.test.evil/upload",
            "https://evil/upload",
            "https://api.test@evil/upload",
            "https://evil@api.test/upload",
            "//evil/upload",
            "https:///upload",
            "",
            "upload",
            "https://api.test/../upload",
            "ftp://api.test/x",
        ] {
            assert!(Target::on_origin(&origin, url).is_err(), "{url}");
        }
        let error =
            Target::on_origin(&origin, "https://evil/upload?secret=1").expect_err("another host");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn parameters_are_encoded() {
        let mut target = Target::parse("/v1/x?a=1").expect("a path");
        target.add_parameter("page token", "&=#");
        assert_eq!(target.query, "a=1&page%20token=%26%3D%23");
    }
}
