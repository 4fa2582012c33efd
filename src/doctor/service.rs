//! Service: the calls of an examination, and what the service says of key, model, size and stream.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::checks::Checks;
use super::examination::{Answers, within};
use super::report::{Check, Step};
use crate::bridge::builder::Built;
use crate::bridge::options::{ActiveTransport, ResendPolicy};
use crate::call::Answer;
use crate::call::frame::{FrameCounter, PREFIX_LENGTH};
use crate::error::{Error, ErrorKind};
use crate::fallback::may_resend;
use crate::gemini::{advice, probe_call};
use crate::network::Alpn;
use crate::proto::google::ai::generativelanguage::v1beta::{
    Content, CountTokensRequest, GenerateContentRequest, GenerationConfig, GetModelRequest, Model,
    Part, part::Data,
};
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// What an examination calls over, until its deadline.
pub(super) struct Line<'a> {
    pub(super) built: &'a Built,
    pub(super) deadline: Instant,
}

impl Line<'_> {
    /// The call that proves gRPC to the bridge as well: the service's status, and how long it took.
    pub(super) async fn free_call(
        &self,
        transport: ActiveTransport,
    ) -> Result<(Status, Duration), Error> {
        let began = Instant::now();
        let (path, message) = probe_call();
        let (status, _) = self.call(transport, &path, &message).await?;
        Ok((status, began.elapsed()))
    }

    /// Opens HTTP/2, and asks for a sign of life; gives the time that the answer took.
    pub(super) async fn ping(&self) -> Result<Duration, Error> {
        let limit = self.deadline - Instant::now();
        let opened = within(self.deadline, limit, self.built.bridge.core().connect_grpc()).await;
        opened.unwrap_or_else(|| Err(self.unanswered()))?;
        let began = Instant::now();
        match within(self.deadline, PING_LIMIT, self.exchange_ping()).await {
            Some(answered) => answered?,
            None => return Err(self.silent()),
        }
        Ok(began.elapsed())
    }

    /// A PING on a connection of its own.
    async fn exchange_ping(&self) -> Result<(), Error> {
        let Built { network, origin, .. } = self.built;
        let dialled = network.connect(origin, Alpn::Http2).await?;
        let exchange = async {
            let (_requests, mut connection) = h2::client::handshake(dialled.io).await.ok()?;
            let mut ping_pong = connection.ping_pong()?;
            tokio::select! {
                pong = ping_pong.ping(h2::Ping::opaque()) => pong.ok().map(drop),
                _ended = connection => None,
            }
        };
        exchange.await.ok_or_else(|| self.silent())
    }

    fn silent(&self) -> Error {
        let Built { network, origin, .. } = self.built;
        let evidence = Evidence::new().with_detail("no answer to a PING");
        let symptom = Symptom::new(SymptomKind::KeepAliveTimeout, network.hop(origin));
        symptom.with_evidence(evidence).into()
    }

    /// A unary call: the service's status and message.
    ///
    /// What was provably not processed goes out once more, as the bridge would send it.
    async fn call(
        &self,
        transport: ActiveTransport,
        path: &str,
        message: &[u8],
    ) -> Result<(Status, Bytes), Error> {
        match self.call_once(transport, path, message).await {
            Err(error) if error.symptom().is_some_and(is_unprocessed) => {
                self.call_once(transport, path, message).await
            }
            ended => ended,
        }
    }

    async fn call_once(
        &self,
        transport: ActiveTransport,
        path: &str,
        message: &[u8],
    ) -> Result<(Status, Bytes), Error> {
        let work = async { read_unary(self.send(transport, path, message).await?).await };
        within(self.deadline, CALL_LIMIT, work).await.unwrap_or_else(|| Err(self.unanswered()))
    }

    /// The answer as it comes. REST speaks HTTP/1.1, as after a fallback.
    async fn send(
        &self,
        transport: ActiveTransport,
        path: &str,
        message: &[u8],
    ) -> Result<Answer, Error> {
        self.built.bridge.core().send_once(transport, path, message).await
    }

    fn unanswered(&self) -> Error {
        if Instant::now() >= self.deadline {
            return Error::new(ErrorKind::DeadlineExceeded, "the examination's time was up");
        }
        let Built { network, origin, .. } = self.built;
        Symptom::new(SymptomKind::Unanswered, network.hop(origin)).into()
    }
}

fn is_unprocessed(symptom: &Symptom) -> bool {
    may_resend(ResendPolicy::WhenUnprocessed, symptom.delivery())
}

async fn read_unary(answer: Answer) -> Result<(Status, Bytes), Error> {
    let mut bytes = BytesMut::new();
    let status = read_answer(answer, |data| bytes.extend_from_slice(data)).await?;
    let message = bytes.freeze();
    Ok((status, message.slice(PREFIX_LENGTH.min(message.len())..)))
}

/// Reads an answer to its end, and gives the status there.
async fn read_answer(answer: Answer, mut on_data: impl FnMut(&[u8])) -> Result<Status, Error> {
    let (head, mut body) = answer.into_parts();
    let mut status = Status::from_header_map(&head.headers);
    while let Some(frame) = body.frame().await {
        match frame.map_err(|status| of_status(&status))?.into_data() {
            Ok(data) => on_data(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                status = Status::from_header_map(&trailers).or(status);
            }
        }
    }
    Ok(status.unwrap_or_else(|| Status::new(Code::Ok, "")))
}

/// The error inside a status that a transport made.
fn of_status(status: &Status) -> Error {
    match Error::of(status).and_then(Error::symptom) {
        Some(symptom) => symptom.clone().into(),
        None => Error::new(ErrorKind::MalformedAnswer, "the answer cannot be read")
            .with_source(status.clone()),
    }
}

/// Key, model, size and stream, over the transport that the bridge would take.
pub(super) async fn check_service(
    line: &Line<'_>,
    answers: Answers,
    model: &str,
    spends_tokens: bool,
    checks: &mut Checks,
) {
    let (transport, status) = match (answers.grpc, answers.rest) {
        (Some(status), _) => (ActiveTransport::Grpc, status),
        (None, Some(status)) => (ActiveTransport::Rest, status),
        (None, None) => return,
    };
    let has_key = line.built.bridge.core().has_credentials();
    checks.push(check_key(&status, has_key));
    if status.code() != Code::Ok {
        return;
    }
    let found = check_model(line, transport, model).await;
    let has_failed = found.has_failed();
    checks.push(found);
    if has_failed {
        return;
    }
    checks.push(check_size(line, transport, model).await);
    checks.push(if spends_tokens {
        check_stream(line, transport, model).await
    } else {
        Check::skipped(
            Step::Stream,
            "it would cost tokens; ask for it to see whether streams are held back",
        )
    });
}

fn check_key(status: &Status, has_key: bool) -> Check {
    let evidence = match (status.code(), has_key) {
        (Code::Ok, true) => return Check::ok(Step::Key, "the service accepts it"),
        (Code::Ok, false) => return Check::ok(Step::Key, "the service asks for none"),
        (_, true) => "",
        (_, false) => "no key was given: ",
    };
    refused(Step::Key, evidence, status)
}

/// A station at which the service itself said no.
fn refused(step: Step, prefix: &str, status: &Status) -> Check {
    let Some(advice) = advice(status) else { return Check::ok(step, "") };
    let mut words = vec![format!("{prefix}{}", advice.happened())];
    words.extend_from_slice(advice.facts());
    advice.remedies().iter().fold(Check::failed(step, words.join("; ")), Check::advise)
}

async fn check_model(line: &Line<'_>, transport: ActiveTransport, name: &str) -> Check {
    let request = GetModelRequest { name: name.to_owned() }.encode_to_vec();
    let began = Instant::now();
    let (status, message) = match line.call(transport, GET_MODEL, &request).await {
        Ok(answer) => answer,
        Err(error) => return Check::broken(Step::Model, &error),
    };
    if status.code() != Code::Ok {
        return refused(Step::Model, "", &status);
    }
    let model = Model::decode(message).unwrap_or_default();
    let methods = model.supported_generation_methods.join(", ");
    if !model.supported_generation_methods.iter().any(|method| method == "generateContent") {
        return Check::failed(Step::Model, format!("{name} does not write; it supports {methods}"))
            .advise("choose a model that supports generateContent: ListModels tells which do");
    }
    let (reads, writes) = (model.input_token_limit, model.output_token_limit);
    Check::ok(Step::Model, format!("{name} reads {reads} tokens and writes {writes}"))
        .took(began.elapsed())
}

async fn check_size(line: &Line<'_>, transport: ActiveTransport, model: &str) -> Check {
    let request = CountTokensRequest {
        model: model.to_owned(),
        contents: vec![content(&"a ".repeat(64 * 1024))],
        generate_content_request: None,
    };
    let began = Instant::now();
    match line.call(transport, COUNT_TOKENS, &request.encode_to_vec()).await {
        Ok((status, _)) => Check::ok(
            Step::Size,
            match status.code() {
                Code::Ok => "a request of 128 KiB (CountTokens) was answered".to_owned(),
                code => format!("a request of 128 KiB reached the service: {code:?}"),
            },
        )
        .took(began.elapsed()),
        Err(error) => Check::broken(Step::Size, &error),
    }
}

/// Lets the model count, and looks when the messages come.
async fn check_stream(line: &Line<'_>, transport: ActiveTransport, model: &str) -> Check {
    let request = GenerateContentRequest {
        model: model.to_owned(),
        contents: vec![content("Count from 1 to 100 in digits, a number a line.")],
        generation_config: Some(GenerationConfig {
            max_output_tokens: Some(1024),
            ..GenerationConfig::default()
        }),
        ..GenerateContentRequest::default()
    };
    let began = Instant::now();
    let reading = async {
        let answer = line.send(transport, STREAM, &request.encode_to_vec()).await?;
        read_arrivals(answer).await
    };
    let limit = began + STREAM_LIMIT;
    let (status, arrivals) = match within(limit, STREAM_LIMIT, reading).await {
        None => return Check::broken(Step::Stream, &line.unanswered()),
        Some(Err(error)) => return Check::broken(Step::Stream, &error),
        Some(Ok(read)) => read,
    };
    match status.code() {
        Code::Ok => judge_arrivals(began, &arrivals),
        _ => refused(Step::Stream, "", &status),
    }
}

/// When each message was complete, and how the stream ended.
async fn read_arrivals(answer: Answer) -> Result<(Status, Vec<Instant>), Error> {
    let (mut counter, mut arrivals) = (FrameCounter::default(), Vec::new());
    let status = read_answer(answer, |data| {
        let before = counter.messages();
        // Both transports have checked that the stream is made of frames.
        if counter.feed(data).is_ok() {
            let now = Instant::now();
            arrivals.extend((before..counter.messages()).map(|_| now));
        }
    })
    .await?;
    Ok((status, arrivals))
}

/// A stream that was held back comes all at once, after as long as the whole took to write.
fn judge_arrivals(began: Instant, arrivals: &[Instant]) -> Check {
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else {
        return Check::ok(Step::Stream, "the model wrote nothing, so there is nothing to see");
    };
    let (wait, spread) = (*first - began, *last - *first);
    let count = arrivals.len();
    let evidence = format!(
        "{count} messages came within {} ms, after {} ms of silence",
        spread.as_millis(),
        wait.as_millis()
    );
    if count >= 3 && spread * 10 < wait {
        Check::failed(
            Step::Stream,
            format!("something holds answers back until they are complete: {evidence}"),
        )
        .advise("ask the network team not to buffer text/event-stream and application/grpc")
    } else {
        Check::ok(Step::Stream, evidence)
    }
}

fn content(text: &str) -> Content {
    let part = Part { data: Some(Data::Text(text.to_owned())), ..Part::default() };
    Content { parts: vec![part], role: "user".to_owned() }
}

const GET_MODEL: &str = "/google.ai.generativelanguage.v1beta.ModelService/GetModel";
const COUNT_TOKENS: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
const PING_LIMIT: Duration = Duration::from_secs(2);
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// Beyond the deadline of the examination: who spends tokens on it has time for it.
const STREAM_LIMIT: Duration = Duration::from_secs(20);
