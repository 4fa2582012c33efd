//! `stream_under`: a unary call is carried as a stream, and its client sees the unary answer.

mod failures;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::{
    Candidate, CitationMetadata, CitationSource, Content, FunctionCall, GenerateContentResponse,
    Part, SafetyRating, candidate::FinishReason, generate_content_response::UsageMetadata,
    part::Data,
};
use genai_bridge::{
    Bridge, BridgeBuilder, CallOptions, Error, Proxy, Schema, Transport, gemini, v1,
};
use http::Uri;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Status};
use tower::service_fn;

use crate::messages::descriptors_of;
use crate::setting::{
    BOTH, GENERATE, STREAM, answer, behind, call, client, direct, question, text_of, through,
};

const ALL: [Transport; 3] = [Transport::Auto, Transport::Grpc, Transport::Rest];

const PCM: &str = "audio/L16;codec=pcm;rate=24000";

fn streamed(emulator: &Emulator, transport: Transport) -> BridgeBuilder {
    direct(emulator).transport(transport).stream_under(true)
}

fn text(text: &str) -> Part {
    Part { data: Some(Data::Text(text.into())), ..Part::default() }
}

fn chunk(index: i32, parts: Vec<Part>) -> GenerateContentResponse {
    let content = Some(Content { parts, role: "model".into(), ..Default::default() });
    let candidate = Candidate { index: Some(index), content, ..Candidate::default() };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}

fn last(index: i32, parts: Vec<Part>) -> GenerateContentResponse {
    let mut chunk = chunk(index, parts);
    chunk.candidates[0].finish_reason = FinishReason::Stop.into();
    chunk
}

#[tokio::test]
async fn the_client_sees_the_unary_answer_and_the_service_a_stream() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in ALL {
        let unary = client(direct(&emulator).transport(transport));
        let plain = unary.clone().generate_content(question("?")).await.expect("unary");
        let collected =
            client(streamed(&emulator, transport)).generate_content(question("?")).await;
        let collected = collected.expect("streamed");
        assert_eq!(collected.get_ref(), plain.get_ref(), "{transport:?}");
        assert_eq!((emulator.count(GENERATE), emulator.count(STREAM)), (1, 1), "{transport:?}");
        emulator.clear();
    }
}

#[tokio::test]
async fn v1_is_carried_the_same_way() {
    use v1::generative_service_client::GenerativeServiceClient;
    let emulator = Emulator::start().await.expect("an emulator");
    let request = || v1::GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        ..Default::default()
    };
    for transport in BOTH {
        let mut answers = Vec::new();
        for is_streamed in [false, true] {
            let bridge = direct(&emulator).transport(transport).stream_under(is_streamed).build();
            let mut client = GenerativeServiceClient::new(bridge.expect("a bridge"));
            answers.push(client.generate_content(request()).await.expect("an answer").into_inner());
        }
        assert_eq!(answers[0], answers[1], "{transport:?}");
        let stream = "/google.ai.generativelanguage.v1.GenerativeService/StreamGenerateContent";
        assert_eq!(emulator.count(stream), 1);
        emulator.clear();
    }
}

#[tokio::test]
async fn one_call_may_choose_otherwise_and_other_methods_are_left_alone() {
    let emulator = Emulator::start().await.expect("an emulator");
    for (of_bridge, of_call, streams) in
        [(false, Some(true), 1), (true, Some(false), 0), (false, None, 0), (true, None, 1)]
    {
        let mut client = client(direct(&emulator).stream_under(of_bridge));
        let mut request = Request::new(question("?"));
        if let Some(of_call) = of_call {
            request.extensions_mut().insert(CallOptions::new().stream_under(of_call));
        }
        client.generate_content(request).await.expect("an answer");
        assert_eq!(emulator.count(STREAM), streams, "{of_bridge} {of_call:?}");
        let count = genai_bridge::v1beta::CountTokensRequest {
            model: "models/gemini-2.5-flash".into(),
            ..Default::default()
        };
        client.count_tokens(count).await.expect("an answer");
        emulator.clear();
    }
}

/// An API of the same methods, whose answers never say why the model stopped.
#[tokio::test]
async fn what_cannot_say_that_it_is_whole_stays_a_unary_call() {
    let proto = "google/ai/generativelanguage/v1beta/generative_service.proto";
    let mut descriptors = descriptors_of(&[proto]);
    let (name, other) = (b"finish_reason", b"finish_motive");
    while let Some(at) = descriptors.windows(name.len()).position(|bytes| bytes == name) {
        descriptors[at..at + name.len()].copy_from_slice(other);
    }
    let schema = Schema::from_descriptor_set(&descriptors).expect("a schema");
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let bridge = streamed(&emulator, transport).schema(schema.clone());
        client(bridge).generate_content(question("?")).await.expect("an answer");
        assert_eq!((emulator.count(GENERATE), emulator.count(STREAM)), (1, 0), "{transport:?}");
        emulator.clear();
    }
}

fn signed(words: &str, signature: &'static [u8]) -> Part {
    Part { thought_signature: Bytes::from_static(signature), ..text(words) }
}

fn thought(words: &str) -> Part {
    Part { thought: true, ..text(words) }
}

fn sound(kind: &str, data: &'static [u8]) -> Part {
    Part::inline(kind, data)
}

fn function() -> Part {
    let call = FunctionCall { name: "f".into(), ..Default::default() };
    Part { data: Some(Data::FunctionCall(call)), ..Part::default() }
}

/// With what a chunk tells beside the words.
fn rated(
    mut chunk: GenerateContentResponse,
    category: i32,
    tokens: i32,
    uris: &[&str],
) -> GenerateContentResponse {
    let source = |uri: &&str| CitationSource { uri: Some((*uri).into()), ..Default::default() };
    let candidate = &mut chunk.candidates[0];
    candidate.safety_ratings = vec![SafetyRating { category, ..Default::default() }];
    candidate.citation_metadata = Some(CitationMetadata {
        citation_sources: uris.iter().map(source).collect(),
        ..Default::default()
    });
    let usage = UsageMetadata { total_token_count: tokens, ..Default::default() };
    chunk.usage_metadata = Some(usage);
    chunk
}

/// What a stream brings, and the answer that it is.
type Pieces = (Vec<GenerateContentResponse>, GenerateContentResponse);

fn texts() -> Vec<Pieces> {
    vec![
        (
            vec![
                rated(chunk(0, vec![thought("h")]), 1, 9, &["a"]),
                rated(chunk(0, vec![thought("m")]), 2, 3, &["a", "b"]),
                chunk(0, vec![text("a"), text("b")]),
                last(0, vec![signed("", b"s")]),
            ],
            rated(last(0, vec![thought("hm"), signed("ab", b"s")]), 2, 3, &["a", "b"]),
        ),
        (
            vec![
                chunk(0, vec![signed("a", b"s")]),
                chunk(0, vec![text("b")]),
                last(0, vec![text("")]),
            ],
            last(0, vec![signed("ab", b"s")]),
        ),
    ]
}

fn other_parts() -> Vec<Pieces> {
    let mut two = last(0, vec![text("a")]);
    two.candidates.extend(last(1, vec![text("xy")]).candidates);
    vec![
        (
            vec![chunk(0, vec![text("")]), chunk(0, vec![function()]), last(0, vec![text("")])],
            last(0, vec![function()]),
        ),
        (
            vec![
                chunk(0, vec![sound(PCM, b"ab")]),
                chunk(0, vec![sound(PCM, b"cd")]),
                chunk(0, vec![sound("image/png", b"a")]),
                last(0, vec![sound("image/png", b"b")]),
            ],
            last(0, vec![sound(PCM, b"abcd"), sound("image/png", b"a"), sound("image/png", b"b")]),
        ),
        (vec![chunk(1, vec![text("x")]), last(0, vec![text("a")]), last(1, vec![text("y")])], two),
    ]
}

#[tokio::test]
async fn what_comes_in_pieces_is_one_answer() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        for (chunks, expected) in texts().into_iter().chain(other_parts()) {
            emulator.once(STREAM, Reply::messages(chunks));
            let reply =
                client(streamed(&emulator, transport)).generate_content(question("?")).await;
            assert_eq!(reply.expect("an answer").get_ref(), &expected, "{transport:?}");
        }
    }
}

/// Fields that no schema here knows, compressed messages, metadata.
#[tokio::test]
async fn nothing_of_a_newer_service_is_lost() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut wire = chunk(0, vec![text("a")]).encode_to_vec();
    // Field 20000, a varint, in the reply.
    wire.extend_from_slice(&[0x80, 0xe2, 0x09, 0x07]);
    let end = last(0, vec![text("b")]).encode_to_vec();
    let mut reply = Reply::messages([wire, end].map(|wire| Opaque(wire.into())));
    reply = reply.compressed().metadata("x-kind", "new").trailer("x-end", "told");
    emulator.on(STREAM, reply);
    let bridge = streamed(&emulator, Transport::Grpc).build().expect("a bridge");
    let outcome = call(bridge.clone(), GENERATE, &question("?")).await;
    assert_eq!(outcome.status.code(), Code::Ok);
    assert_eq!(outcome.head.get("x-kind").expect("metadata"), "new");
    let [message] = outcome.messages.as_slice() else { panic!("{:?}", outcome.messages) };
    assert!(message.windows(4).any(|bytes| bytes == [0x80, 0xe2, 0x09, 0x07]));
    let mut client =
        client(streamed(&emulator, Transport::Grpc)).accept_compressed(CompressionEncoding::Gzip);
    let reply = client.generate_content(question("?")).await.expect("an answer");
    assert_eq!(text_of(reply.get_ref()), "ab");
    assert!(reply.metadata().get("grpc-encoding").is_none());
}

/// A message that is sent as it is.
#[derive(Debug, Clone, Default)]
struct Opaque(Bytes);

impl prost::Message for Opaque {
    fn encode_raw(&self, buf: &mut impl bytes::BufMut) {
        buf.put_slice(&self.0);
    }
    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }
    fn encoded_len(&self) -> usize {
        self.0.len()
    }
    fn clear(&mut self) {}
}

#[tokio::test]
async fn an_error_of_the_service_is_that_of_the_unary_call() {
    let emulator = Emulator::start().await.expect("an emulator");
    let status = Status::with_details(Code::InvalidArgument, "no such thing", Bytes::new());
    for method in [GENERATE, STREAM] {
        emulator.on(method, Reply::error(status.clone()).metadata("x-kind", "refusal"));
    }
    for transport in BOTH {
        let mut told = Vec::new();
        for is_streamed in [false, true] {
            let bridge = direct(&emulator).transport(transport).stream_under(is_streamed);
            let refused =
                client(bridge).generate_content(question("?")).await.expect_err("refused");
            assert!(Error::of(&refused).is_none());
            let kind = refused.metadata().get("x-kind").cloned();
            told.push((refused.code(), refused.message().to_owned(), kind));
        }
        assert_eq!(told[0], told[1], "{transport:?}");
    }
}

/// A firewall that forgets a tunnel after 5 s without a byte, and a model that thinks for 20 s.
/// Time is virtual.
#[test]
fn a_proxy_that_ends_silent_calls_lets_the_stream_pass() {
    for transport in BOTH {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(think_behind_an_idle_timer(Fault::TunnelIdleClosed, transport));
    }
}

async fn think_behind_an_idle_timer(fault: Fault, transport: Transport) {
    let emulator = Arc::new(Emulator::builder().unbound().expect("an emulator"));
    let far = Arc::clone(&emulator);
    let proxy = HostileProxy::builder().idle_limit(Duration::from_secs(5)).dial(move |_| {
        let (here, there) = tokio::io::duplex(64 * 1024);
        far.serve(there);
        Ok(here)
    });
    let proxy = Arc::new(proxy.unbound(fault));
    let thoughts =
        ["it ", "is ", "hard ", "to ", "say"].map(|words| chunk(0, vec![thought(words)]));
    let chunks = thoughts.into_iter().chain([last(0, vec![text("42")])]);
    let whole = last(0, vec![thought("it is hard to say"), text("42")]);
    emulator.on(STREAM, Reply::messages(chunks).pause(Duration::from_secs(4)));
    emulator.on(GENERATE, Reply::message(&whole).thinking(Duration::from_secs(20)));
    let bridge = direct(&emulator).transport(transport).connector(to(&proxy));
    let bridge = bridge.proxy(Proxy::url(&proxy.url()).expect("a URL"));
    let bridge: Bridge = bridge.build().expect("a bridge");
    let mut client =
        genai_bridge::v1beta::generative_service_client::GenerativeServiceClient::new(bridge);

    let status = client.generate_content(question("?")).await.expect_err("cut");
    let advice = gemini::advice(&status).expect("an error").to_string();
    assert!(advice.contains("stream_under`"), "{transport:?} {fault:?}: {advice}");

    let mut request = Request::new(question("?"));
    request.extensions_mut().insert(CallOptions::new().stream_under(true));
    let began = tokio::time::Instant::now();
    let reply = client.generate_content(request).await.expect("whole");
    assert_eq!(reply.get_ref(), &whole, "{transport:?} {fault:?}");
    assert!(began.elapsed() >= Duration::from_secs(20));
    assert_eq!((emulator.count(GENERATE), emulator.count(STREAM)), (1, 1));
}

type Line = TokioIo<tokio::io::DuplexStream>;

fn to(
    proxy: &Arc<HostileProxy>,
) -> impl tower_service::Service<
    Uri,
    Response = Line,
    Error = Infallible,
    Future = std::future::Ready<Result<Line, Infallible>>,
> + Send
+ 'static {
    let proxy = Arc::clone(proxy);
    service_fn(move |_: Uri| {
        let (here, there) = tokio::io::duplex(64 * 1024);
        proxy.serve(there);
        ready(Ok(TokioIo::new(here)))
    })
}

/// A unary call that fails at once was not cut for its silence.
#[tokio::test]
async fn a_stream_is_advised_only_after_a_long_wait() {
    let (emulator, proxy) = behind(Fault::ClosedBeforeAnswer).await;
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc);
    let status = client(bridge).generate_content(question("?")).await.expect_err("cut");
    let advice = gemini::advice(&status).expect("an error").to_string();
    assert!(!advice.contains("stream_under"), "{advice}");
    emulator.on(GENERATE, Reply::message(&answer("42")));
}
