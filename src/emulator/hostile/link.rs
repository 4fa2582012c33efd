//! Link: the line before the proxy: how fast bytes pass, and when none do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn, yield_now};
use tokio::time::{Instant, sleep_until};

use crate::emulator::tasks::Tasks;

/// A line between a [`HostileProxy`](super::HostileProxy) and its clients, which all their
/// connections share.
///
/// Clones are handles to the same line, so a test can change it while calls run. What waits for a
/// slow line stands in the buffers of sockets: its sender takes it for sent.
///
/// ```no_run
/// use genai_bridge::emulator::hostile::{Fault, HostileProxy, Link};
///
/// # async fn example() -> std::io::Result<()> {
/// let link = Link::new().up(125_000); // 1 Mbit/s
/// let proxy = HostileProxy::builder().link(&link).start(Fault::Pass).await?;
/// link.interrupt();
/// // … calls meet an outage …
/// link.restore();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Link(Arc<Line>);

#[derive(Debug)]
struct Line {
    up: Lane,
    down: Lane,
    /// See [`Link::first_retransmission`].
    first_retransmission: Mutex<Duration>,
    state: watch::Sender<State>,
}

/// What befalls all bytes, whatever the rates.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_interrupted: bool,
    /// How often the open connections were forgotten.
    forgotten: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A line without limits.
    pub fn new() -> Self {
        Self(Arc::new(Line {
            up: Lane::new(),
            down: Lane::new(),
            first_retransmission: Mutex::new(FIRST_RETRANSMISSION),
            state: watch::Sender::default(),
        }))
    }

    /// Limits the way from the clients to so many bytes a second.
    #[must_use]
    pub fn up(self, rate: u32) -> Self {
        self.0.up.limit(rate);
        self
    }

    /// Limits the way to the clients to so many bytes a second.
    #[must_use]
    pub fn down(self, rate: u32) -> Self {
        self.0.down.limit(rate);
        self
    }

    /// When a lost packet is sent again; the next times after twice as long each, as TCP does.
    /// Default: 200 ms, the least on Linux.
    #[must_use]
    pub fn first_retransmission(self, after: Duration) -> Self {
        *lock(&self.0.first_retransmission) = after;
        self
    }

    /// An outage: nothing passes from here on, in neither direction.
    pub fn interrupt(&self) {
        self.0.state.send_modify(|state| state.is_interrupted = true);
    }

    /// Ends the outage. What was lost in it comes when TCP would have sent it again.
    pub fn restore(&self) {
        self.0.state.send_modify(|state| state.is_interrupted = false);
    }

    /// The open connections carry nothing any more, as when a firewall has forgotten them; new ones
    /// do.
    pub fn forget_connections(&self) {
        self.0.state.send_modify(|state| state.forgotten += 1);
    }

    /// Takes connections in place of the proxy at `inner`, whose `tasks` end with them.
    ///
    /// # Errors
    /// No port is free.
    pub(super) async fn lay(
        &self,
        inner: SocketAddr,
        tasks: Tasks,
    ) -> io::Result<(SocketAddr, AbortHandle)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let line = Arc::clone(&self.0);
        let accepting = spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => tasks.spawn(Arc::clone(&line).carry(client, inner)),
                    Err(_) => yield_now().await,
                }
            }
        });
        Ok((address, accepting.abort_handle()))
    }
}

impl Line {
    /// Carries a connection to its end; how one side ends it, the other learns.
    async fn carry(self: Arc<Self>, mut client: TcpStream, inner: SocketAddr) {
        let Ok(mut proxy) = TcpStream::connect(inner).await else { return };
        // Without it the line is only a little slower.
        let _ = client.set_nodelay(true).and(proxy.set_nodelay(true));
        let state = self.state.subscribe();
        let ended = {
            let (from_client, to_client) = client.split();
            let (from_proxy, to_proxy) = proxy.split();
            tokio::try_join!(
                self.pass(from_client, to_proxy, &self.up, state.clone()),
                self.pass(from_proxy, to_client, &self.down, state),
            )
        };
        if ended.is_err() {
            for stream in [&client, &proxy] {
                // It may be closed already.
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
        }
    }

    /// Carries one direction.
    async fn pass(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        lane: &Lane,
        mut state: watch::Receiver<State>,
    ) -> io::Result<()> {
        let known = state.borrow().forgotten;
        let mut packet = vec![0; PACKET];
        loop {
            // What is written after a connection was forgotten never arrives.
            let length = tokio::select! {
                biased;
                () = until_forgotten(&mut state, known) => return swallow(from).await,
                read = from.read(&mut packet) => read?,
            };
            let travelling = self.travel(length, lane, state.clone());
            tokio::select! {
                biased;
                () = until_forgotten(&mut state, known) => return swallow(from).await,
                () = travelling => {}
            }
            match packet.get(..length) {
                Some([]) | None => return to.shutdown().await,
                Some(bytes) => to.write_all(bytes).await?,
            }
        }
    }

    /// The time of a packet on the line.
    async fn travel(&self, length: usize, lane: &Lane, mut state: watch::Receiver<State>) {
        lane.take_turn(length).await;
        while state.borrow_and_update().is_interrupted {
            let lost = Instant::now();
            if state.wait_for(|state| !state.is_interrupted).await.is_err() {
                return;
            }
            let first = *lock(&self.first_retransmission);
            sleep_until(lost + next_retransmission(lost.elapsed(), first)).await;
        }
    }
}

/// One direction of the line. Packets of all connections take turns.
#[derive(Debug)]
struct Lane {
    /// Bytes a second; `None` for no limit.
    rate: Mutex<Option<u32>>,
    /// When the packets so far have passed.
    free_at: Mutex<Instant>,
}

impl Lane {
    fn new() -> Self {
        Self { rate: Mutex::default(), free_at: Mutex::new(Instant::now()) }
    }

    fn limit(&self, rate: u32) {
        *lock(&self.rate) = Some(rate.max(1));
    }

    async fn take_turn(&self, length: usize) {
        let Some(rate) = *lock(&self.rate) else { return };
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let passed = {
            let mut free_at = lock(&self.free_at);
            *free_at = (*free_at).max(Instant::now()) + Duration::from_secs(1) * length / rate;
            *free_at
        };
        sleep_until(passed).await;
    }
}

/// When a packet, lost once and sent again at `first`, three times `first` and so on, arrives after
/// an outage that lasted for `outage` from its loss on.
fn next_retransmission(outage: Duration, first: Duration) -> Duration {
    let first = first.max(Duration::from_millis(1));
    let mut wait = first;
    let mut sent_again = first;
    while sent_again < outage {
        wait *= 2;
        sent_again += wait;
    }
    sent_again
}

async fn until_forgotten(state: &mut watch::Receiver<State>, known: u64) {
    if state.wait_for(|state| state.forgotten > known).await.is_err() {
        // Nobody can change the line any more.
        std::future::pending::<()>().await;
    }
}

/// Takes what comes, as a network does that says nothing of what it drops.
async fn swallow(mut from: impl AsyncRead + Unpin) -> io::Result<()> {
    copy(&mut from, &mut sink()).await.map(|_| ())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As much as an Ethernet frame carries.
const PACKET: usize = 1_400;
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[test]
    fn what_was_lost_is_sent_again_after_ever_longer_waits() {
        let ms = Duration::from_millis;
        for (outage, arrives) in
            [(0, 200), (200, 200), (201, 600), (6_200, 6_200), (10_000, 12_600)]
        {
            assert_eq!(next_retransmission(ms(outage), ms(200)), ms(arrives), "{outage}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn packets_of_all_connections_share_the_rate() {
        let link = Link::new().up(1_000_000);
        let began = Instant::now();
        let pass = || async {
            let (from, mut given) = duplex(500_000);
            let (to, mut taken) = duplex(500_000);
            given.write_all(&vec![0; 500_000]).await.expect("room");
            given.shutdown().await.expect("open");
            link.0.pass(from, to, &link.0.up, link.0.state.subscribe()).await.expect("passed");
            copy(&mut taken, &mut sink()).await.expect("taken")
        };
        assert_eq!(tokio::join!(pass(), pass()), (500_000, 500_000));
        let took = began.elapsed();
        assert!((1_000..1_010).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_delays_and_loses_nothing() {
        let link = Link::new();
        let (from, mut given) = duplex(10);
        let (to, mut taken) = duplex(10);
        link.interrupt();
        let outage = Instant::now();
        let state = link.0.state.subscribe();
        let carrying = link.0.pass(from, to, &link.0.up, state);
        let using = async {
            given.write_all(b"whole").await.expect("open");
            given.shutdown().await.expect("open");
            sleep_until(outage + Duration::from_secs(10)).await;
            link.restore();
            let mut came = Vec::new();
            taken.read_to_end(&mut came).await.expect("open");
            came
        };
        let (carried, came) = tokio::join!(carrying, using);
        carried.expect("carried");
        assert_eq!((&came[..], outage.elapsed().as_millis()), (&b"whole"[..], 12_600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_connection_is_silent_and_stays_open() {
        let link = Link::new();
        let (from, mut given) = duplex(10);
        let (to, mut taken) = duplex(10);
        let state = link.0.state.subscribe();
        let carrying = link.0.pass(from, to, &link.0.up, state);
        let using = async {
            given.write_all(b"a").await.expect("open");
            assert_eq!(taken.read_u8().await.expect("open"), b'a');
            link.forget_connections();
            given.write_all(b"lost, and longer than the buffer").await.expect("open");
            let silence = Duration::from_secs(3_600);
            assert!(tokio::time::timeout(silence, taken.read_u8()).await.is_err());
        };
        tokio::select! {
            ended = carrying => panic!("the connection ended: {ended:?}"),
            () = using => {}
        }
    }
}
