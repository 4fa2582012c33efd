//! Answer: the head of an answer to CONNECT, read as proxies write it.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The head of an answer to CONNECT.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) reason: String,
    pub(super) headers: HeaderMap,
    /// Bytes up to and with the empty line.
    pub(super) length: usize,
    is_http_1_0: bool,
}

/// How the page behind a head ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// With the connection, or nobody knows.
    Open,
}

impl Head {
    /// Reads the head at the beginning of `bytes`; `None` while it is incomplete.
    ///
    /// Headers that break the rules are left out: the status is what matters, and proxies are old.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, httparse::Error> {
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
        Ok(Some(Self {
            status,
            reason: response.reason.unwrap_or_default().to_owned(),
            headers,
            length,
            is_http_1_0: response.version == Some(0),
        }))
    }

    /// Whether the proxy means to read another request on this connection.
    pub(super) fn keeps_connection(&self) -> bool {
        let says = |word: &str| {
            let values = [header::CONNECTION, HeaderName::from_static("proxy-connection")];
            values
                .iter()
                .flat_map(|name| self.headers.get_all(name))
                .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        !says("close") && (!self.is_http_1_0 || says("keep-alive"))
    }

    pub(super) fn framing(&self) -> Framing {
        if let Some(coding) = self.headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
            let last = coding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
            let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            return if is_chunked { Framing::Chunked } else { Framing::Open };
        }
        let mut lengths = self.headers.get_all(header::CONTENT_LENGTH).iter();
        let length = lengths.next().and_then(read_length);
        match length {
            Some(length) if lengths.all(|other| read_length(other) == Some(length)) => {
                Framing::Length(length)
            }
            _ => Framing::Open,
        }
    }
}

/// `u64::from_str` takes a sign.
fn read_length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

const MAX_HEADERS: usize = 100;

/// What decides about an answer to CONNECT, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed {
    use http::header;

    use super::Head;
    use crate::network::login::Challenge;

    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct ConnectHead {
        pub(crate) status: u16,
        pub(crate) length: usize,
        pub(crate) challenges: usize,
        framing: super::Framing,
        keeps_connection: bool,
    }

    /// `None` while it is incomplete, or if it is none.
    pub(crate) fn connect_head(bytes: &[u8]) -> Option<ConnectHead> {
        let head = Head::parse(bytes).ok().flatten()?;
        let challenges = Challenge::read_all(head.headers.get_all(header::PROXY_AUTHENTICATE));
        Some(ConnectHead {
            status: head.status.as_u16(),
            length: head.length,
            challenges: challenges.len(),
            framing: head.framing(),
            keeps_connection: head.keeps_connection(),
        })
    }
}

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
            let head = Head::parse(bytes.as_bytes()).expect(bytes).expect(bytes);
            let found = (head.status.as_u16(), head.reason.as_str(), head.length);
            assert_eq!(found, (status, reason, length), "{bytes:?}");
        }
    }

    #[test]
    fn a_cut_head_is_incomplete_and_no_error() {
        let whole = b"HTTP/1.1 403 Filtered\r\nServer: tinyproxy\r\n\r\n";
        for end in 0..whole.len() {
            assert!(Head::parse(&whole[..end]).expect("legal").is_none(), "{end}");
        }
        assert!(Head::parse(whole).expect("legal").is_some());
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
            assert!(Head::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_head_says_whether_the_connection_is_kept_and_how_its_page_ends() {
        for (version, headers, is_kept, framing) in [
            ("1.1", "Content-Length: 5", true, Framing::Length(5)),
            ("1.1", "Content-Length: 5\r\nContent-Length: 5", true, Framing::Length(5)),
            ("1.1", "Content-Length: 5\r\nContent-Length: 6", true, Framing::Open),
            ("1.1", "Content-Length: +5", true, Framing::Open),
            ("1.1", "Content-Length: 99999999999999999999", true, Framing::Open),
            ("1.1", "Content-Length: 5\r\nTransfer-Encoding: Chunked", true, Framing::Chunked),
            ("1.1", "Transfer-Encoding: gzip, chunked", true, Framing::Chunked),
            ("1.1", "Transfer-Encoding: chunked, gzip", true, Framing::Open),
            ("1.1", "Connection: Close", false, Framing::Open),
            ("1.1", "Connection: a, close", false, Framing::Open),
            ("1.1", "Proxy-Connection: close\r\nConnection: keep-alive", false, Framing::Open),
            ("1.1", "Connection: closed", true, Framing::Open),
            ("1.0", "Content-Length: 5", false, Framing::Length(5)),
            ("1.0", "Proxy-Connection: Keep-Alive", true, Framing::Open),
            ("1.0", "Connection: keep-alive", true, Framing::Open),
        ] {
            let bytes = format!("HTTP/{version} 407 Login\r\n{headers}\r\n\r\n");
            let head = Head::parse(bytes.as_bytes()).expect("legal").expect("whole");
            assert_eq!((head.keeps_connection(), head.framing()), (is_kept, framing), "{headers}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Head::parse(&bytes);
        }

        #[test]
        fn a_damaged_head_never_panics(at in 0_usize..60, byte: u8) {
            let mut bytes = *b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n\r\n";
            bytes[at % bytes.len()] = byte;
            if let Ok(Some(head)) = Head::parse(&bytes) {
                prop_assert!(head.length <= bytes.len());
            }
        }
    }
}
