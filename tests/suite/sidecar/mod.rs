//! The sidecar: what a client sees through it is what it would see from the service.

mod admin;
mod calls;
mod command;
mod headers;
#[cfg(target_os = "linux")]
mod hostile;
mod keys;
mod limits;
mod private_tags;
mod process;
mod protocols;
mod shutdown;
#[cfg(unix)]
mod unix;
mod uploads;
#[cfg(target_os = "linux")]
mod victim;
mod workers;

use std::net::SocketAddr;

use bytes::Bytes;
use genai_bridge::emulator::Emulator;
use genai_bridge::sidecar::{Identity, Sidecar, SidecarBuilder};
use genai_bridge::{Bridge, BridgeBuilder, Proxy, RetryPolicy, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::setting::direct;

/// A sidecar that runs, until it is told to stop.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    root: String,
    stop: oneshot::Sender<()>,
    pub(crate) ended: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(
        bridge: BridgeBuilder,
        options: impl FnOnce(SidecarBuilder) -> SidecarBuilder,
    ) -> Self {
        let identity = Identity::self_made(&[]).expect("a certificate");
        let root = identity.root_certificate().expect("self-made").to_owned();
        let bridge = bridge.retry(RetryPolicy::none()).build().expect("a bridge");
        let sidecar = options(Sidecar::builder(bridge).identity(identity));
        let sidecar = sidecar.bind().await.expect("a port");
        let address = sidecar.address().tcp().expect("a port");
        let admin = sidecar.admin_address();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(sidecar.serve(async {
            let _ = stopped.await;
        }));
        Self { address, admin, root, stop, ended }
    }

    /// Over gRPC straight to the emulator, with the client's own key.
    pub(crate) async fn over(emulator: &Emulator) -> Self {
        Self::start(keyless(emulator).transport(Transport::Grpc), |sidecar| sidecar).await
    }

    /// A client that speaks TLS.
    pub(crate) fn client(&self) -> BridgeBuilder {
        Bridge::builder()
            .endpoint(format!("https://localhost:{}", self.address.port()))
            .add_root_certificates(self.root.as_str())
            .api_key(crate::setting::KEY)
            .retry(RetryPolicy::none())
            .proxy(Proxy::none())
    }

    /// A client that speaks plaintext.
    pub(crate) fn plain_client(&self) -> BridgeBuilder {
        self.client().endpoint(format!("http://{}", self.address))
    }

    /// Tells it to stop; what becomes of its connections is `ended`.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.ended
    }
}

/// A bridge to the emulator without a key of its own.
pub(crate) fn keyless(emulator: &Emulator) -> BridgeBuilder {
    direct(emulator).credentials(genai_bridge::Credentials::none())
}

/// Sends bytes and reads to the end of the connection.
pub(crate) async fn exchange(address: SocketAddr, bytes: impl Into<Bytes>) -> String {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.write_all(&bytes.into()).await.expect("room");
    let mut answer = Vec::new();
    // A reset ends it as well.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// An HTTP/1.1 request without a body.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
    exchange(address, head).await
}
