//! Connections against loopback peers: real sockets, real TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::error::ErrorKind;
use crate::symptom::{Station, Symptom, SymptomKind};

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
        roots,
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
    network(proxy, &Authority::new("Test CA"))
        .connect(origin, Alpn::Http2)
        .await
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

#[tokio::test]
async fn connect_is_written_exactly_so_and_early_bytes_are_kept() {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let question = format!(
        "CONNECT service.test:8080 HTTP/1.1\r\nHost: service.test:8080\r\n\
         User-Agent: genai-bridge/{VERSION}\r\n\
         Proxy-Authorization: Basic dXMgZXI6cEBzcw==\r\n\r\n"
    );
    let question = question.leak().as_bytes();
    let address = proxy(vec![(
        question,
        b"HTTP/1.1 201 Made\r\nVia: x\r\n\r\nEARLY",
    )])
    .await;
    let url = format!("http://us%20er:p%40ss@{address}");
    let mut connection = through(&url, &plain_origin()).await.expect("connected");
    assert_eq!(connection.protocol, Protocol::Http2);
    assert_eq!(
        &*connection.hop,
        format!("host service.test:8080 through proxy {address}")
    );
    assert_echo(&mut connection, b"EARLY").await;
}

#[tokio::test]
async fn a_refusal_keeps_what_the_proxy_said() {
    let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nServer: squid/5.7\r\n\
        Proxy-Authenticate: Basic realm=\"corp\"\r\nX-Squid-Error: ERR_CACHE_ACCESS_DENIED 0\r\n\
        Via: 1.1 squid.corp\r\n\r\n<html>login</html>";
    let address = proxy(vec![(b"CONNECT ", answer)]).await;
    let symptom = symptom(through(&format!("http://{address}"), &plain_origin()).await);
    assert_eq!(symptom.kind(), SymptomKind::ProxyAuthenticationRequired);
    assert_eq!(symptom.hop(), format!("proxy {address}"));
    let evidence = symptom.evidence();
    assert_eq!(evidence.status().map(|status| status.as_u16()), Some(407));
    assert_eq!(evidence.reason(), Some("Proxy Authentication Required"));
    assert_eq!(
        evidence.header("proxy-authenticate"),
        Some("Basic realm=\"corp\"")
    );
    assert_eq!(
        evidence.header("x-squid-error"),
        Some("ERR_CACHE_ACCESS_DENIED 0")
    );
    assert_eq!(evidence.header("via"), Some("1.1 squid.corp"));
    assert!(evidence.first_bytes().starts_with(b"<html>login</html>"));
}

#[tokio::test]
async fn a_page_that_repeats_the_login_is_kept_without_it() {
    let answer = b"HTTP/1.1 407 Login\r\n\r\nyou sent: Basic dTpwQHNz!";
    let address = proxy(vec![(b"CONNECT ", answer)]).await;
    let symptom = symptom(through(&format!("http://u:p%40ss@{address}"), &plain_origin()).await);
    let page = String::from_utf8_lossy(symptom.evidence().first_bytes()).into_owned();
    assert!(
        page.starts_with("you sent: ") && !page.contains("dTpwQHNz"),
        "{page}"
    );
}

#[tokio::test]
async fn a_silent_proxy_takes_the_connect_budget_and_no_more() {
    let address = peer(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;
    for (scheme, kind) in [
        ("http", SymptomKind::ProxyTimeout),
        ("socks5h", SymptomKind::ProxyTimeout),
        ("https", SymptomKind::TlsTimeout),
    ] {
        let settings = NetworkSettings {
            proxy: Proxy::url(&format!("{scheme}://{address}")).expect("url"),
            roots: vec![Authority::new("Test CA").pem.into_bytes()],
            connect_timeout: Some(Duration::from_millis(50)),
            ..Default::default()
        };
        let network = Network::new(settings).expect("network");
        let outcome = network.connect(&plain_origin(), Alpn::Http2).await;
        assert_eq!(symptom(outcome).kind(), kind);
    }
}

#[tokio::test]
async fn failures_to_dial_name_the_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let closed = listener.local_addr().expect("address");
    drop(listener);
    let refused = symptom(through(&format!("http://{closed}"), &plain_origin()).await);
    assert_eq!(refused.kind(), SymptomKind::ConnectionRefused);
    assert_eq!(refused.hop(), format!("proxy {closed}"));

    let direct = network(Proxy::none(), &Authority::new("Test CA"));
    // RFC 6761, section 6.4: never exists.
    let origin = Origin::parse("https://service.invalid", false).expect("origin");
    let unknown = symptom(direct.connect(&origin, Alpn::Http2).await);
    assert_eq!(unknown.kind(), SymptomKind::NameNotFound);
    assert_eq!(unknown.hop(), "host service.invalid:443");
}

#[tokio::test]
async fn socks5h_sends_the_name() {
    let address = proxy(vec![
        (b"\x05\x01\x00", b"\x05\x00"),
        (
            b"\x05\x01\x00\x03\x0cservice.test\x1f\x90",
            b"\x05\x00\x00\x03\x01x\x00\x00EARLY",
        ),
    ])
    .await;
    let outcome = through(&format!("socks5h://{address}"), &plain_origin()).await;
    assert_echo(&mut outcome.expect("connected"), b"EARLY").await;
}

#[tokio::test]
async fn socks5_sends_the_address_and_logs_in() {
    let address = proxy(vec![
        (b"\x05\x02\x00\x02", b"\x05\x02"),
        (b"\x01\x04user\x04p@ss", b"\x01\x00"),
        (
            b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1f\x90",
            b"\x05\x00\x00\x01\0\0\0\0\0\0",
        ),
    ])
    .await;
    let origin = Origin::parse("http://localhost:8080", false).expect("origin");
    let outcome = through(&format!("socks5://user:p%40ss@{address}"), &origin).await;
    assert_echo(&mut outcome.expect("connected"), b"").await;
}

#[tokio::test]
async fn a_socks_refusal_says_why() {
    let request = b"\x05\x01\x00\x03\x0cservice.test\x1f\x90";
    for (script, login, kind, detail) in [
        (
            vec![(&b"\x05\x01\x00"[..], &b"\x05\xff"[..])],
            "",
            SymptomKind::SocksRefused,
            Some("it asks for a login"),
        ),
        (
            vec![
                (b"\x05\x02\x00\x02", b"\x05\x02"),
                (b"\x01\x01u\x04p@ss", b"\x01\x01"),
            ],
            "u:p%40ss@",
            SymptomKind::SocksRefused,
            Some("it does not accept the login"),
        ),
        (
            vec![
                (b"\x05\x01\x00", b"\x05\x00"),
                (request, b"\x05\x02\x00\x01\0\0\0\0\0\0"),
            ],
            "",
            SymptomKind::SocksRefused,
            Some("not allowed by its rules"),
        ),
        (
            vec![(b"\x05\x01\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n")],
            "",
            SymptomKind::ProxyMalformed,
            Some("not a SOCKS5 answer"),
        ),
    ] {
        let address = proxy(script).await;
        let symptom =
            symptom(through(&format!("socks5h://{login}{address}"), &plain_origin()).await);
        assert_eq!(
            (symptom.kind(), symptom.evidence().detail()),
            (kind, detail)
        );
    }
    let closing = peer(|stream| async move { drop(stream) }).await;
    let closed = symptom(through(&format!("socks5h://{closing}"), &plain_origin()).await);
    assert_eq!(closed.kind(), SymptomKind::ProxyClosed);
}

/// A certificate authority of a test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("key");
        let certificate = parameters.self_signed(&key).expect("certificate");
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self {
            issuer: Issuer::new(parameters, key),
            pem,
            der,
        }
    }

    fn leaf(&self, name: &str, last_year: i32) -> Leaf {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("name");
        parameters.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("key");
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .expect("certificate");
        Leaf {
            chain: vec![certificate.der().clone()],
            pem: certificate.pem(),
            key,
        }
    }

    fn localhost(&self) -> Leaf {
        self.leaf("localhost", 4000)
    }
}

struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

impl Leaf {
    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("key")
    }

    fn server(&self, protocols: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.private_key())
            .expect("certificate");
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }
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

#[tokio::test]
async fn the_protocol_is_agreed_on_in_the_handshake() {
    let authority = Authority::new("Test CA");
    let leaf = authority.localhost();
    let network = network(Proxy::none(), &authority);
    for (offered, alpn, expected) in [
        (&["h2", "http/1.1"][..], Alpn::Http2, Ok(Protocol::Http2)),
        (&["h2", "http/1.1"], Alpn::Any, Ok(Protocol::Http2)),
        (&["h2", "http/1.1"], Alpn::Http1, Ok(Protocol::Http1)),
        (&["http/1.1"], Alpn::Any, Ok(Protocol::Http1)),
        (&[], Alpn::Any, Ok(Protocol::Http1)),
        (&[], Alpn::Http1, Ok(Protocol::Http1)),
        (
            &["http/1.1"],
            Alpn::Http2,
            Err((SymptomKind::Http2NotOffered, Some("http/1.1"))),
        ),
        (
            &[],
            Alpn::Http2,
            Err((SymptomKind::Http2NotOffered, Some("none"))),
        ),
        (
            &["foo"],
            Alpn::Http2,
            Err((SymptomKind::Http2NotOffered, None)),
        ),
        (&["foo"], Alpn::Http1, Err((SymptomKind::TlsAlert, None))),
    ] {
        let origin = https_origin(tls_echo(leaf.server(offered)).await);
        match (network.connect(&origin, alpn).await, expected) {
            (Ok(mut connection), Ok(protocol)) => {
                assert_eq!(connection.protocol, protocol, "{offered:?} {alpn:?}");
                assert_eq!(connection.issuer.as_deref(), Some("Test CA"));
                assert_echo(&mut connection, b"").await;
            }
            (outcome, Err((kind, chosen))) => {
                let symptom = symptom(outcome);
                assert_eq!(symptom.kind(), kind, "{offered:?} {alpn:?}");
                assert_eq!(symptom.evidence().protocol(), chosen);
                assert_eq!(symptom.evidence().issuer(), chosen.map(|_| "Test CA"));
            }
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_bad_certificate_is_told_with_its_issuer() {
    let (authority, other) = (
        Authority::new("Test CA"),
        Authority::new("Corp Inspection CA"),
    );
    let network = network(Proxy::none(), &authority);
    for (leaf, kind, issuer) in [
        (
            other.localhost(),
            SymptomKind::CertificateUnknownIssuer,
            "Corp Inspection CA",
        ),
        (
            authority.leaf("localhost", 2001),
            SymptomKind::CertificateExpired,
            "Test CA",
        ),
        (
            authority.leaf("other.test", 4000),
            SymptomKind::CertificateWrongName,
            "Test CA",
        ),
    ] {
        let origin = https_origin(tls_echo(leaf.server(&["h2"])).await);
        let symptom = symptom(network.connect(&origin, Alpn::Http2).await);
        assert_eq!(symptom.kind(), kind);
        assert_eq!(symptom.evidence().issuer(), Some(issuer));
        assert_eq!(
            symptom.hop(),
            format!("host localhost:{}", origin.address().port())
        );
    }
}

#[tokio::test]
async fn a_broken_handshake_is_told_by_what_broke_it() {
    let network = network(Proxy::none(), &Authority::new("Test CA"));
    for (answer, kind, detail) in [
        (&b""[..], SymptomKind::TlsClosed, None),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            SymptomKind::NotTls,
            None,
        ),
        (b"<html>blocked</html>", SymptomKind::NotTls, None),
        (
            b"\x15\x03\x03\x00\x02\x02\x31",
            SymptomKind::TlsAlert,
            Some("alert AccessDenied"),
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x28",
            SymptomKind::TlsAlert,
            Some("alert HandshakeFailure"),
        ),
    ] {
        let address = peer(async move |mut stream: TcpStream| {
            // All of the ClientHello, or closing would reset the connection.
            let mut record = [0; 5];
            stream.read_exact(&mut record).await.expect("record");
            let length = u16::from_be_bytes([record[3], record[4]]);
            let mut hello = vec![0; usize::from(length)];
            stream.read_exact(&mut hello).await.expect("hello");
            stream.write_all(answer).await.expect("answer");
        })
        .await;
        let symptom = symptom(network.connect(&https_origin(address), Alpn::Http2).await);
        assert_eq!(
            (symptom.kind(), symptom.evidence().detail()),
            (kind, detail)
        );
        if kind == SymptomKind::NotTls {
            assert_eq!(symptom.evidence().first_bytes(), answer);
        }
    }
}

#[tokio::test]
async fn a_reset_in_the_handshake_is_told() {
    let address = peer(async move |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 5]).await.expect("record");
        // Closing with unread bytes resets the connection.
        drop(stream);
    })
    .await;
    let network = network(Proxy::none(), &Authority::new("Test CA"));
    let symptom = symptom(network.connect(&https_origin(address), Alpn::Http1).await);
    assert_eq!(symptom.kind(), SymptomKind::TlsReset);
    assert_eq!(
        symptom.evidence().io(),
        Some(std::io::ErrorKind::ConnectionReset)
    );
}

/// An HTTP proxy that connects to `target`, whatever it is asked for.
async fn serve_connect<S>(mut stream: S, target: SocketAddr)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        question.push(stream.read_u8().await.expect("question"));
    }
    assert!(question.starts_with(b"CONNECT localhost:"));
    let mut service = TcpStream::connect(target).await.expect("service");
    stream
        .write_all(b"HTTP/1.0 200 Connection established\r\n\r\n")
        .await
        .expect("answer");
    let _ = copy_bidirectional(&mut stream, &mut service).await;
}

#[tokio::test]
async fn tls_runs_through_plain_and_encrypted_proxies() {
    let authority = Authority::new("Test CA");
    let network_behind = |url: String| network(Proxy::url(&url).expect("url"), &authority);
    let service = tls_echo(authority.localhost().server(&["h2"])).await;
    let plain = peer(async move |stream| serve_connect(stream, service).await).await;
    let outcome = network_behind(format!("http://{plain}"))
        .connect(&https_origin(service), Alpn::Http2)
        .await;
    assert_echo(&mut outcome.expect("connected"), b"").await;

    let service = tls_echo(authority.localhost().server(&["h2"])).await;
    let acceptor = authority.localhost().server(&[]);
    let encrypted = peer(async move |stream| {
        serve_connect(acceptor.accept(stream).await.expect("tls"), service).await;
    })
    .await;
    let outcome = network_behind(format!("https://localhost:{}", encrypted.port()))
        .connect(&https_origin(service), Alpn::Http2)
        .await;
    assert_echo(&mut outcome.expect("connected"), b"").await;
}

#[tokio::test]
async fn a_block_page_in_the_tunnel_is_kept() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>blocked</html>";
    let address = proxy(vec![(b"CONNECT ", answer)]).await;
    let origin = Origin::parse("https://service.test", false).expect("origin");
    let symptom = symptom(through(&format!("http://{address}"), &origin).await);
    assert_eq!(symptom.kind(), SymptomKind::NotTls);
    assert!(
        symptom
            .evidence()
            .first_bytes()
            .starts_with(b"<html>blocked</html>")
    );
    assert_eq!(
        symptom.hop(),
        format!("host service.test:443 through proxy {address}")
    );
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let authority = Authority::new("Test CA");
    let (server, client) = (authority.localhost(), authority.leaf("client.test", 4000));
    let mut trusted = RootCertStore::empty();
    trusted.add(authority.der.clone()).expect("root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(trusted.into(), Arc::clone(&provider))
            .build()
            .expect("verifier");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(server.chain.clone(), server.private_key())
        .expect("certificate");
    let address = tls_echo(TlsAcceptor::from(Arc::new(config))).await;
    let settings = NetworkSettings {
        proxy: Proxy::none(),
        roots: vec![authority.pem.clone().into_bytes()],
        client_identity: Some((client.pem.into(), client.key.serialize_pem().into())),
        ..Default::default()
    };
    let network = Network::new(settings).expect("network");
    let outcome = network.connect(&https_origin(address), Alpn::Http1).await;
    assert_echo(&mut outcome.expect("connected"), b"").await;
}

#[test]
fn settings_that_cannot_work_are_errors_of_configuration() {
    let leaf = Authority::new("Test CA").localhost();
    let other_key = KeyPair::generate().expect("key").serialize_pem();
    let identity = |chain: &str, key: &str| NetworkSettings {
        client_identity: Some((chain.into(), key.into())),
        ..Default::default()
    };
    for settings in [
        NetworkSettings {
            roots: vec![b"no root".to_vec()],
            ..Default::default()
        },
        identity("no certificate", &leaf.key.serialize_pem()),
        identity(&leaf.pem, "no key"),
        identity(&leaf.pem, &other_key),
    ] {
        let settings = NetworkSettings {
            proxy: Proxy::none(),
            ..settings
        };
        let error = Network::new(settings).expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}
