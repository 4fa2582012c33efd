//! Body: the body of an answer that a carrier of the program's own gave.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use crate::error::BoxError;
use crate::network::caught;

/// A body that is not asked again once it has ended, failed or panicked.
pub(crate) struct ForeignBody(Option<UnsyncBoxBody<Bytes, BoxError>>);

impl ForeignBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Some(body.map_err(Into::into).boxed_unsync()))
    }
}

impl Body for ForeignBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = match caught(|| Pin::new(body).poll_frame(context)) {
            Ok(frame) => ready!(frame),
            Err(panicked) => Some(Err(panicked.into())),
        };
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| caught(|| body.is_end_stream()).unwrap_or(false))
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.0.as_ref().map(|body| caught(|| body.size_hint()).unwrap_or_default());
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}
