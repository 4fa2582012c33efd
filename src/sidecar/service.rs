//! Service: one request, through the guard and the limits, to the form that it is in.

use std::sync::Arc;

use http::uri::Scheme;
use http::{Request, header};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::account::{Account, Caller};
use super::activity::Visit;
use super::discard::discard;
use super::foreign::refuse_foreign;
use super::intake::Intake;
use super::metrics::Metrics;
use super::own_origin::OwnOrigin;
use super::placeholder::take_placeholder;
use super::refusal::Form;
use super::shutdown::{Shutdown, shutting_down};
use super::web_guard::WebGuard;
use super::{grpc, rest};
use crate::bridge::Bridge;
use crate::call::Answer;
use crate::credentials::API_KEY;

/// What all connections share.
pub(super) struct Service {
    pub(super) bridge: Bridge,
    pub(super) guard: WebGuard,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Arc<Shutdown>,
    /// One for each call in flight.
    pub(super) permits: Arc<Semaphore>,
    pub(super) intake: Intake,
    pub(super) replaces_placeholder: bool,
}

impl Service {
    /// Answers a request; the account of it is closed when the last of the answer has been sent.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        scheme: Scheme,
        visit: Visit,
    ) -> Answer {
        let form = Form::of(&request);
        let permit = match self.admit(form, &request) {
            Ok(permit) => permit,
            Err(refusal) => {
                self.metrics.count_refusal();
                let (head, body) = request.into_parts();
                discard(&head, body);
                return *refusal;
            }
        };
        if form == Form::Rest
            && let Some(own) = OwnOrigin::of(&request, &scheme)
        {
            request.extensions_mut().insert(own);
        }
        self.prepare(&mut request);
        let caller = match form {
            Form::Grpc => Caller::grpc(self.bridge.core().find_method(request.uri().path())),
            Form::Rest => Caller::Rest(request.method().clone()),
        };
        let mut account = Account::open(Arc::clone(&self.metrics), caller, permit, visit);
        let answered = tokio::select! {
            biased;
            answered = self.send(form, request, &mut account) => answered,
            () = self.shutdown.until_calls_ended() => Err(shutting_down()),
        };
        match answered {
            Ok(answer) => account.follow(answer, &self.shutdown),
            Err(status) => account.refuse(status),
        }
    }

    /// A permit for the call, or the answer to what is not let in.
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
        Arc::clone(&self.permits)
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
            Form::Grpc => grpc::call(&self.bridge, &self.intake, request, account).await,
            Form::Rest => rest::forward(&self.bridge, &self.intake, request, account).await,
        }
    }

    /// Hides the secrets from whoever prints headers, and takes out what stands for the sidecar's
    /// own key.
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
