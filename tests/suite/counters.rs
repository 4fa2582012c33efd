//! What operators count: each call that failed, by its code and by what the network did.

use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::{ActiveTransport, SymptomKind, Transport};
use tonic::{Code, Status};

use crate::in_memory::{Network, on_virtual_time};
use crate::setting::{
    BOTH, GENERATE, LIST_MODELS, STREAM, answer, call, call_raw, direct, question,
};

#[test]
fn a_call_that_fails_because_its_probe_did_is_counted_with_the_symptom() {
    on_virtual_time(fail_with_the_probe());
}

async fn fail_with_the_probe() {
    use SymptomKind::{ProxyAuthenticationRequired, ProxyForbidden};
    // A refused login ends the call; after another refusal REST is tried, too.
    for (fault, symptom, over_rest) in [
        (Fault::ConnectLoginRequired, ProxyAuthenticationRequired, 0),
        (Fault::ConnectForbidden, ProxyForbidden, 1),
    ] {
        let network = Network::begin(HostileProxy::builder(), fault);
        let bridge = network.bridge().build().expect("a bridge");
        let status = call(bridge.clone(), GENERATE, &question("?")).await.status;
        assert_eq!(status.code(), Code::Unavailable, "{fault:?}");
        let counts = bridge.stats();
        assert_eq!((counts.calls(), counts.failures(Code::Unavailable)), (1, 1), "{fault:?}");
        assert_eq!(counts.failures_by(symptom), 1, "{fault:?}");
        assert_eq!(counts.symptoms(symptom), 1 + over_rest, "{fault:?}: the probe met it, too");
        let attempts = [ActiveTransport::Grpc, ActiveTransport::Rest].map(|t| counts.attempts(t));
        assert_eq!(attempts, [0, over_rest], "{fault:?}");
    }
}

#[tokio::test]
async fn failures_count_once_by_the_code_that_the_caller_gets() {
    for transport in BOTH {
        let emulator = Emulator::start().await.expect("an emulator");
        let bridge = direct(&emulator).transport(transport).build().expect("a bridge");
        emulator.once(GENERATE, Reply::error(Status::resource_exhausted("slow down")));
        emulator.on(STREAM, Reply::messages([answer("a")]).then_error(Status::internal("oh")));
        for path in [GENERATE, GENERATE, STREAM, STREAM] {
            call(bridge.clone(), path, &question("?")).await;
        }
        // No message at all: refused before anything is sent.
        call_raw(bridge.clone(), GENERATE, "").await;
        let counts = bridge.stats();
        let counted =
            [Code::Ok, Code::ResourceExhausted, Code::Internal].map(|c| counts.failures(c));
        assert_eq!((counts.calls(), counted), (5, [0, 1, 2]), "{transport:?}");
        let all = (0..=16).map(|code| counts.failures(Code::from(code))).sum::<u64>();
        assert_eq!(all, 4, "{transport:?}");
    }
}

#[test]
fn what_a_second_attempt_made_good_is_a_symptom_and_no_failure() {
    on_virtual_time(make_good());
}

async fn make_good() {
    let network = Network::begin(HostileProxy::builder(), Fault::InspectHttp1);
    let bridge = network.bridge().transport(Transport::Auto).build().expect("a bridge");
    let status = call(bridge.clone(), LIST_MODELS, &question("?")).await.status;
    assert_eq!(status.code(), Code::Ok, "{status:?}");
    let counts = bridge.stats();
    assert_eq!(counts.symptoms(SymptomKind::Http2NotOffered), 1);
    assert_eq!(counts.failures_by(SymptomKind::Http2NotOffered), 0);
}
