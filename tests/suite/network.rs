//! One network under both transports: the same way through a proxy, the same evidence where it is
//! closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::{Fault, Reply};
use genai_bridge::{Bridge, Error, Proxy, Symptom, SymptomKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::setting::{BOTH, STREAM, answer, behind, client, question, text_of, through};

#[tokio::test]
async fn every_form_of_consent_opens_the_tunnel_to_both_transports() {
    for fault in [Fault::ConnectHttp10, Fault::ConnectCreated, Fault::ConnectSplit] {
        let (emulator, proxy) = behind(fault).await;
        for transport in BOTH {
            let mut client = client(through(&emulator, &proxy).transport(transport));
            client.generate_content(question("?")).await.expect("an answer");
        }
        assert_eq!((proxy.counts().tunnels(), emulator.received().len()), (2, 2), "{fault:?}");
    }
}

fn symptom_of(status: &Status) -> Symptom {
    Error::of(status).and_then(Error::symptom).expect("ours").clone()
}

#[tokio::test]
async fn a_closed_way_gives_both_transports_the_same_evidence_after_one_dial() {
    for fault in [
        Fault::ConnectForbidden,
        Fault::ConnectLoginRequired,
        Fault::ConnectNegotiateRequired,
        Fault::ConnectNotAllowed,
        Fault::ConnectBadGateway,
        Fault::ConnectUnavailable,
        Fault::ConnectRedirected,
        Fault::ConnectPage,
        Fault::ConnectGarbage,
        Fault::ConnectClosed,
        Fault::ConnectReset,
        Fault::HandshakeClosed,
        Fault::HandshakeReset,
        Fault::HandshakeAlert,
        Fault::HandshakePage,
        Fault::InspectUnknownIssuer,
        Fault::InspectExpired,
        Fault::InspectWrongName,
    ] {
        let mut seen = Vec::new();
        for transport in BOTH {
            let (emulator, proxy) = behind(fault).await;
            let mut client = client(through(&emulator, &proxy).transport(transport));
            let status = client.generate_content(question("?")).await.expect_err("no way");
            assert_eq!(proxy.counts().strikes(), 1, "{fault:?} {transport:?}: dialled again");
            let symptom = symptom_of(&status);
            // The detail of an expired certificate tells the second of the day.
            let evidence =
                format!("{:?}", symptom.evidence()).replace(|c: char| c.is_ascii_digit(), "0");
            assert_eq!(emulator.received().len(), 0);
            seen.push((symptom.kind(), evidence, symptom.evidence().first_bytes().to_vec()));
        }
        assert_eq!(seen[0], seen[1], "{fault:?}");
    }
}

#[tokio::test]
async fn a_stream_that_stops_ends_at_its_idle_limit() {
    for transport in BOTH {
        let (emulator, proxy) = behind(Fault::Pass).await;
        let gate = Arc::new(Semaphore::new(1));
        emulator.on(STREAM, Reply::messages([answer("first"), answer("second")]).gate(gate));
        let builder = through(&emulator, &proxy).transport(transport);
        let mut client = client(builder.stream_idle_limit(Duration::from_millis(200)));
        let reply = client.stream_generate_content(question("?")).await.expect("a stream");
        let mut messages = reply.into_inner();
        assert_eq!(text_of(&messages.message().await.expect("a message").expect("one")), "first");
        let end = timeout(Duration::from_secs(20), messages.message()).await.expect("in time");
        let status = end.expect_err("no second message");
        let symptom = symptom_of(&status);
        assert_eq!((status.code(), symptom.kind()), (Code::Unavailable, SymptomKind::BodyStalled));
        assert_eq!(symptom.evidence().messages(), 1);
        emulator.cancelled_when(1).await;
    }
}

#[tokio::test]
async fn no_answer_to_connect_outlasts_the_time_for_connecting() {
    const BUDGET: Duration = Duration::from_millis(300);
    for (piece, kind) in [
        (&b""[..], SymptomKind::ProxyTimeout),
        (b"HTTP/1.1 200 OK\r\n", SymptomKind::ProxyTimeout),
        (b"HTTP/1.1 200 OK\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", SymptomKind::ProxyMalformed),
        (b"\x16\x03\x01\x00\xff\x00", SymptomKind::ProxyMalformed),
    ] {
        let endless = kind == SymptomKind::ProxyMalformed;
        let proxy = serve_each_connection(move |stream| write_pieces(stream, piece, endless)).await;
        for transport in BOTH {
            let way = Proxy::url(&format!("http://{proxy}")).expect("a URL");
            let builder = Bridge::builder().proxy(way).connect_timeout(BUDGET).transport(transport);
            let call = async { client(builder).generate_content(question("?")).await };
            let status = timeout(Duration::from_secs(20), call).await.expect("in time");
            let symptom = symptom_of(&status.expect_err("no tunnel"));
            assert_eq!(symptom.kind(), kind, "{transport:?}");
            assert_eq!(symptom.hop(), format!("proxy {proxy}"));
        }
    }
}

/// Writes the piece once, or for as long as somebody reads.
async fn write_pieces(mut stream: TcpStream, piece: &'static [u8], endless: bool) {
    while stream.write_all(piece).await.is_ok() && endless {}
    // Stays open until the other side has enough.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

async fn serve_each_connection<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}
