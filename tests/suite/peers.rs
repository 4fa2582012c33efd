//! Peers that say what no emulator would: bytes for HTTP/1.1, frames for HTTP/2.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use genai_bridge::{Bridge, BridgeBuilder, Proxy, RetryPolicy, Transport};
use http::{HeaderMap, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::hostile::{PREFACE, SETTINGS, read_frame};

/// A bridge to a peer without TLS.
pub(crate) fn plain(port: u16, transport: Transport) -> BridgeBuilder {
    Bridge::builder()
        .endpoint(format!("http://127.0.0.1:{port}"))
        .proxy(Proxy::none())
        .retry(RetryPolicy::none())
        .transport(transport)
}

/// Answers each HTTP/1.1 request with these bytes and closes; gives its port.
pub(crate) async fn http1(answer: impl Into<Bytes>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answer = answer.into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_http1(stream, answer.clone()));
        }
    });
    port
}

async fn answer_http1(mut stream: TcpStream, answer: Bytes) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().expect("a length"))];
    // The client may see enough in the head, or go.
    if stream.read_exact(&mut body).await.is_ok() {
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }
}

/// An HTTP/1.1 answer: a head with this status and type, and a body to the end of the connection.
pub(crate) fn answer_of(status: &str, content_type: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n{body}")
}

/// What an HTTP/2 peer answers: a head, data, and trailers.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) head: Response<()>,
    pub(crate) data: Vec<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// Answers each gRPC request by the script, without TLS; gives its port.
pub(crate) async fn http2(script: Scripted) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_http2(stream, Arc::clone(&script)));
        }
    });
    port
}

async fn answer_http2(stream: TcpStream, script: Arc<Scripted>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        let mut head = Response::new(());
        *head.status_mut() = script.head.status();
        *head.headers_mut() = script.head.headers().clone();
        let ends = script.data.is_empty() && script.trailers.is_none();
        let Ok(mut body) = respond.send_response(head, ends) else { return };
        for (at, data) in script.data.iter().enumerate() {
            let ends = at + 1 == script.data.len() && script.trailers.is_none();
            let _ = body.send_data(data.clone(), ends);
        }
        if let Some(trailers) = &script.trailers {
            let _ = body.send_trailers(trailers.clone());
        }
    }
}

/// Answers the first request of each connection with these HTTP/2 frames, without TLS; gives its
/// port.
pub(crate) async fn http2_frames(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answer = Bytes::from(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_with_frames(stream, answer.clone()));
        }
    });
    port
}

async fn answer_with_frames(mut stream: TcpStream, answer: Bytes) -> io::Result<()> {
    stream.write_all(SETTINGS).await?;
    stream.read_exact(&mut [0; PREFACE.len()]).await?;
    while read_frame(&mut stream).await?.0[3] != HEADERS_KIND {}
    stream.write_all(&answer).await?;
    while read_frame(&mut stream).await.is_ok() {}
    Ok(())
}

const HEADERS_KIND: u8 = 1;
