//! Transfer: uploads. Storing a file is free.

use genai_bridge::Bridge;
use http::{HeaderMap, Method, Response};
use serde_json::json;
use tonic::Status;
use tonic::body::Body;

use super::question::{Question, Seen, Setting};

pub(super) static QUESTIONS: [Question; 4] = [
    Question::free(
        "upload-place",
        "where do the bytes of an upload go?",
        "to the service's own origin, named by X-Goog-Upload-URL",
        |at| Box::pin(place(at)),
    ),
    Question::free(
        "upload-granularity",
        "of how many bytes are the pieces of an upload?",
        "of a number that it names: 8388608 was seen",
        |at| Box::pin(granularity(at)),
    ),
    Question::free(
        "upload-cancel",
        "does the service forget an upload that is cancelled?",
        "its status is then cancelled",
        |at| Box::pin(cancel(at)),
    ),
    Question::free(
        "upload",
        "is a file of 1 KB there after its upload, and gone after its removal?",
        "it is",
        |at| Box::pin(upload(at)),
    ),
];

/// Begins an upload, and gives what the service says of it.
async fn begin(bridge: &Bridge) -> Result<HeaderMap, Status> {
    let body = json!({"file": {"displayName": NAME}});
    let request = bridge.json(Method::POST, "/upload/v1beta/files").value(&body);
    let answer = request
        .header("x-goog-upload-protocol", "resumable")
        .header("x-goog-upload-command", "start")
        .header("x-goog-upload-header-content-length", SIZE.to_string())
        .header("x-goog-upload-header-content-type", "text/plain")
        .bytes()
        .await?;
    Ok(answer.headers().clone())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Path and query of the place of an upload; the bridge alone knows its origin.
fn target(headers: &HeaderMap) -> Option<String> {
    let url: http::Uri = text(headers, URL)?.parse().ok()?;
    url.path_and_query().map(ToString::to_string)
}

async fn command(
    bridge: &Bridge,
    headers: &HeaderMap,
    command: &str,
) -> Result<Response<Body>, Status> {
    let target = target(headers).unwrap_or_default();
    bridge.json(Method::POST, target).header("x-goog-upload-command", command).bytes().await
}

async fn place(at: &Setting) -> Seen {
    let headers = match begin(&at.rest).await {
        Ok(headers) => headers,
        Err(status) => return Seen::failed(&status),
    };
    let Some(url) = text(&headers, URL).and_then(|url| url.parse::<http::Uri>().ok()) else {
        return Seen::of(false, "no place was named");
    };
    // The upload id lets everybody write there.
    let host = url.authority().map_or("no host", |authority| authority.as_str());
    let seen = format!("{host}{}", url.path());
    // The bridge sends nothing to another origin: it says so before it sends.
    let file = at.rest.files().upload_bytes(vec![b'a'; SIZE]).mime_type("text/plain").send().await;
    let _ = command(&at.rest, &headers, "cancel").await;
    match file {
        Ok(file) => {
            let _ = at.rest.files().delete(&file.name).await;
            Seen::of(true, seen)
        }
        Err(status) => Seen::of(false, format!("{seen}: {}", super::question::words(&status))),
    }
}

async fn granularity(at: &Setting) -> Seen {
    let headers = match begin(&at.rest).await {
        Ok(headers) => headers,
        Err(status) => return Seen::failed(&status),
    };
    let _ = command(&at.rest, &headers, "cancel").await;
    let told = text(&headers, "x-goog-upload-chunk-granularity");
    let bytes = told.and_then(|told| told.parse::<u64>().ok()).filter(|bytes| *bytes > 0);
    Seen::of(bytes.is_some(), format!("{} bytes", told.unwrap_or("no number of")))
}

async fn cancel(at: &Setting) -> Seen {
    let headers = match begin(&at.rest).await {
        Ok(headers) => headers,
        Err(status) => return Seen::failed(&status),
    };
    match command(&at.rest, &headers, "cancel").await {
        Ok(answer) => {
            let status = text(answer.headers(), "x-goog-upload-status").unwrap_or("not told");
            Seen::of(status == "cancelled", format!("its status is {status}"))
        }
        Err(status) => Seen::failed(&status),
    }
}

async fn upload(at: &Setting) -> Seen {
    let files = at.rest.files();
    let content = vec![b'a'; SIZE];
    let sent = files.upload_bytes(content).mime_type("text/plain").display_name(NAME).send().await;
    let file = match sent {
        Ok(file) => file,
        Err(status) => return Seen::failed(&status),
    };
    let known = files.get(&file.name).await;
    let removed = files.delete(&file.name).await;
    let is_gone = files.get(&file.name).await.is_err();
    match (known, removed) {
        (Ok(known), Ok(())) => {
            let size = known.size_bytes;
            let is_whole = usize::try_from(size) == Ok(SIZE);
            let left = if is_gone { "gone after its removal" } else { "still there" };
            Seen::of(is_whole && is_gone, format!("{size} bytes, {left}"))
        }
        (Err(status), _) | (_, Err(status)) => Seen::failed(&status),
    }
}

const URL: &str = "x-goog-upload-url";
const NAME: &str = "genai-bridge verify";
const SIZE: usize = 1024;
