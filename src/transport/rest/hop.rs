//! Hop: the headers that belong to a connection, not to what is sent on it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers but those of the connection, which are also what `Connection` names
/// ([RFC 9110, section 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
pub(crate) fn without_connection(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|list| list.split(',')).map(str::trim).collect();
    let is_named = |name: &str| named.iter().any(|other| other.eq_ignore_ascii_case(name));
    let kept = headers.iter().filter(|(name, _)| {
        !CONNECTION_HEADERS.contains(name) && *name != "keep-alive" && !is_named(name.as_str())
    });
    kept.map(|(name, value): (_, &HeaderValue)| (name.clone(), value.clone())).collect()
}

/// They belong to a connection, not to a call.
static CONNECTION_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];
