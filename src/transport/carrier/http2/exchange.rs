//! Stream: one call's HTTP/2 stream, from the request to the head of the answer.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::task::AbortHandle;
use tonic::body::Body;

use crate::call::Message;
use crate::error::Error;
use crate::transport::carrier::http2::connection::Seat;
use crate::transport::carrier::http2::failure;

/// The head of an answer, and what still uploads beside it.
type Exchanged = Result<(Response<RecvStream>, Option<Upload>), Error>;

/// Sends a request with its message, or begins to send its stream of messages, and waits for the
/// head of the answer. Dropping the future resets the stream.
///
/// # Errors
/// The connection broke the call.
pub(crate) fn exchange(
    request: Request<()>,
    message: &mut Message,
    seat: &Seat,
) -> Result<impl Future<Output = Exchanged>, Error> {
    check_headers(&request, seat)?;
    // The block keeps the request in one place; an `async fn` would move it out of another.
    Ok(async move {
        let turn = seat.turn().await;
        let mut sender = seat.sender();
        let (response, stream) = sender.send_request(request, false).map_err(|error| {
            seat.give_up();
            failure::before_request(error, seat.peer())
        })?;
        seat.note_stream(response.stream_id().as_u32());
        seat.release_ended();
        if turn.is_some() {
            // Until the stream is open; what hinders that is told by the answer.
            let _ = poll_fn(|cx| sender.poll_ready(cx)).await;
        }
        drop((sender, turn));
        let upload = send_message(message, stream);
        match response.await {
            Ok(response) => Ok((response, upload)),
            Err(error) => Err(failure::before_answer(error, seat.peer())),
        }
    })
}

/// A peer that is sent more than it takes may close the connection, and with it end the calls
/// beside this one.
fn check_headers(request: &Request<()>, seat: &Seat) -> Result<(), Error> {
    let limit = seat.peer().seen.max_header_list();
    let length = header_list_size(request);
    if length <= limit {
        return Ok(());
    }
    let hop = seat.peer().hop();
    let why =
        format!("the metadata has {length} bytes with the headers of gRPC, {hop} takes {limit}");
    Err(Error::invalid_request(why))
}

/// As [RFC 9113, section 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2) counts.
fn header_list_size(request: &Request<()>) -> usize {
    let uri = request.uri();
    let pseudo = [
        (":method", request.method().as_str()),
        (":scheme", uri.scheme_str().unwrap_or_default()),
        (":authority", uri.authority().map_or("", |authority| authority.as_str())),
        (":path", uri.path_and_query().map_or("", |path| path.as_str())),
    ];
    let pseudo = pseudo.iter().map(|(name, value)| name.len() + value.len());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
    pseudo.chain(headers).map(|length| length + 32).sum()
}

/// One message goes to h2 at once, which sends it as the peer's window allows. A stream is given
/// away: the second time it is empty.
fn send_message(message: &mut Message, mut stream: SendStream<Bytes>) -> Option<Upload> {
    match message {
        Message::One(frame) => {
            // Fails only on a stream that has ended, and then the answer tells why.
            let _ = stream.send_data(frame.clone().into_bytes(), true);
            None
        }
        Message::Stream(body) => {
            let uploading = upload(body.take().unwrap_or_default(), stream);
            Some(Upload(tokio::spawn(uploading).abort_handle()))
        }
    }
}

/// The sending of a stream of messages; ends when dropped, and resets the stream if it was not at
/// its end.
pub(crate) struct Upload(AbortHandle);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn upload(mut body: Body, mut stream: SendStream<Bytes>) {
    loop {
        let part = tokio::select! {
            biased;
            // The peer wants no more of it.
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return,
            part = body.frame() => part,
        };
        let data = match part.transpose() {
            Ok(part) => part.map(http_body::Frame::into_data),
            Err(status) => return stream.send_reset(failure::reason_of(&status)),
        };
        let is_last = data.is_none() || body.is_end_stream();
        let data = data.and_then(Result::ok).unwrap_or_default();
        if !has_room(&mut stream, data.len()).await || stream.send_data(data, is_last).is_err() {
            return;
        }
        if is_last {
            return;
        }
    }
}

/// Waits until the peer takes more; `false` if the stream has ended.
async fn has_room(stream: &mut SendStream<Bytes>, wanted: usize) -> bool {
    // h2 asks for the rest of a piece when it is sent.
    stream.reserve_capacity(wanted.min(1));
    while wanted > 0 && stream.capacity() == 0 {
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return false,
        }
    }
    true
}
