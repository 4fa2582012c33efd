//! Socket: how a TCP connection is opened and kept, so that a network that loses packets is
//! outlived or noticed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

/// Opens a connection to this address.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    note(limit_segments(&socket, address));
    let stream = socket.connect(address).await?;
    note(configure(&stream));
    Ok(stream)
}

/// Best effort: a connection without these options works, only less well.
fn note(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "the socket takes no options");
    }
}

/// A tunnel on the way (a VPN, DSL) carries smaller packets than the networks at its ends. Where a
/// firewall keeps from us that one was too large, connections open and then lose all that is large.
/// Not on this host, where nothing is.
#[cfg(unix)]
fn limit_segments(socket: &TcpSocket, address: SocketAddr) -> io::Result<()> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    SockRef::from(socket).set_tcp_mss(LARGEST_SEGMENT)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
fn limit_segments(_: &TcpSocket, _: SocketAddr) -> io::Result<()> {
    Ok(())
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    let socket = SockRef::from(stream);
    stream.set_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    limit_silence(&socket)
}

/// What was sent and is not acknowledged ends the connection: its peer has vanished, and TCP alone
/// would notice only after a quarter of an hour.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_silence(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
fn limit_silence(_: &SockRef<'_>) -> io::Result<()> {
    Ok(())
}

/// Below the idle limits usual in NAT boxes and load balancers; and several of them are lost before
/// a silent connection is given up.
const KEEPALIVE_TIME: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// TCP's waits double, so an outage of ten seconds may cost twenty, and a little more where the way
/// is long.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(30);
/// Fits the least packet that IPv6 allows a network, 1,280 bytes
/// ([RFC 8200, section 5](https://www.rfc-editor.org/rfc/rfc8200#section-5)).
#[cfg(unix)]
const LARGEST_SEGMENT: u32 = 1_220;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_lost_connection_is_noticed_after_several_signs() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = connect(listener.local_addr().expect("an address")).await.expect("connected");
        let socket = SockRef::from(&stream);
        let limit = socket.tcp_user_timeout().expect("readable").expect("a limit");
        assert_eq!(limit, UNACKNOWLEDGED_LIMIT);
        let (idle, pause) = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
        let (idle, pause) = (idle.expect("readable"), pause.expect("readable"));
        // With less, one lost packet would end a connection whose model thinks.
        assert!(idle + 2 * pause < limit, "{idle:?}, {pause:?}");
        assert!(socket.keepalive().expect("readable") && stream.nodelay().expect("readable"));
    }

    #[test]
    fn segments_fit_any_tunnel_and_are_as_large_as_may_be_on_this_host() {
        for (address, is_limited) in [
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            ("192.0.2.1:1", true),
            ("[2001:db8::1]:1", true),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let socket = socket.expect("a socket");
            limit_segments(&socket, address).expect("an option");
            let largest = SockRef::from(&socket).tcp_mss().expect("readable");
            assert_eq!(largest == LARGEST_SEGMENT, is_limited, "{address}");
        }
    }
}
