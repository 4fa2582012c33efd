//! Exchange: what answers a request that has no HTTP rule: a success, the service's refusal, or
//! another place.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap};
use http::{Response, StatusCode, Uri};
use serde_json::Value;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::body::AnswerBody;
use super::foreign::foreign;
use super::head::metadata_of;
use super::read_error;
use super::status::{failure_in, read_status};
use crate::call::frame::too_large;
use crate::error::Error;
use crate::schema::Schema;
use crate::symptom::words::first_value;
use crate::symptom::{Evidence, Symptom, SymptomKind};
use crate::transport::carrier::http1::client::HttpAnswer;
use crate::transport::rest::hop::without_connection;
use crate::transport::rest::request::target::Target;

/// What a success is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A text in one piece, JSON as a rule.
    Whole,
    /// Events or values, as they come.
    Events,
    /// Bytes of any type, as they come; a redirect within the origin is told.
    Bytes,
}

/// What reading an answer needs to know.
pub(crate) struct Terms<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) origin: &'a Uri,
    pub(crate) expected: Expected,
    /// Most bytes of a whole text.
    pub(crate) max_body: usize,
    /// Most bytes of an error.
    pub(crate) max_error: usize,
}

/// What became of an exchange.
pub(crate) enum Exchanged<B = AnswerBytes> {
    Answered(Response<B>),
    Refused(Status),
    Redirected(Target),
}

/// The bytes of a success: what was read to judge it, and the rest on its way.
pub(crate) struct AnswerBytes {
    first: Option<Bytes>,
    rest: AnswerBody,
}

/// # Errors
/// Something other than the service answered, or the answer broke off.
pub(crate) async fn read_exchange(
    answer: HttpAnswer,
    terms: Terms<'_>,
) -> Result<Exchanged, Error> {
    let HttpAnswer { status, mut headers, body } = answer;
    let is_coded = headers.contains_key(header::CONTENT_ENCODING);
    let mut body = AnswerBody::new(body, &mut headers);
    if is_coded && !headers.contains_key(header::CONTENT_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    if status.is_redirection() {
        let place = headers.get(header::LOCATION).and_then(|place| place.to_str().ok());
        let target = place.and_then(|place| Target::on_origin(terms.origin, place).ok());
        return match target.filter(|_| terms.expected == Expected::Bytes) {
            Some(target) => Ok(Exchanged::Redirected(target)),
            None => Err(foreign(SymptomKind::Redirected, &body, status, &headers, &[])),
        };
    }
    if !status.is_success() {
        let text = read_error(&mut body, terms.max_error).await?;
        let found = read_status(terms.schema, status.as_u16(), &text);
        return match found.or_else(|| failure_in(&headers)) {
            Some(found) => Ok(refused(&found, headers)),
            None => Err(foreign(SymptomKind::ForeignError, &body, status, &headers, &text)),
        };
    }
    if let Some(found) = failure_in(&headers) {
        return Ok(refused(&found, headers));
    }
    match terms.expected {
        Expected::Bytes => Ok(answered(status, &headers, None, body)),
        Expected::Whole => read_whole(status, headers, body, &terms).await,
        Expected::Events => read_start(status, headers, body, &terms).await,
    }
}

/// A page in place of the text is a stranger's, and an object that is an error and nothing else is
/// no success.
async fn read_whole(
    status: StatusCode,
    headers: HeaderMap,
    mut body: AnswerBody,
    terms: &Terms<'_>,
) -> Result<Exchanged, Error> {
    let limit = terms.max_body;
    let text = body.collect(limit).await?.ok_or_else(|| too_large(limit, limit))?;
    if let Some(found) = body.failure() {
        return Ok(refused(&found, headers));
    }
    if is_page(&headers, &text) {
        return Err(foreign(SymptomKind::NotJson, &body, status, &headers, &text));
    }
    if let Some(found) = lone_error(terms.schema, &text) {
        return Ok(refused(&found, headers));
    }
    Ok(answered(status, &headers, Some(text), body))
}

/// Waits for the first bytes that are not blank.
async fn read_start(
    status: StatusCode,
    headers: HeaderMap,
    mut body: AnswerBody,
    terms: &Terms<'_>,
) -> Result<Exchanged, Error> {
    let mut start = BytesMut::new();
    while start.is_empty() {
        let Some(chunk) = poll_fn(|context| body.poll_chunk(context, 0)).await else { break };
        start.extend_from_slice(chunk?.trim_ascii_start());
    }
    if start.starts_with(b"<") {
        let rest = body.collect(terms.max_error).await.ok().flatten().unwrap_or_default();
        start.extend_from_slice(&rest);
        return Err(foreign(SymptomKind::NotJson, &body, status, &headers, &start));
    }
    Ok(answered(status, &headers, Some(start.freeze()), body))
}

fn answered(
    status: StatusCode,
    headers: &HeaderMap,
    first: Option<Bytes>,
    rest: AnswerBody,
) -> Exchanged {
    let first = first.filter(|first| !first.is_empty());
    let mut response = Response::new(AnswerBytes { first, rest });
    *response.status_mut() = status;
    *response.headers_mut() = without_connection(headers);
    Exchanged::Answered(response)
}

fn is_page(headers: &HeaderMap, text: &[u8]) -> bool {
    let is_html = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
    is_html || text.trim_ascii_start().starts_with(b"<")
}

/// The status of an object whose one member is `error`. Operations and files have one beside
/// others, and are no errors.
pub(crate) fn lone_error(schema: &Schema, text: &[u8]) -> Option<Status> {
    memchr::memmem::find(text.get(..64).unwrap_or(text), b"\"error\"")?;
    let text = std::str::from_utf8(text).ok()?;
    let (_, value) = first_value(text)?;
    let object = match &value {
        Value::Array(elements) => elements.first()?,
        other => other,
    };
    let is_lone = object.as_object().is_some_and(|object| object.len() == 1);
    is_lone.then(|| read_status(schema, 200, text.as_bytes())).flatten()
}

/// The service's error with the headers that it came with.
fn refused(found: &Status, headers: HeaderMap) -> Exchanged {
    let details = Bytes::copy_from_slice(found.details());
    let metadata = MetadataMap::from_headers(metadata_of(headers));
    let (code, message) = (found.code(), found.message());
    Exchanged::Refused(Status::with_details_and_metadata(code, message, details, metadata))
}

impl AnswerBytes {
    /// The next bytes; `None` at a clean end. `pieces` were read before.
    pub(crate) fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        pieces: u64,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.rest.poll_chunk(context, pieces),
        }
    }

    /// The failure that trailers tell, once the bytes have ended.
    pub(crate) fn failure(&self) -> Option<Status> {
        self.rest.failure()
    }

    /// These bytes come next, once more.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.first = Some(bytes);
    }

    /// Lets go of the connection: nothing more is read.
    pub(crate) fn close(&mut self) {
        self.first = None;
        self.rest.close();
    }

    /// A failure that this answer shows.
    pub(crate) fn symptom(&self, kind: SymptomKind, evidence: Evidence) -> Symptom {
        self.rest.symptom(kind, evidence)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test fails by panicking")]

    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderName, HeaderValue};
    use http_body_util::{BodyExt as _, Full};
    use tonic::Code;

    use super::*;
    use crate::error::ErrorKind;
    use crate::transport::carrier::http1::client::HttpBody;
    use crate::transport::rest::answer::tests::answer_of;
    use Expected::{Bytes as Any, Events, Whole};

    async fn read(expected: Expected, answer: HttpAnswer) -> Result<Exchanged, Error> {
        let schema = Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("the schema");
        let origin = Uri::from_static("https://service.test");
        let (max_body, max_error) = (64, 1 << 10);
        let terms = Terms { schema: &schema, origin: &origin, expected, max_body, max_error };
        read_exchange(answer, terms).await
    }

    async fn text_of(bytes: &mut AnswerBytes) -> String {
        let mut text = Vec::new();
        while let Some(chunk) = poll_fn(|context| bytes.poll_chunk(context, 0)).await {
            text.extend_from_slice(&chunk.expect("bytes"));
        }
        String::from_utf8(text).expect("UTF-8")
    }

    /// What becomes of an answer, in words.
    async fn told(expected: Expected, head: &str, body: &str) -> String {
        let body = HttpBody::in_chunks(body.as_bytes(), 7);
        match read(expected, answer_of(head, body)).await {
            Ok(Exchanged::Answered(mut response)) => {
                format!("{} {}", response.status().as_u16(), text_of(response.body_mut()).await)
            }
            Ok(Exchanged::Refused(status)) => format!("{:?}", status.code()),
            Ok(Exchanged::Redirected(target)) => format!("to {}", target.path),
            Err(error) => match error.symptom() {
                Some(symptom) => format!("{:?}", symptom.kind()),
                None => format!("{:?}", error.kind()),
            },
        }
    }

    #[tokio::test]
    async fn an_answer_is_a_success_a_refusal_or_somebody_elses() {
        let page = "<html>a page</html>";
        let not_found = r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#;
        let moved = "302\nlocation: /v1/files";
        let too_large = format!("{:?}", ErrorKind::MessageTooLarge);
        for (expected, head, body, end) in [
            (Whole, "200", r#"{"a":1}"#, r#"200 {"a":1}"#),
            (Whole, "201", "plain text", "201 plain text"),
            (Whole, "204", "", "204 "),
            (Whole, "200", " \n<html>", "NotJson"),
            (Whole, "200\ncontent-type: Text/HTML; charset=utf-8", "blocked", "NotJson"),
            (Whole, "200", not_found, "NotFound"),
            (Whole, "200", &format!("[{not_found}]"), "NotFound"),
            (
                Whole,
                "200",
                r#"{"name":"n","error":{"code":5}}"#,
                r#"200 {"name":"n","error":{"code":5}}"#,
            ),
            (Whole, "200", r#"{"error":"none"}"#, r#"200 {"error":"none"}"#),
            (Whole, "200", &"x".repeat(64), &format!("200 {}", "x".repeat(64))),
            (Whole, "200", &"x".repeat(65), &too_large),
            (Whole, "200\ngrpc-status: 14", "", "Unavailable"),
            (Whole, "200\ngrpc-status: 0", "{}", "200 {}"),
            (Events, "200", "\r\n \ndata: 1\n\n", "200 data: 1\n\n"),
            (Events, "200", "\n\n", "200 "),
            (Events, "200", &format!("\n{page}"), "NotJson"),
            (Any, "200", page, "200 <html>a page</html>"),
            (Any, "200", not_found, &format!("200 {not_found}")),
            (Any, moved, "", "to /v1/files"),
            (Any, "302\nlocation: https://service.test/v1/files", "", "to /v1/files"),
            (Any, "302\nlocation: https://elsewhere.test/v1/files", "", "Redirected"),
            (Any, "302", "", "Redirected"),
            (Whole, moved, "", "Redirected"),
            (Events, moved, "", "Redirected"),
        ] {
            assert_eq!(told(expected, head, body).await, end, "{expected:?} {head} {body}");
        }
        for expected in [Whole, Events, Any] {
            for (head, body, end) in [
                ("404", not_found, "NotFound"),
                ("502", page, "ForeignError"),
                ("502\ngrpc-status: 8", "", "ResourceExhausted"),
            ] {
                assert_eq!(told(expected, head, body).await, end, "{expected:?} {head} {body}");
            }
        }
    }

    #[tokio::test]
    async fn a_failure_behind_the_bytes_is_one_of_the_whole_answer() {
        let body = || {
            let end = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("14"),
            )]);
            let bytes = Full::new(Bytes::from_static(b"data: 1\n\n"));
            HttpBody::new(bytes.with_trailers(async { Some(Ok(end)) }), "a service".into())
        };
        let Ok(Exchanged::Refused(status)) = read(Whole, answer_of("200", body())).await else {
            panic!("it failed");
        };
        assert_eq!(status.code(), Code::Unavailable);
        let Ok(Exchanged::Answered(mut response)) = read(Events, answer_of("200", body())).await
        else {
            panic!("it has begun");
        };
        let bytes = response.body_mut();
        assert!(bytes.failure().is_none(), "nobody knows yet");
        assert_eq!(text_of(bytes).await, "data: 1\n\n");
        assert_eq!(bytes.failure().map(|status| status.code()), Some(Code::Unavailable));
    }

    #[tokio::test]
    async fn bytes_that_were_put_back_come_once_more_and_none_after_a_close() {
        let body = HttpBody::in_chunks(b"and more", 8);
        let Ok(Exchanged::Answered(mut response)) = read(Any, answer_of("200", body)).await else {
            panic!("a success");
        };
        let bytes = response.body_mut();
        bytes.put_back(Bytes::from_static(b"first "));
        assert_eq!(text_of(bytes).await, "first and more");
        bytes.put_back(Bytes::from_static(b"first "));
        bytes.close();
        assert_eq!(text_of(bytes).await, "");
    }

    #[tokio::test]
    async fn headers_of_the_connection_and_of_a_coding_that_is_off_are_left_out() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let gzip = gzip.write_all(b"{}").and_then(|()| gzip.finish()).expect("memory");
        let lines = "content-length: 22\nconnection: x-hop\nx-hop: 1\nx-own: 2";
        for (coding, body, kept) in [
            ("gzip", gzip, &["x-own"][..]),
            ("br", b"{}".to_vec(), &["content-encoding", "content-length", "x-own"]),
        ] {
            let head = format!("200\ncontent-encoding: {coding}\n{lines}");
            let answer = answer_of(&head, HttpBody::in_chunks(&body, 5));
            let Ok(Exchanged::Answered(mut response)) = read(Whole, answer).await else {
                panic!("a success");
            };
            assert_eq!(text_of(response.body_mut()).await, "{}");
            let mut names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, kept);
        }
    }

    #[tokio::test]
    async fn a_refusal_comes_with_its_headers_and_details() {
        let body = r#"{"error":{"code":429,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]}}"#;
        let head = "429\nretry-after: 7\ncontent-type: application/json";
        let body = HttpBody::in_chunks(body.as_bytes(), 9);
        let Ok(Exchanged::Refused(status)) = read(Whole, answer_of(head, body)).await else {
            panic!("a refusal");
        };
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "m"));
        assert!(!status.details().is_empty());
        assert_eq!(status.metadata().get("retry-after").map(AsRef::as_ref), Some(&b"7"[..]));
    }
}
