//! Dialect: what a service's front end wants beside the call itself: headers and system parameters.

mod routing;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::call::{Call, Message};
use crate::schema::{Method, Schema};
use routing::routing_parameters;

/// Whose front end is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Nobody's in particular: a call goes as it is.
    Plain,
    /// Google's: [system parameters](https://cloud.google.com/apis/docs/system-parameters) and the
    /// headers of its own clients.
    Google,
}

impl Dialect {
    /// Says who sends the call, and which of its fields decide where it goes. The same on both
    /// transports.
    pub(crate) fn add_headers(self, schema: &Schema, call: &mut Call) {
        match self {
            Self::Plain => return,
            Self::Google => {}
        }
        call.metadata.entry(API_CLIENT).or_insert(HeaderValue::from_static(CLIENT));
        if !call.metadata.contains_key(&REQUEST_PARAMS)
            && let (Some(method), Message::One(frame)) = (&call.method, &call.message)
            && !frame.is_compressed()
            && let Some(parameters) = routing_parameters(schema, method, &frame.message())
        {
            call.metadata.insert(REQUEST_PARAMS, parameters);
        }
    }

    /// The same for a request that is REST already: only who sends it.
    pub(crate) fn name_client(self, headers: &mut HeaderMap) {
        match self {
            Self::Plain => {}
            Self::Google => {
                headers.entry(API_CLIENT).or_insert(HeaderValue::from_static(CLIENT_OVER_REST));
            }
        }
    }

    /// What the query of a REST request needs. `alt=sse` streams events. Enums come by name, unary
    /// and streamed: events have no parameter to ask for numbers, and one way to read them is
    /// enough.
    pub(crate) fn query_parameter(self, method: &Method) -> Option<&'static str> {
        match self {
            Self::Google if method.server_streaming => Some("alt=sse"),
            Self::Plain | Self::Google => None,
        }
    }
}

/// Corrects the transport that a client's header names.
///
/// The service's statistics tell transports apart by `grpc/1.2.3` or `rest/1.2.3` in it.
pub(crate) fn name_rest(headers: &mut HeaderMap) {
    if let Some(client) = headers.get_mut(&API_CLIENT) {
        *client = over_rest(client);
    }
}

fn over_rest(client: &HeaderValue) -> HeaderValue {
    if client == CLIENT {
        return HeaderValue::from_static(CLIENT_OVER_REST);
    }
    let text = client.to_str().unwrap_or_default();
    let words: Vec<String> = text
        .split(' ')
        .map(|word| {
            word.strip_prefix("grpc/")
                .map_or_else(|| word.to_owned(), |version| format!("rest/{version}"))
        })
        .collect();
    HeaderValue::from_str(&words.join(" ")).unwrap_or_else(|_| client.clone())
}

/// `NAME/VERSION` of what sends the call; over REST `grpc` becomes `rest`.
const CLIENT: &str =
    concat!("genai-bridge/", env!("CARGO_PKG_VERSION"), " grpc/", env!("CARGO_PKG_VERSION"));
const CLIENT_OVER_REST: &str =
    concat!("genai-bridge/", env!("CARGO_PKG_VERSION"), " rest/", env!("CARGO_PKG_VERSION"));
const REQUEST_PARAMS: HeaderName = HeaderName::from_static("x-goog-request-params");
const API_CLIENT: HeaderName = HeaderName::from_static("x-goog-api-client");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_header_names_rest() {
        let value = HeaderValue::from_static("gl-rust/1.88 grpc/0.14 gapic/1");
        assert_eq!(over_rest(&value), "gl-rust/1.88 rest/0.14 gapic/1");
        assert_eq!(CLIENT.replace("grpc", "rest"), CLIENT_OVER_REST);
    }
}
