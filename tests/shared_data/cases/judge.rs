//! Judge: what a caller saw of a case, held against what the case expects.

use bytes::{Bytes, BytesMut};
use genai_bridge::gemini::reply::{Reply as _, collect_reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{GenerateContentRequest, GenerateContentResponse, part::Data};
use genai_bridge::{Bridge, Error, Proxy, RetryPolicy, Schema, Transport, gemini};
use http_body_util::{BodyExt, Full};
use prost::Message as _;
use serde_json::Value;
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service as _;

use super::Schemas;
use super::case::{Answer, Called, Case, Grpc};
use super::serve::{Server, frame};

/// What became of a case.
pub(super) struct Seen {
    messages: Vec<Bytes>,
    status: Status,
    /// Whether the reply is complete; of calls that generate.
    is_complete: Option<bool>,
}

impl Seen {
    pub(super) async fn of(case: &Case, schemas: &Schemas) -> Self {
        let server = Server::start(&case.answer).await;
        let transport = match case.answer {
            Answer::Rest { .. } => Transport::Rest,
            Answer::Grpc(_) => Transport::Grpc,
        };
        let bridge = bridge_to(&server, transport, &case.call, schemas);
        let mut seen = call(bridge.clone(), &case.call, schemas).await;
        seen.is_complete = is_complete(bridge, &case.call, &seen).await;
        seen
    }

    /// The answer of gRPC that a case names, to the same call.
    async fn over_grpc(answer: &Grpc, called: &Called, schemas: &Schemas) -> Self {
        let server = Server::start_grpc(answer).await;
        call(bridge_to(&server, Transport::Grpc, called, schemas), called, schemas).await
    }

    fn text(&self) -> String {
        let replies = self.messages.iter().filter_map(|message| {
            GenerateContentResponse::decode(message.clone()).ok()?.candidates.into_iter().next()
        });
        let parts = replies.filter_map(|candidate| candidate.content).flat_map(|it| it.parts);
        let texts = parts.filter(|part| !part.thought).filter_map(|part| match part.data {
            Some(Data::Text(text)) => Some(text),
            _ => None,
        });
        texts.collect()
    }

    /// All that is told of an error: its message, its text and advice, and the details.
    fn words(&self, schema: &Schema) -> String {
        let mut words = vec![self.status.message().to_owned()];
        if let Some(error) = Error::of(&self.status) {
            words.push(error.to_string());
            words.extend(error.advice().map(ToString::to_string));
        }
        words.extend(gemini::advice(&self.status).map(|advice| advice.to_string()));
        let details = schema.json_from_message("google.rpc.Status", self.status.details());
        words.extend(details.ok().map(|json| String::from_utf8_lossy(&json).into_owned()));
        words.join("\n")
    }
}

fn bridge_to(server: &Server, transport: Transport, called: &Called, schemas: &Schemas) -> Bridge {
    let builder = Bridge::builder()
        .endpoint(format!("http://{}", server.address))
        .api_key("the-cases-own-key")
        .proxy(Proxy::none())
        .transport(transport)
        .retry(RetryPolicy::none());
    let builder = if called.is_generic { builder.schema(schemas.shop.clone()) } else { builder };
    builder.build().expect("settings")
}

async fn call(mut bridge: Bridge, called: &Called, schemas: &Schemas) -> Seen {
    let schema = schema_of(called, schemas);
    let message = schema.message_from_json(&called.input, called.request().as_bytes());
    let body = Body::new(Full::new(frame(&message.expect("a request"))));
    let request = http::Request::post(called.path.as_str()).body(body).expect("a request");
    let mut seen = Seen { messages: Vec::new(), status: Status::ok(""), is_complete: None };
    let answer = match bridge.call(request).await {
        Ok(answer) => answer,
        Err(status) => return Seen { status, ..seen },
    };
    let (head, mut body) = answer.into_parts();
    let mut frames = BytesMut::new();
    let mut end = Status::from_header_map(&head.headers);
    while let Some(piece) = body.frame().await {
        match piece.map(http_body::Frame::into_data) {
            Err(status) => end = Some(status),
            Ok(Ok(data)) => frames.extend_from_slice(&data),
            Ok(Err(piece)) => {
                let trailers = piece.into_trailers().expect("data or trailers");
                end = Status::from_header_map(&trailers).or(end);
            }
        }
    }
    seen.messages = split_frames(frames.freeze());
    seen.status = end.expect("an answer ends with a status");
    seen
}

fn split_frames(mut held: Bytes) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some(prefix) = held.first_chunk::<5>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        messages.push(held.split_to(length + 5).slice(5..));
    }
    messages
}

/// As the generated client and `gemini::reply` find it; a stream is asked for once more.
async fn is_complete(bridge: Bridge, called: &Called, seen: &Seen) -> Option<bool> {
    if called.is_generic || !called.output.ends_with(".GenerateContentResponse") {
        return None;
    }
    if called.is_stream {
        let mut client = GenerativeServiceClient::new(bridge);
        let request = GenerateContentRequest { model: "models/m".into(), ..Default::default() };
        let Ok(stream) = client.stream_generate_content(request).await else { return Some(false) };
        let reply = collect_reply(stream.into_inner()).await;
        return Some(reply.is_ok_and(|reply| reply.text().is_ok()));
    }
    let reply =
        seen.messages.first().map(|message| GenerateContentResponse::decode(message.clone()));
    Some(reply.is_some_and(|reply| reply.is_ok_and(|reply| reply.text().is_ok())))
}

fn schema_of<'a>(called: &Called, schemas: &'a Schemas) -> &'a Schema {
    if called.is_generic { &schemas.shop } else { &schemas.gemini }
}

/// What is not as the case expects.
pub(super) async fn faults_of(case: &Case, schemas: &Schemas, seen: &Seen) -> Vec<String> {
    let mut faults = Vec::new();
    check_end(case, seen, &mut faults);
    check_messages(case, schema_of(&case.call, schemas), seen, &mut faults);
    let words = seen.words(&schemas.gemini);
    let missing = case.texts("says").into_iter().filter(|text| !words.contains(text));
    faults.extend(missing.map(|text| format!("does not say `{text}`: {words:.400}")));
    let told = case.texts("not_says").into_iter().filter(|text| words.contains(text));
    faults.extend(told.map(|text| format!("says `{text}`: {words:.400}")));
    if let Some(answer) = &case.equal_to {
        let twin = Seen::over_grpc(answer, &case.call, schemas).await;
        check_same(&schemas.gemini, &parts_of(&seen.status), &parts_of(&twin.status), &mut faults);
    }
    if let (Answer::Grpc(answer), true) = (&case.answer, case.expect["unchanged"] == true) {
        check_same(&schemas.gemini, &parts_of(&seen.status), &sent_parts(answer), &mut faults);
    }
    faults
}

fn check_end(case: &Case, seen: &Seen, faults: &mut Vec<String>) {
    let (status, expect) = (&seen.status, &case.expect);
    let is_ok = status.code() == Code::Ok;
    if is_ok != (expect["outcome"] == "ok") {
        faults.push(format!("ends as {:?}: {:.400}", status.code(), status.message()));
    }
    let codes = case.texts("codes");
    if !codes.is_empty() && !codes.contains(&name_of(status.code())) {
        faults.push(format!("{:?} is none of {codes:?}", status.code()));
    }
    if let Some(expected) = expect["complete"].as_bool()
        && seen.is_complete != Some(expected)
    {
        faults.push(format!("complete: {:?}", seen.is_complete));
    }
    if let Some(expected) = expect["messages_before"].as_u64()
        && seen.messages.len() as u64 != expected
    {
        faults.push(format!("{} messages before the end", seen.messages.len()));
    }
}

fn check_messages(case: &Case, schema: &Schema, seen: &Seen, faults: &mut Vec<String>) {
    let expected = case.expect["text"].as_str();
    if let Some(expected) = expected.filter(|expected| *expected != seen.text()) {
        faults.push(format!("text {:?} is not {expected:?}", seen.text()));
    }
    let json = |message: &Bytes| match schema.json_from_message(&case.call.output, message) {
        Ok(json) => String::from_utf8_lossy(&json).into_owned(),
        Err(error) => error.to_string(),
    };
    let texts: Vec<String> = seen.messages.iter().map(json).collect();
    let is_there = |part: &str| texts.iter().any(|text| text.contains(part));
    let missing = case.texts("json_contains").into_iter().filter(|part| !is_there(part));
    faults.extend(missing.map(|part| format!("`{part}` is not in {texts:?}")));
    let there = case.texts("json_lacks").into_iter().filter(|part| is_there(part));
    faults.extend(there.map(|part| format!("`{part}` is in {texts:?}")));
}

type Parts = (Code, String, Bytes);

fn parts_of(status: &Status) -> Parts {
    (status.code(), status.message().to_owned(), Bytes::copy_from_slice(status.details()))
}

/// What the trailers of a case hold.
fn sent_parts(answer: &Grpc) -> Parts {
    let pairs = answer.trailers.iter().flatten().map(|(name, value)| {
        let name: http::HeaderName = name.parse().expect("a name");
        (name, http::HeaderValue::from_str(value).expect("a value"))
    });
    parts_of(&Status::from_header_map(&pairs.collect()).expect("a status"))
}

fn check_same(schema: &Schema, found: &Parts, expected: &Parts, faults: &mut Vec<String>) {
    if (found.0, &found.1) != (expected.0, &expected.1) {
        faults.push(format!(
            "{:?} {:.100} is not {:?} {:.100}",
            found.0, found.1, expected.0, expected.1
        ));
    }
    // The order of fields on the wire says nothing.
    let details = |bytes: &[u8]| -> Value {
        let json = schema.json_from_message("google.rpc.Status", bytes).expect("a packed status");
        serde_json::from_slice(&json).expect("JSON")
    };
    let (found, expected) = (details(&found.2), details(&expected.2));
    if found != expected {
        faults.push(format!("details {found} are not {expected}"));
    }
}

fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
