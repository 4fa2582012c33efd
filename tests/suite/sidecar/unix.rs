//! A Unix socket in place of a port.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use genai_bridge::emulator::Emulator;
use genai_bridge::{ActiveTransport, Bridge, BridgeBuilder, Proxy, RetryPolicy, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use super::process::{Serving, folder};
use crate::setting::{GENERATE, KEY, call, question};

fn client_of(address: &str) -> BridgeBuilder {
    Bridge::builder().endpoint(address).api_key(KEY).proxy(Proxy::none()).retry(RetryPolicy::none())
}

#[tokio::test]
async fn serve_carries_both_transports_over_a_socket_of_its_user_alone() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let path = folder.path().join("bridge.sock");
    // What an earlier process left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let address = format!("unix:{}", path.display());
    let serving = Serving::start(&emulator, folder.path(), &["--listen", &address]);
    assert_eq!(serving.address, address);
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!folder.path().join("certificate").exists(), "nobody speaks TLS there");
    for transport in [Transport::Grpc, Transport::Rest, Transport::Auto] {
        let bridge = client_of(&address).transport(transport).build().expect("a bridge");
        let outcome = call(bridge, GENERATE, &question("?")).await;
        assert_eq!(outcome.status.code(), Code::Ok, "{transport:?}: {:?}", outcome.status);
    }
    let bridge = client_of(&address).build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("gRPC"), ActiveTransport::Grpc);
    // curl calls the host as its user likes.
    let mut stream = tokio::net::UnixStream::connect(&path).await.expect("a stream");
    let request = format!(
        "GET /v1beta/models HTTP/1.1\r\nhost: anything\r\nx-goog-api-key: {KEY}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    serving.signal("TERM");
    assert_eq!(serving.ended().await.0, Some(0));
    assert!(!path.exists(), "the file is removed");
    UnixStream::connect(&path).expect_err("nobody is there");
}

#[tokio::test]
async fn a_socket_in_use_is_left_to_its_owner() {
    let emulator = Emulator::start().await.expect("an emulator");
    let folder = folder(&emulator);
    let path = folder.path().join("bridge.sock");
    let address = format!("unix:{}", path.display());
    let first = Serving::start(&emulator, folder.path(), &["--listen", &address]);
    let mut second = super::process::program();
    second.arg("serve").args(super::process::to(&emulator, folder.path()));
    second.args(["--listen", &address]);
    let ended = tokio::task::spawn_blocking(move || second.output().expect("a process"));
    let ended = ended.await.expect("no panic");
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains(&address) && text.contains("another process listens"), "{text}");
    let bridge = client_of(&first.address).build().expect("a bridge");
    assert_eq!(call(bridge, GENERATE, &question("?")).await.status.code(), Code::Ok);
}
