//! Each recorded reply of a model, through the REST transport: `reply` finds what a plain walk of
//! the JSON finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use genai_bridge::gemini::reply::{BrokenReply, Reply, ReplyError, collect_reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{GenerateContentRequest, GenerateContentResponse};
use genai_bridge::{Bridge, v1};
use prost::Message;
use serde_json::Value;
use tonic::{Request, Status};

use crate::recorded::{bridge_to, load, serve};

#[tokio::test]
#[ignore = "needs the shared test data"]
async fn reply_finds_what_a_walk_of_the_recording_finds() {
    let recordings = Arc::new(load());
    let bridge = bridge_to(serve(Arc::clone(&recordings)).await);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for (number, recording) in recordings.iter().enumerate() {
        let streams = match recording.method {
            Some("GenerativeService/GenerateContent") => false,
            Some("GenerativeService/StreamGenerateContent") => true,
            _ => continue,
        };
        let Some(expected) = walk(&recording.body, streams) else { continue };
        let found = match ask(bridge.clone(), streams, number).await {
            Ok(reply) => {
                let twin = v1::GenerateContentResponse::decode(reply.encode_to_vec().as_slice());
                let twin = read(&twin.expect("v1 reads it"));
                let found = read(&reply);
                // v1 has no thoughts to leave out.
                let agree =
                    twin.class == found.class && (twin.text == found.text || reply_thinks(&reply));
                if !agree {
                    failures
                        .push(format!("{}: v1 finds {twin:?}, v1beta {found:?}", recording.file));
                }
                found
            }
            Err((so_far, _status)) => Found { class: "broken".into(), text: read(&so_far).text },
        };
        let form = if streams { "streams" } else { "bodies" };
        *counts.entry(format!("{form}: {}", found.class)).or_default() += 1;
        if found != expected {
            failures.push(format!("{}: {expected:?} became {found:?}", recording.file));
        }
    }
    for (class, count) in &counts {
        println!("{count:5} {class}");
    }
    for failure in &failures {
        println!("failed: {failure}");
    }
    println!("{:5} failed", failures.len());
    assert!(failures.is_empty());
    assert!(counts.values().sum::<usize>() > 1000, "the recordings are not whole");
}

/// What a reply comes to.
#[derive(Debug, PartialEq)]
struct Found {
    class: String,
    text: String,
}

fn read(reply: &impl Reply) -> Found {
    match reply.text() {
        Ok(text) => Found { class: "answered".into(), text },
        Err(error) => {
            let class = match &error {
                ReplyError::PromptBlocked { reason, .. } => format!("blocked {reason}"),
                ReplyError::CandidateStopped { finish_reason, .. } => {
                    format!("stopped {finish_reason}")
                }
                ReplyError::Unfinished { .. } => "unfinished".to_owned(),
                _ => "empty".to_owned(),
            };
            Found { class, text: error.text().to_owned() }
        }
    }
}

fn reply_thinks(reply: &GenerateContentResponse) -> bool {
    let contents = reply.candidates.iter().flat_map(|candidate| &candidate.content);
    contents.flat_map(|content| &content.parts).any(|part| part.thought)
}

async fn ask(
    bridge: Bridge,
    streams: bool,
    number: usize,
) -> Result<GenerateContentResponse, (GenerateContentResponse, Status)> {
    let nothing = |status| (GenerateContentResponse::default(), status);
    let mut client = GenerativeServiceClient::new(bridge).max_decoding_message_size(64 << 20);
    let mut request =
        Request::new(GenerateContentRequest { model: "models/a".into(), ..Default::default() });
    request.metadata_mut().insert("x-row", number.to_string().parse().expect("a number"));
    if streams {
        let stream = client.stream_generate_content(request).await.map_err(nothing)?.into_inner();
        collect_reply(stream).await.map_err(BrokenReply::into_parts)
    } else {
        Ok(client.generate_content(request).await.map_err(nothing)?.into_inner())
    }
}

/// A plain walk over the JSON of a body, of an array's elements, or of a stream's events; `None`:
/// it holds an error, or no reply.
fn walk(body: &[u8], streams: bool) -> Option<Found> {
    let chunks = chunks_of(body);
    if chunks.iter().any(|chunk| chunk.get("error").is_some()) {
        return None;
    }
    let keys = ["candidates", "promptFeedback", "usageMetadata"];
    if !chunks.iter().any(|chunk| keys.iter().any(|key| chunk.get(key).is_some())) {
        return None;
    }
    let candidates: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk["candidates"].as_array()).flatten().collect();
    let index = |candidate: &Value| candidate["index"].as_i64().unwrap_or(0);
    let first = candidates.first().map(|candidate| index(candidate));
    let candidates: Vec<&Value> =
        candidates.into_iter().filter(|candidate| Some(index(candidate)) == first).collect();
    let parts: Vec<&Value> = candidates
        .iter()
        .filter_map(|candidate| candidate["content"]["parts"].as_array())
        .flatten()
        .collect();
    let text: String = parts
        .iter()
        .filter(|part| part["thought"] != Value::Bool(true))
        .filter_map(|part| part["text"].as_str())
        .collect();
    if ends_in_error(body) {
        return Some(Found { class: "broken".into(), text });
    }
    let found = classify(&chunks, &candidates, parts.is_empty(), text.clone());
    let is_cut = streams && !is_ended(&chunks);
    Some(if is_cut { Found { class: "broken".into(), text } } else { found })
}

/// Whether anything says why there is no more.
fn is_ended(chunks: &[Value]) -> bool {
    let candidates = chunks.iter().filter_map(|chunk| chunk["candidates"].as_array()).flatten();
    let blocks = chunks.iter().filter_map(|chunk| chunk["promptFeedback"].get("blockReason"));
    candidates.filter_map(|candidate| candidate.get("finishReason")).chain(blocks).count() > 0
}

/// An error that follows the events of a stream, as lines of JSON that are no event.
fn ends_in_error(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let mut others = text.lines().filter(|line| !line.starts_with("data:"));
    text.starts_with("data:") && others.any(|line| line.trim_start().starts_with("\"error\":"))
}

fn classify(chunks: &[Value], candidates: &[&Value], is_empty: bool, text: String) -> Found {
    let feedback = chunks.iter().filter_map(|chunk| chunk.get("promptFeedback"));
    let reason =
        feedback.clone().filter_map(|feedback| feedback["blockReason"].as_str()).next_back();
    let finish =
        candidates.iter().filter_map(|candidate| candidate.get("finishReason")).next_back();
    let class = match (reason, finish.and_then(Value::as_str)) {
        (Some(reason), _) => format!("blocked {}", as_read(reason)),
        _ if candidates.is_empty() && feedback.count() > 0 => {
            "blocked BLOCK_REASON_UNSPECIFIED".into()
        }
        (_, Some(reason)) if reason != "STOP" => format!("stopped {}", as_read(reason)),
        _ if is_empty => return Found { class: "empty".into(), text: String::new() },
        (_, None) if !is_ended(chunks) => "unfinished".to_owned(),
        _ => "answered".to_owned(),
    };
    Found { class, text }
}

/// Names made up to be unknown stand in the recordings.
fn as_read(reason: &str) -> &str {
    if reason.starts_with("FAKE") { "reason -1, unknown to this crate" } else { reason }
}

fn chunks_of(body: &[u8]) -> Vec<Value> {
    match serde_json::from_slice(body) {
        Ok(Value::Array(elements)) => elements,
        Ok(value) => vec![value],
        Err(_) => {
            let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
            let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
            data.filter_map(|data| serde_json::from_str(data).ok()).collect()
        }
    }
}
