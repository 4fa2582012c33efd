//! Page: an answer of any form to one path, for what has no proto.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Collected};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::record::{Attendance, Received, Record};

/// An HTTP response, sent exactly as given.
#[derive(Debug, Clone)]
pub struct Page {
    status: StatusCode,
    headers: HeaderMap,
    pieces: Vec<Bytes>,
    rounds: usize,
    gate: Option<Arc<Semaphore>>,
}

impl Page {
    /// A response with this status and no body.
    ///
    /// # Panics
    /// If there is no such status.
    pub fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, headers: HeaderMap::new(), pieces: Vec::new(), rounds: 1, gate: None }
    }

    /// A response with status 200 and this JSON.
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self::new(200).header("content-type", "application/json; charset=UTF-8").piece(text)
    }

    /// A response with status 200 and these server-sent events. Each is one piece, sent as given.
    pub fn events(events: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        let page = Self::new(200).header("content-type", "text/event-stream");
        events.into_iter().fold(page, Self::piece)
    }

    /// Adds a header.
    ///
    /// # Panics
    /// If `name` or `value` cannot be a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header name");
        self.headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    /// Adds a piece of the body. It is sent by itself.
    #[must_use]
    pub fn piece(mut self, piece: impl Into<Bytes>) -> Self {
        self.pieces.push(piece.into());
        self
    }

    /// Sends all pieces this many times.
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Waits for a permit of this semaphore before each piece.
    #[must_use]
    pub fn gate(mut self, gate: Arc<Semaphore>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Reads and records the request, and answers it.
    pub(super) async fn answer(
        self,
        record: &Record,
        head: &Parts,
        body: Incoming,
        attendance: Attendance,
    ) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let body = body.collect().await.map(Collected::to_bytes);
        record.add(Received::new("", true, head, body.unwrap_or_default()));
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        let body = PageBody { page: self, attendance, next: 0, waiting: None };
        response.map(|()| body.boxed_unsync())
    }
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

struct PageBody {
    page: Page,
    attendance: Attendance,
    next: usize,
    waiting: Option<Wait>,
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.is_end_stream() {
            this.attendance.finish();
            return Poll::Ready(None);
        }
        if let Some(gate) = &this.page.gate {
            let gate = Arc::clone(gate);
            let wait = this.waiting.get_or_insert_with(|| {
                Box::pin(async move {
                    // A closed gate is an open one: the test has ended.
                    if let Ok(permit) = gate.acquire().await {
                        permit.forget();
                    }
                })
            });
            ready!(wait.as_mut().poll(context));
            this.waiting = None;
        }
        let piece = this.page.pieces.get(this.next % this.page.pieces.len()).cloned();
        this.next += 1;
        if this.is_end_stream() {
            this.attendance.finish();
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.page.pieces.len().saturating_mul(self.page.rounds)
    }
}
