//! Call: one RPC in neutral terms: method, metadata, deadline, message.

pub(crate) mod author;
pub(crate) mod deadline;
pub(crate) mod frame;

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::bridge::options::CallOptions;
use crate::call::deadline::Deadline;
use crate::call::frame::Frame;
use crate::error::Error;
use crate::schema::Method;

/// A tonic-shaped answer: head, frames, trailers. Its body fails with a `Status` that carries our `Error`
/// where the network broke it.
pub(crate) type Answer = http::Response<Body>;

/// One RPC, as both transports understand it.
pub(crate) struct Call {
    /// `/package.Service/Method`, with the prefix of the client's origin if it has one.
    pub(crate) path: PathAndQuery,
    /// What the schema knows of the method; `None` for a method of no known service.
    pub(crate) method: Option<Arc<Method>>,
    /// The caller's metadata and the credentials, without the headers that belong to a transport.
    pub(crate) metadata: HeaderMap,
    /// `grpc-encoding`: how the frames with a set flag are compressed.
    pub(crate) encoding: Option<HeaderValue>,
    /// `grpc-accept-encoding`: what the caller can read.
    pub(crate) accept_encoding: Option<HeaderValue>,
    /// When the whole call must have ended.
    pub(crate) deadline: Option<Deadline>,
    pub(crate) message: Message,
    pub(crate) options: CallOptions,
    /// How often it was handed to a transport.
    pub(crate) attempts: u32,
    /// How often because the service's answer invited it.
    pub(crate) retries: u32,
}

/// What a call sends: one message, cheap to send again, or a stream that exists once.
pub(crate) enum Message {
    One(Frame),
    Stream(Option<Body>),
}

impl Message {
    /// Whether the call can be sent again: a stream exists once.
    pub(crate) fn is_in_hand(&self) -> bool {
        matches!(self, Self::One(_))
    }
}

impl Call {
    /// A call of our own with one message, as its sender made it, and no deadline: who waits for it keeps the time.
    pub(crate) fn of_message(
        path: PathAndQuery,
        method: Option<Arc<Method>>,
        metadata: HeaderMap,
        message: Frame,
    ) -> Self {
        Self {
            path,
            method,
            metadata,
            encoding: None,
            accept_encoding: None,
            deadline: None,
            message: Message::One(message),
            options: CallOptions::default(),
            attempts: 0,
            retries: 0,
        }
    }

    /// Whether REST can carry it: its method is known, has an HTTP rule, and takes one message.
    pub(crate) fn has_rest_form(&self) -> bool {
        self.method.as_ref().is_some_and(|method| method.has_rest_form())
    }

    /// Time left before the deadline; `None` without one.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.deadline.map(Deadline::time_left)
    }

    /// `/package.Service/Method` for logs and errors.
    pub(crate) fn name(&self) -> &str {
        self.path.path()
    }
}

/// The parts of a tonic request's head that a call is made of.
pub(crate) struct Head {
    pub(crate) metadata: HeaderMap,
    pub(crate) encoding: Option<HeaderValue>,
    pub(crate) accept_encoding: Option<HeaderValue>,
    pub(crate) timeout: Option<Duration>,
}

/// Parts the caller's metadata from the headers that belong to gRPC itself, or to a connection.
///
/// # Errors
/// `grpc-timeout` breaks its grammar.
pub(crate) fn read_head(mut headers: HeaderMap) -> Result<Head, Error> {
    let timeout = headers.remove(&GRPC_TIMEOUT).as_ref().map(parse_timeout).transpose()?;
    let encoding = headers.remove(&GRPC_ENCODING).filter(|value| value != "identity");
    let accept_encoding = headers.remove(&GRPC_ACCEPT_ENCODING);
    remove_headers(&mut headers, |name| OF_HTTP.contains(name));
    Ok(Head { metadata: headers, encoding, accept_encoding, timeout })
}

/// Removes the headers of these names.
pub(crate) fn remove_headers(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_removed(name)).cloned() {
        headers.remove(name);
    }
}

/// `Timeout → TimeoutValue TimeoutUnit`, at most 8 digits
/// ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/v1.75.0/doc/PROTOCOL-HTTP2.md#requests)).
fn parse_timeout(value: &HeaderValue) -> Result<Duration, Error> {
    let refused =
        || Error::invalid_request("metadata `grpc-timeout` is not up to 8 digits and a unit");
    let text = value.to_str().map_err(|_| refused())?;
    let (digits, unit) = text.split_at_checked(text.len().wrapping_sub(1)).ok_or_else(refused)?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || digits.len() > 8 || !all_digits {
        return Err(refused());
    }
    let count: u64 = digits.parse().map_err(|_| refused())?;
    Ok(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return Err(refused()),
    })
}

/// Writes what is left of a deadline as `grpc-timeout`, rounded up, in the finest unit that fits.
pub(crate) fn format_timeout(left: Duration) -> HeaderValue {
    let micros = left.as_nanos().div_ceil(1_000);
    let units = [(1, 'u'), (1_000, 'm'), (1_000_000, 'S'), (60_000_000, 'M'), (3_600_000_000, 'H')];
    let text = units
        .into_iter()
        .map(|(size, unit)| (micros.div_ceil(size), unit))
        .find(|(count, _)| *count < 100_000_000)
        .map_or_else(|| "99999999H".to_owned(), |(count, unit)| format!("{count}{unit}"));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("99999999H"))
}

/// The trailers that end an answer with this status.
pub(crate) fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    if status.code() == Code::Ok {
        trailers.insert(&GRPC_STATUS, HeaderValue::from_static("0"));
    } else if status.add_header(&mut trailers).is_err() {
        // Metadata that cannot be a header: the code is worth more.
        trailers.clear();
        trailers.insert(&GRPC_STATUS, (status.code() as i32).into());
    }
    trailers
}

/// Names that say nothing about a call, in a request or in an answer: on either transport they are written anew, or
/// not at all.
pub(crate) static OF_HTTP: [HeaderName; 15] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
];

/// Made once: looking for a name given as text parses it each time.
pub(crate) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Option<Duration> {
        parse_timeout(&HeaderValue::from_static(text)).ok()
    }

    #[test]
    fn timeouts_follow_the_grammar() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("100000000S", None),
            ("", None),
            ("S", None),
            ("5", None),
            ("+5S", None),
            ("-5S", None),
            ("5s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_formatted_timeout_is_never_shorter_and_parses_back() {
        for nanos in [0, 1, 999, 1_000, 1_500_000_000, 99_999_999_999, 100_000_000_001, u64::MAX] {
            let left = Duration::from_nanos(nanos);
            let again = parse_timeout(&format_timeout(left)).expect("grammar");
            assert!(again >= left, "{left:?} became {again:?}");
            assert!(
                again.as_secs_f64() <= left.as_secs_f64() * 1.001 + 1e-6,
                "{left:?} became {again:?}"
            );
        }
    }

    #[test]
    fn the_head_keeps_the_callers_metadata_only() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("te", "trailers"),
            ("accept-encoding", "br"),
            ("grpc-timeout", "1S"),
            ("x-mine", "a"),
            ("content-type", "application/grpc"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let head = read_head(headers).expect("good head");
        assert_eq!(head.metadata.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-mine"]);
        assert_eq!(head.timeout, Some(Duration::from_secs(1)));
    }
}
