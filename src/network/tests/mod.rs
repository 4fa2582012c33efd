//! Connections against loopback peers: real sockets, real TLS.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod answers;
mod authority;
mod environment;
mod handshakes;
mod hostile_logins;
mod logins;
mod proxies;
mod trust;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::error::ErrorKind;
use crate::symptom::{Station, Symptom};
use authority::Authority;

/// A listener whose one connection is handed to `serve`.
async fn peer<F: Future<Output = ()> + Send + 'static>(
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accept");
        serve(stream).await;
    });
    address
}

/// A proxy that expects exactly `question`, answers and then echoes.
async fn proxy(script: Vec<(&'static [u8], &'static [u8])>) -> SocketAddr {
    peer(async move |mut stream: TcpStream| {
        for (question, answer) in script {
            let mut read = vec![0; question.len()];
            stream.read_exact(&mut read).await.expect("question");
            assert_eq!(read, question, "{}", String::from_utf8_lossy(&read));
            stream.write_all(answer).await.expect("answer");
        }
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await
}

fn network(proxy: Proxy, authority: &Authority) -> Network {
    let connect_timeout = Some(Duration::from_secs(5));
    let roots = vec![authority.pem.clone().into_bytes()];
    let settings = NetworkSettings {
        proxy,
        tls: TlsSettings { roots, ..Default::default() },
        connect_timeout,
        ..Default::default()
    };
    Network::new(settings).expect("network")
}

fn plain_origin() -> Origin {
    Origin::parse("http://service.test:8080", true).expect("origin")
}

fn https_origin(address: SocketAddr) -> Origin {
    Origin::parse(&format!("https://localhost:{}", address.port()), false).expect("origin")
}

async fn through(url: &str, origin: &Origin) -> Result<Connection, Error> {
    let proxy = Proxy::url(url).expect("url");
    network(proxy, &Authority::new("Test CA")).connect(origin, Alpn::Http2).await
}

fn symptom(outcome: Result<Connection, Error>) -> Symptom {
    let error = outcome.expect_err("a failure");
    let symptom = error.symptom().expect("a symptom").clone();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(symptom.station() < Station::Request);
    assert!(!format!("{error} {error:?}").contains("p@ss"));
    symptom
}

async fn assert_echo(connection: &mut Connection, before: &[u8]) {
    connection.io.write_all(b"ping").await.expect("write");
    let mut read = vec![0; before.len() + 4];
    connection.io.read_exact(&mut read).await.expect("read");
    assert_eq!(read, [before, b"ping"].concat());
}

/// A service that echoes under TLS.
async fn tls_echo(acceptor: TlsAcceptor) -> SocketAddr {
    peer(async move |stream| {
        if let Ok(stream) = acceptor.accept(stream).await {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        }
    })
    .await
}
