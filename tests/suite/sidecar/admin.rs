//! What operators see.

use genai_bridge::Transport;
use genai_bridge::emulator::{Emulator, Fault, Reply};
use tonic::Status;

use super::{Running, get};
use crate::setting::{
    GENERATE, LIST_MODELS, STREAM, answer, behind, call, call_raw, frame, question, through,
};

pub(super) async fn metrics(sidecar: &Running) -> String {
    let admin = sidecar.admin.expect("asked for");
    get(admin, "/metrics", &format!("host: {admin}\r\n")).await
}

#[tokio::test]
async fn calls_are_counted_by_method_code_and_transport() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    emulator.once(GENERATE, Reply::error(Status::resource_exhausted("slow down")));
    emulator.on(STREAM, Reply::messages([answer("a")]).then_error(Status::internal("oh")));
    let admin = ([127, 0, 0, 1], 0).into();
    let sidecar = Running::start(through(&emulator, &proxy), |s| s.admin(admin)).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    for path in [GENERATE, GENERATE, STREAM] {
        call(client.clone(), path, &question("?")).await;
    }
    call_raw(client.clone(), "/made.up/ByAClient", frame(b"")).await;
    let text = metrics(&sidecar).await;
    let service = "google.ai.generativelanguage.v1beta.GenerativeService";
    for line in [
        &format!(
            "genai_bridge_calls_total{{code=\"RESOURCE_EXHAUSTED\",method=\"{service}/GenerateContent\",transport=\"rest\"}} 1"
        ),
        &format!(
            "genai_bridge_calls_total{{code=\"OK\",method=\"{service}/GenerateContent\",transport=\"rest\"}} 1"
        ),
        &format!(
            "genai_bridge_calls_total{{code=\"INTERNAL\",method=\"{service}/StreamGenerateContent\",transport=\"rest\"}} 1"
        ),
        &format!("genai_bridge_call_seconds_count{{method=\"{service}/GenerateContent\"}} 2"),
        "method=\"unknown\"",
        "genai_bridge_switches_total 1",
        "genai_bridge_transport{transport=\"rest\"} 1",
        "genai_bridge_transport{transport=\"grpc\"} 0",
        "genai_bridge_upstream_connections{transport=\"rest\"} 1",
        "genai_bridge_attempts_total{transport=\"rest\"} 3",
        "genai_bridge_retries_total 0",
        "genai_bridge_queued_total 0",
        "genai_bridge_failures_total{code=\"RESOURCE_EXHAUSTED\",symptom=\"\"} 1",
        "genai_bridge_failures_total{code=\"INTERNAL\",symptom=\"\"} 1",
        "genai_bridge_symptoms_total{symptom=\"http2-not-offered\"}",
        "genai_bridge_leniences_total{lenience=\"unknown-any\"} 0",
        "genai_bridge_calls_in_flight 0",
        "genai_bridge_connections 1",
        "# TYPE genai_bridge_call_seconds histogram",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("made.up"), "a client makes up no names here");
}

#[tokio::test]
async fn a_whole_answer_of_http_1_counts_with_its_status() {
    let emulator = Emulator::start().await.expect("an emulator");
    let admin = ([127, 0, 0, 1], 0).into();
    let sidecar = Running::start(super::keyless(&emulator), |s| s.admin(admin)).await;
    let host = format!("host: {}\r\n", sidecar.address);
    for (path, status) in [("/v1beta/models", "200"), ("/v1beta/nothing/here", "404")] {
        let answer = get(sidecar.address, path, &host).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        let line = format!(
            "genai_bridge_calls_total{{code=\"{status}\",method=\"GET\",transport=\"rest\"}} 1"
        );
        let text = metrics(&sidecar).await;
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_call_that_the_client_gives_up_counts_as_cancelled() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::never());
    let admin = ([127, 0, 0, 1], 0).into();
    let bridge = super::keyless(&emulator).transport(Transport::Grpc);
    let sidecar = Running::start(bridge, |s| s.admin(admin)).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    let calling = tokio::spawn(async move { call(client, GENERATE, &question("?")).await });
    emulator.received_when(1).await;
    assert!(metrics(&sidecar).await.contains("genai_bridge_calls_in_flight 1"));
    calling.abort();
    emulator.cancelled_when(1).await;
    let text = metrics(&sidecar).await;
    assert!(text.contains("code=\"CANCELLED\""), "{text}");
    assert!(text.contains("genai_bridge_calls_in_flight 0"), "{text}");
}

#[tokio::test]
async fn health_is_told_and_other_paths_are_not_found() {
    let emulator = Emulator::start().await.expect("an emulator");
    let admin = ([127, 0, 0, 1], 0).into();
    let sidecar = Running::start(super::keyless(&emulator), |s| s.admin(admin)).await;
    let admin = sidecar.admin.expect("asked for");
    let host = format!("host: {admin}\r\n");
    assert!(get(admin, "/healthz", &host).await.starts_with("HTTP/1.1 200"));
    assert!(get(admin, "/v1beta/models", &host).await.starts_with("HTTP/1.1 404"));
    assert_eq!(emulator.count(LIST_MODELS), 0);
}
