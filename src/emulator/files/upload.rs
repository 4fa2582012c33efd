//! Upload: start, pieces, query, finalize and cancel, as `X-Goog-Upload-*` says them.

use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Collected};
use hyper::body::Incoming;
use serde_json::Value;

use super::store::{Files, Upload};
use super::texts::{json, plain};
use crate::emulator::service::AnswerBody;

/// Of an upload under way, whose URL names it.
pub(super) fn id_of(head: &Parts) -> Option<&str> {
    let query = head.uri.query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("upload_id="))
}

pub(super) async fn answer(files: &Files, head: &Parts, body: Incoming) -> Response<AnswerBody> {
    let command = header(head, "x-goog-upload-command").to_owned();
    let commands: Vec<&str> = command.split(',').map(str::trim).collect();
    let Some(id) = id_of(head) else { return start(files, head, body, &commands).await };
    let Some((turn, received)) = files.take_turn(id) else {
        return plain(StatusCode::NOT_FOUND, "Upload not found or finished");
    };
    if commands.contains(&"query") {
        let mut answer = with_status(plain(StatusCode::OK, ""), "active");
        answer.headers_mut().insert(SIZE_RECEIVED, received.into());
        return answer;
    }
    if commands.contains(&"cancel") {
        files.cancel(id);
        return with_status(plain(StatusCode::OK, ""), "cancelled");
    }
    if header(head, "x-goog-upload-offset").parse() != Ok(received) {
        let text = format!("the offset is not {received}");
        return plain(StatusCode::PRECONDITION_FAILED, &text);
    }
    let is_last = commands.contains(&"finalize");
    let unit = files.granularity.max(1);
    match receive(files, id, turn, body).await {
        // The client has gone, or asks already how much has arrived: nobody reads this.
        None => return plain(StatusCode::BAD_REQUEST, "the piece broke off"),
        Some(length) if !is_last && !length.is_multiple_of(unit) => {
            return plain(StatusCode::BAD_REQUEST, "a piece is no multiple of the granularity");
        }
        Some(_) => {}
    }
    if !is_last {
        return with_status(plain(StatusCode::OK, ""), "active");
    }
    match files.finish(id, &origin(files, head)) {
        Ok(text) => with_status(json(StatusCode::OK, text), "final"),
        Err(text) => plain(StatusCode::BAD_REQUEST, &text),
    }
}

async fn start(
    files: &Files,
    head: &Parts,
    body: Incoming,
    commands: &[&str],
) -> Response<AnswerBody> {
    if !commands.contains(&"start") || header(head, "x-goog-upload-protocol") != "resumable" {
        return plain(StatusCode::BAD_REQUEST, "only resumable uploads are supported");
    }
    let text = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let told: Value = serde_json::from_slice(&text).unwrap_or_default();
    let told = told.get("file").unwrap_or(&told);
    let content_type = header(head, "x-goog-upload-header-content-type").to_owned();
    let path = head.uri.path();
    let store = path.split_once("/fileSearchStores/").map(|(_, store)| {
        format!("fileSearchStores/{}", store.split(':').next().unwrap_or_default())
    });
    let id = files.begin(Upload {
        declared: header(head, "x-goog-upload-header-content-length").parse().ok(),
        content_type,
        display_name: ["displayName", "display_name"]
            .iter()
            .find_map(|name| told.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .into(),
        store,
        ..Upload::default()
    });
    let url = format!("{}{path}?upload_id={id}&upload_protocol=resumable", origin(files, head));
    let url = HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static(""));
    let mut answer = with_status(plain(StatusCode::OK, ""), "active");
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("x-goog-upload-url"), url.clone());
    headers.insert(HeaderName::from_static("x-goog-upload-control-url"), url);
    let granularity = HeaderName::from_static("x-goog-upload-chunk-granularity");
    headers.insert(granularity, files.granularity.into());
    answer
}

/// Reads a piece, and gives its length; `None` if it breaks off.
async fn receive(files: &Files, id: &str, turn: u64, mut body: Incoming) -> Option<usize> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            length += data.len();
            files.add(id, turn, data).then_some(())?;
        }
    }
    Some(length)
}

fn header<'h>(head: &'h Parts, name: &str) -> &'h str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Scheme and host as the client named them.
fn origin(files: &Files, head: &Parts) -> String {
    let host = head.uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| head.headers.get(HOST)?.to_str().ok()).unwrap_or_default();
    format!("{}://{host}", files.scheme)
}

fn with_status(mut answer: Response<AnswerBody>, status: &'static str) -> Response<AnswerBody> {
    let name = HeaderName::from_static("x-goog-upload-status");
    answer.headers_mut().insert(name, HeaderValue::from_static(status));
    answer
}

const SIZE_RECEIVED: HeaderName = HeaderName::from_static("x-goog-upload-size-received");
