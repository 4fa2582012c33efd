//! The price of finding out: the first call of `Transport::Auto` behind each fault that REST passes, against the
//! first call of `Transport::Rest` over HTTP/1.1 through the same kind of proxy. Medians of 20, interleaved in one run.

mod question;

use std::sync::Arc;
use std::time::{Duration, Instant};

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Proxy, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use question::question;

const RUNS: usize = 20;
/// What the first call may cost more than forced REST where connecting fails, in handshakes.
const ALLOWED: f64 = 1.25;
/// The bridge's own default.
const HEAD_START: Duration = Duration::from_millis(300);

/// No HTTP/2 connection comes about.
const CONNECTING_FAILS: [Fault; 12] = [
    Fault::Http2HelloClosed,
    Fault::Http2HelloReset,
    Fault::NoApplicationProtocol,
    Fault::InspectWithoutAlpn,
    Fault::InspectHttp1,
    Fault::Http1Answer,
    Fault::PrefaceGarbage,
    Fault::ClosedAfterPreface,
    Fault::ResetAfterPreface,
    Fault::GoAwayAtStart,
    Fault::GoAwayAtStartHttp11Required,
    Fault::GoAwayAtStartEnhanceYourCalm,
];

/// It hangs, or the probe is broken or swallowed.
const PROBE_FAILS: [Fault; 22] = [
    Fault::Http2HelloSilence,
    Fault::PrefaceSwallowed,
    Fault::NoStreams,
    Fault::SettingsThenSilence,
    Fault::CallSwallowed,
    Fault::AnswerSwallowed,
    Fault::StalledAfterHead,
    Fault::StalledAfterMessage,
    Fault::GoAwayOnRequest,
    Fault::GoAwayOverRequest,
    Fault::StreamRefused,
    Fault::StreamResetInternalError,
    Fault::StreamResetHttp11Required,
    Fault::Page200,
    Fault::Page403,
    Fault::Empty503,
    Fault::Redirected,
    Fault::EmptyAnswer,
    Fault::ForgedUnavailable,
    Fault::TrailersStripped,
    Fault::ClosedBeforeAnswer,
    Fault::AnswerTruncated,
];

#[tokio::main]
async fn main() {
    let emulator = Emulator::start().await.expect("an emulator");
    // Forced REST takes HTTP/1.1 where nothing else is offered.
    let plain = HostileProxy::start(Fault::InspectHttp1).await.expect("a proxy");
    println!("{:<38}{:>10}{:>10}{:>11}  price", "fault", "Auto", "Rest", "handshake");
    let mut dearest: f64 = 0.0;
    for fault in CONNECTING_FAILS {
        let times = measure(&emulator, &plain, fault).await;
        let more = times.auto.as_secs_f64() - times.rest.as_secs_f64();
        let price = more / times.handshake.as_secs_f64();
        dearest = dearest.max(price);
        println!("{}  {price:.2} handshakes more", times.row(fault));
    }
    let mut latest: f64 = 0.0;
    for fault in PROBE_FAILS {
        let times = measure(&emulator, &plain, fault).await;
        let allowed = HEAD_START + 2 * times.rest;
        let part = times.auto.as_secs_f64() / allowed.as_secs_f64();
        latest = latest.max(part);
        println!("{}  {part:.2} of head start + 2x", times.row(fault));
    }
    println!("connecting fails: at most {dearest:.2} handshakes more (allowed: {ALLOWED})");
    println!("the probe fails:  at most {latest:.2} of head start + 2x (allowed: 1)");
    println!("the Python SDK's RetryError, as measured behind inspect-http1: 593 s");
}

struct Times {
    auto: Duration,
    rest: Duration,
    handshake: Duration,
}

impl Times {
    fn row(&self, fault: Fault) -> String {
        let Self { auto, rest, handshake } = self;
        format!("{:<38}{auto:>10.2?}{rest:>10.2?}{handshake:>11.2?}", fault.name())
    }
}

async fn measure(emulator: &Emulator, plain: &HostileProxy, fault: Fault) -> Times {
    let (mut auto, mut rest, mut handshake) = (Vec::new(), Vec::new(), Vec::new());
    let proxy = HostileProxy::start(fault).await.expect("a proxy");
    for run in 0..=RUNS {
        let times = [
            first_call(emulator, &proxy, Transport::Auto).await,
            first_call(emulator, plain, Transport::Rest).await,
            shake_hands(emulator, plain).await,
        ];
        // The first round warms everything up.
        if run > 0 {
            auto.push(times[0]);
            rest.push(times[1]);
            handshake.push(times[2]);
        }
    }
    Times { auto: median(auto), rest: median(rest), handshake: median(handshake) }
}

/// From the call to the answer, with a bridge that knows nothing yet.
async fn first_call(emulator: &Emulator, proxy: &HostileProxy, transport: Transport) -> Duration {
    let bridge = Bridge::builder()
        .endpoint(emulator.endpoint())
        .add_root_certificates(proxy.root_certificate())
        .add_root_certificates(emulator.root_certificate())
        .proxy(Proxy::url(&proxy.url()).expect("a URL"))
        .api_key("none")
        .transport(transport)
        .build()
        .expect("a bridge");
    let mut client = GenerativeServiceClient::new(bridge);
    let began = Instant::now();
    client.generate_content(question()).await.expect("an answer");
    began.elapsed()
}

/// TCP, CONNECT and one TLS handshake through the same proxy, without resumption.
async fn shake_hands(emulator: &Emulator, proxy: &HostileProxy) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(proxy.address()).await.expect("a connection");
    let port = emulator.address().port();
    let question = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    stream.write_all(question.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(client_config(proxy));
    connector.connect(name, stream).await.expect("a handshake");
    began.elapsed()
}

fn client_config(proxy: &HostileProxy) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(proxy.root_certificate().as_bytes()).expect("PEM");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("TLS");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
