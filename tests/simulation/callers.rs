//! Callers: make the calls of a world over the bridge, and tell what came of each.

use std::time::Duration;

use genai_bridge::v1beta::bidi_generate_content_client_message::MessageType;
use genai_bridge::v1beta::bidi_generate_content_server_message::MessageType as Said;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{
    BidiGenerateContentClientMessage, BidiGenerateContentServerMessage, BidiGenerateContentSetup,
    CountTokensRequest, GenerateContentRequest, GenerateContentResponse,
};
use genai_bridge::{ActiveTransport, Bridge, CallOptions, Delivery, Error, ErrorKind, SymptomKind};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::log::Log;
use crate::run::{MARK, MARK_AT_END};
use crate::service::{content, text_of};
use crate::world::{Call, Shape};

/// What came of a call.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) number: usize,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// When its caller last turned to the bridge again.
    pub(crate) looked: Instant,
    pub(crate) transport: Option<ActiveTransport>,
    /// As the service wrote them: number of the call, number of the message.
    pub(crate) messages: Vec<String>,
    /// The number in the metadata of the answer.
    pub(crate) mark: Option<usize>,
    /// The same in the trailers: of a stream, or of an error.
    pub(crate) mark_at_end: Option<usize>,
    /// How many connections of REST were open when it ended.
    pub(crate) rest_connections: usize,
    pub(crate) end: End,
}

#[derive(Debug, Clone)]
pub(crate) enum End {
    Complete,
    /// Its caller gave it up.
    Cancelled,
    Failed(Failure),
}

#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// `None` where the service said it.
    pub(crate) kind: Option<ErrorKind>,
    pub(crate) symptom: Option<(SymptomKind, Delivery)>,
    /// Where that was met.
    pub(crate) hop: Option<String>,
    /// What the other transport met before.
    pub(crate) first: Option<Delivery>,
    pub(crate) text: String,
}

impl Failure {
    fn of(status: &Status) -> Self {
        let error = Error::of(status);
        let told = |error: &Error| error.symptom().map(|it| (it.kind(), it.delivery()));
        let first = error.and_then(Error::first).and_then(told);
        Self {
            code: status.code(),
            kind: error.map(Error::kind),
            symptom: error.and_then(told),
            hop: error.and_then(|error| Some(error.symptom()?.hop().to_owned())),
            first: first.map(|(_, delivery)| delivery),
            text: format!("{:?} {}", status.code(), status.message()),
        }
    }
}

/// Makes the call at its time.
pub(crate) async fn make(call: Call, bridge: Bridge, began: Instant) -> Outcome {
    sleep_until(began + call.at).await;
    let now = Instant::now();
    let mut outcome = Outcome {
        number: call.number,
        began: now,
        ended: now,
        looked: now,
        transport: None,
        messages: Vec::new(),
        mark: None,
        mark_at_end: None,
        rest_connections: 0,
        end: End::Cancelled,
    };
    let patience = call.patience.unwrap_or(Duration::from_secs(1 << 30));
    let ended = timeout(patience, answered(&call, bridge.clone(), &mut outcome)).await;
    outcome.end = match ended {
        Err(_) => End::Cancelled,
        Ok(Ok(())) => End::Complete,
        Ok(Err(status)) => {
            outcome.mark_at_end = number(status.metadata(), MARK_AT_END);
            End::Failed(Failure::of(&status))
        }
    };
    outcome.ended = Instant::now();
    outcome.rest_connections = bridge.stats().connections(ActiveTransport::Rest);
    outcome
}

async fn answered(call: &Call, bridge: Bridge, outcome: &mut Outcome) -> Result<(), Status> {
    let mut client = GenerativeServiceClient::new(bridge);
    let text = format!("{}/{}", call.number, "y".repeat(call.size));
    let model = "models/gemini-2.5-flash".to_owned();
    let contents = vec![content(text.clone())];
    match call.shape {
        Shape::Unary => {
            let message = GenerateContentRequest { model, contents, ..Default::default() };
            let reply = client.generate_content(request(call, message)).await?;
            outcome.begin(&reply);
            outcome.take(written(reply.get_ref()));
            Ok(())
        }
        Shape::Free => {
            let message = CountTokensRequest { model, contents, ..Default::default() };
            let reply = client.count_tokens(request(call, message)).await?;
            outcome.begin(&reply);
            outcome.take(&format!("{}/0/", reply.get_ref().total_tokens));
            Ok(())
        }
        Shape::Stream => {
            let message = GenerateContentRequest { model, contents, ..Default::default() };
            let reply = client.stream_generate_content(request(call, message)).await?;
            outcome.begin(&reply);
            read(call, reply.into_inner(), outcome, written).await
        }
        Shape::Bidi => {
            let setup = BidiGenerateContentSetup { model: text, ..Default::default() };
            let message = BidiGenerateContentClientMessage {
                message_type: Some(MessageType::Setup(setup)),
                ..Default::default()
            };
            let written = tokio_stream::iter([message]);
            let reply = client.bidi_generate_content(request(call, written)).await?;
            outcome.begin(&reply);
            read(call, reply.into_inner(), outcome, said).await
        }
    }
}

impl Outcome {
    pub(crate) fn note(&self, since: Instant, log: &Log) {
        let Self { number, began, ended, transport, messages, end, .. } = self;
        let (began, ended) = (*began - since, *ended - since);
        log.note(format_args!(
            "call {number} {began:?}..{ended:?} {transport:?} {messages:?} {end:?}"
        ));
    }

    fn begin<T>(&mut self, reply: &Response<T>) {
        self.transport = reply.extensions().get().copied();
        self.mark = number(reply.metadata(), MARK);
        // Those of a unary answer are among the rest.
        self.mark_at_end = number(reply.metadata(), MARK_AT_END);
    }

    /// Keeps what tells the messages apart.
    fn take(&mut self, text: &str) {
        self.messages.push(text.trim_end_matches('x').to_owned());
    }
}

async fn read<M>(
    call: &Call,
    mut messages: Streaming<M>,
    outcome: &mut Outcome,
    text: impl Fn(&M) -> &str,
) -> Result<(), Status> {
    while let Some(message) = messages.message().await? {
        outcome.take(text(&message));
        if !call.reading.is_zero() {
            sleep(call.reading).await;
            outcome.looked = Instant::now();
        }
    }
    let trailers = messages.trailers().await?;
    outcome.mark_at_end = trailers.and_then(|trailers| number(&trailers, MARK_AT_END));
    Ok(())
}

fn number(metadata: &MetadataMap, name: &str) -> Option<usize> {
    metadata.get(name)?.to_str().ok()?.parse().ok()
}

fn request<M>(call: &Call, message: M) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(timeout) = call.timeout {
        request.set_timeout(timeout);
    }
    let mut options = CallOptions::new();
    if let Some(transport) = call.transport {
        options = options.transport(transport);
    }
    if let Some(resend) = call.resend {
        options = options.resend(resend);
    }
    request.extensions_mut().insert(options);
    request.metadata_mut().insert(MARK, call.number.into());
    request
}

fn written(message: &GenerateContentResponse) -> &str {
    text_of(message.candidates.first().and_then(|candidate| candidate.content.as_ref()))
}

fn said(message: &BidiGenerateContentServerMessage) -> &str {
    match &message.message_type {
        Some(Said::ServerContent(content)) => text_of(content.model_turn.as_ref()),
        _ => "",
    }
}
