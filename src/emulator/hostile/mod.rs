//! Hostile: an HTTP proxy that breaks what goes through it, by the name of the fault.

mod broken;
mod connect;
mod dial;
mod ending;
mod fault;
mod fault_names;
mod forward;
mod frames;
mod intercept;
mod link;
mod rows;
mod shared;
mod stages;
mod tally;
mod target;
mod upstream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, spawn, yield_now};

pub use ending::Wire;
pub use fault::Fault;
pub use fault_names::UnknownFault;
pub use link::Link;
pub use tally::Counts;

use super::Authority;
use super::tasks::Tasks;
use dial::Dial;
use shared::Proxy;
use tally::Tally;

/// An HTTP proxy on a loopback port that puts a fault between its clients and their target.
///
/// It stops when it is dropped, and cuts what is open. To those who can trust its root certificate
/// it shows TLS of its own where the fault is one that inspects.
///
/// ```no_run
/// use genai_bridge::emulator::hostile::{Fault, HostileProxy};
///
/// # async fn example() -> std::io::Result<()> {
/// let proxy = HostileProxy::start(Fault::TrailersStripped).await?;
/// let (url, root) = (proxy.url(), proxy.root_certificate());
/// // … a client with that proxy and that root makes a call …
/// proxy.wait_until(|counts| counts.grpc_requests() == 1).await;
/// proxy.set_and_cut(Fault::Pass);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HostileProxy {
    address: SocketAddr,
    proxy: Arc<Proxy>,
    accepting: Vec<AbortHandle>,
}

impl HostileProxy {
    /// Starts a proxy with this fault and default options.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(fault: Fault) -> io::Result<Self> {
        Self::builder().start(fault).await
    }

    /// Begins the options of a proxy.
    pub fn builder() -> HostileProxyBuilder {
        HostileProxyBuilder::default()
    }

    /// Serves one client on this stream, as if it had connected.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve(&self, stream: impl Wire) {
        serve(stream, &self.proxy);
    }

    /// `http://127.0.0.1:PORT`, without a login.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root certificate, as PEM, of the certificates that it shows when it inspects TLS.
    pub fn root_certificate(&self) -> &str {
        self.proxy.authority.pem()
    }

    /// The fault that new connections meet.
    pub fn fault(&self) -> Fault {
        self.proxy.fault()
    }

    /// Changes the fault for new connections; open ones keep theirs.
    pub fn set(&self, fault: Fault) {
        *self.proxy.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Changes the fault and closes all open connections, so that no client meets the old fault.
    pub fn set_and_cut(&self, fault: Fault) {
        self.set(fault);
        self.proxy.tasks.abort_all();
    }

    /// Changes the fault for open connections too. If the fault affects single requests, open
    /// connections that the proxy reads meet it with their next request. Otherwise the proxy closes
    /// them all, and returns true.
    pub fn set_live(&self, fault: Fault) -> bool {
        let stages = fault.stages();
        if !stages.hits_requests() || !self.fault().stages().reads_along() {
            self.set_and_cut(fault);
            return true;
        }
        self.set(fault);
        for open in self.proxy.open().iter().filter_map(Weak::upgrade) {
            *open.lock().unwrap_or_else(PoisonError::into_inner) = stages.http;
        }
        false
    }

    /// What it has seen and done so far.
    pub fn counts(&self) -> Counts {
        self.proxy.tally.counts()
    }

    /// Short for [`Counts::grpc_requests`].
    pub fn grpc_requests(&self) -> usize {
        self.counts().grpc_requests()
    }

    /// Short for [`Counts::rest_requests`].
    pub fn rest_requests(&self) -> usize {
        self.counts().rest_requests()
    }

    /// Waits until the counts meet the condition, without a time limit.
    ///
    /// # Panics
    /// The condition panics.
    pub async fn wait_until(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        self.proxy.tally.wait_until(condition).await
    }
}

impl Drop for HostileProxy {
    fn drop(&mut self) {
        self.accepting.iter().for_each(AbortHandle::abort);
        self.proxy.tasks.abort_all();
        if self.proxy.tasks.have_panicked() && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("a hostile proxy panicked"));
        }
    }
}

/// Options of a [`HostileProxy`].
#[derive(Debug, Default)]
pub struct HostileProxyBuilder {
    authority: Option<Authority>,
    login: Option<String>,
    dial: Dial,
    idle_limit: Option<Duration>,
    spared: Vec<Box<str>>,
    link: Option<Link>,
}

impl HostileProxyBuilder {
    /// The authority whose certificates it shows when it inspects TLS. Default: a new one.
    #[must_use]
    pub fn authority(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Requires this login (Basic), and answers 407 without it. Default: none.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        let login = base64_simd::STANDARD.encode_to_string(format!("{user}:{password}"));
        self.login = Some(format!("Basic {login}"));
        self
    }

    /// Connects every tunnel to this address. Default: to the host that CONNECT names.
    #[must_use]
    pub fn target(mut self, target: SocketAddr) -> Self {
        self.dial = Dial::Tcp { target: Some(target) };
        self
    }

    /// Exempts requests to this path from faults that affect single requests. Default: none.
    #[must_use]
    pub fn spare(mut self, path: impl Into<Box<str>>) -> Self {
        self.spared.push(path.into());
        self
    }

    /// How long a tunnel must be without traffic for a `TunnelIdle…` fault, and how long an answer
    /// must take for [`Fault::SlowAnswerPage`]. Default: one second.
    #[must_use]
    pub fn idle_limit(mut self, idle_limit: Duration) -> Self {
        self.idle_limit = Some(idle_limit);
        self
    }

    /// Puts this link between the clients and the proxy. Default: none.
    #[must_use]
    pub fn link(mut self, link: &Link) -> Self {
        self.link = Some(link.clone());
        self
    }

    /// Opens connections to targets with this function, which gets `host:port`. Default: TCP.
    #[must_use]
    pub fn dial<W: Wire>(
        mut self,
        dial: impl Fn(&str) -> io::Result<W> + Send + Sync + 'static,
    ) -> Self {
        self.dial = Dial::Own(Box::new(move |target| Ok(Box::new(dial(target)?) as Box<dyn Wire>)));
        self
    }

    /// Starts the proxy.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(mut self, fault: Fault) -> io::Result<HostileProxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let link = self.link.take();
        let mut started = self.serve_as(address, fault);
        let proxy = Arc::clone(&started.proxy);
        let tasks = proxy.tasks.clone();
        started.accepting.push(spawn(accept(listener, proxy)).abort_handle());
        if let Some(link) = link {
            let (front, taking) = link.lay(address, tasks).await?;
            started.address = front;
            started.accepting.push(taking);
        }
        Ok(started)
    }

    /// Makes a proxy that has no port and serves only the streams given to [`HostileProxy::serve`].
    /// Its URL is that of port 8080 of 127.0.0.1.
    pub fn unbound(self, fault: Fault) -> HostileProxy {
        self.serve_as((Ipv4Addr::LOCALHOST, 8080).into(), fault)
    }

    fn serve_as(self, address: SocketAddr, fault: Fault) -> HostileProxy {
        let proxy = Arc::new(Proxy {
            authority: self.authority.unwrap_or_else(|| Authority::new("Hostile Proxy")),
            login: self.login,
            dial: self.dial,
            idle_limit: self.idle_limit.unwrap_or(Duration::from_secs(1)),
            spared: self.spared,
            fault: Mutex::new(fault),
            tally: Tally::default(),
            open: Mutex::default(),
            tasks: Tasks::default(),
        });
        HostileProxy { address, proxy, accepting: Vec::new() }
    }
}

async fn accept(listener: TcpListener, proxy: Arc<Proxy>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a socket keeps its delay");
                }
                serve(stream, &proxy);
            }
            // The client has gone already, or there are too many.
            Err(error) => {
                tracing::debug!(%error, "a hostile proxy could not accept");
                yield_now().await;
            }
        }
    }
}

fn serve(wire: impl Wire, proxy: &Arc<Proxy>) {
    let serving = connect::serve(wire, Arc::clone(proxy));
    proxy.tasks.spawn(async {
        if let Err(error) = serving.await {
            tracing::debug!(%error, "a hostile proxy lost a connection");
        }
    });
}
