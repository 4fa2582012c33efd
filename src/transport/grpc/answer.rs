//! Answer: the head of a response is judged before tonic decodes anything behind it.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};
use tokio::time::timeout;
use tonic::body::Body;

use crate::call::{Answer, GRPC_STATUS};
use crate::error::Error;
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::grpc::body::AnswerBody;
use crate::transport::grpc::metadata::{AnswerLimits, keep_metadata};
use crate::transport::grpc::source::Source;

/// How much of an answer must be seen before it is handed to the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// All of it: the verdict on a unary call is complete.
    Whole,
    /// Its head; the messages follow as they come.
    Head,
}

/// Reads an answer as far as it is wanted.
///
/// # Errors
/// Something that does not speak gRPC answered, or the whole answer was wanted and broke.
pub(crate) async fn read_answer(
    response: Response<Source>,
    wanted: Wanted,
    limits: AnswerLimits,
) -> Result<Answer, Error> {
    let (mut head, mut source) = response.into_parts();
    let has_status = head.headers.contains_key(&GRPC_STATUS);
    let kind = judge_head(head.status, &head.headers, has_status);
    if let Some(kind) = kind {
        let evidence = Evidence::new()
            .with_status(head.status)
            .with_headers(&head.headers)
            .with_answer(&read_first_bytes(&mut source).await);
        return Err(source.symptom(kind, evidence).into());
    }
    limits.check(&head.headers, format_args!("the headers of {}", source.hop()))?;
    keep_metadata(&mut head.headers);
    let body = AnswerBody::new(source, has_status, limits);
    let body = match wanted {
        Wanted::Whole => {
            let mut whole = body.collect().await?;
            // Where the trailers are the answer, they say what a head could have said: whoever asks
            // for the status finds it there.
            head.headers.extend(whole.take_trailers_alone().unwrap_or_default());
            Body::new(whole)
        }
        Wanted::Head => Body::new(body),
    };
    Ok(Answer::from_parts(head, body))
}

/// What stands in the way of reading the answer as gRPC, if anything.
///
/// tonic does not look at the content type, so a page would reach the caller as a decoding error.
fn judge_head(status: StatusCode, headers: &HeaderMap, has_status: bool) -> Option<SymptomKind> {
    let is_grpc = match headers.get(header::CONTENT_TYPE) {
        Some(value) => is_grpc_content_type(value.as_bytes()),
        None => has_status,
    };
    if is_grpc && (has_status || status == StatusCode::OK) {
        None
    } else if status.is_redirection() {
        Some(SymptomKind::Redirected)
    } else {
        Some(SymptomKind::NotGrpc)
    }
}

/// `application/grpc`, with a message format or parameters; gRPC-Web is another protocol.
pub(crate) fn is_grpc_content_type(value: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    value.split_at_checked(GRPC.len()).is_some_and(|(name, rest)| {
        name.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// The beginning of a foreign answer, as far as it comes at once.
async fn read_first_bytes(source: &mut Source) -> Bytes {
    let mut first = BytesMut::new();
    let reading = async {
        while first.len() < Evidence::MAX_FIRST_BYTES
            && let Some(Ok(part)) = poll_fn(|cx| source.poll_part(cx, 0)).await
            && let Ok(data) = part.into_data()
        {
            let room = Evidence::MAX_FIRST_BYTES - first.len();
            first.extend_from_slice(data.get(..room).unwrap_or(&data));
        }
    };
    // What has come when the time is up is enough.
    let _ = timeout(FIRST_BYTES_LIMIT, reading).await;
    first.freeze()
}

/// A page that comes slower than this is not worth the caller's waiting.
const FIRST_BYTES_LIMIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn heads_are_judged_by_content_type_and_status() {
        use SymptomKind::{NotGrpc, Redirected};
        let cases = [
            (200, Some("application/grpc"), false, None),
            (200, Some("application/grpc+proto"), false, None),
            (200, Some("Application/gRPC; charset=utf-8"), false, None),
            (200, Some("application/grpc"), true, None),
            (503, Some("application/grpc"), true, None),
            (503, Some("application/grpc"), false, Some(NotGrpc)),
            (200, None, true, None),
            (200, None, false, Some(NotGrpc)),
            (200, Some("application/grpc-web+proto"), false, Some(NotGrpc)),
            (200, Some("text/html"), false, Some(NotGrpc)),
            (200, Some("application/json"), true, Some(NotGrpc)),
            (302, Some("text/html"), false, Some(Redirected)),
            (307, None, false, Some(Redirected)),
            (403, Some("text/html"), false, Some(NotGrpc)),
        ];
        for (status, content_type, has_status, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(value) = content_type {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(status).expect("valid");
            assert_eq!(
                judge_head(status, &headers, has_status),
                expected,
                "{status} {content_type:?} {has_status}"
            );
        }
    }
}
