//! Cutter: a network that cuts connections in the middle of what passes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use genai_bridge::{Bridge, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A relay that cuts its connections each time so many bytes have passed one way.
pub(crate) struct Cutter {
    pub(crate) address: SocketAddr,
    up: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Up,
    Down,
}

impl Cutter {
    pub(crate) async fn start(to: SocketAddr, way: Way, every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (up, cuts): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let passed = Arc::new(AtomicUsize::new(0));
        let (all, count) = (Arc::clone(&up), Arc::clone(&cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(to).await.expect("the emulator");
                let (all, count, passed) =
                    (Arc::clone(&all), Arc::clone(&count), Arc::clone(&passed));
                tokio::spawn(async move {
                    let (mut client_in, mut client_out) = client.into_split();
                    let (mut server_in, mut server_out) = server.into_split();
                    let pass =
                        async |from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, this: Way| {
                            let mut buffer = vec![0; 16 << 10];
                            loop {
                                let length = from.read(&mut buffer).await.unwrap_or(0);
                                if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
                                    return;
                                }
                                if this == Way::Up {
                                    all.fetch_add(length, Ordering::SeqCst);
                                }
                                if this == way {
                                    let before = passed.fetch_add(length, Ordering::SeqCst);
                                    if before / every != (before + length) / every {
                                        count.fetch_add(1, Ordering::SeqCst);
                                        return;
                                    }
                                }
                            }
                        };
                    tokio::select! {
                        () = pass(&mut client_in, &mut server_out, Way::Up) => {}
                        () = pass(&mut server_in, &mut client_out, Way::Down) => {}
                    }
                });
            }
        });
        Self { address, up, cuts }
    }

    pub(crate) fn bridge(&self) -> Bridge {
        let builder = Bridge::builder().endpoint(format!("http://{}", self.address));
        builder.proxy(Proxy::none()).api_key("a-key").build().expect("a bridge")
    }

    /// Bytes that left the client.
    pub(crate) fn up(&self) -> usize {
        self.up.load(Ordering::SeqCst)
    }

    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}
