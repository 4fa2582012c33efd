//! The service behind the hops: answers from ready bytes, after as many milliseconds as `x-wait` says; a stream has as many
//! chunks as `x-chunks` says.

use std::convert::Infallible;
use std::iter;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use genai_bridge::v1beta::{Candidate, Content, GenerateContentResponse};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::Stream;

use crate::Failure;
use crate::tls::acceptor;

pub(crate) fn serve(port: &str, folder: &str) -> Result<(), Failure> {
    let port: u16 = port.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let (tls, listener) = (acceptor(folder)?, TcpListener::bind(("127.0.0.1", port)).await?);
        loop {
            let (stream, _) = listener.accept().await?;
            let tls = tls.clone();
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                let mut http = Builder::new(TokioExecutor::new());
                http.max_concurrent_streams(4000);
                let stream = TokioIo::new(tls.accept(stream).await?);
                http.serve_connection(stream, service_fn(answer)).await?;
                Ok::<_, Failure>(())
            });
        }
    })
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>>>>, Infallible>
{
    let number = |name: &str| {
        let value = request.headers().get(name)?.to_str().ok()?;
        value.parse::<u64>().ok()
    };
    let (chunks, wait) = (number("x-chunks").unwrap_or(1), number("x-wait").unwrap_or(0));
    let mut body = request.into_body();
    while let Some(Ok(_)) = http_body_util::BodyExt::frame(&mut body).await {}
    if wait > 0 {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    let chunks = (0..chunks).map(|_| Ok(Frame::data(CHUNK.clone())));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let parts = chunks.chain(iter::once(Ok(Frame::trailers(trailers))));
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(parts)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

static CHUNK: LazyLock<Bytes> = LazyLock::new(|| {
    let content = Content::model("A part of an answer, a few words long.");
    let candidate = Candidate { content: Some(content), ..Candidate::default() };
    let message = GenerateContentResponse { candidates: vec![candidate], ..Default::default() };
    let message = message.encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or_default());
    frame.put_slice(&message);
    frame.freeze()
});
