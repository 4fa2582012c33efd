//! A proxy that ends TLS, cuts connections, and knows which calls stood on them.

use std::io;
use std::sync::{Arc, Mutex};

use genai_bridge::emulator::Authority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, interval};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;

/// Grants each CONNECT, and four times a second cuts one in twenty of the tunnels that stand.
pub(super) struct CuttingProxy {
    pub(super) url: String,
    authority: Authority,
    tunnels: Arc<Mutex<Tunnels>>,
    cutting: CancellationToken,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Tunnels {
    open: Vec<Tunnel>,
    counts: Counts,
}

struct Tunnel {
    task: JoinHandle<()>,
    cut: CancellationToken,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) opened: usize,
    pub(super) cut: usize,
    /// Calls that had left the client in part or whole, and whose answer had not gone to it in
    /// whole.
    pub(super) calls_cut: usize,
}

impl CuttingProxy {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let authority = Authority::new("Cutting proxy");
        let tls = authority.server_config(&["localhost"], &[b"h2", b"http/1.1"]);
        let tunnels: Arc<Mutex<Tunnels>> = Arc::default();
        let cutting = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(tls), Arc::clone(&tunnels)));
        tasks.spawn(cut(Arc::clone(&tunnels), cutting.clone()));
        Ok(Self { url, authority, tunnels, cutting, tasks })
    }

    pub(super) fn root_certificate(&self) -> &str {
        self.authority.pem()
    }

    pub(super) fn counts(&self) -> Counts {
        self.tunnels.lock().expect("no panic").counts
    }

    /// Cuts no more, and waits until what was cut has been counted.
    pub(super) async fn stop_cutting(&mut self) {
        self.cutting.cancel();
        let _ = self.tasks.join_next().await;
        self.until(|tunnel| tunnel.task.is_finished() || !tunnel.cut.is_cancelled()).await;
    }

    pub(super) async fn until_all_have_gone(&self) {
        self.until(|tunnel| tunnel.task.is_finished()).await;
    }

    async fn until(&self, is_so: impl Fn(&Tunnel) -> bool) {
        let mut ticks = interval(Duration::from_millis(20));
        while !self.tunnels.lock().expect("no panic").open.iter().all(&is_so) {
            ticks.tick().await;
        }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, tunnels: Arc<Mutex<Tunnels>>) {
    while let Ok((client, _)) = listener.accept().await {
        let cut = CancellationToken::new();
        let (tls, all, token) = (tls.clone(), Arc::clone(&tunnels), cut.clone());
        let task = tokio::spawn(async move {
            // Whoever ends it.
            let calls = serve(client, tls, token).await.unwrap_or_default();
            all.lock().expect("no panic").counts.calls_cut += calls;
        });
        let mut tunnels = tunnels.lock().expect("no panic");
        tunnels.counts.opened += 1;
        tunnels.open.push(Tunnel { task, cut });
    }
}

/// Carries one tunnel to its end, and gives the calls on it when it was cut.
async fn serve(
    mut client: TcpStream,
    tls: TlsAcceptor,
    cut: CancellationToken,
) -> io::Result<usize> {
    let opened = cut.run_until_cancelled(async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let service = TcpStream::connect(target).await?;
        service.set_nodelay(true)?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        client.set_nodelay(true)?;
        io::Result::Ok((tls.accept(client).await?, service))
    });
    let Some(opened) = opened.await else { return Ok(0) };
    let (mut client, service) = opened?;
    let is_http2 = client.get_ref().1.alpn_protocol() == Some(b"h2");
    let ledger = Mutex::new(Ledger::new(is_http2));
    match cut.run_until_cancelled(relay(&mut client, service, &ledger)).await {
        Some(ended) => ended.map(|()| 0),
        None => Ok(take_leave(client, &ledger).await),
    }
}

async fn relay(
    client: &mut TlsStream<TcpStream>,
    service: TcpStream,
    ledger: &Mutex<Ledger>,
) -> io::Result<()> {
    let (from_client, to_client) = split(client);
    let (from_service, to_service) = split(service);
    let requests = pass(from_client, to_service, |bytes, has_passed| {
        if !has_passed {
            ledger.lock().expect("no panic").requests(bytes);
        }
    });
    let answers = pass(from_service, to_client, |bytes, has_passed| {
        if has_passed {
            ledger.lock().expect("no panic").answers(bytes);
        }
    });
    tokio::try_join!(requests, answers).map(drop)
}

/// Tells of bytes twice: when they have come, and when they have passed.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut tell: impl FnMut(&[u8], bool),
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        let bytes = &buffer[..length];
        tell(bytes, false);
        to.write_all(bytes).await?;
        to.flush().await?;
        tell(bytes, true);
    }
}

/// Says no more, and hears what the client had sent before it noticed. Nothing of it goes further:
/// the connection to the service is gone.
async fn take_leave(mut client: TlsStream<TcpStream>, ledger: &Mutex<Ledger>) -> usize {
    let _ = client.get_mut().0.shutdown().await;
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        ledger.lock().expect("no panic").requests(&buffer[..length]);
    }
    ledger.lock().expect("no panic").calls()
}

async fn cut(tunnels: Arc<Mutex<Tunnels>>, ended: CancellationToken) {
    let mut ticks = interval(Duration::from_millis(233));
    let mut twentieths = 0;
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        let mut tunnels = tunnels.lock().expect("no panic");
        tunnels.open.retain(|tunnel| !tunnel.task.is_finished());
        let standing = tunnels.open.iter().filter(|tunnel| !tunnel.cut.is_cancelled()).count();
        twentieths += standing;
        let due = twentieths / 20;
        twentieths %= 20;
        for tunnel in tunnels.open.iter().filter(|tunnel| !tunnel.cut.is_cancelled()).take(due) {
            tunnel.cut.cancel();
        }
        tunnels.counts.cut += due;
    }
}
