//! Carriers: what the program brings carries each transport, mixed with ours in any way.

mod bad;
mod json;
mod redirect;
#[cfg(unix)]
mod unix;

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::{
    ActiveTransport, BridgeBuilder, Carrier, CarrierFailure, Delivery, Error, SymptomKind,
    Transport,
};
use http_body::Body as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tower::service_fn;

use crate::setting::{BOTH, GENERATE, behind, client, direct, question};

pub(crate) fn endpoint(emulator: &Emulator, roots: &[&str]) -> Endpoint {
    let roots = roots.iter().map(Certificate::from_pem);
    let tls = ClientTlsConfig::new().ca_certificates(roots);
    Endpoint::from_shared(emulator.endpoint()).expect("an address").tls_config(tls).expect("TLS")
}

/// A channel straight to the emulator.
pub(crate) fn channel(emulator: &Emulator) -> Channel {
    endpoint(emulator, &[emulator.root_certificate()]).connect_lazy()
}

/// A channel to the emulator through the proxy.
pub(crate) fn channel_through(emulator: &Emulator, proxy: &HostileProxy) -> Channel {
    let roots = [emulator.root_certificate(), proxy.root_certificate()];
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let tunnel = Tunnel::new(proxy.url().parse().expect("an address"), connector);
    endpoint(emulator, &roots).connect_with_connector_lazy(tunnel)
}

/// A client of reqwest straight to the emulator.
pub(crate) fn reqwest_for(emulator: &Emulator) -> reqwest::ClientBuilder {
    trusting(&[emulator.root_certificate()]).no_proxy()
}

/// A client of reqwest with a proxy of its own.
pub(crate) fn reqwest_through(emulator: &Emulator, proxy: &HostileProxy) -> reqwest::ClientBuilder {
    trusting(&[emulator.root_certificate(), proxy.root_certificate()])
        .proxy(reqwest::Proxy::all(proxy.url()).expect("an address"))
}

fn trusting(roots: &[&str]) -> reqwest::ClientBuilder {
    let roots = roots.iter().map(|root| reqwest::Certificate::from_pem(root.as_bytes()));
    reqwest::Client::builder().tls_certs_only(roots.map(|root| root.expect("a root")))
}

/// A bridge whose own network reaches nothing: what carries a call here is what was brought.
fn cut_off(emulator: &Emulator) -> BridgeBuilder {
    let refuse = |_| ready(Err::<hyper_util::rt::TokioIo<tokio::io::DuplexStream>, _>("cut off"));
    direct(emulator).connector(service_fn(refuse)).connect_timeout(Duration::from_secs(1))
}

async fn carried_by(bridge: BridgeBuilder) -> ActiveTransport {
    let answer = client(bridge).generate_content(question("?")).await.expect("an answer");
    *answer.extensions().get::<ActiveTransport>().expect("a mark")
}

#[tokio::test]
async fn a_channel_carries_grpc() {
    let emulator = Emulator::start().await.expect("an emulator");
    for transport in [Transport::Grpc, Transport::Auto] {
        let bridge = cut_off(&emulator).transport(transport).grpc_carrier(channel(&emulator));
        assert_eq!(carried_by(bridge).await, ActiveTransport::Grpc);
    }
}

#[tokio::test]
async fn reqwest_with_its_own_proxy_and_root_carries_rest() {
    let (emulator, proxy) = behind(Fault::Pass).await;
    for transport in [Transport::Rest, Transport::Auto] {
        let client = reqwest_through(&emulator, &proxy);
        let bridge = cut_off(&emulator).transport(transport).rest_carrier(client);
        assert_eq!(carried_by(bridge).await, ActiveTransport::Rest);
    }
    assert!(proxy.counts().tunnels() > 0);
}

#[tokio::test]
async fn hyper_utils_client_carries_rest_by_a_resolver_of_its_own() {
    let emulator = Emulator::builder().plaintext().start().await.expect("an emulator");
    let address = emulator.address();
    let resolver = service_fn(move |_: Name| {
        ready(Ok::<_, Infallible>([SocketAddr::new(address.ip(), 0)].into_iter()))
    });
    let http =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new_with_resolver(resolver));
    let bridge = cut_off(&emulator)
        .endpoint(format!("http://service.test:{}", address.port()))
        .allow_plaintext()
        .transport(Transport::Rest)
        .rest_carrier(Carrier::service(http));
    assert_eq!(carried_by(bridge).await, ActiveTransport::Rest);
}

#[tokio::test]
async fn one_service_in_between_sees_both_transports() {
    let emulator = Emulator::start().await.expect("an emulator");
    let signing = |carrier: Channel| {
        tower::ServiceBuilder::new()
            .map_request(|mut request: http::Request<tonic::body::Body>| {
                let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
                if header("content-type") == Some("application/json") {
                    // A service that is no HTTP client need not look at the body.
                    let length = request.body().size_hint().exact().expect("a length");
                    assert_eq!(header("content-length"), Some(&*length.to_string()));
                }
                let signature = http::HeaderValue::from_static("signed");
                request.headers_mut().insert("x-signature", signature);
                request
            })
            .service(carrier)
    };
    for transport in BOTH {
        let bridge = cut_off(&emulator)
            .transport(transport)
            .grpc_carrier(Carrier::service(signing(channel(&emulator))))
            .rest_carrier(Carrier::service(signing(channel(&emulator))));
        carried_by(bridge).await;
    }
    let received = emulator.received();
    assert_eq!(received.iter().filter(|call| call.method() == GENERATE).count(), 2);
    assert!(received.iter().all(|call| call.headers().contains_key("x-signature")));
}

#[tokio::test]
async fn a_failure_before_sending_falls_back_in_any_mix() {
    let (emulator, proxy) = behind(Fault::ConnectForbidden).await;
    // gRPC of the program's, REST of ours, and the other way round.
    let bridge = direct(&emulator).grpc_carrier(channel_through(&emulator, &proxy));
    assert_eq!(carried_by(bridge).await, ActiveTransport::Rest);
    let bridge = crate::setting::through(&emulator, &proxy).rest_carrier(reqwest_for(&emulator));
    assert_eq!(carried_by(bridge).await, ActiveTransport::Rest);
    assert_eq!(emulator.count(GENERATE), 2);
}

/// What a call meets over a carrier that cannot connect.
async fn met_by(bridge: BridgeBuilder) -> SymptomKind {
    let status = client(bridge).generate_content(question("?")).await.expect_err("a failure");
    let error = Error::of(&status).expect("ours");
    let symptom = error.symptom().expect("a symptom");
    assert_eq!(symptom.delivery(), Delivery::NotSent, "{error:?}");
    symptom.kind()
}

/// An address at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn a_channel_that_does_not_connect_proves_that_nothing_was_sent() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut channels = vec![
        (Endpoint::from_static(NOBODY).connect_lazy(), SymptomKind::ConnectionRefused),
        // A label longer than a name server is ever asked for.
        (
            Endpoint::from_shared(format!("http://{}.test", "a".repeat(64)))
                .expect("an address")
                .connect_lazy(),
            SymptomKind::CarrierNotConnected,
        ),
        (endpoint(&emulator, &[]).connect_lazy(), SymptomKind::CertificateUnknownIssuer),
    ];
    let (with_http1, inspecting) = behind(Fault::InspectHttp1).await;
    let over_http1 = channel_through(&with_http1, &inspecting);
    let (without_alpn, inspecting) = behind(Fault::InspectWithoutAlpn).await;
    channels.push((channel_through(&without_alpn, &inspecting), SymptomKind::CarrierNotConnected));
    for (channel, kind) in channels {
        let bridge = cut_off(&emulator).transport(Transport::Grpc).grpc_carrier(channel);
        assert_eq!(met_by(bridge).await, kind);
    }
    let bridge = cut_off(&emulator).transport(Transport::Grpc).grpc_carrier(over_http1);
    // The proxy's alert may be lost when it closes the connection at once.
    let met = met_by(bridge).await;
    assert!([SymptomKind::Http2NotOffered, SymptomKind::CarrierNotConnected].contains(&met));
}

#[tokio::test]
async fn a_client_of_reqwest_that_does_not_connect_proves_that_nothing_was_sent() {
    let emulator = Emulator::start().await.expect("an emulator");
    let bridge = || cut_off(&emulator).transport(Transport::Rest);
    let refused = bridge().endpoint(NOBODY).rest_carrier(reqwest_for(&emulator));
    assert_eq!(met_by(refused).await, SymptomKind::ConnectionRefused);
    let distrusting = bridge().rest_carrier(trusting(&[]).no_proxy());
    assert_eq!(met_by(distrusting).await, SymptomKind::CertificateUnknownIssuer);
    let nameless = bridge().rest_carrier(reqwest_for(&emulator).dns_resolver(NoName));
    assert_eq!(met_by(nameless).await, SymptomKind::NameNotFound);
}

struct NoName;

impl reqwest::dns::Resolve for NoName {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(ready(Err("no such name".into())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_carrier_can_say_itself_what_became_of_a_call() {
    for (delivery, sent) in [
        (Delivery::NotSent, 2),
        (Delivery::Refused, 2),
        (Delivery::Answered, 1),
        (Delivery::Unknown, 1),
        (Delivery::Processed, 1),
    ] {
        let emulator = Arc::new(Emulator::builder().unbound().expect("an emulator"));
        let calls = bad::Calls::default();
        let bridge = direct(&emulator)
            .without_probe()
            .grpc_carrier(calls.failing(move || CarrierFailure::new(delivery)))
            .connector(crate::connector::in_memory(&emulator));
        let outcome = client(bridge).generate_content(question("?")).await;
        assert_eq!(calls.count() + emulator.count(GENERATE), sent, "{delivery:?} {outcome:?}");
        assert_eq!(outcome.is_ok(), sent == 2, "{delivery:?}");
    }
}

#[tokio::test]
async fn no_silent_carrier_is_asked_and_the_doctor_names_it() {
    let emulator = Emulator::start().await.expect("an emulator");
    let doctor = genai_bridge::doctor::Doctor::new(
        cut_off(&emulator).grpc_carrier(channel(&emulator)).rest_carrier(reqwest_for(&emulator)),
    );
    let report = doctor.examine().await;
    let text = report.to_text(false).split_whitespace().collect::<Vec<_>>().join(" ");
    for told in ["gRPC over the program's own carrier", "REST over the program's own carrier"] {
        assert!(text.contains(told), "{text}");
    }
    assert!(text.contains("the program's own carriers dial"), "{text}");
}

fn prepared(emulator: &Emulator) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(emulator.root_certificate().as_bytes());
    roots.add(root.expect("a root")).expect("added");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    config.with_root_certificates(roots).with_no_client_auth()
}

fn without_roots(emulator: &Emulator) -> BridgeBuilder {
    let bridge = genai_bridge::Bridge::builder().endpoint(emulator.endpoint());
    bridge.api_key("any").proxy(genai_bridge::Proxy::none())
}

#[tokio::test]
async fn a_prepared_tls_configuration_with_one_root_carries_both_transports() {
    let (emulator, other) = (Emulator::start().await, Emulator::start().await);
    let (emulator, other) = (emulator.expect("an emulator"), other.expect("an emulator"));
    for transport in BOTH {
        let bridge = without_roots(&emulator).transport(transport);
        carried_by(bridge.tls(prepared(&emulator))).await;
        // Its one root is the only one.
        let distrusting = without_roots(&other).transport(transport).tls(prepared(&emulator));
        assert_eq!(met_by(distrusting).await, SymptomKind::CertificateUnknownIssuer);
    }
}

#[tokio::test]
async fn what_contradicts_a_prepared_tls_configuration_is_an_error_of_build() {
    let emulator = Emulator::start().await.expect("an emulator");
    let mut with_alpn = prepared(&emulator);
    with_alpn.alpn_protocols = vec![b"h2".to_vec()];
    for (bridge, told) in [
        (without_roots(&emulator).tls(with_alpn), "alpn_protocols"),
        (direct(&emulator).tls(prepared(&emulator)), "added roots"),
        (
            without_roots(&emulator).tls(prepared(&emulator)).client_identity("chain", "key"),
            "client certificate",
        ),
    ] {
        let error = bridge.build().expect_err("a contradiction");
        assert_eq!(error.kind(), genai_bridge::ErrorKind::Configuration);
        assert!(error.to_string().contains(told), "{error}");
    }
}
