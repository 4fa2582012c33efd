//! Service: what the service says of key, model, size and stream.

use std::time::Duration;

use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::check::{Check, Step};
use super::checks::Checks;
use super::line::{Line, read_answer, within};
use crate::bridge::options::ActiveTransport;
use crate::call::Answer;
use crate::call::frame::FrameCounter;
use crate::error::Error;
use crate::gemini::advice;
use crate::proto::google::ai::generativelanguage::v1beta::{
    Content, CountTokensRequest, GenerateContentRequest, GenerationConfig, GetModelRequest, Model,
    Part, part::Data,
};

/// The service's status in answer to the free call, over each transport that carried it.
pub(super) struct Answers {
    pub(super) grpc: Option<Status>,
    pub(super) rest: Option<Status>,
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
            "this check costs tokens, so it runs only on request; it shows whether something delays streams",
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
    let request = GetModelRequest { name: name.to_owned(), ..Default::default() }.encode_to_vec();
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
        return Check::failed(
            Step::Model,
            format!("{name} does not generate text; it supports {methods}"),
        )
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
        ..Default::default()
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
    Content { parts: vec![part], role: "user".to_owned(), ..Default::default() }
}

const GET_MODEL: &str = "/google.ai.generativelanguage.v1beta.ModelService/GetModel";
const COUNT_TOKENS: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";
const STREAM: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
/// Beyond the deadline of the examination: who spends tokens on it has time for it.
const STREAM_LIMIT: Duration = Duration::from_secs(20);
