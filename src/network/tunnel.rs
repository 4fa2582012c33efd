//! Tunnel: CONNECT through an HTTP proxy; whatever the proxy answers instead is kept as evidence.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::fault::Fault;
use crate::symptom::{Evidence, SymptomKind};

/// Asks the proxy for a tunnel to `target`; returns the bytes that came with its consent and already
/// belong to the tunnel.
pub(super) async fn open_tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &Address,
    authorization: Option<&HeaderValue>,
    deadline: Instant,
) -> Result<Bytes, Fault> {
    let mut answer = BytesMut::new();
    let exchange = async {
        stream.write_all(&request(target, authorization)).await.map_err(closed)?;
        stream.flush().await.map_err(closed)?;
        read_head(stream, &mut answer).await
    };
    let head = match timeout_at(deadline, exchange).await {
        Ok(head) => head,
        Err(_) => Err(Fault::new(SymptomKind::ProxyTimeout)),
    };
    let head = head.map_err(|fault| fault.with_first_bytes(&answer))?;
    let after = answer.split_off(head.length);
    if head.status.is_success() {
        return Ok(after.freeze());
    }
    let page = read_page(stream, &head, after, deadline).await;
    let fault = refusal(&head, &page);
    Err(match why_no_login(&head, authorization.is_some()) {
        Some(why) => fault.with_detail(why),
        None => fault,
    })
}

fn request(target: &Address, authorization: Option<&HeaderValue>) -> Vec<u8> {
    let mut request =
        format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n")
            .into_bytes();
    if let Some(value) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Reads up to the end of the first head that is not interim (RFC 9110, section 15.2).
async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    answer: &mut BytesMut,
) -> Result<Head, Fault> {
    let mut read_in_all = 0;
    loop {
        match parse_head(answer) {
            Ok(Some(head)) if is_interim(head.status) => {
                let _ = answer.split_to(head.length);
                continue;
            }
            Ok(Some(head)) => return Ok(head),
            Ok(None) if read_in_all >= MAX_HEAD => {
                return Err(Fault::new(SymptomKind::ProxyMalformed)
                    .with_detail("the head of its answer is too long"));
            }
            Ok(None) => {}
            Err(error) => return Err(Fault::new(SymptomKind::ProxyMalformed).with_source(error)),
        }
        let room = MAX_HEAD - read_in_all;
        let length = read_some(stream, answer, room).await.map_err(closed)?;
        if length == 0 {
            return Err(Fault::new(SymptomKind::ProxyClosed));
        }
        read_in_all += length;
    }
}

/// 101 would mean another protocol than asked for, so it is an answer.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Reads what there is of the page that explains a refusal; a slow page is not waited for, nor is
/// the end of a connection that the proxy keeps open behind it.
async fn read_page<S: AsyncRead + Unpin>(
    stream: &mut S,
    head: &Head,
    mut page: BytesMut,
    deadline: Instant,
) -> BytesMut {
    let patience = deadline.min(Instant::now() + PAGE_PATIENCE);
    let read = async {
        while page.len() < Evidence::MAX_FIRST_BYTES && !head.is_whole(&page) {
            let room = Evidence::MAX_FIRST_BYTES - page.len();
            if !matches!(read_some(stream, &mut page, room).await, Ok(1..)) {
                break;
            }
        }
    };
    // Whatever was read until then is kept.
    let _ = timeout_at(patience, read).await;
    page
}

async fn read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    room: usize,
) -> io::Result<usize> {
    let mut chunk = [0; 2048];
    let end = room.min(chunk.len());
    let chunk = chunk.get_mut(..end).unwrap_or_default();
    let length = stream.read(chunk).await?;
    buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
    Ok(length)
}

fn closed(error: io::Error) -> Fault {
    Fault::of_io(SymptomKind::ProxyClosed, error)
}

fn refusal(head: &Head, page: &[u8]) -> Fault {
    let kind = match head.status.as_u16() {
        407 => SymptomKind::ProxyAuthenticationRequired,
        300..=399 => SymptomKind::ProxyRedirected,
        // It does not know the method, or asks for a login of its own: a web server, or a portal.
        400 | 404 | 501 | 505 | 511 => SymptomKind::ProxyRejected,
        400..=499 => SymptomKind::ProxyForbidden,
        500..=599 => SymptomKind::ProxyUpstreamFailed,
        _ => SymptomKind::ProxyRejected,
    };
    Fault::new(kind).with_evidence(
        Evidence::new()
            .with_status(head.status)
            .with_reason(&head.reason)
            .with_headers(&head.headers)
            .with_first_bytes(page),
    )
}

/// What is wrong with the login, for a proxy that asks for one.
fn why_no_login(head: &Head, was_sent: bool) -> Option<String> {
    if head.status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return None;
    }
    let challenges = head.headers.get_all(header::PROXY_AUTHENTICATE).iter();
    // Outside of quotes a comma parts challenges, or the parameters of one, which have an equals sign.
    let schemes: Vec<&str> = challenges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split('"').step_by(2))
        .flat_map(|unquoted| unquoted.split(','))
        .filter_map(|part| part.split_whitespace().next())
        .filter(|word| !word.contains('='))
        .collect();
    let takes_basic = schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
    match (takes_basic, was_sent) {
        (false, _) if !schemes.is_empty() => {
            Some(format!("it takes {}, not Basic", schemes.join(" or ")))
        }
        (_, true) => Some("it does not accept the login".to_owned()),
        (_, false) => None,
    }
}

/// The head of an answer to CONNECT.
#[derive(Debug)]
struct Head {
    status: StatusCode,
    reason: String,
    headers: HeaderMap,
    /// Bytes up to and with the empty line.
    length: usize,
}

impl Head {
    /// Whether nothing of the page is missing; a page without a length ends with the connection.
    fn is_whole(&self, page: &[u8]) -> bool {
        if self.headers.contains_key(header::TRANSFER_ENCODING) {
            return page.ends_with(b"0\r\n\r\n");
        }
        let length = self.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.trim().parse::<usize>().ok());
        length.is_some_and(|length| page.len() >= length)
    }
}

/// Reads the head at the beginning of `bytes`; `None` while it is incomplete.
///
/// Headers that break the rules are left out: the status is what matters, and proxies are old.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response(&mut response, bytes)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(httparse::Error::Status)?;
    let named = response.headers.iter().filter_map(|header| {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(header.value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        headers.append(name, value);
    }
    Ok(Some(Head {
        status,
        reason: response.reason.unwrap_or_default().to_owned(),
        headers,
        length,
    }))
}

const USER_AGENT: &str = concat!("genai-bridge/", env!("CARGO_PKG_VERSION"));
/// Most bytes of heads that are read, interim ones included.
pub(super) const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// How long the page of a refusal is waited for, once its head is known.
pub(super) const PAGE_PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_are_read_as_proxies_write_them() {
        for (bytes, status, reason, length) in [
            ("HTTP/1.1 200 OK\r\n\r\nEARLY", 200, "OK", 19),
            ("HTTP/1.0 200 Connection established\r\n\r\n", 200, "Connection established", 39),
            ("HTTP/1.1 200\r\n\r\n", 200, "", 16),
            ("HTTP/1.1 200 \r\n\r\n", 200, "", 17),
            ("HTTP/1.1 200 OK\n\n", 200, "OK", 17),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", 200, "OK", 21),
            ("HTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\n", 201, "Made", 40),
            ("HTTP/1.1 407 No\r\nbad header\r\nVia : x\r\n\r\n", 407, "No", 40),
            ("HTTP/1.1 999 Odd\r\n\r\n", 999, "Odd", 20),
        ] {
            let head = parse_head(bytes.as_bytes()).expect(bytes).expect(bytes);
            let found = (head.status.as_u16(), head.reason.as_str(), head.length);
            assert_eq!(found, (status, reason, length), "{bytes:?}");
        }
    }

    #[test]
    fn a_cut_head_is_incomplete_and_no_error() {
        let whole = b"HTTP/1.1 403 Filtered\r\nServer: tinyproxy\r\n\r\n";
        for end in 0..whole.len() {
            assert!(parse_head(&whole[..end]).expect("legal").is_none(), "{end}");
        }
        assert!(parse_head(whole).expect("legal").is_some());
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        for bytes in [
            &b"\x16\x03\x01\x02\x00"[..],
            b"\x05\x00",
            b"SSH-2.0-OpenSSH\r\n",
            b"<html>",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 000 OK\r\n\r\n",
        ] {
            assert!(parse_head(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse_head(&bytes);
        }

        #[test]
        fn a_damaged_head_never_panics(at in 0_usize..60, byte: u8) {
            let mut bytes = *b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n\r\n";
            bytes[at % bytes.len()] = byte;
            if let Ok(Some(head)) = parse_head(&bytes) {
                prop_assert!(head.length <= bytes.len());
            }
        }
    }
}
