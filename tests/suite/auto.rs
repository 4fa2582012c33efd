//! `Transport::Auto`: which transport a call takes on each kind of network, and what it never does.

use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::hostile::Link;
use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Error, ErrorKind, Schema, SymptomKind, Transport};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::messages::descriptors_of;
use crate::setting::{
    BOTH, GENERATE, LIST_MODELS, STREAM, answer, behind, behind_a, change, direct, question,
    text_of, through,
};

/// Far beyond what the probe needs on a busy machine.
const LONG: Duration = Duration::from_secs(20);
const GENERATIVE_SERVICE: &str = "google/ai/generativelanguage/v1beta/generative_service.proto";

async fn ask(bridge: &Bridge) -> Result<ActiveTransport, Status> {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let reply = client.generate_content(question("?")).await?;
    assert!(!text_of(reply.get_ref()).is_empty());
    Ok(*reply.extensions().get::<ActiveTransport>().expect("a mark"))
}

#[tokio::test]
async fn a_good_network_carries_grpc_after_one_free_probe() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    for _ in 0..3 {
        assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Grpc);
    }
    assert_eq!((emulator.count(LIST_MODELS), emulator.count(GENERATE)), (1, 3));
    let active = bridge.transport_state();
    assert_eq!(
        (active.transport(), active.symptom().is_none()),
        (Some(ActiveTransport::Grpc), true)
    );
}

/// What the first and the next call meet on a network, and why.
struct Case {
    fault: Fault,
    symptom: SymptomKind,
}

#[tokio::test]
async fn a_network_that_breaks_grpc_gets_rest_at_once_and_each_call_once() {
    for Case { fault, symptom } in [
        Case { fault: Fault::InspectHttp1, symptom: SymptomKind::Http2NotOffered },
        Case { fault: Fault::InspectWithoutAlpn, symptom: SymptomKind::Http2NotOffered },
        Case { fault: Fault::Http1Answer, symptom: SymptomKind::Http1Answer },
        Case { fault: Fault::ResetAfterPreface, symptom: SymptomKind::ResetBeforeSettings },
        Case { fault: Fault::ClosedAfterPreface, symptom: SymptomKind::ClosedBeforeSettings },
        Case { fault: Fault::Page200, symptom: SymptomKind::NotGrpc },
        Case { fault: Fault::TrailersStripped, symptom: SymptomKind::TrailersMissing },
    ] {
        let (emulator, proxy) = behind(fault).await;
        let bridge = through(&emulator, &proxy).build().expect("a bridge");
        for _ in 0..3 {
            assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Rest, "{fault:?}");
        }
        assert_eq!(emulator.count(GENERATE), 3, "{fault:?}: a paid call was sent twice");
        let active = bridge.transport_state();
        assert_eq!(active.transport(), Some(ActiveTransport::Rest), "{fault:?}");
        assert_eq!(active.symptom().expect("a reason").kind(), symptom, "{fault:?}");
    }
}

#[tokio::test]
async fn a_probe_that_is_swallowed_does_not_hold_calls_up() {
    for fault in [Fault::CallSwallowed, Fault::PrefaceSwallowed] {
        let (emulator, proxy) = behind(fault).await;
        let bridge = through(&emulator, &proxy).build().expect("a bridge");
        assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Rest, "{fault:?}");
        assert_eq!(emulator.count(GENERATE), 1);
    }
}

#[tokio::test]
async fn a_probe_that_is_swallowed_is_a_failed_one() {
    let (emulator, proxy) = behind(Fault::CallSwallowed).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Rest);
    let active = bridge.transport_state();
    assert_eq!(active.transport(), Some(ActiveTransport::Rest));
    assert_eq!(active.symptom().expect("a reason").kind(), SymptomKind::Unanswered);
}

#[tokio::test]
async fn a_probe_outside_the_schema_needs_its_trailers_too() {
    let (emulator, proxy) = behind(Fault::TrailersStripped).await;
    let schema = Schema::from_descriptor_set(&descriptors_of(&[GENERATIVE_SERVICE]));
    let builder = through(&emulator, &proxy).schema(schema.expect("a schema"));
    let bridge = builder.probe_call(LIST_MODELS, b"").build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Rest);
}

#[tokio::test]
async fn a_graceful_goaway_costs_no_call_and_leaves_grpc_in_place() {
    let (emulator, proxy) = behind(Fault::GoAwayAfterStreams).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    bridge.connect().await.expect("a transport");
    for _ in 0..6 {
        assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Grpc);
    }
    assert_eq!(emulator.count(GENERATE), 6);
    assert!(bridge.stats().symptoms(SymptomKind::GoAwayGraceful) > 0);
    assert!(proxy.counts().tunnels() > 1);
}

#[tokio::test]
async fn a_stream_that_is_refused_again_and_again_goes_over_rest() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    bridge.connect().await.expect("a transport");
    change(&proxy, Fault::StreamRefused, &bridge).await;
    assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Rest);
    assert_eq!(emulator.count(GENERATE), 1);
    assert_eq!(bridge.stats().symptoms(SymptomKind::StreamRefused), 4);
    assert_eq!((bridge.stats().resends(), bridge.stats().switches()), (4, 1));
}

#[tokio::test]
async fn a_path_that_goes_bad_never_sends_the_call_in_hand_twice() {
    for fault in [Fault::TrailersStripped, Fault::Page200] {
        let (emulator, proxy) = behind(Fault::Pass).await;
        let bridge = through(&emulator, &proxy).build().expect("a bridge");
        bridge.connect().await.expect("a transport");
        assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Grpc);
        change(&proxy, fault, &bridge).await;
        let status = ask(&bridge).await.expect_err("the call in hand fails");
        assert!(Error::of(&status).expect("ours").symptom().is_some(), "{status:?}");
        let seen = emulator.count(GENERATE);
        assert!(seen <= 2, "{fault:?}: {seen}");
        assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Rest, "{fault:?}");
        assert_eq!(emulator.count(GENERATE), seen + 1);
    }
}

#[tokio::test]
async fn a_failure_that_rest_cannot_cure_ends_at_once_with_both_causes() {
    use SymptomKind as Kind;
    for (fault, symptom, second, code) in [
        (Fault::ConnectForbidden, Kind::ProxyForbidden, Kind::ProxyForbidden, Code::Unavailable),
        (
            Fault::InspectUnknownIssuer,
            Kind::CertificateUnknownIssuer,
            Kind::CertificateUnknownIssuer,
            Code::Unavailable,
        ),
        (Fault::PolicyPage, Kind::NotGrpc, Kind::ForeignError, Code::PermissionDenied),
        (
            Fault::PolicyPageWithoutAlpn,
            Kind::Http2NotOffered,
            Kind::ForeignError,
            Code::PermissionDenied,
        ),
    ] {
        let (emulator, proxy) = behind(fault).await;
        let bridge = through(&emulator, &proxy).build().expect("a bridge");
        let status = ends_at_once(&bridge).await;
        assert_eq!(status.code(), code, "{status:?}");
        assert_eq!(causes(&status), [symptom, second], "{fault}");
        assert_eq!(bridge.transport_state().transport(), None, "an outage marks nothing");
        assert_eq!(emulator.received().len(), 0);
    }
}

#[tokio::test]
async fn a_login_that_the_proxy_refuses_is_tried_once_for_a_call() {
    let (emulator, proxy) = behind(Fault::ConnectLoginRequired).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    for logins in 1..=2 {
        let status = ends_at_once(&bridge).await;
        let error = Error::of(&status).expect("ours");
        let kind = error.symptom().expect("a symptom").kind();
        assert_eq!(kind, SymptomKind::ProxyAuthenticationRequired);
        assert!(error.first().is_none(), "{error}");
        assert_eq!(proxy.counts().strikes(), logins);
    }
    bridge.connect().await.expect_err("no way leads there");
    assert_eq!(proxy.counts().strikes(), 3);
    assert_eq!((bridge.transport_state().transport(), emulator.received().len()), (None, 0));
}

#[tokio::test]
async fn a_dead_proxy_ends_the_call_at_once_with_both_causes() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    drop(proxy);
    let status = ends_at_once(&bridge).await;
    assert_eq!(causes(&status), [SymptomKind::ConnectionRefused; 2]);
    assert_eq!(bridge.transport_state().transport(), None);
}

/// Far less than what the network allows for connecting.
async fn ends_at_once(bridge: &Bridge) -> Status {
    let ended = timeout(Duration::from_secs(5), ask(bridge)).await.expect("at once");
    ended.expect_err("no way leads there")
}

fn causes(status: &Status) -> [SymptomKind; 2] {
    let second = Error::of(status).expect("ours");
    assert!(second.advice().is_some_and(|advice| !advice.contains("set the transport")));
    let first = second.first().expect("the other transport too");
    [first, second].map(|error| error.symptom().expect("a symptom").kind())
}

#[tokio::test]
async fn a_request_that_fits_no_rest_path_is_the_callers_mistake_whatever_grpc_met() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let bridge = through(&emulator, &proxy).grpc_head_start(LONG).build().expect("a bridge");
    let mut request = question("?");
    request.model = "no model".into();
    let call = GenerativeServiceClient::new(bridge).generate_content(request).await;
    let status = call.expect_err("no path");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(Error::of(&status).expect("ours").kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn an_unknown_authority_is_named_with_its_issuer() {
    let emulator = Emulator::start().await.expect("an emulator");
    let proxy = HostileProxy::start(Fault::InspectHttp1).await.expect("a proxy");
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    let status = ask(&bridge).await.expect_err("not trusted");
    let error = Error::of(&status).expect("ours");
    let symptom = error.symptom().expect("a symptom");
    assert_eq!(symptom.kind(), SymptomKind::CertificateUnknownIssuer);
    assert!(symptom.evidence().issuer().is_some());
}

#[tokio::test]
async fn a_fixed_transport_never_leaves_a_broken_network_for_the_other() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let builder = through(&emulator, &proxy).transport(Transport::Grpc);
    let status = ask(&builder.build().expect("a bridge")).await.expect_err("no gRPC here");
    let kind = Error::of(&status).expect("ours").symptom().expect("a symptom").kind();
    assert_eq!((status.code(), kind), (Code::Unavailable, SymptomKind::Http2NotOffered));
    assert_eq!(emulator.received().len(), 0);
    let builder = through(&emulator, &proxy).transport(Transport::Rest);
    assert_eq!(
        ask(&builder.build().expect("a bridge")).await.expect("an answer"),
        ActiveTransport::Rest
    );
}

#[tokio::test]
async fn rest_is_not_hit_by_what_breaks_http2_unless_it_is_asked_to_offer_it() {
    for fault in [Fault::PrefaceSwallowed, Fault::NoApplicationProtocol, Fault::ResetAfterPreface] {
        let (emulator, proxy) = behind(fault).await;
        let bridge =
            through(&emulator, &proxy).transport(Transport::Rest).build().expect("a bridge");
        assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Rest, "{fault:?}");
    }
    let emulator = Emulator::start().await.expect("an emulator");
    for (offered, version) in [(false, http::Version::HTTP_11), (true, http::Version::HTTP_2)] {
        let builder = direct(&emulator).transport(Transport::Rest).rest_http2(offered);
        ask(&builder.build().expect("a bridge")).await.expect("an answer");
        assert_eq!(emulator.received().pop().expect("a call").version(), version);
    }
}

#[tokio::test]
async fn the_services_own_refusal_of_the_probe_proves_the_path() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(LIST_MODELS, Reply::error(Status::permission_denied("no such right")));
    emulator.on(GENERATE, Reply::message(&answer("yes")));
    let bridge = direct(&emulator).build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Grpc);
}

#[tokio::test]
async fn what_a_gateway_says_as_well_proves_nothing() {
    use Code::{Cancelled, Internal, Unavailable, Unimplemented, Unknown};
    for code in [Cancelled, Internal, Unavailable, Unimplemented, Unknown] {
        let emulator = Emulator::start().await.expect("an emulator");
        emulator.on(LIST_MODELS, Reply::error(Status::new(code, "no route")));
        let bridge = direct(&emulator).grpc_head_start(LONG).build().expect("a bridge");
        for _ in 0..2 {
            assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Rest, "{code:?}");
        }
        let active = bridge.transport_state();
        let symptom = active.symptom().expect("a reason").to_string();
        assert!(symptom.contains(&format!("{code:?}")), "{symptom}");
        assert_eq!(emulator.count(GENERATE), 2);
        assert_eq!(bridge.stats().probes(ActiveTransport::Grpc), 1);
    }
}

#[tokio::test]
async fn without_probe_no_free_call_is_made() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = direct(&emulator).without_probe().build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Grpc);
    assert_eq!((emulator.count(LIST_MODELS), emulator.count(GENERATE)), (0, 1));
    assert_eq!(bridge.stats().probes(ActiveTransport::Grpc), 0);
}

#[tokio::test]
async fn forgetting_makes_grpc_prove_itself_anew() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Rest);
    let mut watched = bridge.watch();
    change(&proxy, Fault::Pass, &bridge).await;
    bridge.reset();
    assert_eq!(bridge.transport_state().transport(), None);
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Grpc);
    let active = watched.wait_for(|active| active.transport() == Some(ActiveTransport::Grpc)).await;
    assert!(active.is_ok());
}

#[tokio::test]
async fn after_a_reset_no_call_takes_a_connection_of_before_also_one_that_was_in_use() {
    for transport in BOTH {
        let (emulator, proxy) = behind(Fault::Pass).await;
        let gate = Arc::new(Semaphore::new(0));
        emulator.on(STREAM, Reply::message(&answer("a")).gate(Arc::clone(&gate)));
        let bridge = through(&emulator, &proxy).transport(transport).build().expect("a bridge");
        ask(&bridge).await.expect("an answer");
        bridge.reset();
        ask(&bridge).await.expect("an answer");
        assert_eq!(proxy.counts().tunnels(), 2, "{transport:?}: the first one was idle");

        let stream = tokio::spawn({
            let mut client = GenerativeServiceClient::new(bridge.clone());
            async move {
                let mut stream = client.stream_generate_content(question("?")).await?.into_inner();
                while stream.message().await?.is_some() {}
                Ok::<_, Status>(())
            }
        });
        emulator.received_when(3).await;
        let before = proxy.counts().tunnels();
        bridge.reset();
        gate.add_permits(1);
        stream.await.expect("no panic").expect("an answer");
        ask(&bridge).await.expect("an answer");
        assert_eq!(proxy.counts().tunnels(), before + 1, "{transport:?}: it was in use");
    }
}

#[tokio::test]
async fn forgetting_leaves_the_connections_of_the_old_network() {
    let link = Link::new();
    let (emulator, proxy) = behind_a(HostileProxy::builder().link(&link), Fault::Pass).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    link.forget_connections();
    bridge.reset();
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Grpc);
    assert_eq!(ask(&bridge).await.expect("an answer"), ActiveTransport::Grpc);
}
