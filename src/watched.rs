//! Watched: the answer of a stream, kept inside the call's deadline; tells how it ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

use crate::attempts::Carried;
use crate::bridge::Inner;
use crate::call::{Answer, Call};
use crate::error::{Error, ErrorKind};
use crate::policy::ActiveTransport;
use crate::vigil::Vigil;

/// Marks the answer with the transport that carried it, and watches the body of a stream.
///
/// A unary answer is complete and checked already: it passes as it is.
pub(crate) fn watch_answer(
    Carried { mut answer, transport, vigil }: Carried,
    call: &Call,
    bridge: Arc<Inner>,
) -> Answer {
    answer.extensions_mut().insert(transport);
    if call.method.as_ref().is_some_and(|method| !method.server_streaming) {
        return answer;
    }
    let deadline = call.deadline.map(|deadline| Box::pin(sleep_until(deadline)));
    answer.map(|body| {
        let (has_begun, ended) = (false, false);
        Body::new(WatchedBody { body, deadline, vigil, transport, bridge, has_begun, ended })
    })
}

struct WatchedBody {
    body: Body,
    deadline: Option<Pin<Box<Sleep>>>,
    vigil: Option<Vigil>,
    transport: ActiveTransport,
    bridge: Arc<Inner>,
    has_begun: bool,
    ended: bool,
}

impl WatchedBody {
    fn end_with(&mut self, status: Status) -> Status {
        self.ended = true;
        self.body = Body::empty();
        self.vigil = None;
        if let Some(error) = Error::of(&status)
            && !self.is_too_long(error)
        {
            self.bridge.record(self.transport, Some(error));
        }
        status
    }

    /// Whether the answer came, and took more time than its caller gave it: that says nothing of the network.
    fn is_too_long(&self, error: &Error) -> bool {
        self.has_begun && error.kind() == ErrorKind::DeadlineExceeded
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.has_begun |= matches!(frame, Some(Ok(_)));
            return Poll::Ready(frame.map(|frame| frame.map_err(|status| self.end_with(status))));
        }
        if let Some(vigil) = &mut self.vigil
            && let Poll::Ready(loss) = vigil.as_mut().poll(context)
        {
            let lost = Error::from(loss.in_body());
            return Poll::Ready(Some(Err(self.end_with(lost.into()))));
        }
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(context));
        let text = "the call's deadline passed in the middle of the answer";
        let expired = Error::new(ErrorKind::DeadlineExceeded, text);
        Poll::Ready(Some(Err(self.end_with(expired.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
