//! One deadline over everything; a dropped call is cancelled on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Fault, Reply};
use genai_bridge::{
    ActiveTransport, Bridge, Error, ErrorKind, Proxy, ResendPolicy, SymptomKind, Transport,
};
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request};

use crate::peers::plain;
use crate::setting::{
    BOTH, GENERATE, LIST_MODELS, STREAM, answer, behind, client, direct, frame, outcome_of,
    question, text_of, through,
};

const SHORT: Duration = Duration::from_millis(200);
/// Far beyond what a busy machine needs to notice that 200 ms have passed.
const LONG: Duration = Duration::from_secs(20);

fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

fn assert_expired(status: &tonic::Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(Error::of(status).map(Error::kind), Some(ErrorKind::DeadlineExceeded));
}

#[tokio::test]
async fn a_silent_service_ends_in_deadline_exceeded() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::never());
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let mut client = client(direct(&emulator).transport(transport));
        let began = Instant::now();
        let call = client.generate_content(within(SHORT, question("?")));
        let status = timeout(LONG, call).await.expect("in time").expect_err("no answer");
        assert!(began.elapsed() >= SHORT);
        assert_expired(&status);
        assert!(status.message().contains("host localhost:"), "names no hop: {status:?}");
    }
}

#[tokio::test]
async fn a_stream_that_stops_ends_in_deadline_exceeded_after_what_came() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let gate = Arc::new(Semaphore::new(1));
        emulator.on(STREAM, Reply::messages([answer("first"), answer("second")]).gate(gate));
        let mut client = client(direct(&emulator).transport(transport));
        let reply = client.stream_generate_content(within(4 * SHORT, question("?"))).await;
        let mut messages = reply.expect("a stream").into_inner();
        let first = messages.message().await.expect("a message").expect("one");
        assert_eq!(text_of(&first), "first");
        let end = timeout(LONG, messages.message()).await.expect("in time");
        assert_expired(&end.expect_err("no second message"));
    }
}

#[tokio::test]
async fn a_host_that_accepts_and_says_nothing_is_inside_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint =
        format!("https://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let builder = Bridge::builder();
        let builder = builder.endpoint(&endpoint).proxy(Proxy::none()).transport(transport);
        let call = async { client(builder).generate_content(within(SHORT, question("?"))).await };
        let status = timeout(LONG, call).await.expect("in time").expect_err("no answer");
        assert_expired(&status);
        assert!(status.message().contains("host 127.0.0.1:"), "names no hop: {status:?}");
    }
}

#[tokio::test]
async fn a_deadline_that_passes_on_rest_is_told_whatever_grpc_met_before() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    emulator.on(GENERATE, Reply::never());
    let mut client = client(through(&emulator, &proxy).grpc_head_start(LONG));
    let call = client.generate_content(within(4 * SHORT, question("?")));
    assert_expired(&timeout(LONG, call).await.expect("in time").expect_err("no answer"));
}

#[tokio::test]
async fn a_call_without_time_is_not_sent() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let builder = direct(&emulator).transport(transport).default_deadline(Duration::ZERO);
        let status = client(builder).generate_content(question("?")).await.expect_err("no time");
        assert_expired(&status);
    }
    assert_eq!(emulator.received().len(), 0);
}

#[tokio::test]
async fn the_service_learns_how_much_time_is_left() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (transport, header, value) in
        [(Transport::Grpc, "grpc-timeout", None), (Transport::Rest, "x-server-timeout", Some("90"))]
    {
        let mut client = client(direct(&emulator).transport(transport));
        let request = within(Duration::from_millis(89_500), question("?"));
        client.generate_content(request).await.expect("an answer");
        let received = emulator.received().pop().expect("a call");
        let found = received.headers()[header].to_str().expect("ascii");
        match value {
            Some(value) => assert_eq!(found, value),
            None => assert!(found.starts_with("89") && found.ends_with('u'), "{found}"),
        }
        client.generate_content(question("?")).await.expect("an answer");
        let received = emulator.received().pop().expect("a call");
        let found = received.headers()[header].to_str().expect("ascii");
        assert!(
            ["59", "600"].iter().any(|begin| found.starts_with(begin)),
            "the default is ten minutes: {found}"
        );
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_on_the_wire() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::never());
    for (transport, cancelled) in [(Transport::Grpc, 1), (Transport::Rest, 2)] {
        let mut client = client(direct(&emulator).transport(transport));
        let call = tokio::spawn(async move { client.generate_content(question("?")).await });
        emulator.received_when(cancelled).await;
        call.abort();
        timeout(LONG, emulator.cancelled_when(cancelled)).await.expect("cancelled");
    }
}

#[tokio::test]
async fn a_dropped_stream_is_cancelled_on_the_wire() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (transport, cancelled) in [(Transport::Grpc, 1), (Transport::Rest, 2)] {
        let gate = Arc::new(Semaphore::new(1));
        emulator.on(STREAM, Reply::messages([answer("first"), answer("second")]).gate(gate));
        let mut client = client(direct(&emulator).transport(transport));
        let reply = client.stream_generate_content(question("?")).await.expect("a stream");
        let mut messages = reply.into_inner();
        messages.message().await.expect("a message").expect("the first");
        drop(messages);
        timeout(LONG, emulator.cancelled_when(cancelled)).await.expect("cancelled");
    }
}

/// How a server, or what stands before it, ends a call when its own timer for the call runs out.
#[derive(Debug, Clone, Copy)]
enum End {
    Reset(Reason),
    /// Gone, without a word.
    Close,
    /// tonic's server: `CANCELLED`.
    Cancelled,
    /// Envoy: `UNAVAILABLE`, in its own name.
    Forged,
    /// A gateway's page.
    Page,
    /// The service's own status.
    DeadlineExceeded,
}

const ENDS: [End; 9] = [
    End::Reset(Reason::CANCEL),
    End::Reset(Reason::NO_ERROR),
    End::Reset(Reason::INTERNAL_ERROR),
    End::Reset(Reason::PROTOCOL_ERROR),
    End::Close,
    End::Cancelled,
    End::Forged,
    End::Page,
    End::DeadlineExceeded,
];

/// A service without TLS that never answers a call, and ends it when `grpc-timeout` has passed,
/// less this part of it. Before that it sends as many messages. It lists models at once.
struct OwnTimer {
    port: u16,
    listed: Arc<AtomicUsize>,
}

impl OwnTimer {
    async fn start(end: End, early: u32, messages: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let listed = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&listed);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, end, early, messages, Arc::clone(&count)));
            }
        });
        Self { port, listed }
    }
}

async fn serve(stream: TcpStream, end: End, early: u32, messages: usize, listed: Arc<AtomicUsize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                if request.uri().path() == LIST_MODELS {
                    listed.fetch_add(1, Ordering::Relaxed);
                    answer_with(respond, 1, Some(status("0")));
                    continue;
                }
                let time = request.headers()["grpc-timeout"].to_str().expect("ascii").to_owned();
                let micros = time.trim_end_matches('u').parse().expect("micros");
                let time = Duration::from_micros(micros);
                calls.spawn(end_after(time.saturating_sub(time / 1000 * early), respond, end, messages));
            }
            Some(_) = calls.join_next() => if matches!(end, End::Close) { return },
        }
    }
}

async fn end_after(time: Duration, mut respond: SendResponse<Bytes>, end: End, messages: usize) {
    let mut body = (messages > 0).then(|| respond.send_response(head(), false).expect("a stream"));
    if let Some(body) = &mut body {
        body.send_data(frame(&answer("first").encode_to_vec()), false).expect("room");
    }
    sleep(time).await;
    match (end, body) {
        (End::Reset(reason), Some(mut body)) => body.send_reset(reason),
        (End::Reset(reason), None) => respond.send_reset(reason),
        (End::Close, _) => {}
        (_, Some(mut body)) => {
            let _ = body.send_trailers(status(code_of(end)));
        }
        (End::Page, None) => {
            let page = Response::builder().status(504).header("content-type", "text/html");
            let _ = respond.send_response(page.body(()).expect("a head"), true);
        }
        (_, None) => {
            let mut head = head();
            head.headers_mut().extend(status(code_of(end)));
            if matches!(end, End::Forged) {
                head.headers_mut().insert("server", "envoy".parse().expect("a value"));
            }
            let _ = respond.send_response(head, true);
        }
    }
}

fn code_of(end: End) -> &'static str {
    match end {
        End::Cancelled => "1",
        End::Forged => "14",
        _ => "4",
    }
}

fn head() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).expect("a head")
}

fn status(code: &'static str) -> HeaderMap {
    [("grpc-status".parse().expect("a name"), code.parse().expect("a value"))].into_iter().collect()
}

fn answer_with(mut respond: SendResponse<Bytes>, messages: usize, trailers: Option<HeaderMap>) {
    let mut body = respond.send_response(head(), false).expect("a stream");
    for _ in 0..messages {
        body.send_data(frame(b""), false).expect("room");
    }
    if let Some(trailers) = trailers {
        body.send_trailers(trailers).expect("room");
    }
}

async fn code_within(mut bridge: Bridge, path: &str, time: Duration) -> (Code, String) {
    use tower_service::Service as _;
    let body = http_body_util::Full::new(frame(&question("?").encode_to_vec()));
    let request = http::Request::post(path)
        .header("grpc-timeout", format!("{}u", time.as_micros()))
        .body(tonic::body::Body::new(body))
        .expect("a request");
    let status = outcome_of(bridge.call(request).await).await.status;
    (status.code(), status.message().to_owned())
}

/// 5 ms before the deadline of 100 ms, so that the server's timer comes first even where it starts
/// a little late.
#[tokio::test]
async fn whatever_a_peers_own_timer_does_is_the_deadline() {
    for end in ENDS {
        for (path, messages) in [(GENERATE, 0), (STREAM, 0), (STREAM, 1)] {
            // After the first message neither a page nor a forged status can come.
            if messages == 1 && matches!(end, End::Forged | End::Page) {
                continue;
            }
            let service = OwnTimer::start(end, 50, messages).await;
            let bridge = plain(service.port, Transport::Auto).resend(ResendPolicy::WhenUnanswered);
            let bridge = bridge.grpc_head_start(LONG).build().expect("a bridge");
            bridge.connect().await.expect("a service");
            // A call right behind the end of the connection may still be given to it.
            for _ in 0..if matches!(end, End::Close) { 1 } else { 3 } {
                let called = code_within(bridge.clone(), path, Duration::from_millis(100)).await;
                assert_eq!(
                    called.0,
                    Code::DeadlineExceeded,
                    "{end:?} {path} {messages}: {called:?}"
                );
            }
            let stats = bridge.stats();
            assert_eq!(
                bridge.transport_state().transport(),
                Some(ActiveTransport::Grpc),
                "{end:?}"
            );
            assert_eq!(service.listed.load(Ordering::Relaxed), 1, "{end:?}: gRPC was doubted");
            for kind in SymptomKind::ALL {
                assert_eq!(stats.symptoms(*kind), 0, "{end:?} {path} {messages}: {kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn two_hundred_calls_to_a_server_with_a_timer_of_its_own_all_end_at_their_deadline() {
    let service = OwnTimer::start(End::Reset(Reason::CANCEL), 0, 0).await;
    let bridge = plain(service.port, Transport::Auto).grpc_head_start(LONG);
    let bridge = bridge.build().expect("a bridge");
    bridge.connect().await.expect("a service");
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let (bridge, path) = (bridge.clone(), if number % 2 == 0 { GENERATE } else { STREAM });
        let time = Duration::from_millis(50 + number % 16 * 10);
        calls.spawn(async move { code_within(bridge, path, time).await });
        if number % 10 == 9 {
            while let Some(called) = calls.join_next().await {
                let called = called.expect("no panic");
                assert_eq!(called.0, Code::DeadlineExceeded, "{called:?}");
            }
        }
    }
    assert_eq!(bridge.transport_state().transport(), Some(ActiveTransport::Grpc));
}

#[tokio::test]
async fn a_reset_long_before_the_deadline_stays_what_it_is() {
    for (end, code) in
        [(End::Reset(Reason::CANCEL), Code::Unavailable), (End::Cancelled, Code::Cancelled)]
    {
        // At once.
        let service = OwnTimer::start(end, 1000, 0).await;
        let bridge = plain(service.port, Transport::Grpc).build().expect("a bridge");
        let called = code_within(bridge, GENERATE, LONG).await;
        assert_eq!(called.0, code, "{called:?}");
    }
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn the_deadline_is_the_same_through_the_sidecar() {
    for end in ENDS {
        let service = OwnTimer::start(end, 50, 0).await;
        let bridge = plain(service.port, Transport::Grpc);
        let sidecar = crate::sidecar::Running::start(bridge, |s| s).await;
        let client = sidecar.plain_client().transport(Transport::Grpc);
        let client = client.build().expect("a bridge");
        for path in if matches!(end, End::Close) { &[GENERATE][..] } else { &[GENERATE, STREAM] } {
            let called = code_within(client.clone(), path, Duration::from_millis(100)).await;
            assert_eq!(called.0, Code::DeadlineExceeded, "{end:?} {path}: {called:?}");
        }
    }
}
