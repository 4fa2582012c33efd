//! Evidence: what was seen when a call broke, fit to be shown to a person.

use std::fmt;
use std::io;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use super::handshake::TlsTrouble;
use super::login::LoginTrouble;
use super::words::{MAX_WORDS, one_line, words_of};

/// What was seen at the hop that broke a call. Every part is optional.
///
/// Holds nothing the caller sent: no key, no request header, no message.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    status: Option<StatusCode>,
    reason: Option<Box<str>>,
    headers: Vec<(HeaderName, Box<str>)>,
    first_bytes: Bytes,
    words: Option<Box<str>>,
    issuer: Option<Box<str>>,
    protocol: Option<Box<str>>,
    http2_reason: Option<u32>,
    io: Option<io::ErrorKind>,
    detail: Option<Box<str>>,
    login: Option<LoginTrouble>,
    tls: Option<TlsTrouble>,
    messages: u64,
}

impl Evidence {
    /// Most bytes of a foreign answer that are kept.
    pub(crate) const MAX_FIRST_BYTES: usize = 1024;

    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn with_reason(mut self, reason: &str) -> Self {
        self.reason = Some(clip(reason));
        self
    }

    /// Keeps the headers that tell who answered and what it wants, and no others.
    pub(crate) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        self.headers = TELLING_HEADERS
            .iter()
            .flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)))
            .map(|(name, value)| (name.clone(), clip(&String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        self
    }

    pub(crate) fn with_first_bytes(mut self, bytes: &[u8]) -> Self {
        let kept = bytes.get(..Self::MAX_FIRST_BYTES).unwrap_or(bytes);
        self.first_bytes = Bytes::copy_from_slice(kept);
        self
    }

    /// Keeps of an answer that is not the service's its first bytes, and what it says.
    pub(crate) fn with_answer(self, answer: &[u8]) -> Self {
        let words = words_of(answer);
        Self { words, ..self.with_first_bytes(answer) }
    }

    pub(crate) fn with_issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(clip(issuer));
        self
    }

    pub(crate) fn with_protocol(mut self, protocol: &str) -> Self {
        self.protocol = Some(clip(protocol));
        self
    }

    pub(crate) fn with_http2_reason(mut self, reason: u32) -> Self {
        self.http2_reason = Some(reason);
        self
    }

    pub(crate) fn with_io(mut self, kind: io::ErrorKind) -> Self {
        self.io = Some(kind);
        self
    }

    /// A short fact in words that has no field of its own, such as the name of a TLS alert.
    pub(crate) fn with_detail(mut self, detail: impl AsRef<str>) -> Self {
        self.detail = Some(clip(detail.as_ref()));
        self
    }

    /// Why a login at a proxy did not come about; chooses the advice.
    pub(crate) fn with_login(mut self, trouble: LoginTrouble) -> Self {
        self.login = Some(trouble);
        self
    }

    /// Why TLS did not come about; chooses the advice.
    pub(crate) fn with_tls(mut self, trouble: TlsTrouble) -> Self {
        self.tls = Some(trouble);
        self
    }

    pub(crate) fn with_messages(mut self, messages: u64) -> Self {
        self.messages = messages;
        self
    }

    /// Blanks a secret out wherever the peer repeated it; true if it did.
    pub(crate) fn hide(&mut self, secret: &[u8]) -> bool {
        if secret.is_empty() {
            return false;
        }
        let mut was_there = false;
        let headers = self.headers.iter_mut().map(|(_, value)| value);
        let texts = headers.chain(&mut self.reason).chain(&mut self.detail);
        for text in texts.chain(&mut self.words) {
            if let Some(hidden) = blank_out(text.as_bytes(), secret) {
                *text = String::from_utf8_lossy(&hidden).into();
                was_there = true;
            }
        }
        if let Some(hidden) = blank_out(&self.first_bytes, secret) {
            self.first_bytes = hidden.into();
            was_there = true;
        }
        was_there
    }

    pub(super) fn login(&self) -> Option<LoginTrouble> {
        self.login
    }

    pub(crate) fn tls(&self) -> Option<TlsTrouble> {
        self.tls
    }

    /// HTTP status of the answer, of a proxy to CONNECT or of whoever answered the call.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Reason phrase of a proxy's answer to CONNECT.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Value of a header that tells who answered: `server`, `via`, `proxy-authenticate`,
    /// `location`, `x-squid-error`, `content-type`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// First bytes of a foreign answer, at most 1 KiB.
    pub fn first_bytes(&self) -> &[u8] {
        &self.first_bytes
    }

    /// What whoever answered in place of the service said, in some 300 characters: the message of
    /// an error in JSON, the title of a page, or a text.
    pub fn words(&self) -> Option<String> {
        self.words.as_deref().map(|words| one_line(words, MAX_WORDS))
    }

    /// Issuer of the certificate that was presented: an inspecting proxy shows its own name here.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Protocol that ALPN agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// HTTP/2 error code of a `RST_STREAM` or GOAWAY frame (RFC 9113, section 7).
    pub fn http2_reason(&self) -> Option<u32> {
        self.http2_reason
    }

    /// Kind of the socket error.
    pub fn io(&self) -> Option<io::ErrorKind> {
        self.io
    }

    /// A short fact that has no field of its own, such as the name of a TLS alert.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Complete messages that had been received on the call.
    pub fn messages(&self) -> u64 {
        self.messages
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_without_io(f)?;
        match self.io {
            Some(kind) => write!(f, " ({kind})"),
            None => Ok(()),
        }
    }
}

impl Evidence {
    /// For whoever has said already what the socket's error was.
    pub(super) fn write_without_io(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, " (status {})", status.as_u16())?;
        }
        if let Some(detail) = self.detail() {
            write!(f, " ({detail})")?;
        }
        if let Some(issuer) = self.issuer() {
            write!(f, " (certificate issued by {issuer})")?;
        }
        if let Some(reason) = self.http2_reason {
            write!(f, " (HTTP/2 {:?})", h2::Reason::from(reason))?;
        }
        Ok(())
    }
}

/// Shows what was seen, and no more. Of a page it shows the length, not the text: a page may repeat
/// what the caller sent.
impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Evidence");
        let mut show = |name: &str, part: Option<&dyn fmt::Debug>| {
            if let Some(part) = part {
                debug.field(name, part);
            }
        };
        let headers = Some(&self.headers).filter(|headers| !headers.is_empty());
        let bytes = Some(self.first_bytes.len()).filter(|length| *length > 0);
        let messages = Some(self.messages).filter(|count| *count > 0);
        show("status", shown(self.status.as_ref()));
        show("reason", shown(self.reason.as_ref()));
        show("headers", shown(headers));
        show("first_bytes", shown(bytes.as_ref()));
        show("words", shown(self.words.as_deref().map(str::len).as_ref()));
        show("issuer", shown(self.issuer.as_ref()));
        show("protocol", shown(self.protocol.as_ref()));
        show("http2_reason", shown(self.http2_reason.as_ref()));
        show("io", shown(self.io.as_ref()));
        show("detail", shown(self.detail.as_ref()));
        show("login", shown(self.login.as_ref()));
        show("tls", shown(self.tls.as_ref()));
        show("messages", shown(messages.as_ref()));
        debug.finish()
    }
}

fn shown<T: fmt::Debug>(part: Option<&T>) -> Option<&dyn fmt::Debug> {
    part.map(|part| part as &dyn fmt::Debug)
}

/// The same with stars in place of the secret; `None` if it is not there.
fn blank_out(text: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let mut kept = None;
    for at in memchr::memmem::find_iter(text, secret) {
        let kept = kept.get_or_insert_with(|| text.to_vec());
        if let Some(found) = kept.get_mut(at..at + secret.len()) {
            found.fill(b'*');
        }
    }
    if let Some(at) = begin_of_cut(text, secret) {
        let kept = kept.get_or_insert_with(|| text.to_vec());
        kept.iter_mut().skip(at).for_each(|byte| *byte = b'*');
    }
    kept
}

/// Where the secret begins that the end of the text cuts off, if so much of it is there that it
/// tells something.
fn begin_of_cut(text: &[u8], secret: &[u8]) -> Option<usize> {
    let mut begins =
        (SHORTEST_TELLING..secret.len()).rev().filter_map(|length| secret.get(..length));
    let begin = begins.find(|begin| text.ends_with(begin))?;
    text.len().checked_sub(begin.len())
}

/// Cuts to what fits on a line, at a character border.
fn clip(text: &str) -> Box<str> {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect::<String>().into()
}

const MAX_TEXT: usize = 200;
const SHORTEST_TELLING: usize = 4;

static TELLING_HEADERS: [HeaderName; 8] = [
    header::SERVER,
    header::VIA,
    header::PROXY_AUTHENTICATE,
    header::LOCATION,
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("x-squid-error"),
    HeaderName::from_static("proxy-status"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_telling_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("server", "squid/5.7".parse().expect("value"));
        headers.insert("set-cookie", "secret".parse().expect("value"));
        let evidence = Evidence::new().with_headers(&headers);
        assert_eq!(evidence.header("server"), Some("squid/5.7"));
        assert_eq!(evidence.header("set-cookie"), None);
        assert!(!format!("{evidence:?}").contains("secret"));
    }

    #[test]
    fn a_secret_that_is_repeated_is_blanked_out() {
        let mut headers = HeaderMap::new();
        headers
            .insert(header::LOCATION, http::HeaderValue::from_static("http://portal/?key=KEY-1"));
        let mut evidence = Evidence::new()
            .with_headers(&headers)
            .with_reason("no KEY-1")
            .with_detail("KEY-1")
            .with_first_bytes(b"you sent KEY-1 and KEY-1");
        assert!(evidence.hide(b"KEY-1"));
        assert!(!evidence.hide(b"KEY-1") && !evidence.hide(b""));
        assert_eq!(evidence.header("location"), Some("http://portal/?key=*****"));
        assert_eq!((evidence.reason(), evidence.detail()), (Some("no *****"), Some("*****")));
        assert_eq!(evidence.first_bytes(), b"you sent ***** and *****");
    }

    #[test]
    fn a_secret_that_is_cut_off_is_blanked_out() {
        for (said, kept) in [
            ("you sent KEY-12345", "you sent *********"),
            ("you sent KEY-1234", "you sent ********"),
            ("you sent KEY-", "you sent ****"),
            ("you sent KEY", "you sent KEY"),
            ("KEY-12345, then KEY-1", "*********, then *****"),
            ("KEY-1 is not all", "KEY-1 is not all"),
        ] {
            let mut evidence = Evidence::new().with_first_bytes(said.as_bytes());
            evidence.hide(b"KEY-12345");
            assert_eq!(evidence.first_bytes(), kept.as_bytes(), "{said}");
        }
    }

    #[test]
    fn debug_hides_the_page() {
        let evidence = Evidence::new().with_first_bytes(b"<html>secret");
        assert!(!format!("{evidence:?} {evidence}").contains("secret"));
    }
}
