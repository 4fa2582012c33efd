//! Link: the line before the proxy: how fast bytes pass, and when none do.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, spawn, yield_now};
use tokio::time::{Instant, sleep, sleep_until};

use crate::emulator::tasks::Tasks;

/// A line between a [`HostileProxy`](super::HostileProxy) and its clients, which all their
/// connections share.
///
/// Clones are handles to the same line, so a test can change it while calls run. Bytes that wait
/// for a slow line are in socket buffers, so their sender believes that they were sent.
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
    shape: Mutex<Shape>,
    /// Packets so far, in both directions.
    packets: AtomicU64,
    state: watch::Sender<State>,
}

/// How the line is built.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// See [`Link::first_retransmission`].
    first_retransmission: Duration,
    /// One way.
    latency: Duration,
    /// See [`Link::loses_one_in`].
    lost: Option<u64>,
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
            shape: Mutex::new(Shape {
                first_retransmission: FIRST_RETRANSMISSION,
                latency: Duration::ZERO,
                lost: None,
            }),
            packets: AtomicU64::new(0),
            state: watch::Sender::default(),
        }))
    }

    /// Limits the rate from the clients to the proxy, in bytes a second.
    #[must_use]
    pub fn up(self, rate: u32) -> Self {
        self.0.up.limit(rate);
        self
    }

    /// Limits the rate from the proxy to the clients, in bytes a second.
    #[must_use]
    pub fn down(self, rate: u32) -> Self {
        self.0.down.limit(rate);
        self
    }

    /// The time until a lost packet is sent again. It doubles each time, as in TCP.
    /// Default: 200 ms, the least on Linux.
    #[must_use]
    pub fn first_retransmission(self, after: Duration) -> Self {
        lock(&self.0.shape).first_retransmission = after;
        self
    }

    /// The latency of a packet in one direction. A new connection takes twice this time.
    #[must_use]
    pub fn latency(self, one_way: Duration) -> Self {
        lock(&self.0.shape).latency = one_way;
        self
    }

    /// Loses one packet in this many. It is sent again when TCP would do so, and delays what
    /// follows it.
    #[must_use]
    pub fn loses_one_in(self, packets: u64) -> Self {
        lock(&self.0.shape).lost = Some(packets.max(1));
        self
    }

    /// Always loses packets of a client that are larger than this, and so all that follows on their
    /// connection. Give less than 1,460 bytes: no packet is larger than that.
    #[must_use]
    pub fn narrow(self, largest: usize) -> Self {
        *lock(&self.0.up.largest) = Some(largest);
        self
    }

    /// Begins an outage: nothing passes in either direction.
    pub fn interrupt(&self) {
        self.0.state.send_modify(|state| state.is_interrupted = true);
    }

    /// Ends the outage. What was lost arrives when TCP would send it again.
    pub fn restore(&self) {
        self.0.state.send_modify(|state| state.is_interrupted = false);
    }

    /// Stops all traffic of the open connections, as a firewall does that has forgotten them. New
    /// connections work.
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
        // Its handshake is over there, where nobody waits for it.
        sleep(self.shape().latency * 2).await;
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
        from: impl AsyncRead + Unpin,
        to: impl AsyncWrite + Unpin,
        lane: &Lane,
        state: watch::Receiver<State>,
    ) -> io::Result<()> {
        let (on_the_way, arriving) = mpsc::channel(ON_THE_WAY);
        let sent = self.send(from, on_the_way, lane, state.clone());
        tokio::try_join!(sent, deliver(arriving, to, state)).map(drop)
    }

    /// What enters the line, with the time when it arrives.
    async fn send(
        &self,
        mut from: impl AsyncRead + Unpin,
        on_the_way: mpsc::Sender<(Instant, Vec<u8>)>,
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
            if lock(&lane.largest).is_some_and(|largest| length > largest) {
                return swallow(from).await;
            }
            let travelling = self.travel(length, lane, state.clone());
            let arrives = tokio::select! {
                biased;
                () = until_forgotten(&mut state, known) => return swallow(from).await,
                arrives = travelling => arrives,
            };
            let bytes = packet.get(..length).unwrap_or_default().to_vec();
            if on_the_way.send((arrives, bytes)).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    }

    fn shape(&self) -> Shape {
        *lock(&self.shape)
    }

    /// Takes a packet's turn on the line; gives the time when it arrives.
    async fn travel(
        &self,
        length: usize,
        lane: &Lane,
        mut state: watch::Receiver<State>,
    ) -> Instant {
        lane.take_turn(length).await;
        let shape = self.shape();
        while state.borrow_and_update().is_interrupted {
            let lost = Instant::now();
            if state.wait_for(|state| !state.is_interrupted).await.is_err() {
                break;
            }
            let first = shape.first_retransmission;
            sleep_until(lost + next_retransmission(lost.elapsed(), first)).await;
        }
        let packet = self.packets.fetch_add(1, Ordering::Relaxed) + 1;
        let is_lost = shape.lost.is_some_and(|lost| packet.is_multiple_of(lost));
        let again = shape.latency * 2 + shape.first_retransmission;
        Instant::now() + shape.latency + if is_lost { again } else { Duration::ZERO }
    }
}

/// What leaves the line, in order.
async fn deliver(
    mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let known = state.borrow().forgotten;
    loop {
        let next = async {
            let (arrives, bytes) = arriving.recv().await?;
            sleep_until(arrives).await;
            Some(bytes)
        };
        let next = tokio::select! {
            biased;
            () = until_forgotten(&mut state, known) => None,
            next = next => next,
        };
        match next.as_deref() {
            // What has not arrived is lost. The connection stays open until its sender ends it.
            None => {
                while arriving.recv().await.is_some() {}
                return Ok(());
            }
            Some([]) => return to.shutdown().await,
            Some(bytes) => to.write_all(bytes).await?,
        }
    }
}

/// One direction of the line. Packets of all connections take turns.
#[derive(Debug)]
struct Lane {
    /// Bytes a second; `None` for no limit.
    rate: Mutex<Option<u32>>,
    /// Bytes that a packet may have; `None` for no limit.
    largest: Mutex<Option<usize>>,
    /// When the packets so far have passed.
    free_at: Mutex<Instant>,
}

impl Lane {
    fn new() -> Self {
        Self {
            rate: Mutex::default(),
            largest: Mutex::default(),
            free_at: Mutex::new(Instant::now()),
        }
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

/// As much as TCP puts into an Ethernet frame.
const PACKET: usize = 1_460;
/// Packets: more than any window here holds.
const ON_THE_WAY: usize = 1_024;
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(200);
