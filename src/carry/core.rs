//! Core: what all calls of a bridge share; a call is parsed, authorised and sent.

use std::pin::pin;
use std::sync::Arc;

#[cfg(feature = "cli")]
use http::HeaderMap;
use http::Request;
#[cfg(feature = "cli")]
use http_body_util::BodyExt as _;
use tokio::sync::watch::Receiver;
#[cfg(feature = "cli")]
use tonic::body::Body;
use tonic::{Code, Status};

use super::gate::Gate;
use super::settings::Settings;
use super::trace::Trace;
use crate::bridge::options::{CallOptions, Transport};
use crate::bridge::stats::{Counters, Stats};
use crate::call::author::code_in;
use crate::call::deadline::{Busy, Deadline, within};
use crate::call::frame::Frame;
use crate::call::{Answer, Call, Content, Message, read_head};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::fallback::{Event, Fallback, TransportState};
use crate::gemini::parameters::Guard;
use crate::gemini::reply::ReplyMerger;
use crate::network::{Network, Tasks, require_runtime};
use crate::probe::Probe;
use crate::retry::Retries;
#[cfg(feature = "cli")]
use crate::schema::Method;
use crate::schema::Schema;
use crate::transport::grpc::GrpcTransport;
use crate::transport::rest::RestTransport;

/// What all clones of a bridge share, and what is done with it.
pub(crate) struct Core {
    pub(super) schema: Schema,
    pub(super) credentials: Credentials,
    pub(super) grpc: Arc<GrpcTransport>,
    pub(super) rest: RestTransport,
    pub(super) fallback: Arc<Fallback>,
    pub(super) probe: Probe,
    pub(super) retries: Retries,
    pub(super) counters: Arc<Counters>,
    pub(super) guard: Guard,
    pub(super) settings: Settings,
    pub(super) network: Network,
    pub(super) gate: Gate,
    /// Probes, and watches over connections.
    pub(super) tasks: Tasks,
}

/// What a core is made of.
pub(crate) struct Parts {
    pub(crate) schema: Schema,
    pub(crate) credentials: Credentials,
    pub(crate) grpc: Arc<GrpcTransport>,
    pub(crate) rest: RestTransport,
    pub(crate) fallback: Arc<Fallback>,
    pub(crate) probe: Probe,
    pub(crate) retries: Retries,
    pub(crate) counters: Arc<Counters>,
    pub(crate) guard: Guard,
    pub(crate) settings: Settings,
    pub(crate) network: Network,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            schema,
            credentials,
            grpc,
            rest,
            fallback,
            probe,
            retries,
            counters,
            guard,
            settings,
            network,
        } = parts;
        let (gate, tasks) = Default::default();
        Self {
            schema,
            credentials,
            grpc,
            rest,
            fallback,
            probe,
            retries,
            counters,
            guard,
            settings,
            network,
            gate,
            tasks,
        }
    }

    /// One call: parse, authorise, send; all that takes time stands under the one deadline.
    pub(crate) async fn carry(
        self: Arc<Self>,
        request: Request<Content>,
        mut trace: Trace,
    ) -> Result<Answer, Status> {
        let answer = Arc::clone(&self).answer(request, &mut trace).await.map_err(Status::from);
        match answer.inspect_err(|status| trace.end_with(status))? {
            (answer, None) => Ok(answer),
            (answer, Some(merger)) => {
                let collected = Box::pin(self.collect(answer, merger)).await;
                match &collected {
                    Ok(answer) => trace.end(code_in(answer.headers()).unwrap_or(Code::Ok)),
                    Err(status) => trace.end_with(status),
                }
                collected
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Content>,
        trace: &mut Trace,
    ) -> Result<(Answer, Option<Box<ReplyMerger>>), Error> {
        require_runtime()?;
        let mut call = self.parse(request)?;
        let pass = self.gate.enter()?;
        let merger = self.stream_under(&mut call);
        within(call.deadline, Busy::Reading, pin!(self.read_message(&mut call))).await?;
        self.find_rest_only(&mut call)?;
        self.guard.admit(&call)?;
        self.authorise(&mut call).await?;
        self.settings.dialect.add_headers(&self.schema, &mut call);
        let carried = self.send_sifted(&mut call, trace).await;
        trace.count(&call);
        let carried = carried.map_err(|mut error| {
            if self.is_rest_open(&call) {
                error.open_rest();
            }
            if self.may_be_cut_for_silence(&call, &error) {
                error.advise_streaming();
            }
            error
        })?;
        trace.carried_by(carried.transport);
        // What is collected ends when it has become the one message, not with its last byte.
        let trace = if merger.is_some() { trace.watch() } else { trace.hand_over() };
        Ok((self.watch_answer(carried, &call, trace, pass), merger))
    }

    /// The span of the call that begins now.
    pub(crate) fn trace(&self, request: &Request<Content>) -> Trace {
        Trace::begin(request.uri().path(), &self.settings.server, &self.counters)
    }

    fn parse(&self, request: Request<Content>) -> Result<Call, Error> {
        let (parts, content) = request.into_parts();
        let method = self.schema.find_method(parts.uri.path()).cloned();
        let head = read_head(parts.headers)?;
        let timeout = head.timeout.or_else(|| self.settings.default_deadline.of(method.as_deref()));
        let path = parts.uri.into_parts().path_and_query;
        self.counters.count_call();
        let mut options = parts.extensions.get::<CallOptions>().cloned().unwrap_or_default();
        // To its end, whatever the bridge is switched to meanwhile.
        options.transport.get_or_insert_with(|| self.transport());
        Ok(Call {
            path: path.ok_or_else(|| Error::invalid_request("the request has no path"))?,
            method,
            metadata: head.metadata,
            encoding: head.encoding,
            accept_encoding: head.accept_encoding,
            deadline: timeout.and_then(Deadline::after),
            message: match content {
                Content::Body(body) => Message::Stream(Some(body)),
                #[cfg(feature = "cli")]
                Content::Whole(bytes) => Message::One(Frame::parse(bytes)?),
            },
            reduced: None,
            rest_only: None,
            options,
            attempts: 0,
            retries: 0,
        })
    }

    /// Reads the one message of a unary or server-streaming call; it can then be sent again.
    async fn read_message(&self, call: &mut Call) -> Result<(), Error> {
        let one_message = call.method.as_ref().is_some_and(|method| !method.client_streaming);
        if let Message::Stream(body) = &mut call.message
            && one_message
        {
            let body = body.take().unwrap_or_default();
            let frame = Frame::collect(body, self.settings.max_message_size).await?;
            call.message = Message::One(frame);
        }
        Ok(())
    }

    pub(super) async fn authorise(&self, call: &mut Call) -> Result<(), Error> {
        let authorise = pin!(self.credentials.authorise(&mut call.metadata));
        within(call.deadline, Busy::Authorising, authorise).await
    }

    /// Passes on a request that is REST already.
    #[cfg(feature = "cli")]
    pub(crate) async fn forward(&self, request: Request<bytes::Bytes>) -> Result<Answer, Error> {
        let pass = self.gate.enter()?;
        let answer = self.rest.forward(request, self.http_versions(self.transport())).await?;
        Ok(answer.map(|body| {
            // The call is in flight as long as its body.
            Body::new(body.map_frame(move |frame| {
                let _ = &pass;
                frame
            }))
        }))
    }

    /// Adds what the bridge was given, unless a caller brought his own.
    #[cfg(feature = "cli")]
    pub(crate) async fn add_credentials(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        self.credentials.authorise(headers).await
    }

    pub(crate) fn has_credentials(&self) -> bool {
        !self.credentials.are_none()
    }

    /// The method of this path, if the schema has it.
    #[cfg(feature = "cli")]
    pub(crate) fn find_method(&self, path: &str) -> Option<&Arc<Method>> {
        self.schema.find_method(path)
    }

    #[cfg(feature = "cli")]
    pub(crate) fn max_message_size(&self) -> usize {
        self.settings.max_message_size
    }

    pub(crate) fn transport(&self) -> Transport {
        self.settings.transport.get()
    }

    pub(crate) fn transport_state(&self) -> TransportState {
        self.fallback.transport_state()
    }

    pub(crate) fn watch(&self) -> Receiver<TransportState> {
        self.fallback.watch()
    }

    /// Forgets the connections, and what was learnt of the network.
    pub(crate) fn reset(&self) {
        self.grpc.forget_connections();
        self.rest.forget_connections();
        self.fallback.record(Event::Reset);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.snapshot(&self.grpc, &self.rest)
    }
}
