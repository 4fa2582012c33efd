//! The floor: hyper's server and client with nothing between them, one connection to the service, on one thread.

use http::uri::{Authority, Uri};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Failure;
use crate::tls::{Connector, acceptor};

pub(crate) fn serve(port: &str, upstream: &str, folder: &str) -> Result<(), Failure> {
    let (port, upstream): (u16, u16) = (port.parse()?, upstream.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let io = Connector::new(folder)?.connect(upstream).await?;
        let (sender, connection) = handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        let authority: Authority = format!("localhost:{upstream}").parse()?;
        let (tls, listener) = (acceptor(folder)?, TcpListener::bind(("127.0.0.1", port)).await?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(pass_on(stream, tls.clone(), sender.clone(), authority.clone()));
        }
    })
}

async fn pass_on(
    stream: TcpStream,
    tls: TlsAcceptor,
    sender: SendRequest<Incoming>,
    authority: Authority,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (mut sender, authority) = (sender.clone(), authority.clone());
        async move {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.authority = Some(authority);
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
            let answer: Response<Incoming> = sender.send_request(request).await?;
            Ok::<_, hyper::Error>(answer)
        }
    });
    let mut http = Builder::new(TokioExecutor::new());
    http.max_concurrent_streams(4000);
    http.serve_connection(TokioIo::new(tls.accept(stream).await?), service).await?;
    Ok(())
}
