//! What an answer says around its messages: headers, coding, trailers, its end.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap};
use http_body_util::{BodyExt as _, Full};

use super::end::EndFields;
use super::frame::message_of;
use super::tests::{answer_of, name, shop};
use super::*;
use crate::error::ErrorKind;
use crate::json::{Lenience, LenienceCounts};
use crate::schema::Schema;
use crate::symptom::Symptom;
use crate::transport::carrier::http1::client::HttpBody;

const UNARY: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
const EVENT: &str = "data: {\"responseId\":\"a\"}\n\n";
const END: EndFields = &["candidates.finish_reason"];

fn reading(path: &str) -> Reading {
    let schema = if path.starts_with("/shop") {
        shop()
    } else {
        Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("the schema")
    };
    Reading {
        method: Arc::clone(schema.method(path).expect("a method")),
        schema,
        max_message_size: 1 << 10,
        max_metadata_size: 100,
        end_fields: &[],
        leniences: Arc::default(),
    }
}

/// The bytes, and trailers of one line behind them.
fn body(bytes: &[u8], trailer: &str) -> HttpBody {
    let trailers = trailer.split_once(": ").map(|(name, value)| {
        Ok(HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))]))
    });
    let bytes = Full::new(Bytes::copy_from_slice(bytes));
    HttpBody::new(bytes.with_trailers(async { trailers }), "a service".into())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory")
}

/// What comes after the head: how many messages, and the last word.
async fn rest_of(answer: Answer) -> (usize, Result<Status, Status>) {
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return (0, Ok(status));
    }
    let mut body = answer.into_body();
    let mut messages = 0;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(status) => {
                assert!(body.frame().await.is_none(), "an error is the last word");
                return (messages, Err(status));
            }
        };
        match frame.into_trailers() {
            Ok(trailers) => {
                assert!(body.frame().await.is_none(), "trailers are the last word");
                let status = Status::from_header_map(&trailers).expect("a status");
                return (messages, Ok(status));
            }
            Err(_) => messages += 1,
        }
    }
    panic!("it ends without a word");
}

/// The same in words.
async fn told(reading: Reading, answer: HttpAnswer) -> (usize, String) {
    let (messages, end) = match read_http_answer(answer, reading).await {
        Ok(answer) => rest_of(answer).await,
        Err(error) => (0, Err(error.into())),
    };
    let name = |status: Status| name(Error::of(&status).expect("our error"));
    (messages, end.map_or_else(name, |status| format!("{:?}", status.code())))
}

#[tokio::test]
async fn a_failure_in_headers_or_trailers_is_the_answer_in_each_shape() {
    for (path, text, messages) in [
        (UNARY, "{\"totalTokens\":3}", 0),
        (STREAM, EVENT, 1),
        (STREAM, "[{\"responseId\":\"a\"}]", 1),
        ("/shop.v1.Shop/Pages", "bytes", 1),
    ] {
        let in_trailers = answer_of("200", body(text.as_bytes(), "grpc-status: 14"));
        let found = told(reading(path), in_trailers).await;
        assert_eq!(found, (messages, "Unavailable".to_owned()), "{path} {text}");
        let in_headers = answer_of("200\ngrpc-status: 5", body(text.as_bytes(), ""));
        assert_eq!(told(reading(path), in_headers).await, (0, "NotFound".to_owned()), "{path}");
        let success = answer_of("200\ngrpc-status: 0", body(text.as_bytes(), "grpc-status: 0"));
        assert_eq!(told(reading(path), success).await, (1, "Ok".to_owned()), "{path}");
    }
    let silent = answer_of("502\ngrpc-status: 8", body(b"", ""));
    assert_eq!(told(reading(UNARY), silent).await, (0, "ResourceExhausted".to_owned()));
}

#[tokio::test]
async fn the_caller_gets_the_headers_that_are_neither_of_http_nor_of_grpc() {
    let lines = "content-type: application/json\ncontent-length: 9\nx-own: 1\ngrpc-encoding: gzip";
    for (path, status, text) in [
        (UNARY, 200, "{\"totalTokens\":3}"),
        (UNARY, 404, "{\"error\":{\"code\":404}}"),
        (UNARY, 200, "{\"error\":{\"code\":404}}"),
        (STREAM, 200, EVENT),
        ("/shop.v1.Shop/Pages", 200, "bytes"),
    ] {
        let answer = answer_of(&format!("{status}\n{lines}"), body(text.as_bytes(), ""));
        let answer = read_http_answer(answer, reading(path)).await.expect("an answer");
        let headers = answer.headers();
        assert_eq!(headers.get("x-own").map(AsRef::as_ref), Some(&b"1"[..]), "{path} {status}");
        let grpc = headers.get(header::CONTENT_TYPE).map(AsRef::as_ref);
        assert_eq!(grpc, Some(&b"application/grpc"[..]), "{path} {status}");
        for name in ["content-length", "grpc-encoding"] {
            assert!(!headers.contains_key(name), "{path} {status} {name}");
        }
    }
}

#[tokio::test]
async fn a_coded_answer_is_read_and_a_cut_one_is_no_success() {
    for (path, text) in [(UNARY, "{\"totalTokens\":3}"), (STREAM, EVENT)] {
        let whole = gzip(text.as_bytes());
        let cut = &whole[..whole.len() - 1];
        let ok = (1, "Ok".to_owned());
        let answer = |coding: &str, bytes: &[u8]| {
            answer_of(&format!("200\ncontent-encoding: {coding}"), body(bytes, ""))
        };
        assert_eq!(told(reading(path), answer("gzip", &whole)).await, ok, "{path}");
        assert_eq!(told(reading(path), answer("gzip", cut)).await.1, "BodyTruncated", "{path}");
        let malformed = told(reading(path), answer("gzip", b"no such thing")).await;
        assert_eq!(malformed, (0, "BodyMalformed".to_owned()), "{path}");
        assert_eq!(told(reading(path), answer("identity", text.as_bytes())).await, ok, "{path}");
    }
    let unknown = answer_of("200\ncontent-encoding: br", body(b"\x0b\x02", ""));
    let Err(error) = read_http_answer(unknown, reading(UNARY)).await else {
        panic!("nobody can read it");
    };
    let symptom = error.symptom().expect("a symptom");
    assert_eq!(symptom.kind(), SymptomKind::NotJson);
    assert!(symptom.evidence().detail().is_some_and(|detail| detail.contains("br")));
    assert!(symptom.evidence().first_bytes().is_empty(), "they are in nobody's language");
}

#[tokio::test]
async fn the_end_is_told_once_it_was_given() {
    for (path, text) in
        [(UNARY, "{\"totalTokens\":3}"), (STREAM, EVENT), ("/shop.v1.Shop/Pages", "bytes")]
    {
        let answer = answer_of("200", body(text.as_bytes(), ""));
        let answer = read_http_answer(answer, reading(path)).await.expect("an answer");
        let mut body = answer.into_body();
        let mut ends = Vec::new();
        while let Some(frame) = body.frame().await {
            ends.push((frame.expect("a frame").is_trailers(), body.is_end_stream()));
        }
        assert_eq!(ends, [(false, false), (true, true)], "{path}");
    }
}

#[tokio::test]
async fn a_stream_without_its_last_word_was_cut_unless_its_bracket_closed_it() {
    let stop = "{\"candidates\":[{\"finishReason\":\"STOP\"}]}";
    let event = format!("data: {stop}\n\n");
    let truncated = "BodyTruncated";
    for (text, messages, end) in [
        (event.clone(), 1, "Ok"),
        (format!("{event}{EVENT}"), 2, "Ok"),
        (EVENT.to_owned(), 1, truncated),
        (String::new(), 0, truncated),
        ("{\"responseId\":\"a\"}\n".to_owned(), 1, truncated),
        (format!("{stop}\n"), 1, "Ok"),
        ("[{\"responseId\":\"a\"}]".to_owned(), 1, "Ok"),
        ("[]".to_owned(), 0, "Ok"),
    ] {
        let reading = Reading { end_fields: END, ..reading(STREAM) };
        let found = told(reading, answer_of("200", body(text.as_bytes(), ""))).await;
        assert_eq!(found, (messages, end.to_owned()), "{text}");
    }
}

/// Of the message that is the answer, and of the one around it.
#[tokio::test]
async fn a_newer_member_beside_a_known_one_is_no_strangers() {
    for (text, messages, end) in [
        ("{\"id\":\"a\",\"new\":1}", 1, "Ok"),
        ("{\"new\":1}", 0, "NotJson"),
        ("{\"result\":{\"id\":\"a\"}}", 0, "NotJson"),
    ] {
        let answer = answer_of("200", body(text.as_bytes(), ""));
        let found = told(reading("/shop.v1.Shop/Inner"), answer).await;
        assert_eq!(found, (messages, end.to_owned()), "{text}");
    }
}

/// What broke a stream, as it is shown.
async fn broken(text: &str) -> Symptom {
    let reading = Reading { end_fields: END, ..reading(STREAM) };
    let answer = answer_of("200", body(text.as_bytes(), ""));
    let status = match read_http_answer(answer, reading).await {
        Ok(answer) => rest_of(answer).await.1.expect_err("it is broken"),
        Err(error) => error.into(),
    };
    let error = Error::of(&status).expect("our error");
    error.symptom().expect("a symptom").clone()
}

#[tokio::test]
async fn what_broke_a_stream_is_told_with_the_messages_before_it() {
    for (rest, messages, said) in [
        ("", 2, ""),
        ("upstream error\n", 2, "upstream error\n"),
        ("data: {\"responseId\":\n\n", 2, ""),
        ("event: error\ndata: no more\n\n", 2, "no more"),
    ] {
        let symptom = broken(&format!("{EVENT}{EVENT}{rest}")).await;
        let evidence = symptom.evidence();
        assert_eq!(evidence.messages(), messages, "{rest}");
        assert_eq!(evidence.first_bytes(), said.as_bytes(), "{rest}");
        assert_eq!(evidence.status(), None, "{rest}");
    }
    for (text, said) in [("\n<html>blocked", "<html>blocked"), ("welcome\n", "welcome\n")] {
        let symptom = broken(text).await;
        assert_eq!(symptom.evidence().status().map(|status| status.as_u16()), Some(200), "{text}");
        assert_eq!(symptom.evidence().first_bytes(), said.as_bytes(), "{text}");
    }
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_limit_and_its_json_larger() {
    let too_large = format!("{:?}", ErrorKind::MessageTooLarge);
    let json = format!("{{\"responseId\":\"{}\"}}", "\\u00e9".repeat(100));
    let limited = |limit| Reading { max_message_size: limit, ..reading(STREAM) };
    let message = limited(0).read(json.as_bytes(), Position::Alone).ok().expect("a message");
    let size = message.frame.len() - PREFIX_LENGTH;
    assert!(size < json.len() / 2, "{size}");
    for text in [format!("data: {json}\n\n"), format!("[{json}]")] {
        for (limit, messages, end) in [(size, 1, "Ok"), (size - 1, 0, too_large.as_str())] {
            let answer = answer_of("200", body(text.as_bytes(), ""));
            let found = told(limited(limit), answer).await;
            assert_eq!(found, (messages, end.to_owned()), "{limit}");
        }
    }
}

#[tokio::test]
async fn an_error_over_its_limit_is_not_read() {
    for (length, end) in [(100, "NotFound"), (101, "MetadataTooLarge")] {
        let text = format!("{:length$}", "{\"error\":{\"code\":404}}");
        let found = told(reading(UNARY), answer_of("404", body(text.as_bytes(), ""))).await;
        assert_eq!(found.1, end, "{length}");
        // Inside a success, it is then no error of the service.
        let found = told(reading(UNARY), answer_of("200", body(text.as_bytes(), ""))).await;
        let end = if length == 100 { "NotFound" } else { "NotJson" };
        assert_eq!(found.1, end, "{length} in a success");
    }
    let answer = answer_of("404", body(&[b'x'; 101], ""));
    let Err(error) = read_http_answer(answer, reading(UNARY)).await else {
        panic!("it is too long");
    };
    assert!(error.to_string().contains("the error of a service"), "{error}");
}

#[tokio::test]
async fn the_first_message_of_bytes_names_their_type() {
    let answer = answer_of("200\ncontent-type: text/plain", HttpBody::in_chunks(b"abcd", 2));
    let reading = reading("/shop.v1.Shop/Pages");
    let mut body = read_http_answer(answer, reading).await.expect("an answer").into_body();
    let mut pages = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame.expect("a frame").into_data() else { break };
        let page = shop().json_from_message("google.api.HttpBody", message_of(&frame));
        pages.push(String::from_utf8(page.expect("JSON")).expect("UTF-8"));
    }
    let first = "{\"contentType\":\"text/plain\",\"data\":\"YWI=\"}";
    assert_eq!(pages, [first, "{\"data\":\"Y2Q=\"}"]);
}

#[tokio::test]
async fn what_an_answer_was_read_in_spite_of_is_counted_once_an_answer() {
    let leniences = Arc::<LenienceCounts>::default();
    let text = "data: {\"candidates\":[{\"finishReason\":\"A_NEW_ONE\"}]}\n\n";
    for (text, count) in [(EVENT, 0), (text, 1), (text, 2)] {
        let reading = Reading { leniences: Arc::clone(&leniences), ..reading(STREAM) };
        let found = told(reading, answer_of("200", body(text.as_bytes(), ""))).await;
        assert_eq!(found, (1, "Ok".to_owned()));
        assert_eq!(leniences.of(Lenience::UnknownEnumName), count, "{text}");
    }
}
