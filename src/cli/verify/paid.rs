//! Paid: what only a model that writes can show.

use genai_bridge::CallOptions;
use genai_bridge::gemini::reply::Reply as _;
use genai_bridge::v1beta::GenerateContentResponse;
use http::Method;
use serde_json::{Value, json};
use tonic::{Request, Status};

use super::question::{Question, Seen, Setting, generative, prompt};

pub(super) static QUESTIONS: [Question; 4] = [
    Question::paid(
        "stream-enums",
        "are enums of a stream over REST names?",
        "they are: finishReason is a text",
        |at| Box::pin(stream_enums(at)),
    ),
    Question::paid(
        "stream-pieces",
        "does an answer come in pieces over gRPC?",
        "in more than one message",
        |at| Box::pin(stream_pieces(at)),
    ),
    Question::paid(
        "stream-end",
        "does a stream say why it ends, and its tokens?",
        "finish_reason and usage in its last message",
        |at| Box::pin(stream_end(at)),
    ),
    Question::paid(
        "stream-under",
        "is a collected stream the unary answer?",
        "the same parts, reason and usage, but for the words",
        |at| Box::pin(stream_under(at)),
    ),
];

async fn stream_enums(at: &Setting) -> Seen {
    let path = format!("/v1beta/{}:streamGenerateContent", at.model);
    let body = json!({"contents": [{"parts": [{"text": "Write the word yes."}]}]});
    let asked = async {
        let request = at.rest.json(Method::POST, path).query("alt", "sse").value(&body);
        let mut events = request.stream().await?;
        let mut reason = Value::Null;
        while let Some(event) = events.next().await {
            let event: Value = event?.json().map_err(Status::from)?;
            let told = event.pointer("/candidates/0/finishReason");
            reason = told.cloned().unwrap_or(reason);
        }
        Ok::<_, Status>(reason)
    };
    match asked.await {
        Ok(reason) => Seen::of(reason.is_string(), format!("finishReason is {reason}")),
        Err(status) => Seen::failed(&status),
    }
}

/// The messages of a stream over gRPC.
async fn stream(at: &Setting) -> Result<Vec<GenerateContentResponse>, Status> {
    let answer = generative(&at.grpc).stream_generate_content(prompt(&at.model)).await?;
    let mut stream = answer.into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

async fn stream_pieces(at: &Setting) -> Seen {
    match stream(at).await {
        Ok(messages) => Seen::of(messages.len() > 1, format!("{} messages", messages.len())),
        Err(status) => Seen::failed(&status),
    }
}

async fn stream_end(at: &Setting) -> Seen {
    match stream(at).await {
        Ok(messages) => {
            let last = messages.last();
            let reason =
                last.and_then(|last| last.candidates.first()).map_or(0, |one| one.finish_reason);
            let usage = last.and_then(|last| last.usage_metadata.as_ref());
            let tokens = usage.map_or(0, |usage| usage.total_token_count);
            let text = format!("finish_reason {reason}, {tokens} tokens in all");
            Seen::of(reason != 0 && tokens > 0, text)
        }
        Err(status) => Seen::failed(&status),
    }
}

async fn stream_under(at: &Setting) -> Seen {
    let ask = async |is_streamed| {
        let mut request = Request::new(prompt(&at.model));
        request.extensions_mut().insert(CallOptions::new().stream_under(is_streamed));
        generative(&at.grpc).generate_content(request).await
    };
    let asked = async { Ok::<_, Status>((ask(false).await?, ask(true).await?)) };
    match asked.await {
        Ok((unary, collected)) => {
            let (unary, collected) = (shape(unary.get_ref()), shape(collected.get_ref()));
            let text = if unary == collected {
                unary.clone()
            } else {
                format!("unary: {unary}; collected: {collected}")
            };
            Seen::of(unary == collected, text)
        }
        Err(status) => Seen::failed(&status),
    }
}

/// What does not depend on the words that the model chose.
fn shape(answer: &GenerateContentResponse) -> String {
    let parts = answer.parts().map_or(0, <[_]>::len);
    let reason = answer.finish().map(|reason| reason.to_string()).unwrap_or_default();
    let usage = answer.usage_metadata.as_ref();
    let prompt = usage.map_or(0, |usage| usage.prompt_token_count);
    let candidates = answer.candidates.len();
    format!("{candidates} candidate, {parts} part, {reason}, {prompt} tokens of prompt")
}
