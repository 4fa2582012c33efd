//! Socks: a tunnel through a SOCKS5 proxy (RFC 1928, login by RFC 1929).
//!
//! By hand: the errors of hyper-util's `SocksV5` have no public type, so a refusal could not be
//! told from a proxy that speaks something else.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::fault::Fault;
use super::login::Password;
use crate::symptom::SymptomKind;

/// Asks the proxy for a tunnel to `target`, by name unless the name was `resolved` on this side.
/// Reads not one byte of what follows the proxy's answer.
pub(super) async fn open_socks<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &Address,
    resolved: Option<IpAddr>,
    login: Option<&Password>,
    deadline: Instant,
) -> Result<(), Fault> {
    let exchange = async {
        choose_method(stream, login).await?;
        stream.write_all(&request(target, resolved)).await.map_err(closed)?;
        read_reply(stream).await
    };
    match timeout_at(deadline, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Fault::new(SymptomKind::ProxyTimeout)),
    }
}

async fn choose_method<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: Option<&Password>,
) -> Result<(), Fault> {
    let offer: &[u8] = match login {
        Some(_) => &[VERSION, 2, NO_LOGIN, PASSWORD_LOGIN],
        None => &[VERSION, 1, NO_LOGIN],
    };
    stream.write_all(offer).await.map_err(closed)?;
    let [version, method] = read_array(stream).await?;
    match (version, method, login) {
        (VERSION, NO_LOGIN, _) => Ok(()),
        (VERSION, PASSWORD_LOGIN, Some(login)) => log_in(stream, login).await,
        (VERSION, _, None) => Err(refused("it asks for a login")),
        (VERSION, _, Some(_)) => Err(refused("it takes no login by user and password")),
        _ => Err(malformed()),
    }
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: &Password,
) -> Result<(), Fault> {
    let mut message = vec![LOGIN_VERSION];
    push_counted(&mut message, login.user.as_bytes());
    push_counted(&mut message, login.password.as_bytes());
    stream.write_all(&message).await.map_err(closed)?;
    match read_array(stream).await? {
        // Some proxies repeat the version of SOCKS in place of the login's.
        [LOGIN_VERSION | VERSION, 0] => Ok(()),
        [LOGIN_VERSION | VERSION, _] => Err(refused("it does not accept the login")),
        _ => Err(malformed()),
    }
}

fn request(target: &Address, resolved: Option<IpAddr>) -> Vec<u8> {
    let mut message = vec![VERSION, CONNECT, 0];
    match resolved.or_else(|| target.ip()) {
        Some(IpAddr::V4(ip)) => {
            message.push(IPV4);
            message.extend(ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            message.push(IPV6);
            message.extend(ip.octets());
        }
        None => {
            message.push(NAME);
            push_counted(&mut message, target.host().as_bytes());
        }
    }
    message.extend(target.port().to_be_bytes());
    message
}

async fn read_reply<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(), Fault> {
    let mut head = [0; 4];
    // It speaks SOCKS5, as the greeting showed, and opens no tunnel: sshd says no more than this.
    let read = stream.read_exact(&mut head).await;
    read.map_err(|error| refused("it closed the connection").with_source(error))?;
    let [version, reply, _, kind] = head;
    match (version, reply) {
        (VERSION, 0) => {}
        (VERSION, 3..=6) => {
            let fault = Fault::new(SymptomKind::ProxyUpstreamFailed);
            return Err(fault.with_detail(reply_text(reply)));
        }
        (VERSION, reply) => return Err(refused(reply_text(reply))),
        _ => return Err(malformed()),
    }
    let address_length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [length] = read_array(stream).await?;
            usize::from(length)
        }
        _ => return Err(malformed()),
    };
    let mut bound = vec![0; address_length + 2];
    stream.read_exact(&mut bound).await.map_err(closed)?;
    Ok(())
}

async fn read_array<S: AsyncRead + Unpin, const N: usize>(
    stream: &mut S,
) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(closed)?;
    Ok(bytes)
}

/// Both parts of a login, and a host name, were checked to have at most 255 bytes.
fn push_counted(message: &mut Vec<u8>, bytes: &[u8]) {
    message.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    message.extend(bytes.iter().take(usize::from(u8::MAX)));
}

fn closed(error: io::Error) -> Fault {
    Fault::of_io(SymptomKind::ProxyClosed, error)
}

fn malformed() -> Fault {
    Fault::new(SymptomKind::ProxyMalformed).with_detail("not a SOCKS5 answer")
}

fn refused(detail: &str) -> Fault {
    Fault::new(SymptomKind::SocksRefused).with_detail(detail)
}

/// RFC 1928, section 6.
fn reply_text(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unknown reply",
    }
}

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const PASSWORD_LOGIN: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
