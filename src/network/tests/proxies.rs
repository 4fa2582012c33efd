//! The way through HTTP and SOCKS proxies.

use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::time::Instant;

use super::*;
use crate::symptom::SymptomKind;

#[tokio::test]
async fn connect_is_written_exactly_so_and_early_bytes_are_kept() {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let question = format!(
        "CONNECT service.test:8080 HTTP/1.1\r\nHost: service.test:8080\r\n\
         User-Agent: genai-bridge/{VERSION}\r\nProxy-Connection: Keep-Alive\r\n"
    );
    let bare = format!("{question}\r\n").leak().as_bytes();
    let login = format!("{question}Proxy-Authorization: Basic dXMgZXI6cEBzcw==\r\n\r\n");
    let login = login.leak().as_bytes();
    let address = proxy(vec![
        (bare, b"HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"),
        (login, b"HTTP/1.1 201 Made\r\nVia: x\r\n\r\nEARLY"),
    ])
    .await;
    let url = format!("http://us%20er:p%40ss@{address}");
    let mut connection = through(&url, &plain_origin()).await.expect("connected");
    assert_eq!(&*connection.hop, format!("host service.test:8080 through proxy {address}"));
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
    assert_eq!(evidence.header("proxy-authenticate"), Some("Basic realm=\"corp\""));
    assert_eq!(evidence.header("x-squid-error"), Some("ERR_CACHE_ACCESS_DENIED 0"));
    assert_eq!(evidence.header("via"), Some("1.1 squid.corp"));
    assert!(evidence.first_bytes().starts_with(b"<html>login</html>"));
}

#[tokio::test]
async fn a_page_that_repeats_the_login_is_kept_without_it() {
    let asks = b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n";
    let answer = b"HTTP/1.1 407 Login\r\n\r\nyou sent: Basic dTpwQHNz, p@ss!";
    let address = peer(async |mut stream: TcpStream| {
        for answer in [&asks[..], answer] {
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                read.push(stream.read_u8().await.expect("question"));
            }
            stream.write_all(answer).await.expect("answer");
        }
    })
    .await;
    let symptom = symptom(through(&format!("http://u:p%40ss@{address}"), &plain_origin()).await);
    let page = String::from_utf8_lossy(symptom.evidence().first_bytes()).into_owned();
    assert!(
        page.starts_with("you sent: ") && !page.contains("dTpwQHNz") && !page.contains("p@ss"),
        "{page}"
    );
}

/// Gives streams whose other end stays open and says nothing.
fn silence() -> UserConnector {
    UserConnector::new(tower::service_fn(|_| async {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let _open = far;
            std::future::pending::<()>().await;
        });
        Ok::<_, std::io::Error>(TokioIo::new(near))
    }))
}

#[tokio::test(start_paused = true)]
async fn a_silent_proxy_takes_the_connect_budget_and_no_more() {
    let budget = Duration::from_millis(50);
    for (scheme, kind) in [
        ("http", SymptomKind::ProxyTimeout),
        ("socks5h", SymptomKind::ProxyTimeout),
        ("https", SymptomKind::TlsTimeout),
    ] {
        let settings = NetworkSettings {
            proxy: Proxy::url(&format!("{scheme}://proxy.test:8080")).expect("url"),
            tls: TlsSettings {
                roots: vec![Authority::new("Test CA").pem.into_bytes()],
                ..Default::default()
            },
            connect_timeout: Some(budget),
            connector: Some(silence()),
            ..Default::default()
        };
        let network = Network::new(settings).expect("network");
        let began = Instant::now();
        let outcome = network.connect(&plain_origin(), Alpn::Http2).await;
        assert_eq!(began.elapsed(), budget, "{scheme}");
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
        (b"\x05\x01\x00\x03\x0cservice.test\x1f\x90", b"\x05\x00\x00\x03\x01x\x00\x00EARLY"),
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
        (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1f\x90", b"\x05\x00\x00\x01\0\0\0\0\0\0"),
    ])
    .await;
    let origin = Origin::parse("http://localhost:8080", false).expect("origin");
    let outcome = through(&format!("socks5://user:p%40ss@{address}"), &origin).await;
    assert_echo(&mut outcome.expect("connected"), b"").await;
}

#[tokio::test]
async fn socks5_sends_and_reads_an_address_of_ipv6() {
    let request = b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1f\x90";
    let reply = b"\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0EARLY";
    let address = proxy(vec![(b"\x05\x01\x00", b"\x05\x00"), (request, reply)]).await;
    let origin = Origin::parse("http://[::1]:8080", false).expect("origin");
    let outcome = through(&format!("socks5h://{address}"), &origin).await;
    assert_echo(&mut outcome.expect("connected"), b"EARLY").await;
}

#[tokio::test]
async fn each_reply_of_a_socks_proxy_has_its_words() {
    let (refused, failed) = (SymptomKind::SocksRefused, SymptomKind::ProxyUpstreamFailed);
    for (reply, kind, words) in [
        (1, refused, "general failure"),
        (2, refused, "not allowed by its rules"),
        (3, failed, "network unreachable"),
        (4, failed, "host unreachable"),
        (5, failed, "connection refused"),
        (6, failed, "time to live expired"),
        (7, refused, "command not supported"),
        (8, refused, "address type not supported"),
        (9, refused, "unknown reply"),
    ] {
        let request = b"\x05\x01\x00\x03\x0cservice.test\x1f\x90";
        let answer = Vec::leak(vec![5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
        let address = proxy(vec![(b"\x05\x01\x00", b"\x05\x00"), (request, answer)]).await;
        let symptom = symptom(through(&format!("socks5h://{address}"), &plain_origin()).await);
        assert_eq!((symptom.kind(), symptom.evidence().detail()), (kind, Some(words)));
    }
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
            vec![(b"\x05\x02\x00\x02", b"\x05\x02"), (b"\x01\x01u\x04p@ss", b"\x01\x01")],
            "u:p%40ss@",
            SymptomKind::SocksRefused,
            Some("it does not accept the login"),
        ),
        (
            vec![(b"\x05\x01\x00", b"\x05\x00"), (request, b"\x05\x02\x00\x01\0\0\0\0\0\0")],
            "",
            SymptomKind::SocksRefused,
            Some("not allowed by its rules"),
        ),
        (
            vec![(b"\x05\x01\x00", b"\x05\x00"), (request, b"\x05\x05\x00\x01\0\0\0\0\0\0")],
            "",
            SymptomKind::ProxyUpstreamFailed,
            Some("connection refused"),
        ),
        (
            vec![(&b"\x05\x02\x00\x02"[..], &b"\x05\xff"[..])],
            "u:p%40ss@",
            SymptomKind::SocksRefused,
            Some("it takes no login by user and password"),
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
        assert_eq!((symptom.kind(), symptom.evidence().detail()), (kind, detail));
    }
    let closing = peer(|stream| async move { drop(stream) }).await;
    let closed = symptom(through(&format!("socks5h://{closing}"), &plain_origin()).await);
    assert_eq!(closed.kind(), SymptomKind::ProxyClosed);
}

#[tokio::test]
async fn a_socks_proxy_that_closes_in_place_of_a_tunnel_has_refused() {
    let closing = peer(async |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 3]).await.expect("greeting");
        stream.write_all(b"\x05\x00").await.expect("answer");
        stream.read_exact(&mut [0; 19]).await.expect("request");
    })
    .await;
    let symptom = symptom(through(&format!("socks5h://{closing}"), &plain_origin()).await);
    assert_eq!(symptom.kind(), SymptomKind::SocksRefused);
    assert_eq!(symptom.evidence().detail(), Some("it closed the connection"));
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
    stream.write_all(b"HTTP/1.0 200 Connection established\r\n\r\n").await.expect("answer");
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
    assert!(symptom.evidence().first_bytes().starts_with(b"<html>blocked</html>"));
    assert_eq!(symptom.hop(), format!("host service.test:443 through proxy {address}"));
}
