//! Renewal: a bridge that lives on takes another proxy, other roots, another transport.

use std::sync::Arc;

use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{
    ActiveTransport, Bridge, Error, ErrorKind, NetworkRenewal, Proxy, SymptomKind, Transport,
};
use tokio::sync::Semaphore;

use crate::setting::{
    BOTH, GENERATE, STREAM, answer, behind_a, direct, question, text_of, through,
};

fn client_of(bridge: &Bridge) -> GenerativeServiceClient<Bridge> {
    GenerativeServiceClient::new(bridge.clone())
}

async fn ask(bridge: &Bridge) -> ActiveTransport {
    let answer = client_of(bridge).generate_content(question("?")).await.expect("an answer");
    *answer.extensions().get::<ActiveTransport>().expect("a mark")
}

fn to(proxy: &HostileProxy) -> NetworkRenewal {
    NetworkRenewal::new().proxy(Proxy::url(&proxy.url()).expect("a URL"))
}

/// An emulator, and two proxies before it.
async fn behind_two(faults: [Fault; 2]) -> (Emulator, HostileProxy, HostileProxy) {
    let authority = Authority::new("Corp Inspection CA");
    let (emulator, first) = {
        let emulator = Emulator::builder().authority(authority.clone()).start().await;
        let proxy = HostileProxy::builder().authority(authority.clone()).start(faults[0]).await;
        (emulator.expect("an emulator"), proxy.expect("a proxy"))
    };
    let second = HostileProxy::builder().authority(authority).start(faults[1]).await;
    (emulator, first, second.expect("a proxy"))
}

#[tokio::test]
async fn new_connections_take_the_new_proxy_and_old_ones_drain() {
    for transport in BOTH {
        let (emulator, old, new) = behind_two([Fault::Pass; 2]).await;
        let gate = Arc::new(Semaphore::new(1));
        emulator.on(STREAM, Reply::messages([answer("a"), answer("b")]).gate(Arc::clone(&gate)));
        let bridge = through(&emulator, &old).transport(transport).build().expect("a bridge");
        let stream = client_of(&bridge).stream_generate_content(question("?")).await;
        let mut stream = stream.expect("a stream").into_inner();
        assert_eq!(text_of(&stream.message().await.expect("well").expect("a chunk")), "a");

        bridge.renew_network(to(&new)).expect("renewed");
        for _ in 0..3 {
            ask(&bridge).await;
        }
        assert_eq!((old.counts().tunnels(), new.counts().tunnels()), (1, 1), "{transport:?}");
        gate.add_permits(1);
        assert_eq!(text_of(&stream.message().await.expect("well").expect("a chunk")), "b");
        assert!(stream.message().await.expect("well").is_none());
    }
}

#[tokio::test]
async fn what_was_learnt_of_the_old_network_is_unproven_on_the_new_one() {
    let (emulator, old, new) = behind_two([Fault::ConnectForbidden, Fault::Pass]).await;
    let broken = through(&emulator, &old).build().expect("a bridge");
    client_of(&broken).generate_content(question("?")).await.expect_err("no way out");

    let (other, downgrading) = behind_a(HostileProxy::builder(), Fault::InspectHttp1).await;
    let bridge = through(&other, &downgrading).build().expect("a bridge");
    assert_eq!(ask(&bridge).await, ActiveTransport::Rest);
    assert!(bridge.transport_state().symptom().is_some());
    bridge.renew_network(NetworkRenewal::new().proxy(Proxy::none())).expect("renewed");
    assert_eq!(bridge.transport_state().transport(), None);
    bridge.connect().await.expect("gRPC, or REST");
    assert_eq!(ask(&bridge).await, ActiveTransport::Grpc);

    broken.renew_network(to(&new)).expect("renewed");
    ask(&broken).await;
    // Failures name the proxy that is in force.
    new.set_and_cut(Fault::ConnectForbidden);
    broken.reset();
    let status = client_of(&broken).generate_content(question("?")).await.expect_err("no way out");
    let error = Error::of(&status).expect("ours");
    assert!(error.to_string().contains(&new.address().to_string()), "{error}");
}

#[tokio::test]
async fn a_dial_into_the_old_network_holds_no_later_call_up() {
    for transport in BOTH {
        let (emulator, old, new) = behind_two([Fault::ConnectSilence, Fault::Pass]).await;
        let bridge = through(&emulator, &old).transport(transport).build().expect("a bridge");
        let mut client = client_of(&bridge);
        let waiting = tokio::spawn(async move { client.generate_content(question("?")).await });
        old.wait_until(|counts| counts.strikes() > 0).await;
        bridge.renew_network(to(&new)).expect("renewed");
        ask(&bridge).await;
        assert!(!waiting.is_finished());
        waiting.abort();
    }
}

#[tokio::test]
async fn roots_are_renewed() {
    for transport in BOTH {
        let emulator = Emulator::start().await.expect("an emulator");
        let bridge = Bridge::builder()
            .endpoint(emulator.endpoint())
            .proxy(Proxy::none())
            .add_root_certificates(Authority::new("Expired CA").pem())
            .transport(transport)
            .build()
            .expect("a bridge");
        let status = client_of(&bridge).generate_content(question("?")).await;
        let status = status.expect_err("an unknown root");
        let symptom = Error::of(&status).and_then(Error::symptom).expect("a symptom");
        assert_eq!(symptom.kind(), SymptomKind::CertificateUnknownIssuer);

        let wrong = NetworkRenewal::new().root_certificates("no certificate");
        let error = bridge.renew_network(wrong).expect_err("no root");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let renewal = NetworkRenewal::new().root_certificates(emulator.root_certificate());
        bridge.renew_network(renewal).expect("renewed");
        ask(&bridge).await;

        // A renewal that fails leaves all as it was, and one that gives nothing too.
        let half = NetworkRenewal::new().root_certificates(emulator.root_certificate());
        let half = half.client_identity("no chain", "no key");
        bridge.renew_network(half).expect_err("no identity");
        bridge.renew_network(NetworkRenewal::new()).expect("renewed");
        ask(&bridge).await;
        assert_eq!(emulator.count(GENERATE), 2);
    }
}

#[tokio::test]
async fn the_transport_is_switched_while_calls_run() {
    let emulator = Emulator::start().await.expect("an emulator");
    let gate = Arc::new(Semaphore::new(1));
    emulator.on(STREAM, Reply::messages([answer("a"), answer("b")]).gate(Arc::clone(&gate)));
    let bridge = direct(&emulator).build().expect("a bridge");
    bridge.connect().await.expect("gRPC");
    let watched = bridge.watch();
    let stream = client_of(&bridge).stream_generate_content(question("?")).await;
    let stream = stream.expect("a stream");
    let mark = stream.extensions().get::<ActiveTransport>().copied();
    assert_eq!(mark, Some(ActiveTransport::Grpc));
    let mut stream = stream.into_inner();

    bridge.set_transport(Transport::Rest);
    let clone = bridge.clone();
    assert_eq!(ask(&clone).await, ActiveTransport::Rest);
    assert_eq!(watched.borrow().transport(), Some(ActiveTransport::Rest));
    gate.add_permits(1);
    let mut texts = String::new();
    while let Some(chunk) = stream.message().await.expect("well") {
        texts.push_str(&text_of(&chunk));
    }
    assert_eq!(texts, "ab");

    bridge.set_transport(Transport::Grpc);
    assert_eq!(ask(&bridge).await, ActiveTransport::Grpc);
    // What was learnt before is known still: no second probe.
    bridge.set_transport(Transport::Auto);
    assert_eq!(watched.borrow().transport(), Some(ActiveTransport::Grpc));
    assert_eq!(ask(&bridge).await, ActiveTransport::Grpc);
    assert_eq!(bridge.stats().probes(ActiveTransport::Grpc), 1);
}

#[tokio::test]
async fn a_call_keeps_the_transport_that_it_began_with() {
    let (emulator, proxy) = behind_a(HostileProxy::builder(), Fault::ConnectSilence).await;
    let bridge = through(&emulator, &proxy).transport(Transport::Grpc).build().expect("a bridge");
    let mut client = client_of(&bridge);
    let call = tokio::spawn(async move { client.generate_content(question("?")).await });
    proxy.wait_until(|counts| counts.strikes() > 0).await;
    bridge.set_transport(Transport::Auto);
    proxy.set_and_cut(Fault::InspectHttp1);
    // gRPC alone was asked for when it began.
    call.await.expect("no panic").expect_err("no gRPC here");
    assert_eq!(emulator.count(GENERATE), 0);
}
