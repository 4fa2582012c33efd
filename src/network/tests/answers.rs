//! What becomes of CONNECT by what the proxy answers and how slowly; in virtual time.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::network::address::Address;
use crate::network::fault::Fault;
use crate::network::login::{Login, Rounds};
use crate::network::tunnel::{MAX_HEAD, SKIM_PATIENCE, open_tunnel};
use crate::symptom::SymptomKind;

/// What becomes of CONNECT when the proxy writes `pieces`, one each second of virtual time.
async fn dripping(pieces: Vec<Vec<u8>>, ends: bool) -> (Result<Bytes, Fault>, Duration) {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let proxy = tokio::spawn(async move {
        for piece in pieces {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if far.write_all(&piece).await.is_err() {
                return;
            }
        }
        if !ends {
            std::future::pending::<()>().await;
        }
    });
    let target = Address::parse("a.test", 443).expect("address");
    let started = Instant::now();
    let deadline = started + Duration::from_secs(10);
    let login = Login::default();
    let mut rounds = Rounds::begin(&login, "proxy.test", target.to_string(), deadline).await;
    let near = std::sync::Mutex::new(Some(near));
    let dial = || {
        let near = near.lock().expect("one dial at a time").take();
        std::future::ready(near.ok_or_else(closed))
    };
    let outcome = open_tunnel(dial, &target, &mut rounds, deadline).await;
    proxy.abort();
    (outcome.map(|(_, early)| early), started.elapsed())
}

/// Whoever dials anew finds nobody.
fn closed() -> Fault {
    Fault::new(SymptomKind::ConnectionRefused)
}

#[tokio::test(start_paused = true)]
async fn a_dripping_answer_ends_with_the_time_for_connecting() {
    let drops = vec![b"H".to_vec(), b"TTP/1.1 200 OK\r\nX: ".to_vec()];
    let endless = drops.into_iter().chain(vec![b"y".to_vec(); 60]).collect();
    let (outcome, elapsed) = dripping(endless, false).await;
    let fault = outcome.expect_err("timeout").at("proxy");
    let symptom = fault.symptom().expect("symptom");
    assert_eq!(symptom.kind(), SymptomKind::ProxyTimeout);
    assert!(symptom.evidence().first_bytes().starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(elapsed.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consent_is_a_consent() {
    let whole = b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.0 200\r\n\r\n";
    let pieces = whole.chunks(6).map(<[u8]>::to_vec).collect();
    let (outcome, _) = dripping(pieces, false).await;
    assert!(outcome.expect("tunnel").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_wait_for_its_page() {
    // Nobody can log in here.
    for status in ["403", "407"] {
        let head = format!("HTTP/1.1 {status} Filtered\r\nServer: tinyproxy\r\n\r\n<html>");
        let (outcome, elapsed) = dripping(vec![head.into_bytes(), vec![b'x'; 10]], false).await;
        let fault = outcome.expect_err("refused").at("proxy");
        let evidence = fault.symptom().expect("symptom").evidence();
        assert_eq!(evidence.first_bytes(), b"<html>");
        assert_eq!(evidence.reason(), Some("Filtered"));
        assert_eq!(evidence.header("server"), Some("tinyproxy"));
        assert_eq!(elapsed, Duration::from_secs(1) + SKIM_PATIENCE, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_page_ends_the_refusal_of_a_proxy_that_stays_connected() {
    for (length, page) in
        [("Content-Length: 6", "<html>"), ("Transfer-Encoding: chunked", "2\r\nno\r\n0\r\n\r\n")]
    {
        let answer = format!("HTTP/1.1 407 Login\r\n{length}\r\n\r\n{page}");
        let (outcome, elapsed) = dripping(vec![answer.into_bytes()], false).await;
        let fault = outcome.expect_err("refused").at("proxy");
        let evidence = fault.symptom().expect("symptom").evidence();
        assert_eq!(evidence.first_bytes(), page.as_bytes());
        assert_eq!(elapsed, Duration::from_secs(1), "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_oversized_head_is_cut_off() {
    let mut endless = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    endless.resize(MAX_HEAD + 100, b'x');
    let (outcome, elapsed) = dripping(vec![endless], false).await;
    let fault = outcome.expect_err("too long").at("proxy");
    let symptom = fault.symptom().expect("symptom");
    assert_eq!(symptom.kind(), SymptomKind::ProxyMalformed);
    assert_eq!(elapsed.as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_may_be_as_long_as_its_limit() {
    for (length, is_read) in [(MAX_HEAD, true), (MAX_HEAD + 1, false)] {
        let (begin, end) = ("HTTP/1.1 200 OK\r\nX: ", "\r\n\r\n");
        let filling = "x".repeat(length - begin.len() - end.len());
        let head = format!("{begin}{filling}{end}").into_bytes();
        let (first, rest) = head.split_at(1);
        let (outcome, _) = dripping(vec![first.to_vec(), rest.to_vec()], false).await;
        assert_eq!(outcome.is_ok(), is_read, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_wants_a_login_says_which() {
    assert_login_told([
        ("", "it does not say which login it takes"),
        ("Basic realm=\"a, b\"", "it takes Basic"),
        ("NTLM\r\nProxy-Authenticate: Basic realm=\"a\"", "it takes NTLM or Basic"),
    ])
    .await;
}

#[cfg(feature = "negotiate")]
#[tokio::test(start_paused = true)]
async fn a_proxy_that_wants_kerberos_says_so() {
    assert_login_told([
        ("Negotiate\r\nProxy-Authenticate: NTLM", "it takes Negotiate or NTLM"),
        ("Negotiate, Basic realm=\"a\"", "it takes Negotiate or Basic"),
    ])
    .await;
}

async fn assert_login_told<const N: usize>(cases: [(&str, &str); N]) {
    for (challenges, detail) in cases {
        let answer = format!("HTTP/1.1 407 Login\r\nProxy-Authenticate: {challenges}\r\n\r\n");
        let (outcome, _) = dripping(vec![answer.into_bytes()], true).await;
        let fault = outcome.expect_err("refused").at("proxy");
        let told = fault.symptom().expect("symptom").evidence().detail();
        assert_eq!(told, Some(detail), "{challenges}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_answer_has_its_symptom() {
    for (answer, expected) in [
        ("HTTP/1.1 407 Login\r\n\r\n", SymptomKind::ProxyAuthenticationRequired),
        ("HTTP/1.1 403 No\r\n\r\n", SymptomKind::ProxyForbidden),
        ("HTTP/1.1 405 No\r\n\r\n", SymptomKind::ProxyForbidden),
        ("HTTP/1.1 429 No\r\n\r\n", SymptomKind::ProxyForbidden),
        ("HTTP/1.1 302 Portal\r\nLocation: http://p/\r\n\r\n", SymptomKind::ProxyRedirected),
        ("HTTP/1.1 500 No\r\n\r\n", SymptomKind::ProxyUpstreamFailed),
        ("HTTP/1.1 503 No\r\n\r\n", SymptomKind::ProxyUpstreamFailed),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", SymptomKind::ProxyRejected),
        ("HTTP/1.1 404 Not Found\r\n\r\n", SymptomKind::ProxyRejected),
        ("HTTP/1.1 501 No Such Method\r\n\r\n", SymptomKind::ProxyRejected),
        ("HTTP/1.1 511 Portal\r\n\r\n", SymptomKind::ProxyRejected),
        ("HTTP/1.1 101 Other\r\n\r\n", SymptomKind::ProxyRejected),
        ("HTTP/1.1 999 Odd\r\n\r\n", SymptomKind::ProxyRejected),
        ("", SymptomKind::ProxyClosed),
        ("HTTP/1.1 200 OK\r\n", SymptomKind::ProxyClosed),
        ("\u{15}\u{3}\u{3}\u{0}\u{2}", SymptomKind::ProxyMalformed),
        ("220 mail.test ESMTP\r\n", SymptomKind::ProxyMalformed),
    ] {
        let (outcome, _) = dripping(vec![answer.into()], true).await;
        let fault = outcome.expect_err(answer).at("proxy");
        assert_eq!(fault.symptom().expect("symptom").kind(), expected, "{answer:?}");
    }
}
