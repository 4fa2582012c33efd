//! REST: a call over HTTP/1.1 or HTTP/2, answered in Google's forms.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, SERVER, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prost::Message as _;
use tokio::time::Instant;
use tonic::Status;

use super::delivery::{Delivery, Form, before};
use super::files::{self, Errand};
use super::framing::{accepts_gzip, gunzip, gzip};
use super::json::{Printer, http_form};
use super::message::{RequestBody, assemble};
use super::methods::Route;
use super::query::Query;
use super::record::{Attendance, Received};
use super::script::Reply;
use super::service::{AnswerBody, Service};

const JSON: &str = "application/json; charset=UTF-8";
const EVENT_STREAM: &str = "text/event-stream";

/// Answers a request.
pub(super) async fn answer(service: &Service, request: Request<Incoming>) -> Response<AnswerBody> {
    let mut attendance = service.record.attend();
    let (head, body) = request.into_parts();
    if let Some(page) = service.pages.take(&page_key(&head.method, head.uri.path())) {
        return page.answer(&service.record, &head, body, attendance).await;
    }
    if let Some(errand) = Errand::of(&service.files, &head) {
        return files::answer(service, errand, &head, body, attendance).await;
    }
    let deadline = deadline(&head.headers);
    let Some(route) = service.methods.route(&head.method, head.uri.path()) else {
        service.record.add(Received::new("", true, &head, Bytes::new()));
        attendance.finish();
        return not_found(head.uri.path());
    };
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let reply = match receive(service, &route, &head, query.as_ref(), body).await {
        Ok(message) => service.reply(route.method, &message),
        Err(status) => Reply::error(status),
    };
    if reply.is_never {
        pending::<()>().await;
    }
    let query = query.unwrap_or_default();
    let printer = Printer::new(&route, &query);
    let is_stream = route.method.descriptor.is_server_streaming();
    if is_stream && reply.immediate_error().is_none() {
        return stream(printer, query.is_sse, reply, attendance, deadline);
    }
    let due = before(deadline, reply.wait_for(0)).await;
    attendance.finish();
    match due.err().as_ref().or(reply.error.as_ref()) {
        Some(status) => error(&printer, is_stream && query.is_sse, &reply, status),
        None => whole(&printer, &head.headers, &reply),
    }
}

/// Reads and records the request; gives its message, if it is one and comes with the key.
async fn receive(
    service: &Service,
    route: &Route<'_>,
    head: &Parts,
    query: Result<&Query, &Status>,
    body: Incoming,
) -> Result<Bytes, Status> {
    let message = match query {
        Ok(query) => read_message(route, head, query, body).await,
        Err(status) => Err(status.clone()),
    };
    let recorded = message.as_ref().cloned().unwrap_or_default();
    service.record.add(Received::new(&route.method.path, true, head, recorded));
    service.admit(&head.headers, query.ok().and_then(|query| query.key.as_deref()))?;
    message
}

async fn read_message(
    route: &Route<'_>,
    head: &Parts,
    query: &Query,
    body: Incoming,
) -> Result<Bytes, Status> {
    let body = body.collect().await;
    let mut bytes = body.map_err(|error| Status::cancelled(error.to_string()))?.to_bytes();
    if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip") {
        bytes = gunzip(&bytes).map_err(|error| Status::invalid_argument(error.to_string()))?;
    }
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = RequestBody { content_type: content_type.unwrap_or_default(), bytes: &bytes };
    Ok(assemble(route, &query.fields, &body)?.encode_to_vec().into())
}

/// The answer of a server-streaming method.
fn stream(
    printer: Printer,
    is_sse: bool,
    reply: Reply,
    attendance: Attendance,
    deadline: Option<Instant>,
) -> Response<AnswerBody> {
    let raw = reply.messages.first().and_then(|first| printer.raw_body(first));
    let (form, content_type) = match raw {
        Some(Ok((content_type, _))) => (Form::Raw(printer), content_type),
        _ if is_sse => (Form::Sse(printer.compact()), EVENT_STREAM.to_owned()),
        _ => (Form::Array(printer), JSON.to_owned()),
    };
    let mut response = head_of(StatusCode::OK, &content_type, &reply);
    let disposition = HeaderValue::from_static("attachment");
    response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    let delivery =
        Delivery { reply, form, attendance, deadline, is_due: false, position: 0, _request: None };
    response.map(|()| delivery.into_body().boxed_unsync())
}

/// The answer of a unary method.
fn whole(printer: &Printer, request: &HeaderMap, reply: &Reply) -> Response<AnswerBody> {
    let Some(message) = reply.messages.first() else {
        return full(head_of(StatusCode::OK, JSON, reply), Vec::new());
    };
    let json = || {
        let mut text = printer.print(message)?;
        text.push(b'\n');
        Ok((JSON.to_owned(), text))
    };
    let (content_type, mut bytes) = match printer.raw_body(message).unwrap_or_else(json) {
        Ok(body) => body,
        Err(status) => return error(printer, false, reply, &status),
    };
    let mut response = head_of(StatusCode::OK, &content_type, reply);
    if reply.is_compressed && accepts_gzip(request, ACCEPT_ENCODING.as_str()) {
        match gzip(&bytes) {
            Ok(compressed) => bytes = compressed,
            Err(fault) => {
                return error(printer, false, reply, &Status::internal(fault.to_string()));
            }
        }
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    full(response, bytes)
}

/// An error with nothing before it. Of a stream of events it keeps the content type, as the service
/// does.
fn error(printer: &Printer, is_sse: bool, reply: &Reply, status: &Status) -> Response<AnswerBody> {
    let (code, _) = http_form(status.code());
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut text = printer.print_error(status);
    text.push(b'\n');
    full(head_of(code, if is_sse { EVENT_STREAM } else { JSON }, reply), text)
}

/// Under which the page of a path is laid down.
pub(super) fn page_key(verb: &http::Method, path: &str) -> String {
    format!("{verb} {path}")
}

/// What Google's front end says of a path that nothing serves.
fn not_found(path: &str) -> Response<AnswerBody> {
    let path = path.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!DOCTYPE html>\n<html lang=en>\n  <title>Error 404 (Not Found)!!1</title>\n  \
         <p><b>404.</b> <ins>That\u{2019}s an error.</ins>\n  \
         <p>The requested URL <code>{path}</code> was not found on this server.  \
         <ins>That\u{2019}s all we know.</ins>\n"
    );
    let head = head_of(StatusCode::NOT_FOUND, "text/html; charset=UTF-8", &Reply::default());
    full(head, page.into_bytes())
}

/// A head with the headers that Google adds to each.
fn head_of(code: StatusCode, content_type: &str, reply: &Reply) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    *headers = reply.metadata.clone();
    let content_type = HeaderValue::from_str(content_type);
    headers.insert(
        CONTENT_TYPE,
        content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(SERVER, HeaderValue::from_static("scaffolding on HTTPServer2"));
    for origin in ["Origin", "X-Origin", "Referer"] {
        headers.append(VARY, HeaderValue::from_static(origin));
    }
    let timing = HeaderName::from_static("server-timing");
    headers.insert(timing, HeaderValue::from_static("gfet4t7; dur=12"));
    response
}

fn full(response: Response<()>, bytes: Vec<u8>) -> Response<AnswerBody> {
    response.map(|()| Full::new(Bytes::from(bytes)).boxed_unsync())
}

/// The end of the time that `X-Server-Timeout` gives, counted from now.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let seconds: f64 = headers.get("x-server-timeout")?.to_str().ok()?.parse().ok()?;
    Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}
