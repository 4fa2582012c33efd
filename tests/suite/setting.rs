//! Setting: an emulator, bridges on it, and raw calls, as the promises need them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use genai_bridge::emulator::hostile::HostileProxyBuilder;
use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{
    Candidate, Content, GenerateContentRequest, GenerateContentResponse, Part,
    candidate::FinishReason, part,
};
use genai_bridge::{ActiveTransport, Bridge, BridgeBuilder, Proxy, Transport};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::task::yield_now;
use tokio::time::{advance, pause, resume};
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower_service::Service;

pub(crate) const GENERATE: &str =
    "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
pub(crate) const STREAM: &str =
    "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
pub(crate) const BIDI: &str =
    "/google.ai.generativelanguage.v1beta.GenerativeService/BidiGenerateContent";
pub(crate) const LIST_MODELS: &str = "/google.ai.generativelanguage.v1beta.ModelService/ListModels";
pub(crate) const KEY: &str = "a-key-that-nobody-may-see";

/// A folder that nobody can make: a command keeps nothing there.
#[cfg(feature = "cli")]
pub(crate) const NOWHERE: &str = "/dev/null/nowhere";

/// Both transports, one after the other.
pub(crate) const BOTH: [Transport; 2] = [Transport::Grpc, Transport::Rest];

/// A bridge straight to the emulator.
pub(crate) fn direct(emulator: &Emulator) -> BridgeBuilder {
    let bridge = Bridge::builder().endpoint(emulator.endpoint()).api_key(KEY).proxy(Proxy::none());
    match emulator.root_certificate() {
        // In plaintext there is none.
        "" => bridge,
        root => bridge.add_root_certificates(root),
    }
}

/// An emulator, and a proxy with this fault before it.
pub(crate) async fn behind(fault: Fault) -> (Emulator, HostileProxy) {
    behind_a(HostileProxy::builder(), fault).await
}

/// The same with a proxy of these options.
pub(crate) async fn behind_a(proxy: HostileProxyBuilder, fault: Fault) -> (Emulator, HostileProxy) {
    let authority = Authority::new("Corp Inspection CA");
    let emulator =
        Emulator::builder().authority(authority.clone()).start().await.expect("an emulator");
    let proxy = proxy.authority(authority).start(fault).await.expect("a proxy");
    (emulator, proxy)
}

/// A bridge to the emulator through the proxy.
pub(crate) fn through(emulator: &Emulator, proxy: &HostileProxy) -> BridgeBuilder {
    direct(emulator).proxy(Proxy::url(&proxy.url()).expect("a URL"))
}

/// Another network from here on, which the bridge has noticed: all its connections went through the proxy.
pub(crate) async fn change(proxy: &HostileProxy, fault: Fault, bridge: &Bridge) {
    proxy.set_and_cut(fault);
    notice_cut(bridge).await;
}

/// How many streams of a connector are open.
#[derive(Clone, Default)]
pub(crate) struct OpenStreams(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(crate) struct OpenStream(OpenStreams);

impl OpenStreams {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> OpenStream {
        self.0.fetch_add(1, Ordering::SeqCst);
        OpenStream(self.clone())
    }

    /// Whoever ends a stream needs a turn for it.
    pub(crate) async fn until_none(&self) {
        while self.count() > 0 {
            yield_now().await;
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Lets time pass without waiting; between the two calls no socket is looked at.
pub(crate) async fn jump(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

/// Waits until the bridge knows that its connections are gone.
pub(crate) async fn notice_cut(bridge: &Bridge) {
    let open = |transport| bridge.stats().connections(transport);
    while open(ActiveTransport::Grpc) + open(ActiveTransport::Rest) > 0 {
        yield_now().await;
    }
}

pub(crate) fn client(builder: BridgeBuilder) -> GenerativeServiceClient<Bridge> {
    GenerativeServiceClient::new(builder.build().expect("a bridge"))
}

pub(crate) fn question(text: &str) -> GenerateContentRequest {
    GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![content(text)],
        ..GenerateContentRequest::default()
    }
}

/// A whole answer; also the last chunk of a stream.
pub(crate) fn answer(text: &str) -> GenerateContentResponse {
    let candidate = Candidate {
        content: Some(content(text)),
        finish_reason: FinishReason::Stop.into(),
        ..Candidate::default()
    };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}

fn content(text: &str) -> Content {
    let part = Part { data: Some(part::Data::Text(text.into())), ..Part::default() };
    Content { parts: vec![part], role: String::new(), ..Default::default() }
}

pub(crate) fn text_of(answer: &GenerateContentResponse) -> String {
    let parts = answer
        .candidates
        .iter()
        .flat_map(|candidate| &candidate.content)
        .flat_map(|content| &content.parts);
    let texts = parts.filter_map(|part| match &part.data {
        Some(part::Data::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// What a caller sees of one call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) head: MetadataMap,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) status: Status,
}

/// A call without generated code: `body` is the request as it stands on the wire, its prefix included.
pub(crate) async fn call_raw(mut bridge: Bridge, path: &str, body: impl Into<Bytes>) -> Outcome {
    let request =
        http::Request::post(path).body(Body::new(Full::new(body.into()))).expect("a request");
    outcome_of(bridge.call(request).await).await
}

pub(crate) async fn call(bridge: Bridge, path: &str, message: &impl Message) -> Outcome {
    call_raw(bridge, path, frame(&message.encode_to_vec())).await
}

pub(crate) async fn outcome_of(answer: Result<http::Response<Body>, Status>) -> Outcome {
    let (head, mut body) = match answer {
        Ok(answer) => answer.into_parts(),
        Err(status) => {
            return Outcome { head: MetadataMap::new(), messages: Vec::new(), status };
        }
    };
    let mut frames = BytesMut::new();
    let mut end = Status::from_header_map(&head.headers);
    while let Some(piece) = body.frame().await {
        match piece {
            Err(status) => end = Some(status),
            Ok(piece) => match piece.into_data() {
                Ok(data) => frames.extend_from_slice(&data),
                Err(piece) => {
                    let trailers = piece.into_trailers().expect("data or trailers");
                    end = Status::from_header_map(&trailers).or(end);
                }
            },
        }
    }
    Outcome {
        head: MetadataMap::from_headers(head.headers),
        messages: split_frames(frames.freeze()),
        status: end.expect("an answer ends with a status"),
    }
}

pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.put_slice(message);
    frame.freeze()
}

/// The messages of whole frames; what is cut at the end is left out.
fn split_frames(mut held: Bytes) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some(prefix) = held.first_chunk::<5>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if held.len() < length + 5 {
            break;
        }
        messages.push(held.split_to(length + 5).slice(5..));
    }
    messages
}
