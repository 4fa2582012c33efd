//! Traces: what a collector of OpenTelemetry gets of calls that are retried, switched, sent again,
//! broken or given up.
//!
//! `tests/data/traces.txt` holds it, and is held true here. `UPDATE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, CallOptions, RetryPolicy, Transport};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tonic::{Request, Status};
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::setting::{GENERATE, STREAM, answer, behind, change, question, through};

/// A network, and a bridge on it with spans that are kept.
struct Place {
    emulator: Emulator,
    proxy: HostileProxy,
    bridge: Bridge,
    spans: InMemorySpanExporter,
}

impl Place {
    async fn behind(fault: Fault, transport: Transport) -> Self {
        let (emulator, proxy) = behind(fault).await;
        let retry = RetryPolicy::google().backoff(Duration::ZERO, 1.0, Duration::ZERO);
        let builder = through(&emulator, &proxy).transport(transport).retry(retry);
        // A busy machine may not finish the probe in the usual time.
        let builder = builder.grpc_head_start(Duration::from_secs(60));
        let bridge = builder.build().expect("a bridge");
        Self { emulator, proxy, bridge, spans: InMemorySpanExporter::default() }
    }

    fn client(&self) -> GenerativeServiceClient<Bridge> {
        GenerativeServiceClient::new(self.bridge.clone())
    }

    /// The calls that are made here, as they are told.
    async fn told(&self, calls: impl Future<Output = ()>) -> String {
        let provider =
            SdkTracerProvider::builder().with_simple_exporter(self.spans.clone()).build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        let ours = Targets::new().with_target("genai_bridge", tracing::Level::DEBUG);
        calls.with_subscriber(tracing_subscriber::registry().with(ours).with(layer)).await;
        let spans = self.spans.get_finished_spans().expect("spans");
        let told: String = spans.iter().filter(|span| span.name.contains('/')).map(tell).collect();
        let ports = [(self.emulator.address(), "SERVICE"), (self.proxy.address(), "PROXY")];
        ports.iter().fold(told, |told, (at, name)| told.replace(&at.port().to_string(), name))
    }
}

/// A span, one attribute and one event a line.
fn tell(span: &SpanData) -> String {
    let mut text = format!("{}, {:?}, {:?}\n", span.name, span.span_kind, span.status);
    for line in sorted(&span.attributes) {
        writeln!(text, "  {line}").expect("a String grows");
    }
    // What the bridge learns of the network is told in the span of whoever learns it first.
    let of_call = |pair: &KeyValue| pair.value.as_str().starts_with("genai_bridge::carry");
    for event in span.events.iter().filter(|event| event.attributes.iter().any(of_call)) {
        let attributes = sorted(&event.attributes).join(", ");
        writeln!(text, "  - {}: {attributes}", event.name).expect("a String grows");
    }
    text
}

/// The attributes but those that time and place decide.
fn sorted(attributes: &[KeyValue]) -> Vec<String> {
    let known = attributes.iter().filter(|pair| !["after", "target"].contains(&pair.key.as_str()));
    let mut lines: Vec<_> = known.map(|pair| format!("{} = {}", pair.key, pair.value)).collect();
    lines.sort();
    lines
}

async fn a_retry_and_a_switch() -> String {
    let place = Place::behind(Fault::Pass, Transport::Auto).await;
    place.bridge.connect().await.expect("gRPC");
    change(&place.proxy, Fault::InspectHttp1, &place.bridge).await;
    place.emulator.once(GENERATE, Reply::error(Status::unavailable("overloaded")));
    let call = Box::pin(async {
        place.client().generate_content(question("?")).await.expect("an answer");
    });
    place.told(call).await
}

async fn a_probe_that_fails() -> String {
    let place = Place::behind(Fault::TrailersStripped, Transport::Auto).await;
    let call = Box::pin(async {
        place.client().generate_content(question("?")).await.expect("an answer");
    });
    place.told(call).await
}

async fn a_call_that_is_sent_again() -> String {
    let place = Place::behind(Fault::GoAwayAfterStreams, Transport::Grpc).await;
    for _ in 0..2 {
        place.client().generate_content(question("?")).await.expect("an answer");
    }
    let call = Box::pin(async {
        place.client().generate_content(question("?")).await.expect("an answer");
    });
    place.told(call).await
}

async fn a_stream_that_breaks() -> String {
    let place = Place::behind(Fault::StreamResetAfterMessage, Transport::Grpc).await;
    place.emulator.on(STREAM, Reply::messages([answer("one"), answer("two")]));
    let call = Box::pin(async {
        let stream = place.client().stream_generate_content(question("?")).await.expect("a head");
        let mut stream = stream.into_inner();
        stream.message().await.expect("the first message");
        stream.message().await.expect_err("broken");
    });
    place.told(call).await
}

async fn a_stream_to_its_end() -> String {
    let place = Place::behind(Fault::Pass, Transport::Rest).await;
    place.emulator.on(STREAM, Reply::messages([answer("one"), answer("two")]));
    let call = Box::pin(async {
        let stream = place.client().stream_generate_content(question("?")).await.expect("a head");
        let mut stream = stream.into_inner();
        while stream.message().await.expect("a message").is_some() {}
    });
    place.told(call).await
}

async fn a_stream_that_is_given_up() -> String {
    let place = Place::behind(Fault::Pass, Transport::Rest).await;
    place.emulator.on(STREAM, Reply::messages([answer("one"), answer("two")]));
    let call = Box::pin(async {
        let stream = place.client().stream_generate_content(question("?")).await.expect("a head");
        stream.into_inner().message().await.expect("the first message");
    });
    place.told(call).await
}

async fn a_stream_that_cannot_be_collected() -> String {
    let place = Place::behind(Fault::Pass, Transport::Grpc).await;
    let mut half = answer("half");
    half.candidates[0].finish_reason = 0;
    place.emulator.on(STREAM, Reply::messages([half]));
    let call = Box::pin(async {
        let mut request = Request::new(question("?"));
        request.extensions_mut().insert(CallOptions::new().stream_under(true));
        place.client().generate_content(request).await.expect_err("half an answer");
    });
    place.told(call).await
}

async fn an_error_of_the_service() -> String {
    let place = Place::behind(Fault::Pass, Transport::Grpc).await;
    place.emulator.once(GENERATE, Reply::error(Status::invalid_argument("no")));
    let call = Box::pin(async {
        place.client().generate_content(question("?")).await.expect_err("refused");
    });
    place.told(call).await
}

async fn a_request_that_is_none() -> String {
    let place = Place::behind(Fault::Pass, Transport::Rest).await;
    let call = Box::pin(async {
        let mut request = Request::new(question("?"));
        request.extensions_mut().insert(CallOptions::new().transport(Transport::Rest));
        request.metadata_mut().insert("grpc-timeout", "soon".parse().expect("metadata"));
        place.client().generate_content(request).await.expect_err("refused");
    });
    place.told(call).await
}

#[tokio::test]
async fn a_collector_gets_each_call_with_its_road_and_its_end() {
    // What subscribers of other tests want, or their end, must put no event to sleep meanwhile.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let stories = [
        ("a retry and a switch", a_retry_and_a_switch().await),
        ("a probe that fails", a_probe_that_fails().await),
        ("a call that is sent again", a_call_that_is_sent_again().await),
        ("a stream that breaks", a_stream_that_breaks().await),
        ("a stream to its end", a_stream_to_its_end().await),
        ("a stream that its caller gives up", a_stream_that_is_given_up().await),
        ("a stream that is not the answer of its call", a_stream_that_cannot_be_collected().await),
        ("an error of the service", an_error_of_the_service().await),
        ("a request that cannot be sent", a_request_that_is_none().await),
    ];
    let told: Vec<_> = stories.map(|(title, told)| format!("# {title}\n{told}")).into();
    let told = told.join("\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/traces.txt");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &told).expect("a file");
    }
    let expected = std::fs::read_to_string(path).expect("the expectation").replace("\r\n", "\n");
    assert_eq!(told, expected, "UPDATE_DOCS=1 writes tests/data/traces.txt anew");
}
