//! Connector: the way to an origin, step by step: TCP, the proxy's tunnel, TLS.

use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

use super::address::{Address, Origin};
use super::dial::{dial, look_up};
use super::fault::Fault;
use super::hop::{ProxyHop, ProxyScheme};
use super::io::Io;
use super::login::Rounds;
use super::socks::open_socks;
use super::tls::{H2, Session, Tls, shake_hands};
use super::tunnel::open_tunnel;
use super::{Alpn, Connection};
use crate::error::Error;
use crate::symptom::{Evidence, SymptomKind};

/// Opens a connection to `origin` before `deadline`; `hop` is how failures name it.
pub(super) async fn connect(
    tls: &Tls,
    proxy: Option<&ProxyHop>,
    origin: &Origin,
    hop: String,
    alpn: Alpn,
    deadline: Instant,
) -> Result<Connection, Error> {
    let address = origin.address();
    let io = match proxy {
        None => dial(address, deadline).await.map_err(|fault| fault.at(&hop))?,
        Some(proxy) => match proxy.scheme() {
            ProxyScheme::Http | ProxyScheme::Https => {
                let opened = through_http(tls, proxy, address, deadline).await;
                opened.map_err(|fault| fault.at_proxy(proxy))?
            }
            ProxyScheme::Socks5 | ProxyScheme::Socks5h => {
                through_socks(proxy, address, deadline).await?
            }
        },
    };
    // Without TLS nothing is agreed on: HTTP/2 is spoken with prior knowledge (RFC 9113, section 3.3).
    let session = if origin.is_https() {
        let session = shake_hands(tls, alpn, address.server_name(), io, deadline).await;
        session.and_then(|session| check_protocol(session, alpn)).map_err(|fault| fault.at(&hop))?
    } else {
        Session::plain(io)
    };
    Ok(Connection {
        io: session.io,
        is_http2: session.protocol.as_deref() == Some(H2),
        issuer: session.issuer.map(Into::into),
        hop: hop.into(),
    })
}

async fn reach_proxy(tls: &Tls, proxy: &ProxyHop, deadline: Instant) -> Result<Io, Fault> {
    let io = dial(proxy.address(), deadline).await?;
    if proxy.scheme() != ProxyScheme::Https {
        return Ok(io);
    }
    // CONNECT is written in HTTP/1.1, whatever version the tunnel is for.
    let name = proxy.address().server_name();
    Ok(shake_hands(tls, Alpn::Http1, name, io, deadline).await?.io)
}

async fn through_http(
    tls: &Tls,
    proxy: &ProxyHop,
    target: &Address,
    deadline: Instant,
) -> Result<Io, Fault> {
    let host = proxy.address().host();
    let mut login = Rounds::begin(proxy.login(), host, target.to_string(), deadline).await;
    let dial = || reach_proxy(tls, proxy, deadline);
    let opened = open_tunnel(dial, target, &mut login, deadline).await;
    let (io, early) = opened.map_err(|fault| fault.hiding(&login.secrets()))?;
    login.opened();
    Ok(io.with_early(early))
}

async fn through_socks(proxy: &ProxyHop, target: &Address, deadline: Instant) -> Result<Io, Error> {
    let mut io = dial(proxy.address(), deadline).await.map_err(|fault| fault.at_proxy(proxy))?;
    let resolved = match proxy.scheme() {
        ProxyScheme::Socks5 => {
            let found = look_up(target, deadline).await;
            best_for_socks(&found.map_err(|fault| fault.at(&format!("host {target}")))?)
        }
        _ => None,
    };
    let opened = open_socks(&mut io, target, resolved, proxy.password(), deadline).await;
    opened.map_err(|fault| fault.at_proxy(proxy))?;
    Ok(io)
}

/// The proxy may have no IPv6, whatever this side has.
fn best_for_socks(found: &[SocketAddr]) -> Option<IpAddr> {
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).map(SocketAddr::ip)
}

/// Where only HTTP/2 will do, the handshake must have agreed on it.
fn check_protocol(session: Session, alpn: Alpn) -> Result<Session, Fault> {
    match session.protocol.as_deref() {
        other if alpn == Alpn::Http2 && other != Some(H2) => {
            let chosen = other.map_or("none".into(), String::from_utf8_lossy);
            let evidence = Evidence::new().with_protocol(&chosen);
            Err(Fault::new(SymptomKind::Http2NotOffered)
                .with_evidence(evidence)
                .with_issuer(session.issuer.as_deref()))
        }
        _ => Ok(session),
    }
}
