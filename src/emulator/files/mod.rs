//! Files: the resumable upload protocol, the files that it leaves, and their download.

mod download;
pub(super) mod store;
mod texts;
mod upload;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;

use super::record::{Attendance, Received};
use super::service::{AnswerBody, Service};
use store::Files;
use texts::{json, plain};

/// What a path is about.
pub(super) enum Errand {
    /// `/upload/..`.
    Upload,
    /// `/{version}/files/{id}` of a file that is here, or was.
    File(String),
    /// The bytes of one.
    Download { id: String, is_final: bool },
}

impl Errand {
    /// `None`: it is not about files that were uploaded here.
    pub(super) fn of(files: &Files, head: &Parts) -> Option<Self> {
        let path = head.uri.path();
        if path.starts_with("/upload/") && head.method == Method::POST {
            return Some(Self::Upload);
        }
        let (is_final, path) = match path.strip_prefix("/download/") {
            Some(rest) => (true, rest),
            None => (false, path.strip_prefix('/')?),
        };
        let (_, id) = path.split_once("/files/")?;
        let found = id.strip_suffix(":download");
        let id = found.unwrap_or(id).to_owned();
        files.has(&id).then_some(match found {
            Some(_) => Self::Download { id, is_final },
            None => Self::File(id),
        })
    }
}

/// Answers a request about files.
pub(super) async fn answer(
    service: &Service,
    errand: Errand,
    head: &Parts,
    body: Incoming,
    mut attendance: Attendance,
) -> Response<AnswerBody> {
    service.record.add(Received::new("", true, head, Bytes::new()));
    let key = head
        .uri
        .query()
        .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("key=")));
    let is_upload = matches!(errand, Errand::Upload);
    if let Err(status) = service.admit(&head.headers, key).or_else(|refusal| {
        // Whoever has the id of an upload needs no key.
        if is_upload && upload::id_of(head).is_some() { Ok(()) } else { Err(refusal) }
    }) {
        attendance.finish();
        return plain(StatusCode::FORBIDDEN, status.message());
    }
    match errand {
        Errand::Upload => {
            let answer = upload::answer(&service.files, head, body).await;
            attendance.finish();
            answer
        }
        Errand::File(id) => {
            attendance.finish();
            if head.method == Method::DELETE {
                service.files.remove(&id);
                return json(StatusCode::OK, "{}".to_owned());
            }
            match service.files.look(&id) {
                Some(description) => json(StatusCode::OK, description),
                None => json(StatusCode::FORBIDDEN, NO_SUCH_FILE.to_owned()),
            }
        }
        Errand::Download { id, is_final: false } => {
            attendance.finish();
            download::redirect(&id, head)
        }
        Errand::Download { id, is_final: true } => {
            download::bytes(&service.files, &id, head, attendance)
        }
    }
}

/// In the service's form: it does not tell who may not see a file that there is none.
const NO_SUCH_FILE: &str = r#"{"error":{"code":403,"message":"there is no such file, or it is not yours","status":"PERMISSION_DENIED"}}"#;
