//! How a probe ends, over carriers of the test's own.

use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::time::advance;
use tonic::body::Body;
use tonic::{Code, Status};

use super::*;
use crate::fallback::Expiry;
use crate::network::{Network, NetworkSettings, Origin, Proxy};
use crate::symptom::Symptom;
use crate::transport::carrier::foreign::Carrier;
use crate::transport::grpc::AnswerLimits;

const LIST: &str = "/a.Service/List";

type Sent = Result<Response<Body>, Error>;

/// What the carrier was asked, in order.
type Asked = Arc<Mutex<Vec<Request<()>>>>;

/// A carrier that answers its first request by `answer(0)`, and so on; `None`: never.
fn carrier(answer: impl Fn(usize) -> Option<Sent> + Clone + Send + 'static) -> (Carrier, Asked) {
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let mut told = told.lock().expect("no panic");
        let answered = answer(told.len());
        told.push(request.map(drop));
        async move {
            match answered {
                Some(answered) => answered,
                None => std::future::pending().await,
            }
        }
    });
    (Carrier::service(service), asked)
}

/// An empty message, and a good end.
fn message() -> Response<Body> {
    let end = async { Some(Ok(HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(0))]))) };
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(end);
    let mut answer = Response::new(Body::new(body));
    let grpc = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, grpc);
    answer
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

fn status(code: Code) -> Response<Body> {
    Status::new(code, "").into_http()
}

fn list() -> ProbeRequest {
    let message = Frame::wrap(b"").expect("a frame");
    ProbeRequest { path: PathAndQuery::from_static(LIST), method: None, message }
}

/// A probe, and who hears of its end.
struct Story {
    probe: Probe,
    grpc: Arc<GrpcTransport>,
    fallback: Arc<Fallback>,
    metadata: HeaderMap,
}

impl Story {
    fn new(request: Option<ProbeRequest>, carrier: Carrier) -> Self {
        let settings = NetworkSettings { proxy: Proxy::none(), ..NetworkSettings::default() };
        let network = Network::new(settings).expect("a network");
        let origin = Origin::parse("http://service.test", true).expect("an origin");
        let limits = AnswerLimits { message: 1_000, metadata: 1_000 };
        let grpc = GrpcTransport::new(Some(carrier), &network, &origin, limits).expect("gRPC");
        Self {
            probe: Probe::new(request),
            grpc: Arc::new(grpc),
            fallback: Arc::new(Fallback::new(Expiry::default(), None)),
            metadata: HeaderMap::new(),
        }
    }

    /// Begins the probe that is due.
    fn begin(&self, tasks: &Tasks) {
        let (_, running) = self.fallback.route(None);
        let running = running.expect("a probe is due");
        self.probe.begin(&self.grpc, &self.fallback, running, &self.metadata, tasks);
    }

    /// Whether gRPC is proven, or else what the probe met.
    async fn end(&self) -> Result<bool, SymptomKind> {
        match self.fallback.probe_failure().await.expect("no login was refused") {
            Some(symptom) => Err(symptom.kind()),
            None => Ok(self.fallback.is_on_grpc()),
        }
    }

    async fn told(&self) -> Result<bool, SymptomKind> {
        self.begin(&Tasks::default());
        self.end().await
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_the_service_says_proves_grpc() {
    let forged = Err(SymptomKind::ForgedStatus);
    for (answer, told) in [
        (message as fn() -> Response<Body>, Ok(true)),
        (|| status(Code::Unauthenticated), Ok(true)),
        (|| status(Code::PermissionDenied), Ok(true)),
        (|| status(Code::Unimplemented), forged),
        (|| status(Code::Unavailable), forged),
        (|| Response::new(Body::default()), Err(SymptomKind::NotGrpc)),
    ] {
        let (carrier, _) = carrier(move |_| Some(Ok(answer())));
        assert_eq!(Story::new(Some(list()), carrier).told().await, told, "{:?}", answer());
    }
}

#[tokio::test(start_paused = true)]
async fn it_asks_with_the_credentials_of_the_call_and_nothing_else_of_it() {
    let (carrier, asked) = carrier(|_| Some(Ok(message())));
    let mut story = Story::new(Some(list()), carrier);
    let names = ["authorization", "x-goog-api-key", "x-goog-user-project", "x-own"];
    for name in names {
        story.metadata.insert(name, HeaderValue::from_static("a value"));
    }
    assert_eq!(story.told().await, Ok(true));
    let asked = asked.lock().expect("no panic");
    assert_eq!(asked.len(), 1);
    let request = asked.first().expect("one");
    assert_eq!(request.uri().path(), LIST);
    assert_eq!(names.map(|name| request.headers().contains_key(name)), [true, true, true, false]);
    let kept = story.probe.credentials(&story.metadata).expect("there is a call");
    assert_eq!(names.map(|name| kept.contains_key(name)), [true, true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn without_a_call_of_its_own_a_carrier_that_is_ready_is_the_proof() {
    let (carrier, asked) = carrier(|_| None);
    let story = Story::new(None, carrier);
    assert!(!story.probe.is_a_call());
    assert!(story.probe.credentials(&story.metadata).is_none());
    assert_eq!(story.told().await, Ok(true));
    assert!(asked.lock().expect("no panic").is_empty());
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_failure_at_its_limit() {
    let (carrier, _) = carrier(|_| None);
    let story = Story::new(Some(list()), carrier);
    assert!(story.probe.is_a_call());
    let began = Instant::now();
    assert_eq!(story.told().await, Err(SymptomKind::Unanswered));
    assert_eq!(began.elapsed(), CONNECT_LIMIT + ANSWER_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn what_another_connection_may_mend_is_asked_again() {
    let (unsent, lost) = (SymptomKind::NeverSent, SymptomKind::ConnectionLost);
    for (kind, failures, told, requests) in
        [(unsent, 3, Ok(true), 4), (unsent, 4, Err(unsent), 4), (lost, 1, Err(lost), 1)]
    {
        let (carrier, asked) = carrier(move |number| {
            let failure = || Error::from(Symptom::new(kind, "a hop"));
            Some(if number < failures { Err(failure()) } else { Ok(message()) })
        });
        assert_eq!(Story::new(Some(list()), carrier).told().await, told, "{failures} times {kind}");
        assert_eq!(asked.lock().expect("no panic").len(), requests, "{failures} times {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_says_nothing_of_the_network() {
    let (carrier, _) = carrier(|_| {
        let mut answer = message();
        let long = HeaderValue::try_from("x".repeat(2_000)).expect("a value");
        answer.headers_mut().insert("x-long", long);
        Some(Ok(answer))
    });
    assert_eq!(Story::new(Some(list()), carrier).told().await, Ok(false));
}

#[tokio::test(start_paused = true)]
async fn on_a_runtime_that_stood_still_it_has_no_result() {
    let begun = || async {
        let (carrier, _) = carrier(|_| None);
        let story = Story::new(Some(list()), carrier);
        story.begin(&Tasks::default());
        // It waits for its answer.
        advance(Duration::from_millis(1)).await;
        story
    };
    let still = begun().await;
    advance(BEAT + MOST_STALL + Duration::from_millis(1)).await;
    assert_eq!(still.end().await, Ok(false));
    assert!(still.fallback.route(None).1.is_some(), "another one is due");
    let slow = begun().await;
    advance(MOST_STALL).await;
    assert_eq!(slow.end().await, Err(SymptomKind::Unanswered));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_has_no_result() {
    let (carrier, _) = carrier(|_| None);
    let story = Story::new(Some(list()), carrier);
    let tasks = Tasks::default();
    story.begin(&tasks);
    tasks.abort();
    assert_eq!(story.end().await, Ok(false));
}
