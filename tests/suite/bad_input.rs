//! What cannot be sent or read gives a clear error; nothing is lost, nothing panics.

use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::{CountTokensRequest, GenerateContentRequest, GetModelRequest};
use genai_bridge::{Bridge, BridgeBuilder, Error, ErrorKind, RetryPolicy, SymptomKind, Transport};
use http::HeaderMap;
use tonic::{Code, Status};

use crate::peers::{Scripted, answer_of, http1, http2, http2_frames, plain};
use crate::setting::{
    BOTH, GENERATE, LIST_MODELS, Outcome, STREAM, answer, call, call_raw, direct, frame, question,
};

const GET_MODEL: &str = "/google.ai.generativelanguage.v1beta.ModelService/GetModel";
const DELETE_FILE: &str = "/google.ai.generativelanguage.v1beta.FileService/DeleteFile";
const COUNT: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";

fn kind_of(outcome: &Outcome) -> Option<ErrorKind> {
    Error::of(&outcome.status).map(Error::kind)
}

fn symptom_of(outcome: &Outcome) -> Option<SymptomKind> {
    Some(Error::of(&outcome.status)?.symptom()?.kind())
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_on_both_transports() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in BOTH {
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        let outcome = call_raw(bridge, "/no.Such/Method", frame(b"")).await;
        assert_eq!(outcome.status.code(), Code::Unimplemented, "{transport:?}");
    }
}

#[tokio::test]
async fn names_that_do_not_fit_the_path_are_refused_with_field_pattern_and_value() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Rest).build().expect("a bridge");
    let model = |name: &str| GetModelRequest { name: name.into(), ..Default::default() };
    let cases = [
        ("", "field `name` is empty"),
        ("gemini", "`gemini`, not `models/*`"),
        ("models/", "field `name` is `models/`"),
        ("models/../x", "models/../x"),
        ("models/.", "models/."),
        ("models/%2e%2e", "models/%2e%2e"),
        ("models/a/b", "models/a/b"),
        ("tunedModels/a", "tunedModels/a"),
    ];
    for (name, text) in cases {
        let outcome = call(bridge.clone(), GET_MODEL, &model(name)).await;
        assert_eq!(outcome.status.code(), Code::InvalidArgument, "{name}");
        assert_eq!(kind_of(&outcome), Some(ErrorKind::InvalidRequest));
        let message = outcome.status.message();
        assert!(message.contains(text) && message.contains("`name`"), "{name}: {message}");
    }
    let outcome = call(bridge, GENERATE, &GenerateContentRequest::default()).await;
    assert!(outcome.status.message().contains("field `model` is empty"), "{:?}", outcome.status);
    assert!(emulator.received().is_empty(), "something was sent");
}

#[tokio::test]
async fn a_name_with_odd_characters_reaches_the_service_as_it_is() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Rest).build().expect("a bridge");
    for name in ["models/a b", "models/%", "models/\u{e9}?#&=", "models/a:b", "models/..."] {
        let outcome = call(
            bridge.clone(),
            GET_MODEL,
            &GetModelRequest { name: name.into(), ..Default::default() },
        )
        .await;
        let received = emulator.received().pop().expect("a call");
        let arrived: GetModelRequest =
            prost::Message::decode(received.message().clone()).expect("a message");
        assert_eq!(arrived.name, name, "{:?}", outcome.status);
    }
}

#[tokio::test]
async fn broken_request_frames_are_refused_before_anything_is_sent() {
    let emulator = Emulator::start().await.expect("an emulator");
    let whole = frame(&prost::Message::encode_to_vec(&question("?")));
    let two = [&whole[..], &whole[..]].concat();
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        for (body, text) in [
            (Bytes::new(), "0 bytes, no frame"),
            (whole.slice(..3), "3 bytes, no frame"),
            (whole.slice(..whole.len() - 1), "states"),
            (Bytes::from(two.clone()), "one message is expected"),
            (Bytes::from_static(b"\x07\0\0\0\0"), "flag 7"),
        ] {
            let outcome = call_raw(bridge.clone(), GENERATE, body).await;
            assert_eq!(outcome.status.code(), Code::InvalidArgument, "{text}");
            assert!(outcome.status.message().contains(text), "{:?}", outcome.status);
        }
    }
    assert_eq!(emulator.count(GENERATE), 0);
}

#[tokio::test]
async fn a_message_that_is_no_message_is_refused_with_its_field_and_byte() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Rest).build().expect("a bridge");
    for wire in [&b"\x0a\x08models/a\x12\x05\x0a\xff"[..], b"\x0a\x08models/a\x12\x03\x0a\x01\xff"]
    {
        let outcome = call_raw(bridge.clone(), COUNT, frame(wire)).await;
        assert_eq!(outcome.status.code(), Code::InvalidArgument);
        let message = outcome.status.message();
        assert!(message.contains("byte"), "{message}");
    }
    assert_eq!(emulator.count(COUNT), 0);
}

#[tokio::test]
async fn a_compressed_frame_is_read_by_its_encoding_or_refused() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Rest).build().expect("a bridge");
    let send = |encoding: Option<&'static str>, body: Vec<u8>| {
        let mut flagged = frame(&body).to_vec();
        flagged[0] = 1;
        let mut request = http::Request::post(COUNT);
        if let Some(encoding) = encoding {
            request = request.header("grpc-encoding", encoding);
        }
        let body = tonic::body::Body::new(http_body_util::Full::new(Bytes::from(flagged)));
        let request = request.body(body).expect("a request");
        let mut bridge = bridge.clone();
        async move {
            crate::setting::outcome_of(tower_service::Service::call(&mut bridge, request).await)
                .await
        }
    };
    let message = prost::Message::encode_to_vec(&CountTokensRequest {
        model: "models/a".into(),
        ..Default::default()
    });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &message).expect("memory");
    let packed = encoder.finish().expect("memory");
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &message).expect("memory");
    let deflated = encoder.finish().expect("memory");
    for (encoding, body) in [("gzip", &packed), ("deflate", &deflated)] {
        assert_eq!(send(Some(encoding), body.clone()).await.status.code(), Code::Ok, "{encoding}");
    }
    for (encoding, body, code) in [
        (Some("gzip"), message.clone(), Code::InvalidArgument),
        (Some("gzip"), packed[..packed.len() / 2].to_vec(), Code::InvalidArgument),
        (Some("deflate"), packed.clone(), Code::InvalidArgument),
        (Some("deflate"), deflated[..deflated.len() / 2].to_vec(), Code::InvalidArgument),
        (None, packed.clone(), Code::InvalidArgument),
        (Some("zstd"), packed, Code::Unimplemented),
    ] {
        let outcome = send(encoding, body).await;
        assert_eq!(outcome.status.code(), code, "{encoding:?} {:?}", outcome.status);
    }
    assert_eq!(emulator.count(COUNT), 2);
}

/// An SSE body, and what the caller sees of it: messages, code, symptom.
type StreamCase = (&'static str, usize, Code, Option<SymptomKind>);

#[tokio::test]
async fn a_broken_rest_stream_never_ends_cleanly() {
    let event = "data: {\"candidates\": [{\"finishReason\": \"STOP\"}]}\r\n\r\n";
    let error = "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"overloaded\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n";
    let cut = Some(SymptomKind::BodyTruncated);
    let malformed = Some(SymptomKind::BodyMalformed);
    let cases: [StreamCase; 13] = [
        ("E", 1, Code::Ok, None),
        ("EE", 2, Code::Ok, None),
        ("NE", 2, Code::Ok, None),
        ("", 0, Code::DataLoss, cut),
        ("N", 1, Code::DataLoss, cut),
        ("Edata: {\"candidates\": [{\"fini", 1, Code::DataLoss, cut),
        ("Edata: {\"candidates\": [\n\n", 1, Code::DataLoss, cut),
        ("EX", 1, Code::Unavailable, None),
        ("EEdata: X", 2, Code::Unavailable, None),
        ("E{\"error\": {\"code\": 503", 1, Code::DataLoss, cut),
        ("E<html>\n", 1, Code::Internal, malformed),
        ("Edata: {\"candidates\": 7}\n\n", 1, Code::Internal, malformed),
        ("<html>login</html>", 0, Code::Unavailable, Some(SymptomKind::NotJson)),
    ];
    for (body, messages, code, symptom) in cases {
        let error =
            if body.contains("data: X") { error.replace('\n', "") } else { error.to_owned() };
        let no_end = event.replace("STOP", "FINISH_REASON_UNSPECIFIED");
        let body = body.replace('E', event).replace('N', &no_end).replace('X', &error);
        let port = http1(answer_of("200 OK", "text/event-stream", &body)).await;
        let bridge = plain(port, Transport::Rest).build().expect("a bridge");
        let outcome = call(bridge, STREAM, &question("?")).await;
        assert_eq!(outcome.messages.len(), messages, "{body}");
        assert_eq!(outcome.status.code(), code, "{body}: {:?}", outcome.status);
        assert_eq!(symptom_of(&outcome), symptom, "{body}");
    }
}

/// A message is due from most methods; from one that answers `Empty`, nothing at all is its message.
#[tokio::test]
async fn nothing_is_an_answer_where_nothing_is_due() {
    for status in ["200 OK", "204 No Content"] {
        let nothing = answer_of(status, "application/json", "");
        for (path, code) in [
            (DELETE_FILE, Code::Ok),
            (COUNT, Code::Unavailable),
            (STREAM, if status.starts_with("204") { Code::Unavailable } else { Code::DataLoss }),
        ] {
            let bridge = plain(http1(nothing.clone()).await, Transport::Rest);
            let request = genai_bridge::v1beta::DeleteFileRequest {
                name: "files/a".into(),
                ..Default::default()
            };
            let outcome = match path {
                DELETE_FILE => call(bridge.build().expect("a bridge"), path, &request).await,
                _ => call(bridge.build().expect("a bridge"), path, &question("?")).await,
            };
            assert_eq!(outcome.status.code(), code, "{status} {path}: {:?}", outcome.status);
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_body_is_no_clean_end() {
    for (path, head) in [
        (STREAM, "transfer-encoding: chunked\r\n\r\n1b\r\ndata: {\"candidates\": []}\r\n\r\n\r\n"),
        (GENERATE, "content-length: 1000\r\n\r\n{\"candidates\": []}"),
        (GENERATE, "transfer-encoding: chunked\r\n\r\n5\r\n{\"can"),
    ] {
        let port =
            http1(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}")).await;
        let bridge = plain(port, Transport::Rest).build().expect("a bridge");
        let outcome = call(bridge, path, &question("?")).await;
        assert_eq!(outcome.status.code(), Code::Unavailable, "{head}: {:?}", outcome.status);
        assert_eq!(symptom_of(&outcome), Some(SymptomKind::BodyLost));
    }
}

#[tokio::test]
async fn a_unary_rest_answer_that_is_not_the_services_names_what_came() {
    let google = r#"{"error": {"code": 404, "message": "no such model", "status": "NOT_FOUND"}}"#;
    let cases = [
        (
            "200 OK",
            "text/html",
            "<html>login</html>",
            Code::Unavailable,
            Some(SymptomKind::NotJson),
        ),
        (
            "200 OK",
            "application/json",
            "{\"candidates\": [",
            Code::DataLoss,
            Some(SymptomKind::BodyTruncated),
        ),
        (
            "200 OK",
            "application/json",
            "{\"candidates\": 7}",
            Code::Internal,
            Some(SymptomKind::BodyMalformed),
        ),
        ("200 OK", "application/json", google, Code::NotFound, None),
        ("200 OK", "application/json", "", Code::Unavailable, Some(SymptomKind::NotJson)),
        ("204 No Content", "text/plain", "", Code::Unavailable, Some(SymptomKind::NotJson)),
        ("404 Not Found", "application/json", google, Code::NotFound, None),
        ("404 Not Found", "text/plain", google, Code::NotFound, None),
        (
            "403 Forbidden",
            "text/html",
            "<html>blocked",
            Code::PermissionDenied,
            Some(SymptomKind::ForeignError),
        ),
        ("502 Bad Gateway", "text/html", "", Code::Unavailable, Some(SymptomKind::ForeignError)),
        ("302 Found", "text/html", "", Code::Unavailable, Some(SymptomKind::Redirected)),
    ];
    for (status, content_type, body, code, symptom) in cases {
        let port = http1(answer_of(status, content_type, body)).await;
        let bridge = plain(port, Transport::Rest).build().expect("a bridge");
        let outcome = call(bridge, GENERATE, &question("?")).await;
        assert_eq!(outcome.status.code(), code, "{status} {body}: {:?}", outcome.status);
        assert_eq!(symptom_of(&outcome), symptom, "{status} {body}");
        if symptom.is_some() {
            assert!(outcome.status.message().contains("127.0.0.1"), "{:?}", outcome.status);
        }
    }
}

/// The words of whoever answered in place of the service, on either transport.
#[tokio::test]
async fn what_a_stranger_said_stands_in_the_status() {
    let page = format!("<html><title>Blocked by policy 7</title><body>{}", "x".repeat(2000));
    let json = r#"{"fault": {"faultstring": "Blocked by policy 7"}}"#;
    for (content_type, body) in [("text/html", page.as_str()), ("application/json", json)] {
        let rest = http1(answer_of("403 Forbidden", content_type, body)).await;
        let head = http::Response::builder().status(403).header("content-type", content_type);
        let head = head.body(()).expect("a head");
        let data = vec![Bytes::copy_from_slice(body.as_bytes())];
        let grpc = http2(Scripted { head, data, trailers: None }).await;
        for (port, transport) in [(rest, Transport::Rest), (grpc, Transport::Grpc)] {
            let bridge = plain(port, transport).build().expect("a bridge");
            let outcome = call(bridge, GENERATE, &question("?")).await;
            assert_eq!(outcome.status.code(), Code::PermissionDenied, "{:?}", outcome.status);
            let message = outcome.status.message();
            assert!(message.contains("Blocked by policy 7") && message.len() < 300, "{message}");
        }
    }
}

#[tokio::test]
async fn a_broken_grpc_answer_names_what_came() {
    let message = frame(&prost::Message::encode_to_vec(&answer("x")));
    let grpc = || {
        http::Response::builder()
            .header("content-type", "application/grpc")
            .body(())
            .expect("a head")
    };
    let html = |status: u16| {
        http::Response::builder()
            .status(status)
            .header("content-type", "text/html")
            .body(())
            .expect("a head")
    };
    let ok = || {
        Some(HeaderMap::from_iter([(
            "grpc-status".parse().expect("a name"),
            http::HeaderValue::from_static("0"),
        )]))
    };
    let page = || vec![Bytes::from_static(b"<html>blocked</html>")];
    let script = |head, data, trailers| Scripted { head, data, trailers };
    let cases = [
        (script(grpc(), vec![message.clone()], ok()), Code::Ok, None),
        (
            script(grpc(), vec![message.slice(..4)], ok()),
            Code::DataLoss,
            Some(SymptomKind::BodyTruncated),
        ),
        (
            script(grpc(), vec![message.slice(..7)], None),
            Code::DataLoss,
            Some(SymptomKind::BodyTruncated),
        ),
        (script(grpc(), vec![message], None), Code::DataLoss, Some(SymptomKind::TrailersMissing)),
        (script(grpc(), page(), None), Code::Internal, Some(SymptomKind::BodyMalformed)),
        (script(html(200), page(), None), Code::Unavailable, Some(SymptomKind::NotGrpc)),
        (script(html(403), page(), None), Code::PermissionDenied, Some(SymptomKind::NotGrpc)),
        (script(html(302), Vec::new(), None), Code::Unavailable, Some(SymptomKind::Redirected)),
    ];
    for (script, code, symptom) in cases {
        let port = http2(script).await;
        let bridge = plain(port, Transport::Grpc).build().expect("a bridge");
        let outcome = call(bridge, GENERATE, &question("?")).await;
        assert_eq!(outcome.status.code(), code, "{:?}", outcome.status);
        assert_eq!(symptom_of(&outcome), symptom, "{:?}", outcome.status);
    }
}

#[tokio::test]
async fn a_goaway_without_an_error_is_no_end_of_an_answer() {
    // `:status: 200` by HPACK's static table, and `content-type: application/grpc`.
    let head = b"\0\0\x14\x01\x04\0\0\0\x01\x88\x0f\x10\x10application/grpc".as_slice();
    let reset = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\0".as_slice();
    let go_away = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice();
    for (end, symptom) in [(reset, SymptomKind::TrailersMissing), (go_away, SymptomKind::BodyLost)]
    {
        let port = http2_frames([head, end].concat()).await;
        let bridge = plain(port, Transport::Grpc).build().expect("a bridge");
        let outcome = call(bridge, GENERATE, &question("?")).await;
        assert_eq!(symptom_of(&outcome), Some(symptom), "{:?}", outcome.status);
    }
}

#[tokio::test]
async fn a_failure_is_tried_again_wherever_its_status_stands() {
    let status = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        http::HeaderValue::from_static("14"),
    )]);
    let head = http::Response::builder().header("content-type", "application/grpc");
    let head = head.body(()).expect("a head");
    let mut whole = head.clone();
    whole.headers_mut().extend(status.clone());
    for script in [
        Scripted { head: whole, ..Scripted::default() },
        Scripted { head, data: Vec::new(), trailers: Some(status) },
    ] {
        let moment = Duration::from_millis(1);
        let retry = RetryPolicy::google().max_attempts(3).backoff(moment, 1.0, moment);
        let builder = plain(http2(script).await, Transport::Grpc).retry(retry);
        let bridge = builder.build().expect("a bridge");
        let outcome = call(bridge.clone(), GENERATE, &question("?")).await;
        assert_eq!(outcome.status.code(), Code::Unavailable);
        assert_eq!(bridge.stats().retries(), 2);
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_comes_after_the_messages_before_it() {
    let emulator = Emulator::start().await.expect("an emulator");
    let reply = Reply::messages([answer("one"), answer("two")]);
    emulator.on(STREAM, reply.then_error(Status::resource_exhausted("enough")));
    for transport in BOTH {
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        let outcome = call(bridge, STREAM, &question("?")).await;
        assert_eq!(outcome.messages.len(), 2, "{transport:?}");
        assert_eq!(outcome.status.code(), Code::ResourceExhausted);
        assert_eq!(outcome.status.message(), "enough");
        assert!(Error::of(&outcome.status).is_none(), "the service said it");
    }
}

#[test]
fn wrong_settings_are_named_by_build() {
    type Set = fn(BridgeBuilder) -> BridgeBuilder;
    let cases: [(&str, Set, ErrorKind); 6] = [
        ("endpoint", |builder| builder.endpoint("ftp://a"), ErrorKind::Configuration),
        ("endpoint", |builder| builder.endpoint("http://a.test"), ErrorKind::Configuration),
        ("key", |builder| builder.api_key("a\nb"), ErrorKind::Configuration),
        ("certificate", |builder| builder.add_root_certificates("x"), ErrorKind::Configuration),
        ("probe", |builder| builder.probe_call("no path", b""), ErrorKind::Configuration),
        ("probe", |builder| builder.probe_call(STREAM, b""), ErrorKind::Configuration),
    ];
    for (named, set, kind) in cases {
        let error = set(Bridge::builder()).build().expect_err(named);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    assert!(Bridge::builder().probe_call(LIST_MODELS, b"").build().is_ok());
}
