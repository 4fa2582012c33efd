//! Unix sockets: as the bridge's own endpoint on both transports, and below a channel.

use std::sync::Arc;

use genai_bridge::emulator::Emulator;
use genai_bridge::{ActiveTransport, Error, ErrorKind, SymptomKind, Transport};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

use super::{carried_by, cut_off, met_by};
use crate::connector::in_memory;
use crate::setting::{GENERATE, direct};

/// An emulator that listens on a Unix socket alone.
struct Listening {
    emulator: Arc<Emulator>,
    endpoint: String,
    _folder: TempDir,
    accepting: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn listen() -> Listening {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("service.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let emulator = Emulator::builder().plaintext().unbound().expect("an emulator");
    let emulator = Arc::new(emulator);
    let serving = Arc::clone(&emulator);
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serving.serve(stream);
        }
    });
    Listening { emulator, endpoint: format!("unix:{}", path.display()), _folder: folder, accepting }
}

#[tokio::test]
async fn an_endpoint_over_a_unix_socket_carries_both_transports() {
    let listening = listen();
    for transport in [Transport::Grpc, Transport::Rest, Transport::Auto] {
        let bridge = direct(&listening.emulator).endpoint(&listening.endpoint);
        carried_by(bridge.transport(transport)).await;
    }
    assert_eq!(listening.emulator.count(GENERATE), 3);
}

#[tokio::test]
async fn a_channel_over_a_unix_socket_carries_grpc() {
    let listening = listen();
    let address = listening.endpoint.replacen("unix:", "unix://", 1);
    let channel = Endpoint::from_shared(address).expect("an address").connect_lazy();
    let bridge = cut_off(&listening.emulator).transport(Transport::Auto).grpc_carrier(channel);
    assert_eq!(carried_by(bridge).await, ActiveTransport::Grpc);
}

#[tokio::test]
async fn a_socket_that_is_not_there_and_a_connector_beside_it_are_clear_errors() {
    let emulator = Arc::new(Emulator::builder().plaintext().unbound().expect("an emulator"));
    let at = |path: &str| direct(&emulator).endpoint(format!("unix:{path}"));
    let folder = TempDir::new().expect("a folder");
    let missing = folder.path().join("missing.sock");
    assert_eq!(met_by(at(&missing.display().to_string())).await, SymptomKind::Unreachable);
    let both = at("/run/service.sock").connector(in_memory(&emulator)).build();
    let error: Error = both.expect_err("a contradiction");
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
