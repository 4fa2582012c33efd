//! Recorded answers of the real service, through the REST transport, chunked at awkward places.
//!
//! A success must decode, message for message; an error must give the code that its `status` names.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use genai_bridge::{Bridge, BridgeBuilder, Proxy, RetryPolicy, Transport, longrunning, v1beta};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service;

use crate::{shared, unpack};

pub(crate) struct Recording {
    pub(crate) file: String,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    pub(crate) method: Option<&'static str>,
}

#[tokio::test]
#[ignore = "needs the shared test data"]
async fn recorded_answers_decode_and_recorded_errors_keep_their_code() {
    let recordings = Arc::new(load());
    let bridge = bridge_to(serve(Arc::clone(&recordings)).await);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = BTreeMap::new();
    for (number, recording) in recordings.iter().enumerate() {
        let Some(method) = recording.method else {
            *counts.entry("REST-only endpoint, left out").or_default() += 1;
            continue;
        };
        let outcome = call(bridge.clone(), method, number).await;
        match judge(recording, method, &outcome) {
            Ok(class) => *counts.entry(class).or_default() += 1,
            Err(reason) => drop(failures.insert(recording.file.clone(), reason)),
        }
    }
    for (class, count) in &counts {
        println!("{count:5} {class}");
    }
    for (file, reason) in &failures {
        println!("failed: {file}: {reason}");
    }
    println!("{:5} failed", failures.len());
    assert!(failures.is_empty());
    assert!(recordings.len() > 1200, "the recordings are not whole");
}

/// A bridge over REST to recordings that are served.
pub(crate) fn bridge_to(address: std::net::SocketAddr) -> Bridge {
    builder_to(address).build().expect("settings")
}

pub(crate) fn builder_to(address: std::net::SocketAddr) -> BridgeBuilder {
    Bridge::builder()
        .endpoint(format!("http://{address}"))
        .api_key("no-key")
        .proxy(Proxy::none())
        .transport(Transport::Rest)
        .retry(RetryPolicy::none())
}

/// The recordings of this service.
pub(crate) fn load() -> Vec<Recording> {
    load_of(|api| api == "gl")
}

/// The recordings of services by their short names in the index.
pub(crate) fn load_of(is_wanted: impl Fn(&str) -> bool) -> Vec<Recording> {
    let root = shared().join("testdata");
    let mut files: HashMap<String, Vec<u8>> = unpack("recorded.tar.gz")
        .into_iter()
        .map(|(path, body)| (path.trim_start_matches("recorded/").to_owned(), body))
        .collect();
    let index = fs::read_to_string(root.join("recorded_index.tsv")).expect("recorded_index.tsv");
    let mut lines = index.lines();
    let header: Vec<&str> = lines.next().expect("header").split('\t').collect();
    let column = |name: &str| header.iter().position(|field| *field == name).expect("column");
    let (file, api, verb, url) = (column("file"), column("api"), column("method"), column("url"));
    let (status, content_type, kind) =
        (column("status"), column("content_type"), column("body_kind"));
    lines
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|row| is_wanted(row[api]) && ["json", "sse", "json-array"].contains(&row[kind]))
        .map(|row| {
            let body =
                files.remove(row[file]).unwrap_or_else(|| panic!("{} is missing", row[file]));
            let method = match row[url] {
                "" => Some(method_of_shape(&body, row[kind])),
                url => method_of_url(row[verb], url),
            };
            Recording {
                file: row[file].to_owned(),
                status: row[status].parse().unwrap_or_else(|_| status_of_body(&body)),
                content_type: row[content_type].to_owned(),
                body,
                method,
            }
        })
        .collect()
}

fn status_of_body(body: &[u8]) -> u16 {
    error_of(body).map_or(200, |error| error["code"].as_u64().unwrap_or(500) as u16)
}

/// The error object of a body, in an array or not.
fn error_of(body: &[u8]) -> Option<serde_json::Value> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let object = value.as_array().and_then(|elements| elements.first()).unwrap_or(&value);
    object.get("error").filter(|error| error.is_object()).cloned()
}

fn method_of_url(verb: &str, url: &str) -> Option<&'static str> {
    let path = url.split('?').next()?;
    let path = path
        .split_once("://")
        .map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = path.trim_start_matches('/').strip_prefix("v1beta/")?;
    if path.starts_with("upload/") || path.starts_with("openai/") || path.contains("/openai/") {
        return None;
    }
    let (resource, custom) = path.split_once(':').unwrap_or((path, ""));
    let segments: Vec<&str> = resource.split('/').collect();
    Some(match (verb, segments.as_slice(), custom) {
        (_, ["models" | "tunedModels" | "dynamic", _], "generateContent") => {
            "GenerativeService/GenerateContent"
        }
        (_, ["models" | "tunedModels" | "dynamic", _], "streamGenerateContent") => {
            "GenerativeService/StreamGenerateContent"
        }
        (_, ["models", _], "batchEmbedContents") => "GenerativeService/BatchEmbedContents",
        (_, ["models", _], "embedContent") => "GenerativeService/EmbedContent",
        (_, ["models", _], "countTokens") => "GenerativeService/CountTokens",
        (_, ["models", _], "predictLongRunning") => "PredictionService/PredictLongRunning",
        ("POST", ["cachedContents"], "") => "CacheService/CreateCachedContent",
        (_, ["cachedContents"], "") => "CacheService/ListCachedContents",
        ("PATCH", ["cachedContents", _], "") => "CacheService/UpdateCachedContent",
        ("DELETE", ["cachedContents", _], "") => "CacheService/DeleteCachedContent",
        (_, ["cachedContents", _], "") => "CacheService/GetCachedContent",
        (_, ["models"], "") => "ModelService/ListModels",
        (_, ["models", _], "") => "ModelService/GetModel",
        (_, ["models", _, "operations", _], "") => "Operations/GetOperation",
        ("POST", ["files"], "") => return None,
        (_, ["files"], "") => "FileService/ListFiles",
        ("DELETE", ["files", _], "") => "FileService/DeleteFile",
        (_, ["files", _], "") => "FileService/GetFile",
        _ => return None,
    })
}

/// Rows without a URL: the body tells what it answers.
fn method_of_shape(body: &[u8], kind: &str) -> &'static str {
    if kind != "json" {
        return "GenerativeService/StreamGenerateContent";
    }
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let has = |key: &str| value.get(key).is_some();
    if has("totalTokens") {
        "GenerativeService/CountTokens"
    } else if has("embeddings") {
        "GenerativeService/BatchEmbedContents"
    } else if has("embedding") {
        "GenerativeService/EmbedContent"
    } else if has("models") {
        "ModelService/ListModels"
    } else {
        "GenerativeService/GenerateContent"
    }
}

/// A request that satisfies the method's HTTP rule.
fn request_of(method: &str) -> Vec<u8> {
    match method {
        "CacheService/CreateCachedContent" => {
            v1beta::CreateCachedContentRequest::default().encode_to_vec()
        }
        "CacheService/ListCachedContents" => {
            v1beta::ListCachedContentsRequest::default().encode_to_vec()
        }
        "CacheService/UpdateCachedContent" => {
            let content = v1beta::CachedContent {
                name: Some("cachedContents/a".into()),
                ..Default::default()
            };
            v1beta::UpdateCachedContentRequest {
                cached_content: Some(content),
                update_mask: None,
                ..Default::default()
            }
            .encode_to_vec()
        }
        "CacheService/DeleteCachedContent" | "CacheService/GetCachedContent" => {
            v1beta::GetCachedContentRequest {
                name: "cachedContents/a".into(),
                ..Default::default()
            }
            .encode_to_vec()
        }
        "ModelService/ListModels" => v1beta::ListModelsRequest::default().encode_to_vec(),
        "FileService/ListFiles" => v1beta::ListFilesRequest::default().encode_to_vec(),
        "FileService/GetFile" | "FileService/DeleteFile" => {
            v1beta::GetFileRequest { name: "files/a".into(), ..Default::default() }.encode_to_vec()
        }
        "Operations/GetOperation" => {
            longrunning::GetOperationRequest { name: "models/a/operations/b".into() }
                .encode_to_vec()
        }
        // Field 1 of each of these names the model.
        _ => v1beta::GetModelRequest { name: "models/a".into(), ..Default::default() }
            .encode_to_vec(),
    }
}

pub(crate) struct Outcome {
    pub(crate) messages: Vec<Bytes>,
    pub(crate) status: Status,
}

pub(crate) async fn call(mut bridge: Bridge, method: &str, number: usize) -> Outcome {
    let package = if method.starts_with("Operations") {
        "google.longrunning"
    } else {
        "google.ai.generativelanguage.v1beta"
    };
    let message = request_of(method);
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
    frame.extend_from_slice(&message);
    let request = http::Request::post(format!("/{package}.{method}"))
        .header("x-row", number)
        .body(Body::new(Full::new(Bytes::from(frame))))
        .expect("request");
    let failed = |status| Outcome { messages: Vec::new(), status };
    let answer = match bridge.call(request).await {
        Ok(answer) => answer,
        Err(status) => return failed(status),
    };
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return failed(status);
    }
    let mut body = answer.into_body();
    let mut held = Vec::new();
    let mut status = Status::unknown("no trailers");
    while let Some(frame) = body.frame().await {
        match frame {
            Err(error) => status = error,
            Ok(frame) => match frame.into_data() {
                Ok(data) => held.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    status = Status::from_header_map(&trailers).unwrap_or(status);
                }
            },
        }
    }
    Outcome { messages: split_frames(&held), status }
}

fn split_frames(mut held: &[u8]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = held.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        messages.push(Bytes::copy_from_slice(&rest[..length]));
        held = &rest[length..];
    }
    assert!(held.is_empty(), "the answer ends inside a frame");
    messages
}

fn judge(recording: &Recording, method: &str, outcome: &Outcome) -> Result<&'static str, String> {
    for message in &outcome.messages {
        decode(method, message).map_err(|error| format!("message does not decode: {error}"))?;
    }
    let text = String::from_utf8_lossy(&recording.body);
    if let Some(error) = error_of(&recording.body) {
        let named = error["status"].as_str().map(code_named);
        return match named {
            Some(expected) if expected == outcome.status.code() => {
                Ok("error with the code it names")
            }
            Some(expected) => Err(format!("{expected:?} became {:?}", outcome.status)),
            None if outcome.status.code() != Code::Ok => Ok("error without a status name"),
            None => Err("an error became a success".into()),
        };
    }
    let has_error_inside = text.contains("\"error\":") && outcome.status.code() != Code::Ok;
    if has_error_inside {
        return Ok("stream that ends in an error");
    }
    let is_reply = ["candidates", "promptFeedback", "usageMetadata"];
    let is_foreign = method.ends_with("GenerateContent")
        && !is_reply.iter().any(|name| text.contains(&format!("\"{name}\"")));
    if is_foreign {
        return match outcome.status.code() {
            Code::Unavailable => Ok("no reply of this API"),
            code => Err(format!("{code:?}, and it is no reply of this API")),
        };
    }
    let is_ended = ["finishReason", "blockReason"].iter().any(|reason| text.contains(reason));
    if text.starts_with("data:") && !is_ended {
        let code = outcome.status.code();
        let is_told = [Code::DataLoss, Code::Unavailable].contains(&code);
        return if is_told { Ok("events that nothing ends") } else { Err(format!("{code:?}")) };
    }
    if outcome.status.code() != Code::Ok {
        return Err(format!("{:?}: {}", outcome.status.code(), outcome.status.message()));
    }
    let expected = match serde_json::from_slice::<serde_json::Value>(&recording.body) {
        Ok(serde_json::Value::Array(elements)) => elements.len(),
        Ok(_) => 1,
        Err(_) => text
            .lines()
            .filter(|line| line.starts_with("data:") && !line.contains("[DONE]"))
            .count(),
    };
    if outcome.messages.len() != expected {
        return Err(format!("{expected} messages were recorded, {} came", outcome.messages.len()));
    }
    Ok(if expected == 1 { "success" } else { "stream of several messages" })
}

fn decode(method: &str, message: &[u8]) -> Result<(), prost::DecodeError> {
    match method {
        "GenerativeService/GenerateContent" | "GenerativeService/StreamGenerateContent" => {
            v1beta::GenerateContentResponse::decode(message).map(drop)
        }
        "GenerativeService/BatchEmbedContents" => {
            v1beta::BatchEmbedContentsResponse::decode(message).map(drop)
        }
        "GenerativeService/EmbedContent" => v1beta::EmbedContentResponse::decode(message).map(drop),
        "GenerativeService/CountTokens" => v1beta::CountTokensResponse::decode(message).map(drop),
        "CacheService/ListCachedContents" => {
            v1beta::ListCachedContentsResponse::decode(message).map(drop)
        }
        "CacheService/DeleteCachedContent" | "FileService/DeleteFile" => <()>::decode(message),
        "CacheService/CreateCachedContent"
        | "CacheService/GetCachedContent"
        | "CacheService/UpdateCachedContent" => v1beta::CachedContent::decode(message).map(drop),
        "ModelService/ListModels" => v1beta::ListModelsResponse::decode(message).map(drop),
        "ModelService/GetModel" => v1beta::Model::decode(message).map(drop),
        "FileService/ListFiles" => v1beta::ListFilesResponse::decode(message).map(drop),
        "FileService/GetFile" => v1beta::File::decode(message).map(drop),
        "Operations/GetOperation" | "PredictionService/PredictLongRunning" => {
            longrunning::Operation::decode(message).map(drop)
        }
        other => panic!("{other} is not known here"),
    }
}

fn code_named(name: &str) -> Code {
    match name {
        "CANCELLED" => Code::Cancelled,
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        "NOT_FOUND" => Code::NotFound,
        "ALREADY_EXISTS" => Code::AlreadyExists,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "ABORTED" => Code::Aborted,
        "OUT_OF_RANGE" => Code::OutOfRange,
        "UNIMPLEMENTED" => Code::Unimplemented,
        "INTERNAL" => Code::Internal,
        "UNAVAILABLE" => Code::Unavailable,
        "DATA_LOSS" => Code::DataLoss,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        _ => Code::Unknown,
    }
}

/// Answers each request with the recording that its `x-row` header names.
pub(crate) async fn serve(recordings: Arc<Vec<Recording>>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&recordings)));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, recordings: Arc<Vec<Recording>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length: usize =
        header("content-length").and_then(|value| value.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let number: usize = header("x-row").and_then(|value| value.trim().parse().ok()).expect("x-row");
    let recording = &recordings[number];
    let content_type = match recording.content_type.as_str() {
        "" => "application/json; charset=UTF-8",
        known => known,
    };
    let mut answer = format!(
        "HTTP/1.1 {} Recorded\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        recording.status
    )
    .into_bytes();
    for chunk in awkward_chunks(&recording.body, number) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    // The client may have seen enough and gone.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

/// Cuts in the middle of everything: odd sizes, at most some thousand chunks a body.
fn awkward_chunks(body: &[u8], number: usize) -> impl Iterator<Item = &[u8]> {
    let sizes = [1, 2, 3, 5, 7, 11, 13, 4099];
    let size = sizes[number % sizes.len()].max(body.len() / 3000);
    body.chunks(size)
}
