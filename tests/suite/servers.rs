//! Servers of gRPC that others wrote: hyper's HTTP/2, and tonic's server on it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use genai_bridge::v1beta::{GenerateContentRequest, GenerateContentResponse};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;
use tower_service::Service;

/// Answers each request, without TLS; gives its port.
pub(crate) async fn hyper_http2<A, F>(answer: A) -> u16
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer.clone()));
        }
    });
    port
}

async fn serve<A, F>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // Ends when the client goes.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// tonic's server, which gives each unary call this answer; gives its port.
pub(crate) async fn tonic_unary(answer: Result<GenerateContentResponse, Status>) -> u16 {
    hyper_http2(move |request| {
        let method = Unary(answer.clone());
        async move { Grpc::new(ProstCodec::default()).unary(method, request).await }
    })
    .await
}

struct Unary(Result<GenerateContentResponse, Status>);

impl Service<tonic::Request<GenerateContentRequest>> for Unary {
    type Response = tonic::Response<GenerateContentResponse>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: tonic::Request<GenerateContentRequest>) -> Self::Future {
        let mut answer = self.0.clone().map(tonic::Response::new);
        for metadata in answer.iter_mut().map(tonic::Response::metadata_mut) {
            metadata.insert("x-extra", "1".parse().expect("a value"));
        }
        ready(answer)
    }
}
