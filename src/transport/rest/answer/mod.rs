//! Answer: an HTTP answer becomes a gRPC one: head, frames, trailers.

mod body;
mod decode;
pub(crate) mod end;
pub(crate) mod exchange;
mod foreign;
mod frame;
mod head;
mod judge;
mod raw;
pub(crate) mod reading;
pub(crate) mod status;
mod stream;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBodyTrait, Frame as BodyFrame};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

use crate::call::frame::{PREFIX_LENGTH, Whole};
use crate::call::{Answer, trailers_of_success};
use crate::error::{Error, metadata_too_large};
use crate::symptom::SymptomKind;
use crate::transport::carrier::http1::client::HttpAnswer;
use body::AnswerBody;
use foreign::{broken, foreign};
use head::{failed, head, metadata_of};
use judge::{Position, Unreadable};
use raw::content_type_of;
use reading::Reading;
use status::{failure_in, read_status};
use stream::read_stream;

/// # Errors
/// Something other than the service answered, or the answer broke off.
pub(crate) async fn read_http_answer(
    answer: HttpAnswer,
    reading: Reading,
) -> Result<Answer, Error> {
    let HttpAnswer { status, mut headers, body } = answer;
    let mut body = AnswerBody::new(body, &mut headers);
    if status.is_redirection() {
        return Err(foreign(SymptomKind::Redirected, &body, status, &headers, &[]));
    }
    if !status.is_success() {
        let text = read_error(&mut body, reading.max_metadata_size).await?;
        let found = read_status(&reading.schema, status.as_u16(), &text);
        return match found.or_else(|| failure_in(&headers)) {
            Some(found) => Ok(failed(&found, metadata_of(headers))),
            None => Err(foreign(SymptomKind::ForeignError, &body, status, &headers, &text)),
        };
    }
    if let Some(found) = failure_in(&headers) {
        return Ok(failed(&found, metadata_of(headers)));
    }
    if reading.method.server_streaming {
        // Boxed, or each unary call would carry its room.
        return Box::pin(read_stream(status, headers, body, reading)).await;
    }
    let text = body.collect(reading.json_limit()).await?.ok_or_else(|| reading.too_large())?;
    if let Some(found) = body.failure() {
        return Ok(failed(&found, metadata_of(headers)));
    }
    let frame = if reading.is_raw() {
        reading.raw_frame(content_type_of(&headers).as_ref(), &text)
    } else if text.trim_ascii().is_empty() && reading.is_empty() {
        Bytes::from_static(&[0; PREFIX_LENGTH])
    } else {
        match reading.read(&text, Position::Alone) {
            Ok(message) => message.frame,
            Err(Unreadable::Failure(found)) => return Ok(failed(&found, metadata_of(headers))),
            Err(Unreadable::Foreign) => {
                return Err(foreign(SymptomKind::NotJson, &body, status, &headers, &text));
            }
            Err(Unreadable::Broken(fault)) => return Err(broken(&fault, &body, 0)),
        }
    };
    reading.check_size(&frame)?;
    Ok(head(headers, Body::new(WholeBody { frame: Some(frame), ended: false })))
}

/// The body of an error, as far as it comes, and soon: its status is known.
///
/// # Errors
/// It is over the limit.
async fn read_error(body: &mut AnswerBody, limit: usize) -> Result<Bytes, Error> {
    let mut text = Whole::default();
    let reading = async {
        while let Some(data) = poll_fn(|context| body.poll_chunk(context, 0)).await {
            // One that breaks off has said something all the same.
            let Ok(data) = data else { break };
            if text.add(data) > limit {
                return Err(());
            }
        }
        Ok(())
    };
    match timeout(ERROR_LIMIT, reading).await {
        Ok(Ok(())) | Err(_) => Ok(text.into_bytes()),
        Ok(Err(())) => {
            let what = format!("the error of {} has {limit} bytes or more", body.hop());
            Err(metadata_too_large(&what, limit))
        }
    }
}

/// For the rest of an error, once its head is there.
const ERROR_LIMIT: Duration = Duration::from_secs(5);

/// A unary answer: one message, and trailers.
struct WholeBody {
    frame: Option<Bytes>,
    ended: bool,
}

impl HttpBodyTrait for WholeBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        if let Some(frame) = self.frame.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(frame))));
        }
        let trailers = || Ok(BodyFrame::trailers(trailers_of_success()));
        Poll::Ready((!std::mem::replace(&mut self.ended, true)).then(trailers))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod ends;
#[cfg(test)]
mod tests;
