//! Service: one request, through the guard and the limits, to the form that it is in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;

use super::account::{Account, Caller};
use super::connection::Visit;
use super::discard::discard;
use super::foreign::refuse_foreign;
use super::metrics::Metrics;
use super::placeholder::take_placeholder;
use super::refusal::Form;
use super::shutdown::Shutdown;
use super::web_guard::WebGuard;
use super::{grpc, rest};
use crate::bridge::Bridge;
use crate::call::Answer;
use crate::call::frame::Whole;
use crate::credentials::API_KEY;

/// What all connections share.
pub(super) struct Service {
    pub(super) bridge: Bridge,
    pub(super) guard: WebGuard,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Arc<Shutdown>,
    /// One for each call in flight.
    pub(super) places: Arc<Semaphore>,
    pub(super) memory: Memory,
    pub(super) request_timeout: Duration,
    pub(super) replaces_placeholder: bool,
}

impl Service {
    /// Answers a request; the account of it is closed when the last of the answer has been sent.
    pub(super) async fn answer(&self, mut request: Request<Incoming>, visit: Visit) -> Answer {
        let form = Form::of(&request);
        let place = match self.admit(form, &request) {
            Ok(place) => place,
            Err(refusal) => {
                self.metrics.count_refusal();
                let (head, body) = request.into_parts();
                discard(&head, body);
                return *refusal;
            }
        };
        self.prepare(&mut request);
        let caller = match form {
            Form::Grpc => Caller::grpc(self.bridge.core().find_method(request.uri().path())),
            Form::Rest => Caller::Rest(request.method().clone()),
        };
        let mut account = Account::open(Arc::clone(&self.metrics), caller, place, visit);
        let calls_ended = self.shutdown.calls_ended();
        let answered = tokio::select! {
            answered = self.send(form, request, &mut account) => answered,
            () = calls_ended.cancelled() => Err(shutting_down()),
        };
        match answered {
            Ok(answer) => account.follow(answer, calls_ended),
            Err(status) => account.refuse(status),
        }
    }

    /// A place for the call, or the answer to what is not let in.
    fn admit(
        &self,
        form: Form,
        request: &Request<Incoming>,
    ) -> Result<OwnedSemaphorePermit, Box<Answer>> {
        if let Some(refusal) = refuse_foreign(request) {
            return Err(refusal.into());
        }
        let refuse = |status| Box::new(form.refuse(status));
        self.guard.admit(request.uri(), request.headers()).map_err(refuse)?;
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| refuse(Status::unavailable("the sidecar has as many calls as it may")))
    }

    async fn send(
        &self,
        form: Form,
        request: Request<Incoming>,
        account: &mut Account,
    ) -> Result<Answer, Status> {
        match form {
            Form::Grpc => grpc::call(self, request, account).await,
            Form::Rest => rest::forward(self, request, account).await,
        }
    }

    /// Reads a whole request, within its size, the memory of all requests and its time.
    ///
    /// # Errors
    /// Which of these it exceeded, or that it broke.
    pub(super) async fn receive(
        &self,
        head: &Parts,
        mut body: Incoming,
        account: &mut Account,
        limit: usize,
    ) -> Result<Bytes, Status> {
        let too_large = |size| {
            let text =
                format!("a request of {size} bytes is larger than the limit of {limit} bytes");
            Status::out_of_range(text)
        };
        let read = async {
            let stated = body.size_hint().lower();
            if stated > limit as u64 {
                return Err(too_large(stated));
            }
            let mut whole = Whole::default();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Status::cancelled("the request broke off"))?;
                let Ok(data) = frame.into_data() else { continue };
                account.hold(self.memory.take(data.len())?);
                let length = whole.add(data);
                if length > limit {
                    return Err(too_large(length as u64));
                }
            }
            Ok(whole.into_bytes())
        };
        let patience = self.request_timeout;
        let read = timeout(patience, read).await.unwrap_or_else(|_| {
            let text = format!("the request did not arrive within {patience:?}");
            Err(Status::deadline_exceeded(text))
        });
        if read.is_err() {
            discard(head, body);
        }
        read
    }

    /// Hides the secrets from whoever prints headers, and takes out what stands for the sidecar's own key.
    fn prepare(&self, request: &mut Request<Incoming>) {
        if self.replaces_placeholder {
            take_placeholder(request);
        }
        let headers = request.headers_mut();
        headers.remove(header::HOST);
        for name in [header::AUTHORIZATION, API_KEY] {
            if let Some(value) = headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
    }
}

/// The bytes of requests that may be in hand, of all calls together.
pub(super) struct Memory(Arc<Semaphore>);

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        let permit = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.0).try_acquire_many_owned(bytes).ok());
        permit.ok_or_else(|| {
            Status::resource_exhausted("the sidecar holds as many bytes of requests as it may")
        })
    }
}

/// How calls end that had their time to finish.
pub(super) fn shutting_down() -> Status {
    Status::unavailable("the sidecar is shutting down")
}
