//! Dial: a name becomes a TCP connection; Happy Eyeballs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::address::Address;
use super::fault::Fault;
use super::io::Io;
use super::socket::connect;
use crate::symptom::{Evidence, SymptomKind};

/// Opens a TCP connection to `address` before `deadline`.
pub(super) async fn dial(address: &Address, deadline: Instant) -> Result<Io, Fault> {
    let addresses = look_up(address, deadline).await?;
    let stream = timeout_at(deadline, race(interleave(addresses)))
        .await
        .map_err(|_| Fault::new(SymptomKind::ConnectTimeout))?
        .map_err(|error| Fault::of_io(kind_of(error.kind()), error))?;
    Ok(Io::tcp(stream))
}

/// The addresses of a name, best first, never none.
pub(super) async fn look_up(
    address: &Address,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Fault> {
    if let Some(ip) = address.ip() {
        return Ok(vec![SocketAddr::new(ip, address.port())]);
    }
    let not_found = || Fault::new(SymptomKind::NameNotFound);
    let found: Vec<_> = timeout_at(deadline, lookup_host((address.host(), address.port())))
        .await
        .map_err(|_| not_found().with_evidence(Evidence::new().with_io(io::ErrorKind::TimedOut)))?
        .map_err(|error| not_found().with_source(error))?
        .collect();
    if found.is_empty() {
        return Err(not_found());
    }
    Ok(found)
}

/// Orders addresses so that the families alternate, beginning with that of the first one
/// (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(preferred.len() + other.len());
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

/// Connects to the first address that answers; the error is that of the first one that failed.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut first_error = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(connect(address));
        }
        let has_more = waiting.len() > 0;
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => { first_error.get_or_insert(error); }
                Some(Err(panicked)) => { first_error.get_or_insert(panicked.into()); }
                None if has_more => {}
                None => break,
            },
            () = sleep(ATTEMPT_DELAY), if has_more => {}
        }
    }
    Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

pub(crate) fn kind_of(error: io::ErrorKind) -> SymptomKind {
    match error {
        io::ErrorKind::ConnectionRefused => SymptomKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            SymptomKind::ConnectReset
        }
        io::ErrorKind::TimedOut => SymptomKind::ConnectTimeout,
        _ => SymptomKind::Unreachable,
    }
}

/// RFC 8305, section 5: the recommended Connection Attempt Delay.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn families_alternate_from_the_first() {
        let parse = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().expect("address")).collect()
        };
        let given = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let expected = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleave(given), expected);
        assert_eq!(interleave(Vec::new()), Vec::new());
    }

    #[tokio::test]
    async fn a_dead_address_does_not_stop_a_live_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let live = listener.local_addr().expect("address");
        let dead = SocketAddr::from(([127, 0, 0, 1], 1));
        let stream = race(vec![dead, live]).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("peer"), live);
        let error = race(vec![dead, dead]).await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_is_passed_after_the_delay() {
        // TEST-NET-1 (RFC 5737) may be silent or unreachable: the live one wins either way.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let live = listener.local_addr().expect("address");
        let silent = SocketAddr::from(([192, 0, 2, 1], 443));
        let stream = race(vec![silent, live]).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("peer"), live);
    }
}
