//! Connector: the program's own streams carry both transports, under proxies, tunnels and TLS.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault};
use genai_bridge::{Bridge, Error, Proxy, SymptomKind, Transport};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tower::service_fn;
use tower_service::Service;

use crate::setting::{BOTH, GENERATE, KEY, behind, client, direct, question, through};

/// A connector to the emulator's memory.
pub(crate) fn in_memory(
    emulator: &Arc<Emulator>,
) -> impl Service<
    Uri,
    Response = TokioIo<DuplexStream>,
    Error = Infallible,
    Future = std::future::Ready<Result<TokioIo<DuplexStream>, Infallible>>,
> + Send
+ 'static {
    let emulator = Arc::clone(emulator);
    service_fn(move |_: Uri| {
        let (here, there) = tokio::io::duplex(64 * 1024);
        emulator.serve(there);
        ready(Ok(TokioIo::new(here)))
    })
}

#[test]
fn a_simulated_network_needs_no_socket_and_no_thread() {
    for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
        for emulator in [Emulator::builder(), Emulator::builder().plaintext()] {
            // No driver for sockets: whatever opens one panics. Time is virtual.
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
            runtime.block_on(async {
                let emulator = Arc::new(emulator.unbound().expect("an emulator"));
                let bridge = direct(&emulator).transport(transport).connector(in_memory(&emulator));
                let mut client = client(bridge);
                for _ in 0..3 {
                    client.generate_content(question("?")).await.expect("an answer");
                }
                assert_eq!(emulator.count(GENERATE), 3, "{transport:?}");
            });
        }
    }
}

#[tokio::test]
async fn a_connector_written_for_tonic_resolves_names_itself() {
    let emulator = Emulator::start().await.expect("an emulator");
    let address = emulator.address();
    for transport in BOTH {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&asked);
        let resolver = service_fn(move |name: Name| {
            names.lock().expect("names").push(name.to_string());
            ready(Ok::<_, Infallible>([SocketAddr::new(address.ip(), 0)].into_iter()))
        });
        let bridge = direct(&emulator)
            .endpoint(format!("https://generativelanguage.googleapis.com:{}", address.port()))
            .transport(transport)
            .connector(HttpConnector::new_with_resolver(resolver));
        client(bridge).generate_content(question("?")).await.expect("an answer");
        assert_eq!(*asked.lock().expect("names"), ["generativelanguage.googleapis.com"]);
    }
}

#[tokio::test]
async fn a_connector_dials_the_proxy_and_the_tunnel_is_made_above_it() {
    for transport in BOTH {
        let (emulator, proxy) = behind(Fault::Pass).await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let uris = Arc::clone(&asked);
        let connector = service_fn(move |uri: Uri| {
            uris.lock().expect("addresses").push(uri.to_string());
            let address = uri.authority().expect("an address").to_string();
            async { TcpStream::connect(address).await.map(TokioIo::new) }
        });
        let bridge = through(&emulator, &proxy).transport(transport).connector(connector);
        client(bridge).generate_content(question("?")).await.expect("an answer");
        assert_eq!(*asked.lock().expect("addresses"), [format!("{}/", proxy.url())]);
        assert_eq!(proxy.counts().tunnels(), 1);
    }
}

/// A connector that fails in one way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    NeverReady,
    NotReady,
    Refused,
    WrappedRefusal,
    Foreign,
    Hangs,
    ClosedStream,
    PanicsWhenAsked,
    PanicsInItsFuture,
}

#[derive(Debug)]
struct Wrapping(io::Error);

impl std::fmt::Display for Wrapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no stream")
    }
}

impl std::error::Error for Wrapping {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Dialling =
    std::pin::Pin<Box<dyn Future<Output = Result<TokioIo<DuplexStream>, AnyError>> + Send>>;

impl Service<Uri> for Broken {
    type Response = TokioIo<DuplexStream>;
    type Error = AnyError;
    type Future = Dialling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        match self {
            Self::NeverReady => Poll::Pending,
            Self::NotReady => {
                Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Uri) -> Dialling {
        let refusal = || io::Error::from(io::ErrorKind::ConnectionRefused);
        match self {
            Self::Refused => Box::pin(ready(Err(refusal().into()))),
            Self::WrappedRefusal => {
                Box::pin(ready(Err(Wrapping(io::Error::other(refusal())).into())))
            }
            Self::Foreign => Box::pin(ready(Err("something else".into()))),
            Self::ClosedStream => Box::pin(ready(Ok(TokioIo::new(tokio::io::duplex(64).0)))),
            Self::PanicsWhenAsked => panic!("on purpose"),
            Self::PanicsInItsFuture => Box::pin(async { panic!("on purpose") }),
            Self::Hangs | Self::NeverReady | Self::NotReady => Box::pin(pending()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_fails_is_a_connection_that_did_not_come_about() {
    for (broken, kind) in [
        (Broken::NeverReady, SymptomKind::ConnectTimeout),
        (Broken::NotReady, SymptomKind::ConnectReset),
        (Broken::Refused, SymptomKind::ConnectionRefused),
        (Broken::WrappedRefusal, SymptomKind::ConnectionRefused),
        (Broken::Foreign, SymptomKind::Unreachable),
        (Broken::Hangs, SymptomKind::ConnectTimeout),
        (Broken::ClosedStream, SymptomKind::TlsReset),
        (Broken::PanicsWhenAsked, SymptomKind::Unreachable),
        (Broken::PanicsInItsFuture, SymptomKind::Unreachable),
    ] {
        for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
            let bridge = Bridge::builder()
                .endpoint("https://service.test")
                .proxy(Proxy::none())
                .api_key(KEY)
                .transport(transport)
                .connector(broken);
            // A second call meets the same: nothing is left behind by the first.
            let mut client = client(bridge);
            for _ in 0..2 {
                let began = tokio::time::Instant::now();
                let status = client.generate_content(question("?")).await.expect_err("a failure");
                let error = Error::of(&status).expect("ours");
                let symptom = error.symptom().expect("a symptom");
                assert_eq!(symptom.kind(), kind, "{broken:?} {transport:?}: {error:?}");
                assert_eq!(symptom.delivery(), genai_bridge::Delivery::NotSent);
                assert!(began.elapsed() < Duration::from_secs(30), "{broken:?}");
            }
        }
    }
}
