//! Verdicts: what one bridge has learnt spares another the proof, on the same network alone.

use std::time::{Duration, SystemTime};

use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::model_service_client::ModelServiceClient;
use genai_bridge::v1beta::{GetModelRequest, ListModelsRequest};
use genai_bridge::{ActiveTransport, Bridge, Carrier, SymptomKind, Transport, Verdict};

use crate::carriers::channel_through;
use crate::setting::{GENERATE, behind, direct, question, through};

async fn ask(bridge: &Bridge) -> ActiveTransport {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let answer = client.generate_content(question("?")).await.expect("an answer");
    *answer.extensions().get::<ActiveTransport>().expect("a mark")
}

/// What a bridge learns behind this proxy, as a text.
async fn learnt(emulator: &Emulator, proxy: &HostileProxy) -> String {
    let bridge = through(emulator, proxy).build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("REST"), ActiveTransport::Rest);
    bridge.verdict().expect("a verdict").to_string()
}

fn read(text: &str) -> Verdict {
    text.parse().expect("a verdict")
}

#[tokio::test]
async fn a_bridge_that_is_given_a_verdict_does_not_prove_grpc() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let text = learnt(&emulator, &proxy).await;
    let tunnels = proxy.counts().tunnels();
    let verdict = read(&text);
    assert_eq!(verdict.symptom(), Some(SymptomKind::Http2NotOffered));
    let left = verdict.until().duration_since(SystemTime::now()).expect("in force");
    assert!(left <= Duration::from_secs(300) && left > Duration::from_secs(200), "{left:?}");

    let bridge = through(&emulator, &proxy).verdict(verdict).build().expect("a bridge");
    let state = bridge.transport_state();
    assert_eq!(state.transport(), Some(ActiveTransport::Rest));
    assert!(state.to_string().contains("remembered from before"), "{state}");
    assert_eq!(ask(&bridge).await, ActiveTransport::Rest);
    assert_eq!(proxy.counts().tunnels(), tunnels + 1, "REST's own");
    assert_eq!(bridge.stats().probes(ActiveTransport::Grpc), 0);
    // It is handed on as it is.
    let again = bridge.verdict().expect("a verdict");
    assert_eq!((again.network(), again.symptom()), (read(&text).network(), read(&text).symptom()));
    // What was given is forgotten like all else.
    bridge.reset();
    assert!(bridge.verdict().is_none());
}

#[tokio::test]
async fn a_verdict_of_another_network_is_not_taken() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let verdict = read(&learnt(&emulator, &proxy).await);
    assert!(verdict.network().contains(&proxy.address().to_string()), "{verdict}");
    let other = Emulator::start().await.expect("an emulator");
    let channel = channel_through(&emulator, &proxy);
    for builder in [
        direct(&emulator),
        through(&other, &proxy),
        through(&emulator, &proxy).grpc_carrier(Carrier::from(channel)),
    ] {
        let bridge = builder.verdict(verdict.clone()).build().expect("a bridge");
        assert_eq!(bridge.transport_state().transport(), None);
        assert!(bridge.verdict().is_none());
    }
    assert_eq!(ask(&direct(&emulator).verdict(verdict).build().expect("a bridge")).await, {
        ActiveTransport::Grpc
    });
}

#[tokio::test]
async fn an_expired_verdict_is_proven_anew_and_doubles() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let text = learnt(&emulator, &proxy).await;
    let until = text.split(' ').rev().nth(1).expect("a time").to_owned();
    let expired = read(&text.replace(&until, "1000000000"));
    let bridge = through(&emulator, &proxy).verdict(expired.clone()).build().expect("a bridge");
    assert_eq!(bridge.transport_state().transport(), None);
    assert_eq!(ask(&bridge).await, ActiveTransport::Rest);
    let left = bridge.verdict().expect("a verdict").until().duration_since(SystemTime::now());
    let left = left.expect("in force");
    assert!(left <= Duration::from_secs(600) && left > Duration::from_secs(500), "{left:?}");

    // The network has healed.
    proxy.set(Fault::Pass);
    let bridge = through(&emulator, &proxy).verdict(expired).build().expect("a bridge");
    bridge.connect().await.expect("gRPC");
    assert_eq!(ask(&bridge).await, ActiveTransport::Grpc);
    assert!(bridge.verdict().is_none());
}

#[tokio::test]
async fn no_text_makes_a_verdict_hold_longer_than_a_day() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let text = learnt(&emulator, &proxy).await;
    let until = text.split(' ').rev().nth(1).expect("a time").to_owned();
    let text = text.replace(&until, "253402300799") + "method " + GENERATE + " 253402300799 1000\n";
    let bridge = through(&emulator, &proxy).verdict(read(&text)).build().expect("a bridge");
    let until = bridge.verdict().expect("a verdict").until();
    let left = until.duration_since(SystemTime::now()).expect("in force");
    assert!(left <= Duration::from_secs(24 * 60 * 60), "{left:?}");
}

fn named(model: &str) -> GetModelRequest {
    GetModelRequest { name: model.into(), ..Default::default() }
}

#[tokio::test]
async fn a_methods_verdict_is_remembered_for_that_method() {
    let authority = Authority::new("Corp Inspection CA");
    let emulator = Emulator::builder().authority(authority.clone()).start().await;
    let emulator = emulator.expect("an emulator");
    let proxy = HostileProxy::builder().authority(authority).start(Fault::InspectHttp1).await;
    let proxy = proxy.expect("a proxy");
    let text = learnt(&emulator, &proxy).await;
    proxy.set(Fault::Pass);
    let network = text.lines().nth(1).expect("a network").to_owned();
    let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time");
    let soon = soon.as_secs() + 300;
    // One that the schema does not have is passed over.
    let text = format!(
        "genai-bridge verdict 1\n{network}\nmethod {GENERATE} {soon} 1\nmethod /a.B/C {soon} 1\n"
    );
    let bridge = through(&emulator, &proxy).verdict(read(&text)).build().expect("a bridge");
    bridge.connect().await.expect("gRPC");
    assert_eq!(ask(&bridge).await, ActiveTransport::Rest);
    let mut models = ModelServiceClient::new(bridge.clone());
    let other = models.get_model(named("models/gemini-2.5-flash")).await;
    let mark = other.expect("an answer").extensions().get::<ActiveTransport>().copied();
    assert_eq!(mark, Some(ActiveTransport::Grpc));
    models.list_models(ListModelsRequest::default()).await.expect("an answer");
    let kept = bridge.verdict().expect("a verdict").to_string();
    assert!(kept.contains(GENERATE) && !kept.contains("/a.B/C"), "{kept}");
}

#[tokio::test]
async fn a_fixed_transport_hands_a_verdict_on_and_does_not_heed_it() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let verdict = read(&learnt(&emulator, &proxy).await);
    proxy.set(Fault::Pass);
    let builder = through(&emulator, &proxy).transport(Transport::Grpc);
    let bridge = builder.verdict(verdict).build().expect("a bridge");
    assert_eq!(bridge.transport_state().transport(), Some(ActiveTransport::Grpc));
    assert_eq!(ask(&bridge).await, ActiveTransport::Grpc);
    assert!(bridge.verdict().is_some());
}
