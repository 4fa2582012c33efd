//! Forward: HTTP on an inspected connection, each request with a decision of its own.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::broken::{Break, BrokenBody, Order};
use super::ending::{Ending, Stream};
use super::frames::{PREFACE, relay};
use super::intercept::{Tunnel, rewind};
use super::shared::Proxy;
use super::stages::{Answer, At, Http, Treatment};
use super::target::Target;
use super::upstream::{Body, BoxError, Upstream};

impl Tunnel {
    /// Serves HTTP/2 or HTTP/1.1, whichever the client begins to speak.
    ///
    /// # Errors
    /// Client or target broke the connection.
    pub(super) async fn serve_http(self, client: Stream, target: Target) -> io::Result<()> {
        let (is_http2, client) = detect_http2(client).await?;
        match (self.stages.http, is_http2) {
            (Http::Preface(ending), true) => {
                self.proxy.tally.strike();
                self.socket.end(client, ending).await
            }
            (Http::GoAway(go_away), true) => {
                let target = target.speak(b"h2").await?;
                relay(client, target, go_away, &self.proxy.tally).await?;
                self.socket.cut(Ending::Close).await
            }
            (_, is_http2) => self.forward(client, target, is_http2).await,
        }
    }

    async fn forward(self, client: Stream, target: Target, is_http2: bool) -> io::Result<()> {
        let tasks = &self.proxy.tasks;
        let upstream = Upstream::connect(target, is_http2, tasks).await?;
        let (sender, orders) = unbounded_channel();
        let http = self.proxy.register(self.stages.http);
        let courier = Courier { proxy: Arc::clone(&self.proxy), http, upstream, orders: sender };
        let service = service_fn(move |request| courier.clone().carry(request));
        let client = TokioIo::new(client);
        let cut = if is_http2 {
            let mut server = http2::Builder::new(tasks.clone());
            server.auto_date_header(false);
            serve_until_cut(server.serve_connection(client, service), orders).await?
        } else {
            let mut server = http1::Builder::new();
            server.auto_date_header(false);
            let serving = server.serve_connection(client, service).with_upgrades();
            serve_until_cut(serving, orders).await?
        };
        match cut {
            Some(ending) => self.socket.cut(ending).await,
            None => Ok(()),
        }
    }
}

/// Serves until the client closes, or until the connection is to be cut.
async fn serve_until_cut(
    connection: impl Future<Output = hyper::Result<()>>,
    mut orders: UnboundedReceiver<Order>,
) -> io::Result<Option<Ending>> {
    let mut connection = pin!(connection);
    loop {
        // Served first, so that what came before the order has gone out.
        let order = tokio::select! {
            biased;
            ended = &mut connection => return ended.map(|()| None).map_err(io::Error::other),
            Some(order) = orders.recv() => order,
        };
        match order {
            Order::Cut(ending) => return Ok(Some(ending)),
            Order::Flush(done) => {
                // A call that its client has given up does not wait.
                let _ = done.send(());
            }
        }
    }
}

/// Reads until it is clear whether the client speaks HTTP/2.
async fn detect_http2(mut client: Stream) -> io::Result<(bool, Stream)> {
    let mut read = Vec::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        let left = (PREFACE.len() - read.len()) as u64;
        if (&mut client).take(left).read_buf(&mut read).await? == 0 {
            break;
        }
    }
    Ok((read == PREFACE, rewind(read, client)))
}

/// Carries the requests of one connection.
#[derive(Clone)]
struct Courier {
    proxy: Arc<Proxy>,
    http: Arc<Mutex<Http>>,
    upstream: Upstream,
    orders: UnboundedSender<Order>,
}

impl Courier {
    async fn carry(self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let grpc_call = if is_grpc(&request) {
            Some(self.proxy.tally.grpc_request())
        } else {
            self.proxy.tally.rest_request();
            None
        };
        let http = *self.http.lock().unwrap_or_else(PoisonError::into_inner);
        match http {
            Http::Requests(aim, treatment)
                if aim.hits(grpc_call, request.uri().path()) && !self.is_spared(&request) =>
            {
                self.proxy.tally.strike();
                self.treat(treatment, request).await
            }
            Http::Pass | Http::Preface(_) | Http::GoAway(_) | Http::Requests(..) => {
                self.pass(request).await
            }
        }
    }

    fn is_spared(&self, request: &Request<Incoming>) -> bool {
        self.proxy.spared.iter().any(|path| **path == *request.uri().path())
    }

    /// Passes a request on, and what follows it where the connection is upgraded (a WebSocket).
    async fn pass(self, mut request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let client = hyper::upgrade::on(&mut request);
        let mut response = self.upstream.send(request.map(boxed)).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let target = hyper::upgrade::on(&mut response);
            self.proxy.tasks.spawn(async {
                if let Err(error) = pass_upgraded(client, target).await {
                    tracing::debug!(%error, "a hostile proxy lost an upgraded connection");
                }
            });
        }
        Ok(response.map(boxed))
    }

    async fn treat(
        self,
        treatment: Treatment,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, BoxError> {
        match treatment {
            Treatment::Answer(answer) => {
                // Over HTTP/1.1 an answer may be lost where the request was not read.
                if request.version() < Version::HTTP_2 {
                    request.into_body().collect().await?;
                }
                Ok(answer.response())
            }
            Treatment::ReplaceAnswer(answer) => {
                let response = self.upstream.send(request.map(boxed)).await?;
                response.into_body().collect().await?;
                Ok(answer.response())
            }
            Treatment::Swallow => pending().await,
            Treatment::Reset(reason) => Err(h2::Error::from(reason).into()),
            Treatment::BufferRequest => self.send_whole(request, usize::MAX).await,
            Treatment::LimitRequest(limit) => self.send_whole(request, limit).await,
            Treatment::LimitWait(answer) => {
                let sending = self.upstream.send(request.map(boxed));
                match timeout(self.proxy.idle_limit, sending).await {
                    Ok(response) => Ok(response?.map(boxed)),
                    Err(_) => Ok(answer.response()),
                }
            }
            Treatment::BufferAnswer => {
                let response = self.upstream.send(request.map(boxed)).await?;
                let (head, body) = response.into_parts();
                Ok(Response::from_parts(head, boxed(body.collect().await?)))
            }
            Treatment::StripTrailers => {
                let response = self.upstream.send(request.map(boxed)).await?;
                Ok(response.map(|body| boxed(body.map_frame(without_trailers))))
            }
            Treatment::Break(at, how) => {
                let response = self.upstream.send(request.map(boxed)).await?;
                let mut ends = Break::new(how, self.orders);
                if let At::Start = at
                    && let Some(error) = poll_fn(|cx| ends.poll(cx)).await
                {
                    return Err(error);
                }
                Ok(response.map(|body| boxed(BrokenBody::new(body, at, ends))))
            }
        }
    }

    async fn send_whole(
        self,
        request: Request<Incoming>,
        limit: usize,
    ) -> Result<Response<Body>, BoxError> {
        let (head, body) = request.into_parts();
        match Limited::new(body, limit).collect().await {
            Ok(body) => {
                let request = Request::from_parts(head, boxed(body));
                Ok(self.upstream.send(request).await?.map(boxed))
            }
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Ok(Answer::page(413).response())
            }
            Err(error) => Err(error),
        }
    }
}

impl Answer {
    fn response(&self) -> Response<Body> {
        let mut response = Response::new(boxed(Full::from(self.body)));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        for (name, value) in self.headers {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
            response.headers_mut().insert(name, value);
        }
        response
    }
}

async fn pass_upgraded(client: OnUpgrade, target: OnUpgrade) -> Result<(), BoxError> {
    let (client, target) = tokio::try_join!(client, target)?;
    copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(target)).await?;
    Ok(())
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// An empty piece of data says nothing on the wire but that the body goes on.
fn without_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    Frame::data(frame.into_data().unwrap_or_default())
}

fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}
