//! How a call fails whose stream cannot be collected: what its client and the statistics are told.

use genai_bridge::emulator::{Emulator, Fault, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{
    BridgeBuilder, Delivery, Error, ErrorKind, ResendPolicy, RetryPolicy, Stats, Transport,
};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

use super::{Opaque, chunk, last, streamed, text};
use crate::setting::{BOTH, GENERATE, STREAM, behind, client, question, through};

#[tokio::test]
async fn the_answer_is_no_larger_than_one_message_may_be() {
    let emulator = Emulator::start().await.expect("an emulator");
    let long = "a".repeat(600);
    let chunks = || [chunk(0, vec![text(&long)]), last(0, vec![text(&long)])];
    for (reply, transport) in BOTH
        .map(|transport| (Reply::messages(chunks()), transport))
        .into_iter()
        .chain([(Reply::messages(chunks()).compressed(), Transport::Grpc)])
    {
        emulator.on(STREAM, reply);
        let bridge = streamed(&emulator, transport).max_message_size(1000).build();
        let mut client = GenerativeServiceClient::new(bridge.expect("a bridge"))
            .accept_compressed(CompressionEncoding::Gzip);
        let status = client.generate_content(question("?")).await.expect_err("too large");
        let error = Error::of(&status).expect("ours");
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        assert!(error.to_string().contains("limit of 1000"), "{transport:?}: {error}");
    }
}

/// A call that fails, and what its bridge has counted.
async fn fail(builder: BridgeBuilder) -> (Status, Stats) {
    let bridge = builder.build().expect("a bridge");
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let status = client.generate_content(question("?")).await.expect_err("a failure");
    (status, bridge.stats())
}

fn failures(stats: &Stats) -> u64 {
    (0..=16).map(|code| stats.failures(Code::from_i32(code))).sum()
}

#[tokio::test]
async fn what_cannot_be_collected_is_counted_once_as_what_it_is() {
    let emulator = Emulator::start().await.expect("an emulator");
    let half = chunk(0, vec![text("a")]);
    let long = chunk(0, vec![text(&"a".repeat(2000))]);
    let of_two = [last(0, vec![text("whole")]), chunk(1, vec![text("half")])];
    let unreadable = Reply::messages([Opaque([0x0a, 0x7f].to_vec().into())]);
    let refusal = || Status::invalid_argument("no");
    for (reply, code, transports) in [
        (Reply::messages([half.clone()]), Code::DataLoss, &BOTH[..]),
        (Reply::messages(of_two), Code::DataLoss, &BOTH),
        (Reply::messages([long.clone()]), Code::OutOfRange, &BOTH),
        (Reply::messages([half.clone(), long]), Code::OutOfRange, &BOTH),
        (unreadable, Code::Internal, &BOTH[..1]),
        (Reply::messages([half]).then_error(refusal()), Code::InvalidArgument, &BOTH),
        (Reply::error(refusal()), Code::InvalidArgument, &BOTH),
    ] {
        emulator.on(STREAM, reply);
        for transport in transports {
            let builder = streamed(&emulator, *transport).max_message_size(1000);
            let (status, counted) = fail(builder.retry(RetryPolicy::none())).await;
            assert_eq!(status.code(), code, "{transport:?} {status:?}");
            if matches!(code, Code::DataLoss | Code::Internal) {
                assert!(status.message().starts_with("host localhost:"), "{status:?}");
            }
            assert_eq!(
                (counted.failures(code), failures(&counted)),
                (1, 1),
                "{transport:?} {code:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_collected_whole_is_no_failure() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let bridge = streamed(&emulator, transport).build().expect("a bridge");
        let mut client = GenerativeServiceClient::new(bridge.clone());
        client.generate_content(question("?")).await.expect("an answer");
        assert_eq!(failures(&bridge.stats()), 0, "{transport:?}");
    }
}

#[tokio::test]
async fn what_breaks_midway_is_an_error_and_sent_once() {
    for transport in BOTH {
        let emulator = Emulator::start().await.expect("an emulator");
        let bridge = || streamed(&emulator, transport).resend(ResendPolicy::WhenUnanswered);
        let broken = Status::unavailable("overloaded");
        let chunks = [chunk(0, vec![text("a")])];
        for (reply, code) in [
            (Reply::messages(chunks.clone()).then_error(broken), Code::Unavailable),
            (Reply::messages(chunks.clone()), Code::DataLoss),
        ] {
            emulator.on(STREAM, reply);
            let status =
                client(bridge()).generate_content(question("?")).await.expect_err("broken");
            assert_eq!(status.code(), code, "{transport:?} {status:?}");
            assert_eq!((emulator.count(STREAM), emulator.count(GENERATE)), (1, 0));
            emulator.clear();
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_midway_is_an_error_and_sent_once() {
    for fault in
        [Fault::ClosedAfterMessage, Fault::ResetAfterMessage, Fault::StreamResetAfterMessage]
    {
        let (emulator, proxy) = behind(fault).await;
        let bridge = through(&emulator, &proxy).stream_under(true).transport(Transport::Grpc);
        let bridge = bridge.resend(ResendPolicy::WhenUnanswered);
        let status = client(bridge).generate_content(question("?")).await.expect_err("cut");
        let error = Error::of(&status).expect("ours");
        assert_eq!(
            error.symptom().expect("a symptom").delivery(),
            Delivery::Processed,
            "{fault:?}"
        );
        assert_eq!(emulator.count(STREAM), 1, "{fault:?}");
    }
}
