//! Line: the calls of an examination, within its deadline.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use crate::bridge::builder::build::Built;
use crate::bridge::options::{ActiveTransport, ResendPolicy};
use crate::call::Answer;
use crate::call::author::is_failure;
use crate::call::frame::PREFIX_LENGTH;
use crate::error::{Error, ErrorKind};
use crate::fallback::may_resend;
use crate::gemini::probe_call;
use crate::network::Alpn;
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// What an examination calls over, until its deadline.
pub(super) struct Line<'a> {
    pub(super) built: &'a Built,
    pub(super) deadline: Instant,
}

impl Line<'_> {
    /// The call that proves gRPC to the bridge as well: the service's status, and how long it took.
    pub(super) async fn free_call(
        &self,
        transport: ActiveTransport,
    ) -> Result<(Status, Duration), Error> {
        let began = Instant::now();
        let (path, message) = probe_call();
        let (status, _) = self.call(transport, &path, &message).await?;
        // Over REST, what is no word of the service was told apart by its form.
        if transport == ActiveTransport::Grpc && is_anyones(&status) {
            return Err(self.forged(status.code()));
        }
        Ok((status, began.elapsed()))
    }

    /// Opens HTTP/2, and asks for a sign of life; gives the time that the answer took.
    pub(super) async fn ping(&self) -> Result<Duration, Error> {
        let limit = self.deadline - Instant::now();
        let opened = within(self.deadline, limit, self.built.bridge.core().connect_grpc()).await;
        opened.unwrap_or_else(|| Err(self.unanswered()))?;
        let began = Instant::now();
        match within(self.deadline, PING_LIMIT, self.exchange_ping()).await {
            Some(answered) => answered?,
            None => return Err(self.silent()),
        }
        Ok(began.elapsed())
    }

    /// A PING on a connection of its own.
    async fn exchange_ping(&self) -> Result<(), Error> {
        let Built { network, origin, .. } = self.built;
        let dialled = network.connect(origin, Alpn::Http2).await?;
        let exchange = async {
            let (_requests, mut connection) = h2::client::handshake(dialled.io).await.ok()?;
            let mut ping_pong = connection.ping_pong()?;
            tokio::select! {
                pong = ping_pong.ping(h2::Ping::opaque()) => pong.ok().map(drop),
                _ended = connection => None,
            }
        };
        exchange.await.ok_or_else(|| self.silent())
    }

    /// A gateway that does not reach the service says the same.
    fn forged(&self, code: Code) -> Error {
        let Built { network, origin, .. } = self.built;
        let evidence = Evidence::new().with_detail(format!("the free call was answered {code:?}"));
        let symptom = Symptom::new(SymptomKind::ForgedStatus, network.hop(origin));
        symptom.with_evidence(evidence).into()
    }

    fn silent(&self) -> Error {
        let Built { network, origin, .. } = self.built;
        let evidence = Evidence::new().with_detail("no answer to a PING");
        let symptom = Symptom::new(SymptomKind::KeepAliveTimeout, network.hop(origin));
        symptom.with_evidence(evidence).into()
    }

    /// A unary call: the service's status and message.
    ///
    /// What was provably not processed goes out once more, as the bridge would send it.
    pub(super) async fn call(
        &self,
        transport: ActiveTransport,
        path: &str,
        message: &[u8],
    ) -> Result<(Status, Bytes), Error> {
        match self.call_once(transport, path, message).await {
            Err(error) if error.symptom().is_some_and(is_unprocessed) => {
                self.call_once(transport, path, message).await
            }
            ended => ended,
        }
    }

    async fn call_once(
        &self,
        transport: ActiveTransport,
        path: &str,
        message: &[u8],
    ) -> Result<(Status, Bytes), Error> {
        let work = async { read_unary(self.send(transport, path, message).await?).await };
        within(self.deadline, CALL_LIMIT, work).await.unwrap_or_else(|| Err(self.unanswered()))
    }

    /// The answer as it comes. REST speaks HTTP/1.1, as after a fallback.
    pub(super) async fn send(
        &self,
        transport: ActiveTransport,
        path: &str,
        message: &[u8],
    ) -> Result<Answer, Error> {
        self.built.bridge.core().send_once(transport, path, message).await
    }

    pub(super) fn unanswered(&self) -> Error {
        if Instant::now() >= self.deadline {
            return Error::new(ErrorKind::DeadlineExceeded, "the examination ran out of time");
        }
        let Built { network, origin, .. } = self.built;
        Symptom::new(SymptomKind::Unanswered, network.hop(origin)).into()
    }
}

/// Whether it may be the word of a gateway as well.
fn is_anyones(status: &Status) -> bool {
    is_failure(status.code()) && status.details().is_empty()
}

fn is_unprocessed(symptom: &Symptom) -> bool {
    may_resend(ResendPolicy::WhenUnprocessed, symptom.delivery())
}

async fn read_unary(answer: Answer) -> Result<(Status, Bytes), Error> {
    let mut bytes = BytesMut::new();
    let status = read_answer(answer, |data| bytes.extend_from_slice(data)).await?;
    let message = bytes.freeze();
    Ok((status, message.slice(PREFIX_LENGTH.min(message.len())..)))
}

/// Reads an answer to its end, and gives the status there.
pub(super) async fn read_answer(
    answer: Answer,
    mut on_data: impl FnMut(&[u8]),
) -> Result<Status, Error> {
    let (head, mut body) = answer.into_parts();
    let mut status = Status::from_header_map(&head.headers);
    while let Some(frame) = body.frame().await {
        match frame.map_err(|status| of_status(&status))?.into_data() {
            Ok(data) => on_data(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                status = Status::from_header_map(&trailers).or(status);
            }
        }
    }
    Ok(status.unwrap_or_else(|| Status::new(Code::Ok, "")))
}

/// The error inside a status that a transport made.
fn of_status(status: &Status) -> Error {
    match Error::of(status).and_then(Error::symptom) {
        Some(symptom) => symptom.clone().into(),
        None => Error::new(ErrorKind::MalformedAnswer, "the answer cannot be read")
            .with_source(status.clone()),
    }
}

/// Ends `work` at the deadline of the examination, or sooner.
pub(super) async fn within<T>(
    deadline: Instant,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    timeout_at(deadline.min(Instant::now() + limit), work).await.ok()
}

const PING_LIMIT: Duration = Duration::from_secs(2);
const CALL_LIMIT: Duration = Duration::from_secs(3);
