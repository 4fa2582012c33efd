//! Each hostile proxy does what its fault says, and nothing else.

mod client;
mod origin;
mod table;

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::hostile::{Fault, HostileProxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use client::{Client, GO_AWAY_KIND, PATIENCE, handshake, read_head, start_call};
pub(crate) use client::{PREFACE, SETTINGS, read_frame};
use origin::{FAIL, GATED, HOST, LARGE, LATE, Origin, STREAM};
pub(crate) use table::passes_rest;
use table::{OK, REST_OK};

async fn start(fault: Fault, origin: &Origin) -> HostileProxy {
    HostileProxy::builder().target(origin.address).start(fault).await.unwrap()
}

fn through(proxy: &HostileProxy) -> Client<'_> {
    Client { proxy, expects_silence: false }
}

#[test]
fn names_are_read_as_they_are_written() {
    for &fault in Fault::ALL {
        assert_eq!(fault.to_string().parse(), Ok(fault));
        let variant = format!("{fault:?}").to_lowercase();
        assert_eq!(fault.name().replace('-', ""), variant);
    }
    let unknown = "no-such-fault".parse::<Fault>().unwrap_err();
    assert_eq!(unknown.to_string(), r#"no fault is named "no-such-fault""#);
}

#[tokio::test]
async fn counts_what_it_sees() {
    let origin = Origin::start().await;
    let proxy = start(Fault::Inspect, &origin).await;
    assert_eq!(through(&proxy).observe_grpc(STREAM).await, OK);
    assert_eq!(through(&proxy).observe_rest().await, REST_OK);
    let counts = proxy.counts();
    // One connection observes the opening of HTTP/2, one carries the call, one carries REST.
    assert_eq!((counts.tunnels(), counts.handshakes()), (3, 3));
    assert_eq!((proxy.grpc_requests(), proxy.rest_requests(), counts.strikes()), (1, 1, 0));
}

#[tokio::test]
async fn a_login_is_asked_for() {
    let origin = Origin::start().await;
    let builder = HostileProxy::builder().target(origin.address).login("aladdin", "opensesame");
    let proxy = builder.start(Fault::Pass).await.unwrap();
    let ask = |login: &str| format!("CONNECT {HOST}:443 HTTP/1.1\r\n{login}\r\n");
    let client = through(&proxy);
    let refused = client.connect_with(&ask("")).await.unwrap_err();
    assert_eq!(refused, "CONNECT 407 Basic");
    let wrong = "proxy-authorization: Basic YWxhZGRpbjp3cm9uZw==\r\n";
    assert_eq!(client.connect_with(&ask(wrong)).await.unwrap_err(), "CONNECT 407 Basic");
    // RFC 7617's own example.
    let right = "Proxy-Authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l\r\n";
    client.connect_with(&ask(right)).await.unwrap();
    assert_eq!(proxy.counts().tunnels(), 1);
}

#[tokio::test]
async fn the_name_that_is_asked_for_is_dialled_unless_a_target_is_set() {
    let origin = Origin::start().await;
    let proxy = HostileProxy::start(Fault::Pass).await.unwrap();
    let ask = |port| format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n");
    through(&proxy).connect_with(&ask(origin.address.port())).await.unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = through(&proxy).connect_with(&ask(closed.port())).await.unwrap_err();
    assert_eq!(refused, "CONNECT 502");
}

#[tokio::test]
async fn only_tunnels_are_given() {
    let proxy = HostileProxy::start(Fault::Pass).await.unwrap();
    let request = "GET http://service.test/ HTTP/1.1\r\nHost: service.test\r\n\r\n";
    assert_eq!(through(&proxy).connect_with(request).await.unwrap_err(), "CONNECT 405");
}

#[tokio::test]
async fn plain_http_in_the_tunnel_meets_the_fault_too() {
    let origin = Origin::start().await;
    let proxy = start(Fault::PolicyPage, &origin).await;
    let mut stream = through(&proxy).connect().await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: service.test\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 403");
    assert_eq!((proxy.counts().handshakes(), proxy.rest_requests()), (0, 1));
}

#[tokio::test]
async fn an_inspecting_proxy_passes_upgraded_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let proxy = HostileProxy::builder().target(target).start(Fault::Inspect).await.unwrap();
    let upgrading = "connection: upgrade\r\nupgrade: echo\r\n\r\n";
    let (mut stream, echo) = (through(&proxy).connect().await.unwrap(), async {
        let mut stream = listener.accept().await.unwrap().0;
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{upgrading}");
        stream.write_all(head.as_bytes()).await.unwrap();
        let byte = stream.read_u8().await.unwrap();
        stream.write_u8(byte).await.unwrap();
    });
    let asking = async {
        let head = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{upgrading}");
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
        stream.write_u8(42).await.unwrap();
        stream.read_u8().await.unwrap()
    };
    let (byte, ()) = timeout(PATIENCE, async { tokio::join!(asking, echo) }).await.unwrap();
    assert_eq!(byte, 42);
}

#[tokio::test]
async fn a_new_fault_meets_new_connections_only() {
    let origin = Origin::start().await;
    let proxy = start(Fault::Inspect, &origin).await;
    let client = through(&proxy);
    let mut old = handshake(client.open_http2().await.unwrap()).await;
    assert_eq!(client.call(&mut old, STREAM).await, OK);
    proxy.set(Fault::TrailersStripped);
    assert_eq!(client.call(&mut old, STREAM).await, OK);
    assert_eq!(client.observe_grpc(STREAM).await, "200 application/grpc, one, two, no status");
    proxy.set(Fault::Pass);
    assert_eq!(client.observe_grpc(STREAM).await, OK);
    assert_eq!(proxy.fault(), Fault::Pass);
}

#[tokio::test]
async fn a_fault_can_be_changed_under_open_connections() {
    let origin = Origin::start().await;
    let proxy = start(Fault::Inspect, &origin).await;
    let client = through(&proxy);
    let mut old = handshake(client.open_http2().await.unwrap()).await;
    assert_eq!(client.call(&mut old, STREAM).await, OK);
    proxy.set_and_cut(Fault::Page403);
    let lost = client.call(&mut old, STREAM).await;
    assert!(lost.starts_with("connection"), "{lost}");
    assert!(client.observe_grpc(STREAM).await.starts_with("403"));
}

#[tokio::test]
async fn nothing_is_left_when_it_is_dropped() {
    let origin = Origin::start().await;
    let proxy = start(Fault::Pass, &origin).await;
    let address = proxy.address();
    let mut open = through(&proxy).connect().await.unwrap();
    drop(proxy);
    assert!(matches!(timeout(PATIENCE, open.read_u8()).await, Ok(Err(_))));
    // The listener goes with a task that ends when it is next run.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.unwrap();
}

#[tokio::test]
async fn an_idle_tunnel_ends_as_its_fault_says() {
    let origin = Origin::start().await;
    for (fault, expected) in [
        (Fault::TunnelIdleClosed, Some(ErrorKind::UnexpectedEof)),
        (Fault::TunnelIdleReset, Some(ErrorKind::ConnectionReset)),
        (Fault::TunnelIdleSilence, None),
    ] {
        let builder = HostileProxy::builder().target(origin.address);
        let proxy = builder.idle_limit(Duration::from_millis(1)).start(fault).await.unwrap();
        let mut stream = through(&proxy).connect().await.unwrap();
        proxy.wait_until(|counts| counts.strikes() == 1).await;
        // Nothing comes back even to what the origin would answer: this is not TLS.
        if fault == Fault::TunnelIdleSilence {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        }
        let limit = if expected.is_some() { PATIENCE } else { Duration::from_millis(200) };
        let outcome = timeout(limit, stream.read_u8()).await.ok();
        assert_eq!(outcome.map(|read| read.unwrap_err().kind()), expected, "{fault}");
    }
}

#[tokio::test]
async fn go_away_lets_earlier_calls_finish() {
    let origin = Origin::start().await;
    let proxy = start(Fault::GoAwayAfterStreams, &origin).await;
    let client = through(&proxy);
    let mut sender = handshake(client.open_http2().await.unwrap()).await;
    assert_eq!(client.call(&mut sender, STREAM).await, OK);
    let mut second = sender.clone();
    let (second, third) = tokio::join!(client.call(&mut second, GATED), async {
        proxy.wait_until(|counts| counts.grpc_requests() == 2).await;
        let third = client.call(&mut sender, STREAM).await;
        origin.open_gate();
        third
    });
    assert_eq!((second.as_str(), third.as_str()), (OK, "GOAWAY NO_ERROR"));
    assert_eq!(origin.grpc_calls(), 2);
}

#[tokio::test]
async fn too_many_pings_end_the_connection_at_the_second_call() {
    let origin = Origin::start().await;
    let proxy = start(Fault::GoAwayTooManyPings, &origin).await;
    let client = through(&proxy);
    let mut sender = handshake(client.open_http2().await.unwrap()).await;
    assert_eq!(client.call(&mut sender, STREAM).await, OK);
    assert_eq!(client.call(&mut sender, STREAM).await, "GOAWAY ENHANCE_YOUR_CALM");
    assert_eq!(origin.grpc_calls(), 1);
}

#[tokio::test]
async fn go_away_over_a_request_leaves_open_what_became_of_it() {
    let origin = Origin::start().await;
    let proxy = start(Fault::GoAwayOverRequest, &origin).await;
    let mut stream = through(&proxy).open_http2().await.unwrap();
    // POST https://…/ on stream 1, by HPACK's static table.
    let request = b"\0\0\x03\x01\x05\0\0\0\x01\x83\x87\x84";
    stream.write_all(&[PREFACE, SETTINGS, request].concat()).await.unwrap();
    let go_away = loop {
        let (header, payload) = timeout(PATIENCE, read_frame(&mut stream)).await.unwrap().unwrap();
        if header[3] == GO_AWAY_KIND {
            break payload;
        }
    };
    // The stream is covered, the reason is INTERNAL_ERROR.
    assert_eq!(go_away, [0, 0, 0, 1, 0, 0, 0, 2]);
    let end = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn one_in_so_many_calls_of_all_connections_fails() {
    for (fault, nth) in [(Fault::EverySecondCall, 2), (Fault::EveryThirdCall, 3)] {
        let origin = Origin::start().await;
        let proxy = start(fault, &origin).await;
        for call in 1..=6 {
            let observed = through(&proxy).observe_grpc(STREAM).await;
            assert_eq!(observed == OK, call % nth != 0, "{fault}, call {call}: {observed}");
        }
        assert_eq!(origin.grpc_calls(), 6 - 6 / nth);
    }
}

#[tokio::test]
async fn a_spared_path_passes_whatever_the_fault() {
    let origin = Origin::start().await;
    let builder = HostileProxy::builder().target(origin.address).spare(STREAM);
    let proxy = builder.start(Fault::Page403).await.unwrap();
    assert_eq!(through(&proxy).observe_grpc(STREAM).await, OK);
    assert!(through(&proxy).observe_grpc(FAIL).await.starts_with("403"));
    assert_eq!((proxy.counts().strikes(), origin.grpc_calls()), (1, 1));
}

#[tokio::test]
async fn a_long_answer_and_a_slow_one_break_where_the_fault_says() {
    let origin = Origin::start().await;
    let proxy = start(Fault::LargeAnswerReset, &origin).await;
    let observed = through(&proxy).observe_grpc(LARGE).await;
    assert!(observed.ends_with("RST_STREAM INTERNAL_ERROR"), "{observed}");
    let proxy = start(Fault::SecondMessageReset, &origin).await;
    let observed = through(&proxy).observe_grpc(LARGE).await;
    assert!(observed.ends_with("status 0"), "one message, however long: {observed}");
    let builder = HostileProxy::builder().target(origin.address);
    let builder = builder.idle_limit(Duration::from_millis(1));
    let proxy = builder.start(Fault::SlowAnswerPage).await.unwrap();
    assert!(through(&proxy).observe_grpc(LATE).await.starts_with("504"));
}

#[tokio::test]
async fn a_status_in_the_head_survives_stripped_trailers() {
    let origin = Origin::start().await;
    let proxy = start(Fault::TrailersStripped, &origin).await;
    let observed = through(&proxy).observe_grpc(FAIL).await;
    assert_eq!(observed, "200 application/grpc, status 5");
}

#[tokio::test]
async fn a_buffered_answer_comes_when_it_is_complete() {
    let origin = Origin::start().await;
    for (fault, comes_early) in [(Fault::Inspect, true), (Fault::AnswerBuffered, false)] {
        let proxy = start(fault, &origin).await;
        let mut sender = handshake(through(&proxy).open_http2().await.unwrap()).await;
        let (mut answer, mut request) = start_call(&mut sender, GATED).await.unwrap();
        request.send_data(Bytes::new(), true).unwrap();
        if comes_early {
            timeout(PATIENCE, &mut answer).await.unwrap().unwrap();
        } else {
            proxy.wait_until(|counts| counts.strikes() == 1).await;
            assert!(timeout(Duration::from_millis(200), &mut answer).await.is_err());
            origin.open_gate();
            timeout(PATIENCE, &mut answer).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_buffered_request_goes_on_when_it_is_complete() {
    let origin = Origin::start().await;
    let proxy = start(Fault::RequestBuffered, &origin).await;
    let mut sender = handshake(through(&proxy).open_http2().await.unwrap()).await;
    let (mut answer, mut request) = start_call(&mut sender, STREAM).await.unwrap();
    proxy.wait_until(|counts| counts.strikes() == 1).await;
    assert!(timeout(Duration::from_millis(200), &mut answer).await.is_err());
    assert_eq!(origin.grpc_calls(), 0);
    request.send_data(Bytes::new(), true).unwrap();
    timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(origin.grpc_calls(), 1);
}

#[tokio::test]
async fn a_large_request_is_refused() {
    let too_large = || Bytes::from(vec![0; 64 * 1024 + 1]);
    for (fault, rest) in [(Fault::RequestLimited, "413 text/html"), (Fault::CallLimited, REST_OK)] {
        let origin = Origin::start().await;
        let proxy = start(fault, &origin).await;
        refuse_large(&proxy, &origin).await;
        let observed = through(&proxy).observe_rest_with(too_large()).await;
        assert!(observed.starts_with(rest), "{fault}: {observed}");
    }
}

async fn refuse_large(proxy: &HostileProxy, origin: &Origin) {
    let client = through(proxy);
    assert_eq!(client.observe_rest_with(Bytes::from(vec![0; 64 * 1024])).await, REST_OK);
    let mut sender = handshake(client.open_http2().await.unwrap()).await;
    let (answer, mut request) = start_call(&mut sender, STREAM).await.unwrap();
    // Bytes beyond the limit and within HTTP/2's first window, so that they go out at once.
    request.send_data(Bytes::from(vec![0; 65_535]), false).unwrap();
    request.send_data(Bytes::from(vec![0; 2]), false).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(origin.grpc_calls(), 0);
}
