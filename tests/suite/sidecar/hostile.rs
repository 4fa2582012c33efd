//! Hostile clients: each is cut off, or answered, in bounded memory, and others do not notice.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::exchange;
use super::victim::Victim;
use crate::hostile::{PREFACE, read_frame};
use crate::setting::GENERATE;

/// What hostile clients may cost, in KiB.
const SOME: u64 = 4 * 1024;
/// Bytes after which a client gives up that is still not cut off.
const END: usize = 64 << 20;
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// HPACK without compression: each name and value as they are.
fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for text in fields.iter().flat_map(|(name, value)| [name, value]).enumerate() {
        let (index, text) = text;
        if index % 2 == 0 {
            block.push(0);
        }
        block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("short"));
        block.extend(text.as_bytes());
    }
    block
}

async fn http2(victim: &Victim) -> TcpStream {
    let mut socket = TcpStream::connect(victim.address).await.expect("a connection");
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    socket.write_all(&begin).await.expect("room");
    socket
}

fn grpc_head(victim: &Victim) -> Vec<u8> {
    let authority = victim.address.to_string();
    head(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", GENERATE),
        (":authority", &authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

/// Reads until the peer ends the connection.
async fn is_cut_off(mut socket: TcpStream) -> bool {
    let mut sink = Vec::new();
    timeout(Duration::from_secs(10), socket.read_to_end(&mut sink)).await.is_ok()
}

/// Sends `first`, and then the same again and again until the peer has enough, or all is taken.
async fn pour(mut socket: TcpStream, first: Vec<u8>, again: Vec<u8>) -> usize {
    let _ = socket.write_all(&first).await;
    let mut sent = 0;
    while sent < END && socket.write_all(&again).await.is_ok() {
        sent += again.len();
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_answered_with_an_error_or_cut() {
    let victim = Victim::start(&[]).await;
    for garbage in [
        b"\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET  HTTP/1.1\r\nhost\r\n\r\n".to_vec(),
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n".to_vec(),
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n"
            .to_vec(),
        b"\x16\x03\x01\x00\x05hello".to_vec(),
        [PREFACE, &frame(HEADERS, END_HEADERS, 1, &[0xff; 40])].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[0; 7])].concat(),
        [PREFACE, &frame(99, 0xff, 0, &[0; 100]), &frame(0, 0, 7, b"data for no stream")].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[]), &[0xff; 64]].concat(),
    ] {
        let text = String::from_utf8_lossy(&garbage).into_owned();
        let answer = timeout(Duration::from_secs(10), exchange(victim.address, garbage)).await;
        let answer = answer.unwrap_or_else(|_| panic!("still open after {text:?}"));
        assert!(!answer.starts_with("HTTP/1.1 2"), "{text:?}: {answer}");
    }
    victim.ends_unharmed("garbage", SOME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_end_are_cut_off() {
    let victim = Victim::start(&[]).await;
    let mut attacks = JoinSet::new();
    for _ in 0..20 {
        attacks.spawn(pour(
            TcpStream::connect(victim.address).await.expect("a connection"),
            b"GET / HTTP/1.1\r\n".to_vec(),
            format!("x-{}: y\r\n", "a".repeat(1000)).into(),
        ));
        attacks.spawn(pour(
            http2(&victim).await,
            frame(HEADERS, 0, 1, &grpc_head(&victim)),
            frame(CONTINUATION, 0, 1, &head(&[("x-a", &"b".repeat(100))]).repeat(100)),
        ));
    }
    for sent in attacks.join_all().await {
        assert!(sent < 8 << 20, "{sent} bytes of headers were taken");
    }
    victim.ends_unharmed("headers without end", SOME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_end_are_cut_off() {
    // Room for all of them together: where it is used up, good clients are refused, too, for as
    // long as that takes.
    let victim = Victim::start(&["--max-message", "1", "--max-request-memory", "48"]).await;
    let head = format!(
        "POST /v1beta/models/m:generateContent HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        victim.address
    );
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    let (mut attacks, mut streams) = (JoinSet::new(), JoinSet::new());
    for _ in 0..20 {
        attacks.spawn(pour(
            TcpStream::connect(victim.address).await.expect("a connection"),
            head.clone().into(),
            chunk.clone(),
        ));
        // It does not wait for the window of HTTP/2 to open. What comes on a stream that was
        // refused is passed over: its connection may carry others.
        streams.spawn(pour(
            http2(&victim).await,
            frame(HEADERS, END_HEADERS, 1, &grpc_head(&victim)),
            frame(0, 0, 1, &[0xff; 0x4000]),
        ));
    }
    for sent in attacks.join_all().await {
        assert!(sent < END, "all of {sent} bytes were taken");
    }
    streams.join_all().await;
    // A message is in pieces and in one for a moment.
    victim.ends_unharmed("bodies without end", 2 * 40 * 1024 + SOME).await;
}

/// [CVE-2023-44487](https://nvd.nist.gov/vuln/detail/CVE-2023-44487): streams opened and reset at
/// once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_is_cut_off() {
    let victim = Victim::start(&[]).await;
    let mut socket = http2(&victim).await;
    let block = grpc_head(&victim);
    let mut opened = 0_u32;
    while opened < 100_000 {
        let mut burst = Vec::new();
        for _ in 0..100 {
            let stream = opened * 2 + 1;
            burst.extend(frame(HEADERS, END_HEADERS, stream, &block));
            burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            opened += 1;
        }
        if socket.write_all(&burst).await.is_err() {
            break;
        }
    }
    println!("rapid reset: cut off after {opened} streams");
    assert!(opened < 100_000);
    assert!(is_cut_off(socket).await);
    // None of them had a message, so none went further.
    victim.ends_unharmed("rapid reset", SOME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_keep_no_place_that_others_need() {
    let victim = Victim::start(&["--request-timeout", "1", "--max-calls", "110"]).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = http2(&victim).await;
        for stream in 0..10 {
            let head = frame(HEADERS, END_HEADERS, stream * 2 + 1, &grpc_head(&victim));
            let data = frame(0, 0, stream * 2 + 1, &[0, 0, 0, 0, 100, 1]);
            socket.write_all(&[head, data].concat()).await.expect("room");
        }
        sockets.push(socket);
    }
    for mut socket in sockets {
        // Each of the ten ends: HEADERS with the status and END_STREAM.
        let mut ended = 0;
        while ended < 10 {
            let (header, _) = read_frame(&mut socket).await.expect("a frame");
            ended += usize::from(header[3] == HEADERS && header[4] & END_STREAM != 0);
        }
    }
    victim.ends_unharmed("slow bodies", SOME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_promises_too_much_takes_no_memory() {
    let victim = Victim::start(&[]).await;
    let head = format!(
        "POST /v1beta/models/m:generateContent HTTP/1.1\r\nhost: {}\r\ncontent-length: 99999999999\r\n\r\n",
        victim.address
    );
    let answer = exchange(victim.address, head).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("limit"), "{answer}");
    let mut socket = http2(&victim).await;
    let head = frame(HEADERS, END_HEADERS, 1, &grpc_head(&victim));
    let data = frame(0, END_STREAM, 1, &[0, 0xff, 0xff, 0xff, 0xff, 1]);
    socket.write_all(&[head, data].concat()).await.expect("room");
    victim.ends_unharmed("lengths that promise too much", SOME).await;
}
