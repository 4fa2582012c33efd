//! Connect: the request for a tunnel, and the answer to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::PROXY_AUTHORIZATION;
use http::uri::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::dial::Dial;
use super::ending::{Ending, Socket, Stream, Wire};
use super::intercept::Tunnel;
use super::rows::{BAD_GATEWAY, LOGIN, NOT_ALLOWED};
use super::shared::Proxy;
use super::stages::{Connect, Stages};

/// Serves one connection of a client, to its end.
///
/// # Errors
/// The client or the target broke the connection, or the client does not speak HTTP.
pub(super) async fn serve(wire: impl Wire, proxy: Arc<Proxy>) -> io::Result<()> {
    let socket = Socket::new(wire);
    let mut client = socket.clone();
    let stages = proxy.fault().stages();
    let request = ConnectRequest::read(&mut client).await?;
    let head = match answer(&request, &proxy, stages) {
        Ok(head) => head,
        Err(refusal) => return socket.end(Box::new(client), refusal).await,
    };
    let Ok(target) = dial(&request, &proxy).await else {
        return socket.end(Box::new(client), BAD_GATEWAY).await;
    };
    for (place, part) in head.iter().enumerate() {
        if place > 0 {
            sleep(SEGMENT_PAUSE).await;
        }
        client.write_all(part).await?;
    }
    proxy.tally.tunnel();
    let host = request.target.host().trim_matches(['[', ']']).to_owned();
    Tunnel { proxy, stages, socket, host }.run(client, target).await
}

/// The head to grant the tunnel with, in parts.
fn answer(
    request: &ConnectRequest,
    proxy: &Proxy,
    stages: Stages,
) -> Result<&'static [&'static [u8]], Ending> {
    if !request.is_connect {
        return Err(NOT_ALLOWED);
    }
    if proxy.login.is_some() && request.login != proxy.login {
        return Err(LOGIN);
    }
    match stages.connect {
        Connect::Grant(head) => Ok(head),
        Connect::Refuse(ending) => {
            proxy.tally.strike();
            Err(ending)
        }
    }
}

async fn dial(request: &ConnectRequest, proxy: &Proxy) -> io::Result<Stream> {
    let target = match &proxy.dial {
        Dial::Tcp { target: Some(address) } => TcpStream::connect(address).await?,
        Dial::Tcp { target: None } => TcpStream::connect(request.target.as_str()).await?,
        Dial::Own(dial) => return Ok(Box::new(dial(request.target.as_str())?)),
    };
    target.set_nodelay(true)?;
    Ok(Box::new(target))
}

struct ConnectRequest {
    is_connect: bool,
    target: Authority,
    /// The value of `Proxy-Authorization`.
    login: Option<String>,
}

impl ConnectRequest {
    async fn read(client: &mut Socket) -> io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > MAX_HEAD {
                return Err(malformed("the request for a tunnel does not end"));
            }
            if client.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Self::parse(&head)
    }

    fn parse(head: &[u8]) -> io::Result<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(head).map_err(malformed)?;
        let login = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(PROXY_AUTHORIZATION.as_str()));
        let is_connect = request.method == Some("CONNECT");
        // Any other request is refused whatever it asks for.
        let target = if is_connect { request.path.unwrap_or_default() } else { "none" };
        Ok(Self {
            is_connect,
            target: target.parse().map_err(malformed)?,
            login: login.map(|header| String::from_utf8_lossy(header.value).into_owned()),
        })
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

const MAX_HEAD: usize = 16 * 1024;
/// Long enough for a client to read the first part by itself.
const SEGMENT_PAUSE: Duration = Duration::from_millis(50);
