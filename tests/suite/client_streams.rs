//! Client streams: what a client writes goes to the service in whole messages, and what is no
//! message ends the call.

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::bidi_generate_content_client_message::MessageType;
use genai_bridge::v1beta::{
    BidiGenerateContentClientMessage, BidiGenerateContentServerMessage, BidiGenerateContentSetup,
};
use genai_bridge::{Bridge, Error, ErrorKind, Proxy, SymptomKind, Transport};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service as _;

use crate::setting::{BIDI, Outcome, direct, frame, outcome_of};

type Part = Result<Frame<Bytes>, Status>;

#[expect(clippy::unnecessary_wraps, reason = "a part of a body may be an error")]
fn data(bytes: impl Into<Bytes>) -> Part {
    Ok(Frame::data(bytes.into()))
}

fn message(text: &str) -> Bytes {
    let setup = BidiGenerateContentSetup { model: text.into(), ..Default::default() };
    let message_type = Some(MessageType::Setup(setup));
    let message = BidiGenerateContentClientMessage { message_type, ..Default::default() };
    frame(&message.encode_to_vec())
}

async fn call(mut bridge: Bridge, parts: Vec<Part>) -> Outcome {
    let body = Body::new(StreamBody::new(tokio_stream::iter(parts)));
    let request = Request::post(BIDI).body(body).expect("a request");
    outcome_of(bridge.call(request).await).await
}

/// What a call over gRPC met, if anything, and whether something is held against gRPC.
fn is_blamed(bridge: &Bridge) -> bool {
    let symptoms = SymptomKind::ALL.iter().map(|kind| bridge.stats().symptoms(*kind)).sum::<u64>();
    symptoms > 0 || bridge.verdict().is_some()
}

#[tokio::test]
async fn messages_that_come_in_pieces_arrive_whole() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(BIDI, Reply::messages([BidiGenerateContentServerMessage::default()]));
    let written = [message("models/one"), message("models/two")].concat();
    for size in [1, 4, 5, 6, 7, written.len()] {
        let bridge = direct(&emulator).build().expect("a bridge");
        let parts = written.chunks(size).map(|piece| data(piece.to_vec())).collect();
        let outcome = call(bridge, parts).await;
        assert_eq!(outcome.status.code(), Code::Ok, "{size}: {:?}", outcome.status);
        let heard = emulator.received().pop().expect("a call").message().clone();
        assert_eq!(frame(&heard), message("models/one"), "{size}");
    }
}

#[tokio::test]
async fn what_is_no_message_ends_the_call_and_says_nothing_of_the_network() {
    let whole = message("models/one");
    let given_up = || Err(Status::aborted("given up"));
    let too_large = || data(&[0, 0xff, 0xff, 0xff, 0xff][..]);
    let unknown = || data(&[7, 0, 0, 0, 0][..]);
    let first = || data(whole.clone());
    for transport in [Transport::Grpc, Transport::Auto] {
        let cases: [(&str, Vec<Part>, ErrorKind); 6] = [
            ("over the bridge's limit", vec![too_large()], ErrorKind::MessageTooLarge),
            ("over the bridge's limit", vec![first(), too_large()], ErrorKind::MessageTooLarge),
            ("has flag 7", vec![unknown()], ErrorKind::InvalidRequest),
            ("has flag 7", vec![first(), unknown()], ErrorKind::InvalidRequest),
            ("stream of messages failed", vec![given_up()], ErrorKind::InvalidRequest),
            ("stream of messages failed", vec![first(), given_up()], ErrorKind::InvalidRequest),
        ];
        for (words, parts, kind) in cases {
            let emulator = Emulator::start().await.expect("an emulator");
            emulator.on(BIDI, Reply::never());
            let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
            let status = call(bridge.clone(), parts).await.status;
            let found = Error::of(&status).map(Error::kind);
            assert_eq!(found, Some(kind), "{transport} {words}: {status:?}");
            assert!(status.message().contains(words), "{status}");
            assert!(!is_blamed(&bridge), "{transport} {words}");
        }
    }
}

/// A service without TLS: what arrives of one call's body, which it answers with OK.
async fn heard(parts: Vec<Part>) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let bridge = Bridge::builder().endpoint(endpoint).allow_plaintext().proxy(Proxy::none());
    let bridge = bridge.api_key("key").transport(Transport::Grpc).build().expect("a bridge");
    let listening = async {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        let (request, mut respond) = connection.accept().await.expect("a call").expect("a call");
        let answering = async move {
            let mut body = request.into_body();
            let mut arrived = Vec::new();
            while let Some(piece) = body.data().await {
                arrived.extend_from_slice(&piece.expect("bytes"));
            }
            let answer = http::Response::builder().header("content-type", "application/grpc");
            let answer = answer.header("grpc-status", "0").body(()).expect("an answer");
            respond.send_response(answer, true).expect("a client");
            arrived
        };
        let serving = async { while connection.accept().await.is_some() {} };
        tokio::pin!(answering, serving);
        tokio::select! {
            arrived = &mut answering => {
                // The answer is on its way as long as somebody drives it.
                (arrived, serving.await).0
            }
            () = &mut serving => panic!("the client has gone"),
        }
    };
    let calling = async {
        call(bridge, parts).await;
    };
    tokio::join!(listening, calling).0
}

#[tokio::test]
async fn a_message_that_is_cut_reaches_the_service_which_says_so() {
    let whole = message("models/one");
    let cut = whole.slice(..whole.len() - 1);
    let trailers = || Ok(Frame::trailers(HeaderMap::new()));
    for parts in [
        vec![data(whole.clone()), data(cut.clone())],
        vec![data(whole.clone()), data(cut.clone()), trailers()],
        vec![data([&whole[..], &cut].concat()), trailers()],
    ] {
        assert_eq!(heard(parts).await, [&whole[..], &cut].concat());
    }
}
