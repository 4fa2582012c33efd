//! Carriers that misbehave: a clear error each, no hang past the deadline, nothing sent twice.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::Emulator;
use genai_bridge::{Carrier, Delivery, Error, ErrorKind, SymptomKind, Transport};
use http::{Request, Response, Version};
use http_body::{Body as HttpBody, Frame};
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tower_service::Service;

use crate::connector::in_memory;
use crate::setting::{BOTH, GENERATE, client, direct, question};

/// How a carrier misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bad {
    NeverReady,
    NotReady,
    Fails,
    PanicsWhenCloned,
    PanicsWhenReady,
    PanicsWhenCalled,
    PanicsInItsFuture,
    PanicsInItsBody,
    NeverAnswers,
    DropsItsFuture,
    NeverEndsItsBody,
    BreaksItsBody,
    AnswersWithNothing,
}

impl Bad {
    const ALL: [Self; 13] = [
        Self::NeverReady,
        Self::NotReady,
        Self::Fails,
        Self::PanicsWhenCloned,
        Self::PanicsWhenReady,
        Self::PanicsWhenCalled,
        Self::PanicsInItsFuture,
        Self::PanicsInItsBody,
        Self::NeverAnswers,
        Self::DropsItsFuture,
        Self::NeverEndsItsBody,
        Self::BreaksItsBody,
        Self::AnswersWithNothing,
    ];

    /// Whether it proves that nothing was sent.
    fn is_before_sending(self) -> bool {
        matches!(
            self,
            Self::NeverReady | Self::NotReady | Self::PanicsWhenCloned | Self::PanicsWhenReady
        )
    }
}

/// How often a paid call was handed over; clones share it.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<AtomicUsize>);

impl Calls {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn note(&self, request: &Request<Body>) {
        // Free calls do not count.
        if request.uri().path().contains("enerateContent") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A carrier whose calls all end in this error.
    pub(super) fn failing<E: std::error::Error + Send + Sync + 'static>(
        &self,
        make: impl Fn() -> E + Clone + Send + 'static,
    ) -> Carrier {
        let calls = self.clone();
        Carrier::service(tower::service_fn(move |request: Request<Body>| {
            calls.note(&request);
            let error = make();
            async { Err::<Response<Body>, E>(error) }
        }))
    }
}

struct BadCarrier {
    bad: Bad,
    calls: Calls,
}

impl Clone for BadCarrier {
    fn clone(&self) -> Self {
        assert!(self.bad != Bad::PanicsWhenCloned, "on purpose");
        Self { bad: self.bad, calls: self.calls.clone() }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<BadBody>, io::Error>> + Send>>;

impl Service<Request<Body>> for BadCarrier {
    type Response = Response<BadBody>;
    type Error = io::Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        match self.bad {
            Bad::NeverReady => Poll::Pending,
            Bad::NotReady => Poll::Ready(Err(io::Error::other("no room"))),
            Bad::PanicsWhenReady => panic!("on purpose"),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        self.calls.note(&request);
        let bad = self.bad;
        assert!(bad != Bad::PanicsWhenCalled, "on purpose");
        let is_grpc = request.headers().get("te").is_some();
        Box::pin(async move {
            match bad {
                Bad::Fails => Err(io::ErrorKind::BrokenPipe.into()),
                Bad::PanicsInItsFuture => panic!("on purpose"),
                Bad::NeverAnswers => pending().await,
                Bad::DropsItsFuture => {
                    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
                    drop(sender);
                    Err(io::Error::other(receiver.await.expect_err("dropped")))
                }
                _ => {
                    let content_type =
                        if is_grpc { "application/grpc" } else { "application/json" };
                    let answer = Response::builder().header("content-type", content_type);
                    Ok(answer.body(BadBody(bad)).expect("an answer"))
                }
            }
        })
    }
}

struct BadBody(Bad);

impl HttpBody for BadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0 {
            Bad::NeverEndsItsBody => Poll::Pending,
            Bad::PanicsInItsBody => panic!("on purpose"),
            Bad::BreaksItsBody => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            _ => Poll::Ready(None),
        }
    }
}

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn each_is_a_clear_error_within_the_deadline_and_nothing_is_sent_twice() {
    for bad in Bad::ALL {
        for transport in BOTH {
            for is_stream in [false, true] {
                let emulator = Emulator::builder().unbound().expect("an emulator");
                let calls = Calls::default();
                let carrier = Carrier::service(BadCarrier { bad, calls: calls.clone() });
                let bridge = direct(&emulator).transport(transport).default_deadline(LIMIT);
                let bridge = bridge.grpc_carrier(carrier.clone()).rest_carrier(carrier);
                let mut client = client(bridge);
                let began = Instant::now();
                let outcome = if is_stream {
                    read(client.stream_generate_content(question("?")).await).await
                } else {
                    client.generate_content(question("?")).await.map(drop)
                };
                let status = outcome.expect_err("a failure");
                let told = format!("{bad:?} {transport:?} {is_stream}: {status:?}");
                assert!(began.elapsed() <= LIMIT + Duration::from_secs(1), "{told}");
                assert_eq!(calls.count(), usize::from(!bad.is_before_sending()), "{told}");
                let error = Error::of(&status).expect("ours");
                let is_proven =
                    error.symptom().map(|symptom| symptom.delivery() == Delivery::NotSent);
                if bad == Bad::NeverReady {
                    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{told}");
                } else {
                    assert_eq!(is_proven.unwrap_or(false), bad.is_before_sending(), "{told}");
                }
                assert!(!status.message().is_empty());
            }
        }
    }
}

async fn read<T>(
    answer: Result<tonic::Response<tonic::Streaming<T>>, tonic::Status>,
) -> Result<(), tonic::Status> {
    let mut messages = answer?.into_inner();
    while messages.message().await?.is_some() {}
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn auto_goes_over_rest_where_the_brought_grpc_misbehaves() {
    for bad in Bad::ALL {
        let emulator = Arc::new(Emulator::builder().unbound().expect("an emulator"));
        let calls = Calls::default();
        let bridge = direct(&emulator)
            .grpc_carrier(Carrier::service(BadCarrier { bad, calls: calls.clone() }))
            .connector(in_memory(&emulator));
        let mut client = client(bridge);
        for _ in 0..3 {
            client.generate_content(question("?")).await.unwrap_or_else(|status| {
                panic!("{bad:?}: {status:?}");
            });
        }
        assert_eq!((calls.count(), emulator.count(GENERATE)), (0, 3), "{bad:?}");
    }
}

/// Answers before it has read anything of the request, in a version of HTTP that it does not speak.
#[tokio::test(start_paused = true)]
async fn an_early_answer_and_a_false_version_are_taken_as_they_are() {
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_3] {
        let carrier =
            Carrier::service(tower::service_fn(move |request: Request<Body>| async move {
                drop(request);
                let answer = Response::builder()
                    .version(version)
                    .header("content-type", "application/grpc")
                    .header("grpc-status", "8")
                    .header("grpc-message", "too large");
                answer.body(Body::empty())
            }));
        let emulator = Emulator::builder().unbound().expect("an emulator");
        let bridge = direct(&emulator).transport(Transport::Grpc).grpc_carrier(carrier);
        let mut client = client(bridge.retry(genai_bridge::RetryPolicy::none()));
        let status = client.generate_content(question(&"?".repeat(1 << 20))).await;
        let status = status.expect_err("the answer");
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "too large"));
        assert!(Error::of(&status).is_none(), "the service said it");
        // A stream that the client writes, and would go on writing.
        let endless = tokio_stream::pending();
        let status = client.bidi_generate_content(endless).await.expect_err("the answer");
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
}

/// A page in place of gRPC whose body never ends.
#[tokio::test(start_paused = true)]
async fn a_foreign_answer_without_end_is_told_at_once() {
    let carrier = Carrier::service(tower::service_fn(|_: Request<Body>| async {
        let answer = Response::builder().status(403).header("content-type", "text/html");
        answer.body(BadBody(Bad::NeverEndsItsBody))
    }));
    let emulator = Emulator::builder().unbound().expect("an emulator");
    let bridge = direct(&emulator).transport(Transport::Grpc).grpc_carrier(carrier);
    let began = Instant::now();
    let status = client(bridge).generate_content(question("?")).await.expect_err("a failure");
    let error = Error::of(&status).expect("ours");
    assert_eq!(error.symptom().expect("a symptom").kind(), SymptomKind::NotGrpc);
    assert!(began.elapsed() < Duration::from_secs(3));
}
