//! Intercept: the bytes in a tunnel, unread or under the proxy's own TLS.

use std::io::{self, Cursor};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, join, split};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::ending::{Duplex, Ending, Socket, Stream};
use super::shared::Proxy;
use super::stages::{Alpn, Certificate, Hello, Stages, Tls};
use super::target::Target;
use crate::emulator::Authority;

/// A granted tunnel.
pub(super) struct Tunnel {
    pub(super) proxy: Arc<Proxy>,
    pub(super) stages: Stages,
    pub(super) socket: Socket,
    /// The host that was asked for.
    pub(super) host: String,
}

impl Tunnel {
    /// Carries bytes between client and target, to the end.
    ///
    /// # Errors
    /// One of the two broke its connection, or refused TLS.
    pub(super) async fn run(self, mut client: Socket, mut target: Stream) -> io::Result<()> {
        match self.stages.tls {
            Tls::Tunnel => copy_bidirectional(&mut client, &mut target).await.map(|_| ()),
            Tls::Idle(ending) => self.pass_until_idle(client, target, ending).await,
            Tls::Break(hello, ending) => self.break_hello(client, target, hello, ending).await,
            Tls::Inspect(certificate, alpn) => {
                self.inspect_tls(client, target, certificate, alpn).await
            }
        }
    }

    async fn pass_until_idle(
        self,
        mut client: Socket,
        mut target: Stream,
        ending: Ending,
    ) -> io::Result<()> {
        let (mut up, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
        loop {
            let (read, bytes, sink) = tokio::select! {
                biased;
                read = client.read(&mut up) => (read?, &up, &mut target as &mut dyn Duplex),
                read = target.read(&mut down) => (read?, &down, &mut client as &mut dyn Duplex),
                () = sleep(self.proxy.idle_limit) => break,
            };
            match bytes.get(..read) {
                Some([]) | None => return Ok(()),
                Some(bytes) => sink.write_all(bytes).await?,
            }
        }
        self.proxy.tally.strike();
        self.socket.end(Box::new(client), ending).await
    }

    async fn break_hello(
        self,
        mut client: Socket,
        mut target: Stream,
        hello: Hello,
        ending: Ending,
    ) -> io::Result<()> {
        let (read, seen) = read_hello(&mut client).await?;
        let strikes = match hello {
            Hello::Any => seen.is_some(),
            Hello::OffersHttp2 => seen.is_some_and(|seen| seen.offers_http2),
        };
        if strikes {
            self.proxy.tally.strike();
            return self.socket.end(Box::new(client), ending).await;
        }
        copy_bidirectional(&mut rewind(read, Box::new(client)), &mut target).await.map(|_| ())
    }

    async fn inspect_tls(
        self,
        mut client: Socket,
        target: Stream,
        certificate: Certificate,
        alpn: Alpn,
    ) -> io::Result<()> {
        let mut first = Vec::with_capacity(1);
        (&mut client).take(1).read_buf(&mut first).await?;
        let is_tls = first == [TLS_HANDSHAKE];
        let client = rewind(first, Box::new(client));
        if !is_tls {
            return self.serve_http(client, Target::plain(target)).await;
        }
        let config = server_config(&self.proxy, &self.host, certificate, alpn);
        let client = TlsAcceptor::from(config).accept(client).await?;
        self.proxy.tally.handshake();
        let target = Target::tls(target, &self.host);
        self.serve_http(Box::new(client), target).await
    }
}

fn server_config(
    proxy: &Proxy,
    host: &str,
    certificate: Certificate,
    alpn: Alpn,
) -> Arc<ServerConfig> {
    let authority = &proxy.authority;
    if !matches!(certificate, Certificate::Good) {
        proxy.tally.strike();
    }
    match certificate {
        Certificate::Good => authority.server_config(&[host], alpn),
        Certificate::UnknownIssuer => {
            Authority::new("Unknown Authority").server_config(&[host], alpn)
        }
        Certificate::Expired => authority.server_config_until(PAST_YEAR, &[host], alpn),
        Certificate::WrongName => authority.server_config(&["elsewhere.invalid"], alpn),
    }
}

#[derive(Clone, Copy)]
struct SeenHello {
    offers_http2: bool,
}

/// All that was read, and the `ClientHello` in it; `None` if it is not TLS.
async fn read_hello(client: &mut Socket) -> io::Result<(Vec<u8>, Option<SeenHello>)> {
    let mut read = Vec::new();
    let mut acceptor = Acceptor::default();
    loop {
        let before = read.len();
        if client.read_buf(&mut read).await? == 0 {
            return Ok((read, None));
        }
        let mut new = read.get(before..).unwrap_or_default();
        while !new.is_empty() {
            acceptor.read_tls(&mut new)?;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let mut alpn = accepted.client_hello().alpn().into_iter().flatten();
                let offers_http2 = alpn.any(|protocol| protocol == b"h2");
                return Ok((read, Some(SeenHello { offers_http2 })));
            }
            Err(_) => return Ok((read, None)),
        }
    }
}

/// The stream as it was before these bytes were read from it.
pub(super) fn rewind(read: Vec<u8>, stream: Stream) -> Stream {
    let (reader, writer) = split(stream);
    Box::new(join(Cursor::new(read).chain(reader), writer))
}

/// The content type of a TLS record that begins a handshake.
const TLS_HANDSHAKE: u8 = 22;
const BUFFER: usize = 16 * 1024;
const PAST_YEAR: i32 = 2001;
