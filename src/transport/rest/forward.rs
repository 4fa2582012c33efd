//! Forward: a request that is REST already, passed on as it is.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::error::Error;
use crate::transport::carrier::http1::{HttpVersions, client};
use crate::transport::rest::RestTransport;
use crate::transport::rest::hop::without_connection;
use crate::transport::rest::request::{RequestBody, RestRequest};

impl RestTransport {
    /// Sends a request once, and returns whatever answers it.
    ///
    /// # Errors
    /// The network broke it before there was an answer.
    pub(crate) async fn forward(
        &self,
        request: Request<Bytes>,
        versions: HttpVersions,
    ) -> Result<Response<Body>, Error> {
        let (head, data) = request.into_parts();
        let mut headers = without_connection(&head.headers);
        headers.remove(header::CONTENT_LENGTH);
        let content_type = headers.remove(header::CONTENT_TYPE);
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok());
        let body = if data.is_empty() {
            RequestBody::None
        } else {
            let content_type = content_type.unwrap_or("application/octet-stream").to_owned();
            RequestBody::Raw { content_type, data }
        };
        let request = RestRequest {
            verb: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body,
        };
        let sending = self.send_http(request, headers, versions)?;
        let answer = sending.await?;
        let mut response = Response::new(Body::new(ForwardedBody(answer.body)));
        *response.status_mut() = answer.status;
        *response.headers_mut() = without_connection(&answer.headers);
        if matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // The length of what is not sent: no server of ours could keep its word.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        Ok(response)
    }
}

/// The body of an answer, as it comes.
struct ForwardedBody(client::HttpBody);

impl HttpBody for ForwardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let chunk = self.0.poll_chunk(context, 0);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data).map_err(Status::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
