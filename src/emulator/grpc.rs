//! gRPC: a call over HTTP/2, by hand.

use std::future::pending;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use prost_reflect::DynamicMessage;
use tokio::time::Instant;
use tonic::Status;

use super::delivery::{Delivery, Form, before};
use super::framing::{PREFIX_LENGTH, accepts_gzip, gunzip, trailers};
use super::methods::Method;
use super::record::Received;
use super::script::Reply;
use super::service::{AnswerBody, Service};

/// Answers a call.
pub(super) async fn answer(service: &Service, request: Request<Incoming>) -> Response<AnswerBody> {
    let mut attendance = service.record.attend();
    let (head, mut body) = request.into_parts();
    let deadline = deadline(&head.headers);
    let method = service.methods.find(head.uri.path());
    let reply = match receive(service, method, &head, &mut body).await {
        Ok((method, message)) => service.reply(method, &message),
        Err(status) => Reply::error(status),
    };
    if reply.is_never {
        pending::<()>().await;
    }
    // A stream's head goes ahead of its messages; a unary answer comes as one.
    let is_stream = method.is_some_and(|method| method.descriptor.is_server_streaming());
    let is_due = !is_stream || reply.immediate_error().is_some();
    let due = if is_due { before(deadline, reply.wait_for(0)).await } else { Ok(()) };
    if let Some(status) = due.err().as_ref().or(reply.immediate_error()) {
        attendance.finish();
        return trailers_only(&reply, status);
    }
    let is_gzip = reply.is_compressed && accepts_gzip(&head.headers, "grpc-accept-encoding");
    let mut response = head_of(&reply);
    if is_gzip {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    let delivery = Delivery {
        reply,
        form: Form::Grpc { is_gzip },
        attendance,
        deadline,
        is_due,
        position: 0,
        _request: Some(body),
    };
    response.map(|()| delivery.into_body().boxed_unsync())
}

/// Reads and records the request; gives method and message, if it has both and comes with the key.
async fn receive<'a>(
    service: &Service,
    method: Option<&'a Method>,
    head: &Parts,
    body: &mut Incoming,
) -> Result<(&'a Method, Bytes), Status> {
    let path = head.uri.path();
    let read = match method {
        Some(method) => {
            read_message(method, &head.headers, body).await.map(|message| (method, message))
        }
        None => Err(Status::unimplemented(format!("Method not found: {path}"))),
    };
    let message = read.as_ref().map_or_else(|_| Bytes::new(), |(_, message)| message.clone());
    service.record.add(Received::new(path, false, head, message));
    let read = read?;
    service.admit(&head.headers, None)?;
    Ok(read)
}

fn head_of(reply: &Reply) -> Response<()> {
    let mut response = Response::new(());
    *response.headers_mut() = reply.metadata.clone();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// An answer that is a head alone, with the status in it.
fn trailers_only(reply: &Reply, status: &Status) -> Response<AnswerBody> {
    let mut response = head_of(reply);
    let headers = std::mem::take(response.headers_mut());
    let mut headers = trailers(headers, status);
    headers.extend(reply.trailers.clone());
    *response.headers_mut() = headers;
    response.map(|()| Empty::new().boxed_unsync())
}

/// The first message of the request, decompressed; the only one, unless the client streams.
async fn read_message(
    method: &Method,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Bytes, Status> {
    let is_stream = method.descriptor.is_client_streaming();
    let mut bytes = BytesMut::new();
    while !(is_stream && frame_length(&bytes).is_some_and(|length| bytes.len() >= length)) {
        let Some(part) = body.frame().await else { break };
        let part =
            part.map_err(|error| Status::cancelled(format!("the request broke: {error}")))?;
        if let Ok(data) = part.into_data() {
            bytes.put(data);
        }
    }
    if is_stream && bytes.is_empty() {
        return Ok(Bytes::new());
    }
    let length = frame_length(&bytes).filter(|length| bytes.len() >= *length);
    let length = length.ok_or_else(|| Status::internal("the request holds no whole frame"))?;
    if !is_stream && bytes.len() > length {
        return Err(Status::internal("the request holds more than one message"));
    }
    let bytes = bytes.freeze();
    let message = bytes.slice(PREFIX_LENGTH..length);
    let message = match bytes.first() {
        Some(0) => message,
        Some(1) if headers.get("grpc-encoding").is_some_and(|coding| coding == "gzip") => {
            gunzip(&message).map_err(|error| Status::internal(format!("gzip: {error}")))?
        }
        _ => return Err(Status::unimplemented("a flag or compression that is not known")),
    };
    DynamicMessage::decode(method.descriptor.input(), message.clone())
        .map_err(|error| Status::internal(format!("the message cannot be read: {error}")))?;
    Ok(message)
}

/// The length of the first frame with its prefix, once the prefix is there.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (&[_, a, b, c, d], _) = bytes.split_first_chunk()?;
    Some(PREFIX_LENGTH + u32::from_be_bytes([a, b, c, d]) as usize)
}

/// The end of the time that `grpc-timeout` gives, counted from now.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    let time = match unit {
        "H" => Duration::from_secs(count.checked_mul(3600)?),
        "M" => Duration::from_secs(count.checked_mul(60)?),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Instant::now().checked_add(time)
}
