//! Serve: an answer's bytes for each request that comes, over HTTP/1.1 as they stand, over HTTP/2
//! as gRPC.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::case::{Answer, Grpc};

/// A server that ends with its value.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(answer: &Answer) -> Self {
        match answer {
            Answer::Rest { pieces, closes } => {
                let (pieces, closes) = (pieces.clone(), *closes);
                Self::accept(move |stream| answer_http(stream, pieces.clone(), closes)).await
            }
            Answer::Grpc(grpc) => Self::start_grpc(grpc).await,
        }
    }

    pub(super) async fn start_grpc(grpc: &Grpc) -> Self {
        let grpc = grpc.clone();
        Self::accept(move |stream| answer_grpc(stream, grpc.clone())).await
    }

    async fn accept<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                connections.spawn(serve(stream));
            }
        });
        Self { address, _tasks: tasks }
    }
}

async fn answer_http(mut stream: TcpStream, pieces: Vec<Vec<u8>>, closes: bool) {
    while read_request(&mut stream).await.is_some() {
        for piece in &pieces {
            // The client may have seen enough and gone.
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if closes {
            let _ = stream.shutdown().await;
            // Until the client has closed too: a reset could overtake the answer.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            return;
        }
    }
}

/// `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body).await.ok().map(drop)
}

async fn answer_grpc(stream: TcpStream, grpc: Grpc) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        // An error is the client's going.
        let _ = respond_with(request.into_body(), respond, &grpc);
    }
}

fn respond_with(
    _request: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
    grpc: &Grpc,
) -> Result<(), h2::Error> {
    let mut head = http::Response::new(());
    *head.headers_mut() = header_map(&grpc.head);
    let mut stream = respond.send_response(head, grpc.trailers.is_none())?;
    let Some(trailers) = &grpc.trailers else { return Ok(()) };
    for message in &grpc.messages {
        stream.send_data(frame(message), false)?;
    }
    stream.send_trailers(header_map(trailers))
}

fn header_map(pairs: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
    };
    pairs.iter().map(pair).collect()
}

/// A message with its prefix.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.put_slice(message);
    frame.freeze()
}
