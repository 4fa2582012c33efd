//! `stream_under` on recorded answers: a stream collected is the unary answer, member by member.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use genai_bridge::gemini;
use serde_json::{Map, Value, json};
use tonic::Code;

use crate::recorded::{Recording, bridge_to, builder_to, call, load, serve};
use crate::unpack;

const UNARY: &str = "GenerativeService/GenerateContent";
const STREAM: &str = "GenerativeService/StreamGenerateContent";
const REPLY: &str = "google.ai.generativelanguage.v1beta.GenerateContentResponse";

/// Each unary answer, cut into a stream as the service cuts them: texts in pieces, each chunk with
/// the usage so far, the signature behind its text, all else with the last chunk.
#[tokio::test]
#[ignore = "needs the shared test data"]
async fn a_unary_answer_that_is_cut_into_a_stream_comes_back_whole() {
    let mut recordings = Vec::new();
    for recording in load().into_iter().filter(|one| one.method == Some(UNARY)) {
        let Ok(body) = serde_json::from_slice::<Value>(&recording.body) else { continue };
        if let Some(events) = cut(&body) {
            let content_type = "text/event-stream".to_owned();
            let file = recording.file.clone();
            let stream =
                Recording { file, status: 200, content_type, body: events, method: Some(STREAM) };
            recordings.extend([recording, stream]);
        }
    }
    let count = recordings.len() / 2;
    let recordings = Arc::new(recordings);
    let address = serve(Arc::clone(&recordings)).await;
    let plain = bridge_to(address);
    let streamed = builder_to(address).stream_under(true).build().expect("settings");
    let (mut equal, mut failures) = (0, Vec::new());
    for number in (0..recordings.len()).step_by(2) {
        let unary = call(plain.clone(), UNARY, number).await;
        let collected = call(streamed.clone(), UNARY, number + 1).await;
        let of = |messages: &[bytes::Bytes]| messages.first().map(|wire| to_json(wire));
        let (unary, collected) = match (of(&unary.messages), of(&collected.messages)) {
            (Some(unary), Some(collected)) => (unary, collected),
            (None, None) => continue,
            (unary, _) => (unary.unwrap_or_default(), json!(collected.status.message())),
        };
        if unary == collected {
            equal += 1;
        } else {
            failures.push(format!("{}:\n  {unary}\n  {collected}", recordings[number].file));
        }
    }
    for failure in &failures {
        println!("failed: {failure:.2000}");
    }
    println!("{equal:5} of {count} unary answers cut into streams came back equal");
    assert!(failures.is_empty() && equal > 700, "{} failed", failures.len());
}

/// The server-sent events that an answer may have been; `None` where it was no model's answer, or
/// where two texts stand side by side, which no stream can tell from one.
fn cut(body: &Value) -> Option<Vec<u8>> {
    let candidates = body.get("candidates")?.as_array()?;
    let mut chunks = Vec::new();
    let mut rest = body.as_object()?.clone();
    let mut last = Vec::new();
    for candidate in candidates {
        let mut candidate = candidate.as_object()?.clone();
        candidate.get("finishReason")?;
        let content = candidate.get("content").cloned().unwrap_or_default();
        let parts = content.get("parts").and_then(Value::as_array).cloned().unwrap_or_default();
        if stand_side_by_side(&parts) {
            return None;
        }
        let mut pieces: Vec<Value> = parts.iter().flat_map(cut_part).collect();
        let behind = pieces.pop();
        let chunk = |piece: Value| {
            let mut chunk = Map::new();
            let mut content = content.as_object().cloned().unwrap_or_default();
            content.insert("parts".into(), json!([piece]));
            chunk.insert("content".into(), content.into());
            candidate.get("index").map(|index| chunk.insert("index".into(), index.clone()));
            let usage = json!({"promptTokenCount": 1, "totalTokenCount": 1});
            json!({"candidates": [chunk], "usageMetadata": usage})
        };
        chunks.extend(pieces.into_iter().map(chunk));
        if let (Some(piece), Some(content)) = (behind, candidate.get_mut("content")) {
            content["parts"] = json!([piece]);
        }
        last.push(Value::from(candidate));
    }
    rest.insert("candidates".into(), last.into());
    // An answer without usage has none in any chunk.
    if !rest.contains_key("usageMetadata") {
        for chunk in chunks.iter_mut().filter_map(Value::as_object_mut) {
            chunk.remove("usageMetadata");
        }
    }
    chunks.push(rest.into());
    let events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
    Some(events.concat().into_bytes())
}

fn stand_side_by_side(parts: &[Value]) -> bool {
    let is_text = |part: &Value| part.get("text").is_some();
    parts.windows(2).any(|two| {
        is_text(&two[0]) && is_text(&two[1]) && two[0].get("thought") == two[1].get("thought")
    })
}

/// A text becomes three, and its signature one more; any other part stays.
fn cut_part(part: &Value) -> Vec<Value> {
    let Some(text) = part.get("text").and_then(Value::as_str).filter(|text| text.len() > 8) else {
        return vec![part.clone()];
    };
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let (one, two) = (ends[ends.len() / 3], ends[2 * ends.len() / 3]);
    let piece = |text: &str| {
        let mut piece = part.clone();
        piece["text"] = json!(text);
        piece.as_object_mut().map(|piece| piece.remove("thoughtSignature"));
        piece
    };
    let mut pieces = vec![piece(&text[..one]), piece(&text[one..two]), piece(&text[two..])];
    if part.get("thoughtSignature").is_some() {
        let mut signed = part.clone();
        signed["text"] = json!("");
        pieces.push(signed);
    }
    pieces
}

/// Streams of which the unary answer to the same request and model was recorded too: a model writes
/// something else each time, so what is compared is which members there are.
#[tokio::test]
#[ignore = "needs the shared test data"]
async fn a_recorded_stream_has_the_members_of_the_unary_answer_to_the_same_request() {
    let requests = requests();
    let recordings: Arc<Vec<Recording>> = Arc::new(load());
    let mut unary: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, recording) in recordings.iter().enumerate() {
        if let (Some(UNARY), Some(request)) = (recording.method, requests.get(&recording.file)) {
            unary.entry(request).or_default().push(number);
        }
    }
    let address = serve(Arc::clone(&recordings)).await;
    let plain = bridge_to(address);
    let streamed = builder_to(address).stream_under(true).build().expect("settings");
    let (mut streams, mut pairs) = (0, 0);
    let mut differences: BTreeMap<String, usize> = BTreeMap::new();
    for (number, recording) in recordings.iter().enumerate() {
        let request = requests.get(&recording.file).filter(|_| recording.method == Some(STREAM));
        let Some(twins) = request.and_then(|request| unary.get(&**request)) else { continue };
        let collected = call(streamed.clone(), UNARY, number).await;
        if collected.status.code() != Code::Ok {
            continue;
        }
        let collected = members(&to_json(&collected.messages[0]));
        streams += 1;
        for twin in twins {
            let twin = call(plain.clone(), UNARY, *twin).await;
            if twin.status.code() != Code::Ok {
                continue;
            }
            let twin = members(&to_json(&twin.messages[0]));
            pairs += 1;
            for member in collected.difference(&twin) {
                *differences.entry(format!("in the stream only: {member}")).or_default() += 1;
            }
            for member in twin.difference(&collected) {
                *differences.entry(format!("in the unary answer only: {member}")).or_default() += 1;
            }
        }
    }
    println!("{streams:5} streams, {pairs} pairs with the unary answer to the same request");
    for (difference, count) in &differences {
        println!("{count:5} {difference}");
    }
    assert!(pairs > 100, "the recordings are not whole");
    let unexpected = differences.keys().filter(|one| !KNOWN.contains(&one.as_str()));
    assert_eq!(unexpected.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// No stream tells the mean of the logarithms. One answer had no text in one of the two forms, and
/// one no thought. One unary answer kept the texts apart between which the service had called a
/// tool.
const KNOWN: [&str; 5] = [
    "in the unary answer only: .candidates[].avgLogprobs",
    "in the unary answer only: .usageMetadata.candidatesTokenCount",
    "in the unary answer only: .usageMetadata.thoughtsTokenCount",
    "in the stream only: parts functionCall functionResponse text",
    "in the unary answer only: parts functionCall functionResponse text text text",
];

/// The paths of an answer's members, and the kinds of its parts in their order.
fn members(answer: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(answer, "", &mut found);
    for candidate in answer["candidates"].as_array().into_iter().flatten() {
        let mut kinds: Vec<String> = Vec::new();
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let names: Vec<&str> =
                part.as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
            kinds.push(names.join("+"));
        }
        found.insert(format!("parts {}", kinds.join(" ")));
    }
    found
}

fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                // What a tool is called with is the model's to choose.
                if name != "args" && name != "parts" {
                    let path = format!("{path}.{name}");
                    walk(value, &path, found);
                    found.insert(path);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                walk(element, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

fn to_json(wire: &[u8]) -> Value {
    let schema = gemini::schema().expect("a schema");
    let json = schema.json_from_message(REPLY, wire).expect("a reply");
    serde_json::from_slice(&json).expect("JSON")
}

/// What was asked for, model and request, by the name of the answer's file.
fn requests() -> HashMap<String, String> {
    let mut requests = HashMap::new();
    for (path, body) in unpack("recorded.tar.gz") {
        let Some(stem) =
            path.strip_prefix("recorded/").and_then(|path| path.strip_suffix(".http.json"))
        else {
            continue;
        };
        let Ok(exchange) = serde_json::from_slice::<Value>(&body) else { continue };
        let model = exchange["url"].as_str().and_then(|url| url.split("models/").nth(1));
        let model = model.and_then(|model| model.split(':').next());
        let request = exchange["req_body"].as_str().filter(|request| !request.is_empty());
        if let (Some(model), Some(request)) = (model, request) {
            let request = serde_json::from_str(request).unwrap_or_else(|_| json!(request));
            for end in ["json", "sse", "txt"] {
                requests.insert(format!("{stem}.resp.{end}"), format!("{model} {request}"));
            }
        }
    }
    requests
}
