//! A client that says what it observes, layer by layer.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use genai_bridge::emulator::hostile::HostileProxy;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::origin::{AUTHORITY, HOST, JSON};

pub(super) type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// Goes through one proxy.
pub(super) struct Client<'a> {
    pub(super) proxy: &'a HostileProxy,
    /// Silence counts as an observation only where it is expected: a slow machine is silent, too.
    pub(super) expects_silence: bool,
}

impl Client<'_> {
    /// What becomes of a gRPC call.
    pub(super) async fn observe_grpc(&self, path: &str) -> String {
        match self.try_grpc(path).await {
            Ok(answer) => answer,
            Err(observed) => observed,
        }
    }

    async fn try_grpc(&self, path: &str) -> Result<String, String> {
        let mut opening = self.open_http2().await?;
        self.observe_opening(&mut opening).await?;
        let connection = self.open_http2().await?;
        let mut sender = handshake(connection).await;
        Ok(self.call(&mut sender, path).await)
    }

    /// What becomes of a REST request over HTTP/1.1.
    pub(super) async fn observe_rest(&self) -> String {
        self.observe_rest_with(Bytes::new()).await
    }

    pub(super) async fn observe_rest_with(&self, body: Bytes) -> String {
        match self.try_rest(body).await {
            Ok(answer) => answer,
            Err(observed) => observed,
        }
    }

    async fn try_rest(&self, body: Bytes) -> Result<String, String> {
        let stream = self.shake_hands(&[b"http/1.1"]).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(JSON).header("host", HOST).body(Full::new(body)).unwrap();
        let response = self.within(sender.send_request(request)).await?;
        let response = response.map_err(|error| format!("HTTP/1.1 {error:?}"))?;
        let mut observed = describe_head(&response);
        let body = self.within(response.into_body().collect()).await?;
        if let Err(error) = body {
            write!(observed, ", {error:?}").unwrap();
        }
        Ok(observed)
    }

    /// A tunnel, and HTTP/2 agreed in it.
    pub(super) async fn open_http2(&self) -> Result<TlsStream, String> {
        // HTTP/1.1 is offered as well, as the bridge does.
        let stream = self.shake_hands(&[b"h2", b"http/1.1"]).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(stream),
            Some(other) => Err(format!("ALPN {}", String::from_utf8_lossy(other))),
            None => Err("ALPN none".to_owned()),
        }
    }

    async fn shake_hands(&self, alpn: &[&[u8]]) -> Result<TlsStream, String> {
        let stream = self.connect().await?;
        let connector = TlsConnector::from(self.tls(alpn));
        let name = ServerName::try_from(HOST).unwrap();
        let outcome = self.within(connector.connect(name, stream)).await;
        let outcome = outcome.map_err(|silent| format!("TLS {silent}"))?;
        outcome.map_err(|error| format!("TLS {}", describe_tls(&error)))
    }

    fn tls(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for pem in [AUTHORITY.pem(), self.proxy.root_certificate()] {
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// A tunnel.
    pub(super) async fn connect(&self) -> Result<TcpStream, String> {
        let request = format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n");
        self.connect_with(&request).await
    }

    pub(super) async fn connect_with(&self, request: &str) -> Result<TcpStream, String> {
        let mut stream = TcpStream::connect(self.proxy.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let outcome = self.within(try_read_head(&mut stream)).await;
        let outcome = outcome.map_err(|silent| format!("CONNECT {silent}"))?;
        let head = outcome.map_err(|error| format!("CONNECT {}", describe_io(&error)))?;
        let Some((version, rest)) = head.split_once(' ').filter(|_| head.starts_with("HTTP/1."))
        else {
            return Err("CONNECT garbage".to_owned());
        };
        let status = rest.split([' ', '\r']).next().unwrap();
        if status.starts_with('2') {
            return Ok(stream);
        }
        let scheme = head.split("Proxy-Authenticate: ").nth(1);
        let scheme = scheme.map(|value| value.split([' ', '\r']).next().unwrap());
        assert_eq!(version, "HTTP/1.1");
        Err(["CONNECT", status].into_iter().chain(scheme).collect::<Vec<_>>().join(" "))
    }

    /// Whether the peer opens HTTP/2 and lives.
    async fn observe_opening(&self, stream: &mut TlsStream) -> Result<(), String> {
        let ping = b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08";
        let opening = [PREFACE, SETTINGS, ping].concat();
        // A reset may come before the write; the read says so.
        let _ = stream.write_all(&opening).await;
        let mut seen = "preface";
        loop {
            let frame = self.within(read_frame(stream)).await.map_err(|s| format!("{seen} {s}"))?;
            let (header, payload) =
                frame.map_err(|error| format!("{seen} {}", describe_io(&error)))?;
            match (header[3], payload.as_slice()) {
                (SETTINGS_KIND, [0, 3, 0, 0, 0, 0]) => seen = "no streams",
                (SETTINGS_KIND, _) => seen = "SETTINGS",
                (PING_KIND, _) => return Ok(()),
                (GO_AWAY_KIND, payload) => {
                    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
                    let (last, reason) = payload.split_at(4);
                    let (last, reason) = (number(last), Reason::from(number(reason)));
                    return Err(format!("{seen} GOAWAY {last} {reason:?}"));
                }
                (WINDOW_UPDATE_KIND, _) => {}
                _ if header.starts_with(b"HTTP/1.1") => {
                    return Err(format!("{seen} HTTP/1.1"));
                }
                _ => return Err(format!("{seen} garbage")),
            }
        }
    }

    /// What becomes of one call on a connection.
    pub(super) async fn call(&self, sender: &mut SendRequest<Bytes>, path: &str) -> String {
        let (response, mut body) = match start_call(sender, path).await {
            Ok(started) => started,
            Err(error) => return describe_h2(&error),
        };
        // The call may have been answered, or broken, before its message is sent.
        let _ = body.send_data(Bytes::from_static(b"\0\0\0\0\x02hi"), true);
        match self.within(response).await {
            Ok(Ok(response)) => {
                let mut observed = describe_head(&response);
                let has_status = describe_status(response.headers(), &mut observed);
                let observed_body = self.observe_body(response.into_body(), has_status).await;
                observed.push_str(&observed_body);
                observed
            }
            Ok(Err(error)) => describe_h2(&error),
            Err(silent) => silent,
        }
    }

    async fn observe_body(&self, mut body: RecvStream, has_status: bool) -> String {
        let (mut held, mut observed) = (BytesMut::new(), String::new());
        loop {
            match self.within(body.data()).await {
                Ok(Some(Ok(data))) => {
                    body.flow_control().release_capacity(data.len()).unwrap();
                    held.extend_from_slice(&data);
                    take_messages(&mut held, &mut observed);
                }
                Ok(Some(Err(error))) => return format!("{observed}, {}", describe_h2(&error)),
                Ok(None) => break,
                Err(silent) => return format!("{observed}, {silent}"),
            }
        }
        if !held.is_empty() {
            write!(observed, ", {} bytes", held.len()).unwrap();
        }
        match self.within(body.trailers()).await {
            Ok(Ok(Some(trailers))) => {
                describe_status(&trailers, &mut observed);
            }
            Ok(Ok(None)) if has_status => {}
            Ok(Ok(None)) => observed.push_str(", no status"),
            Ok(Err(error)) => write!(observed, ", {}", describe_h2(&error)).unwrap(),
            Err(silent) => write!(observed, ", {silent}").unwrap(),
        }
        observed
    }

    /// The outcome, or that nothing came after the fault had struck.
    async fn within<T>(&self, step: impl Future<Output = T>) -> Result<T, String> {
        let struck_silence = async {
            if !self.expects_silence {
                return std::future::pending().await;
            }
            self.proxy.wait_until(|counts| counts.strikes() > 0).await;
            sleep(SILENCE).await;
        };
        let step = timeout(PATIENCE, step);
        tokio::select! {
            biased;
            outcome = step => outcome.map_err(|_| "hangs".to_owned()),
            () = struck_silence => Err("silent".to_owned()),
        }
    }
}

pub(super) async fn handshake(stream: TlsStream) -> SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends the head of a call.
pub(super) async fn start_call(
    sender: &mut SendRequest<Bytes>,
    path: &str,
) -> Result<(ResponseFuture, h2::SendStream<Bytes>), h2::Error> {
    let request = Request::post(format!("https://{HOST}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let mut sender = sender.clone().ready().await?;
    sender.send_request(request, false)
}

/// The head of an HTTP/1.1 message, byte by byte: what follows belongs to others.
async fn try_read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if head.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(String::from_utf8(head).unwrap())
}

pub(super) async fn read_head(stream: &mut TcpStream) -> String {
    try_read_head(stream).await.unwrap()
}

/// The header and payload of a frame; the payload is left where the header is not one.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<([u8; 9], Vec<u8>)> {
    let mut header = [0; 9];
    stream.read_exact(&mut header).await?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    let mut payload = vec![0; if length <= 16_384 { length } else { 0 }];
    stream.read_exact(&mut payload).await?;
    Ok((header, payload))
}

fn describe_head<B>(response: &Response<B>) -> String {
    let mut observed = response.status().as_str().to_owned();
    for name in [header::CONTENT_TYPE, header::LOCATION] {
        if let Some(value) = response.headers().get(name) {
            write!(observed, " {}", value.to_str().unwrap()).unwrap();
        }
    }
    observed
}

fn describe_status(headers: &HeaderMap, observed: &mut String) -> bool {
    let Some(status) = headers.get("grpc-status") else { return false };
    let server = headers.get("server").map_or("", |server| server.to_str().unwrap());
    write!(observed, ", status {}", status.to_str().unwrap()).unwrap();
    if !server.is_empty() {
        write!(observed, " by {server}").unwrap();
    }
    true
}

fn take_messages(held: &mut BytesMut, observed: &mut String) {
    while let Some(&[0, a, b, c, d]) = held.first_chunk() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if held.len() < 5 + length {
            return;
        }
        held.advance(5);
        let message = held.split_to(length);
        write!(observed, ", {}", String::from_utf8_lossy(&message)).unwrap();
    }
}

fn describe_h2(error: &h2::Error) -> String {
    match (error.get_io(), error.reason()) {
        (Some(error), _) => format!("connection {}", describe_io(error)),
        (None, Some(reason)) if error.is_go_away() && error.is_remote() => {
            format!("GOAWAY {reason:?}")
        }
        (None, Some(reason)) if error.is_remote() => format!("RST_STREAM {reason:?}"),
        _ => format!("{error:?}"),
    }
}

fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed".to_owned(),
        io::ErrorKind::ConnectionReset => "reset".to_owned(),
        _ => format!("{error:?}"),
    }
}

fn describe_tls(error: &io::Error) -> String {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(alert)) => format!("alert {alert:?}"),
        Some(Error::InvalidMessage(message)) => format!("{message:?}"),
        Some(Error::InvalidCertificate(CertificateError::ExpiredContext { .. })) => {
            "expired".into()
        }
        Some(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {
            "wrong name".into()
        }
        Some(Error::InvalidCertificate(error)) => format!("{error:?}"),
        Some(error) => format!("{error:?}"),
        None => describe_io(error),
    }
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const SETTINGS_KIND: u8 = 4;
const PING_KIND: u8 = 6;
pub(super) const GO_AWAY_KIND: u8 = 7;
const WINDOW_UPDATE_KIND: u8 = 8;
/// How long nothing must come, once the fault has struck, to be silence.
const SILENCE: Duration = Duration::from_millis(200);
/// Ends a test that would hang.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
