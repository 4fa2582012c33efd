//! Connector: the way to an origin, step by step: TCP or the program's own stream, the proxy's
//! tunnel, TLS.

#[cfg(not(unix))]
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

#[cfg(unix)]
use hyper_util::rt::TokioIo;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::Instant;
#[cfg(unix)]
use tokio::time::timeout_at;

use super::address::{Address, Origin};
use super::alpn::Alpn;
use super::connection::Connection;
use super::dial::{dial, kind_of, look_up};
use super::fault::Fault;
use super::hop::{ProxyHop, ProxyScheme};
use super::io::Io;
use super::login::Rounds;
use super::socks::open_socks;
use super::tls::{H2, Session, Tls, shake_hands};
use super::tunnel::open_tunnel;
use super::user_connector::{NoStream, UserConnector, io_kind_of};
use crate::error::Error;
use crate::symptom::{Evidence, SymptomKind};

/// How one connection is made: whose streams, which TLS, and by when.
#[derive(Clone, Copy)]
pub(super) struct Connecting<'a> {
    pub(super) tls: &'a Tls,
    /// The program's own, in place of DNS and TCP.
    pub(super) user: Option<&'a UserConnector>,
    pub(super) alpn: Alpn,
    pub(super) deadline: Instant,
}

impl Connecting<'_> {
    /// Opens a connection to `origin`; `hop` is how failures name it.
    pub(super) async fn connect(
        self,
        proxy: Option<&ProxyHop>,
        origin: &Origin,
        hop: String,
    ) -> Result<Connection, Error> {
        let Self { tls, alpn, deadline, .. } = self;
        let address = origin.address();
        let io = match proxy {
            None => {
                let opened = match origin.socket() {
                    Some(path) => open_socket(path, self.deadline).await,
                    None => self.open_stream(address).await,
                };
                opened.map_err(|fault| fault.at(&hop))?
            }
            Some(proxy) => match proxy.scheme() {
                ProxyScheme::Http | ProxyScheme::Https => {
                    let opened = self.through_http(proxy, address).await;
                    opened.map_err(|fault| fault.at_proxy(proxy))?
                }
                ProxyScheme::Socks5 | ProxyScheme::Socks5h => {
                    self.through_socks(proxy, address).await?
                }
            },
        };
        // Without TLS nothing is agreed on: HTTP/2 is spoken with prior knowledge (RFC 9113,
        // section 3.3).
        let session = if origin.is_https() {
            let session = shake_hands(tls, alpn, address.server_name(), io, deadline).await;
            let checked = session.and_then(|session| check_protocol(session, alpn));
            checked.map_err(|fault| fault.at(&hop))?
        } else {
            Session::plain(io)
        };
        Ok(Connection {
            io: session.io,
            is_http2: session.protocol.as_deref() == Some(H2),
            issuer: session.issuer.map(Into::into),
            wants_certificate: session.wants_certificate,
            hop: hop.into(),
        })
    }

    /// The plain stream to a peer, on which nothing was sent.
    async fn open_stream(self, address: &Address) -> Result<Io, Fault> {
        let Some(user) = self.user else { return dial(address, self.deadline).await };
        let opened = user.connect(address, self.deadline).await;
        opened.map(Io::user).map_err(|no_stream| match no_stream {
            NoStream::Late => Fault::new(SymptomKind::ConnectTimeout).with_detail(BY_CONNECTOR),
            NoStream::Panicked => {
                Fault::new(SymptomKind::Unreachable).with_detail("the program's connector panicked")
            }
            NoStream::Failed(error) => {
                let io = io_kind_of(error.as_ref());
                let evidence = io.map_or_else(Evidence::new, |io| Evidence::new().with_io(io));
                Fault::new(io.map_or(SymptomKind::Unreachable, kind_of))
                    .with_evidence(evidence.with_detail(BY_CONNECTOR))
                    .with_source(error)
            }
        })
    }

    async fn reach_proxy(self, proxy: &ProxyHop) -> Result<Io, Fault> {
        let io = self.open_stream(proxy.address()).await?;
        if proxy.scheme() != ProxyScheme::Https {
            return Ok(io);
        }
        // CONNECT is written in HTTP/1.1, whatever version the tunnel is for.
        let name = proxy.address().server_name();
        Ok(shake_hands(self.tls, Alpn::Http1, name, io, self.deadline).await?.io)
    }

    async fn through_http(self, proxy: &ProxyHop, target: &Address) -> Result<Io, Fault> {
        let host = proxy.address().host();
        let target_text = target.to_string();
        let mut login = Rounds::begin(proxy.login(), host, target_text, self.deadline).await;
        let dial = || self.reach_proxy(proxy);
        let opened = open_tunnel(dial, target, &mut login, self.deadline).await;
        let (io, early) = opened.map_err(|fault| fault.hiding(&login.secrets()))?;
        login.opened();
        Ok(io.with_early(early))
    }

    async fn through_socks(self, proxy: &ProxyHop, target: &Address) -> Result<Io, Error> {
        let opened = self.open_stream(proxy.address()).await;
        let mut io = opened.map_err(|fault| fault.at_proxy(proxy))?;
        let resolved = match proxy.scheme() {
            // Who brings a connector brings the resolver, of which it has no other part; so the
            // proxy looks up.
            ProxyScheme::Socks5 if self.user.is_none() => {
                let found = look_up(target, self.deadline).await;
                best_for_socks(&found.map_err(|fault| fault.at(&format!("host {target}")))?)
            }
            _ => None,
        };
        let opened = open_socks(&mut io, target, resolved, proxy.password(), self.deadline).await;
        opened.map_err(|fault| fault.at_proxy(proxy))?;
        Ok(io)
    }
}

/// The stream to a Unix socket.
#[cfg(unix)]
async fn open_socket(path: &Path, deadline: Instant) -> Result<Io, Fault> {
    let connected = timeout_at(deadline, UnixStream::connect(path)).await;
    let stream = connected
        .map_err(|_| Fault::new(SymptomKind::ConnectTimeout))?
        .map_err(|error| Fault::of_io(kind_of(error.kind()), error))?;
    Ok(Io::user(TokioIo::new(Box::new(TokioIo::new(stream)))))
}

#[cfg(not(unix))]
fn open_socket(_: &Path, _: Instant) -> Ready<Result<Io, Fault>> {
    ready(Err(Fault::new(SymptomKind::Unreachable)))
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

const BY_CONNECTOR: &str = "the program's own connector";
