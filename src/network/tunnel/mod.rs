//! Tunnel: CONNECT through an HTTP proxy, in as many rounds as the login takes; whatever the proxy
//! answers instead is kept as evidence.

mod answer;
mod page;

use std::io;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::fault::Fault;
use super::login::{Challenge, Rounds, Trouble};
use crate::symptom::{Evidence, SymptomKind};
use answer::Head;
use page::{Page, read_some};

#[cfg(any(test, fuzzing))]
pub(crate) use answer::fuzzed;
#[cfg(test)]
pub(super) use page::{DRAIN_PATIENCE, MAX_PAGE, SKIM_PATIENCE};

/// Asks the proxy for a tunnel to `target` and logs in where it asks for that, over as few
/// connections of `dial` as the proxy allows. Returns the bytes, too, that came with its consent
/// and already belong to the tunnel.
pub(super) async fn open_tunnel<S, Dial>(
    dial: impl Fn() -> Dial,
    target: &Address,
    login: &mut Rounds<'_>,
    deadline: Instant,
) -> Result<(S, Bytes), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
    Dial: Future<Output = Result<S, Fault>>,
{
    let (mut stream, mut is_reused) = (dial().await?, false);
    loop {
        let refused = match ask(&mut stream, target, Round::of(login), deadline).await {
            Ok(Answer::Opened(after)) => return Ok((stream, after)),
            Ok(Answer::WantsLogin(refused)) => refused,
            // The proxy closed a connection that it had promised to keep, and saw nothing of the
            // request.
            Err(fault) if is_reused && fault.is_without_answer() => {
                login.repeat().await.map_err(|_| fault)?;
                (stream, is_reused) = (dial().await?, false);
                continue;
            }
            Err(fault) => return Err(fault),
        };
        is_reused = refused.is_kept;
        let challenges = refused.challenges();
        let answered = login.answer(&challenges, refused.is_kept).await;
        answered.map_err(|trouble| refused.fault(trouble))?;
        if !is_reused {
            stream = dial().await?;
        }
    }
}

/// What goes with one CONNECT.
struct Round<'a> {
    authorization: Option<&'a HeaderValue>,
    /// A 407 may be answered, so that its page is worth reading to the end.
    can_answer: bool,
}

impl<'a> Round<'a> {
    fn of(login: &'a Rounds<'_>) -> Self {
        Self { authorization: login.authorization(), can_answer: login.can_answer() }
    }
}

/// How the proxy answered one CONNECT.
enum Answer {
    Opened(Bytes),
    WantsLogin(Refused),
}

/// A 407.
struct Refused {
    head: Head,
    page: Page,
    /// Another CONNECT may go over the same connection.
    is_kept: bool,
}

impl Refused {
    fn challenges(&self) -> Vec<Challenge> {
        Challenge::read_all(self.head.headers.get_all(header::PROXY_AUTHENTICATE))
    }

    fn fault(self, trouble: Trouble) -> Fault {
        refusal(&self.head, &self.page).with_login(trouble.kind, trouble.detail)
    }
}

/// One CONNECT and its answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &Address,
    round: Round<'_>,
    deadline: Instant,
) -> Result<Answer, Fault> {
    let mut answer = BytesMut::new();
    let exchange = async {
        stream.write_all(&request(target, round.authorization)).await.map_err(closed)?;
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
        return Ok(Answer::Opened(after.freeze()));
    }
    if head.status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let page = Page::skim(stream, &head, after, deadline).await;
        return Err(refusal(&head, &page));
    }
    let page = if round.can_answer && head.keeps_connection() {
        Page::drain(stream, &head, after, deadline).await
    } else {
        Page::skim(stream, &head, after, deadline).await
    };
    let is_kept = page.is_whole && head.keeps_connection();
    Ok(Answer::WantsLogin(Refused { head, page, is_kept }))
}

fn request(target: &Address, authorization: Option<&HeaderValue>) -> Vec<u8> {
    // Old proxies keep a connection for the next round only if they are told so by this name.
    let mut request = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n\
         Proxy-Connection: Keep-Alive\r\n"
    )
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
        match Head::parse(answer) {
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

fn closed(error: io::Error) -> Fault {
    Fault::of_io(SymptomKind::ProxyClosed, error)
}

fn refusal(head: &Head, page: &Page) -> Fault {
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
            .with_first_bytes(&page.first),
    )
}

const USER_AGENT: &str = concat!("genai-bridge/", env!("CARGO_PKG_VERSION"));
/// Most bytes of heads that are read, interim ones included.
pub(super) const MAX_HEAD: usize = 16 * 1024;
