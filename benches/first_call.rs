//! The price of finding out: the first call of `Transport::Auto` behind a proxy that breaks gRPC, against
//! the same first call of `Transport::Rest`, in TLS handshakes. Medians of 20, interleaved in one run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Content, GenerateContentRequest, Part, part::Data};
use genai_bridge::{Bridge, Proxy, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const RUNS: usize = 20;
/// What the first call may cost more than forced REST, in handshakes.
const ALLOWED: f64 = 1.25;

#[tokio::main]
async fn main() {
    let emulator = Emulator::start().await.expect("an emulator");
    let proxy = HostileProxy::start(Fault::InspectHttp1).await.expect("a proxy");
    let (mut auto, mut rest, mut handshake) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let times = [
            first_call(&emulator, &proxy, Transport::Auto).await,
            first_call(&emulator, &proxy, Transport::Rest).await,
            shake_hands(&emulator, &proxy).await,
        ];
        // The first round warms the emulator up.
        if run > 0 {
            auto.push(times[0]);
            rest.push(times[1]);
            handshake.push(times[2]);
        }
    }
    let (auto, rest, handshake) = (median(auto), median(rest), median(handshake));
    let price = (auto.as_secs_f64() - rest.as_secs_f64()) / handshake.as_secs_f64();
    println!("first call, Auto:          {auto:>10.2?}");
    println!("first call, Rest:          {rest:>10.2?}");
    println!("one TLS handshake:         {handshake:>10.2?}");
    println!("Auto costs more:           {price:>10.2} handshakes (allowed: {ALLOWED})");
    println!("the Python SDK's RetryError: 593 s, as measured");
}

/// From the call to the answer, with a bridge that knows nothing yet.
async fn first_call(emulator: &Emulator, proxy: &HostileProxy, transport: Transport) -> Duration {
    let bridge = Bridge::builder()
        .endpoint(emulator.endpoint())
        .add_root_certificates(proxy.root_certificate())
        .proxy(Proxy::url(&proxy.url()).expect("a URL"))
        .api_key("none")
        .transport(transport)
        .build()
        .expect("a bridge");
    let mut client = GenerativeServiceClient::new(bridge);
    let part = Part { data: Some(Data::Text("?".into())), ..Part::default() };
    let request = GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content { parts: vec![part], role: "user".into() }],
        ..GenerateContentRequest::default()
    };
    let began = Instant::now();
    client.generate_content(request).await.expect("an answer");
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
