//! Workers: threads that serve the connections in turn.

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::sidecar::Sidecar;
use genai_bridge::{ActiveTransport, Bridge, Credentials, Proxy, Transport};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::keyless;
use crate::setting::{GENERATE, KEY, answer, call, question};

#[tokio::test]
async fn each_thread_serves_its_clients_over_connections_of_its_own() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on(GENERATE, Reply::message(&answer("a")));
    let bridge = keyless(&emulator).transport(Transport::Grpc).build().expect("a bridge");
    let sidecar = Sidecar::builder(bridge.clone()).threads(3).bind().await.expect("a port");
    let address = sidecar.address().to_string();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(sidecar.serve(stop.clone().cancelled_owned()));
    let client = || {
        let builder = Bridge::builder().endpoint(format!("http://{address}")).proxy(Proxy::none());
        let builder = builder.credentials(Credentials::api_key(KEY)).transport(Transport::Grpc);
        builder.build().expect("a bridge")
    };
    let clients: Vec<Bridge> = (0..6).map(|_| client()).collect();
    for client in clients.iter().chain(&clients) {
        let outcome = call(client.clone(), GENERATE, &question("?")).await;
        assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
    }
    assert_eq!(bridge.stats().connections(ActiveTransport::Grpc), 3);
    stop.cancel();
    serving.await.expect("no panic");
    assert_eq!(emulator.received().len(), 12);
}
