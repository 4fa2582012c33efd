//! Network: what a connector of the bridge reaches, and what befalls its connections.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use genai_bridge::emulator::HostileProxy;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use crate::hosts::Hosts;
use crate::log::Log;
use crate::weather::Weather;
use crate::wire::{End, Link, connection};
use crate::world::{Break, How};

/// The way from the bridge to the service, or to the proxy before it.
pub(crate) struct Network {
    pub(crate) weather: Arc<Weather>,
    far_end: FarEnd,
    state: Mutex<State>,
    log: Log,
}

#[derive(Clone)]
pub(crate) enum FarEnd {
    Service(Arc<Hosts>),
    Proxy(Arc<HostileProxy>),
}

#[derive(Default)]
struct State {
    opened: Vec<Instant>,
    links: Vec<Weak<Link>>,
    breaks: Vec<Break>,
    refused_until: Option<Instant>,
    silent_until: Option<Instant>,
    nameless_until: Option<Instant>,
}

impl Network {
    pub(crate) fn new(
        weather: Arc<Weather>,
        far_end: FarEnd,
        breaks: Vec<Break>,
        log: Log,
    ) -> Self {
        let state = Mutex::new(State { breaks, ..State::default() });
        Self { weather, far_end, state, log }
    }

    pub(crate) fn refuse_until(&self, until: Instant) {
        self.state().refused_until = Some(until);
    }

    pub(crate) fn be_silent_until(&self, until: Instant) {
        self.state().silent_until = Some(until);
    }

    pub(crate) fn be_nameless_until(&self, until: Instant) {
        self.state().nameless_until = Some(until);
    }

    /// Good from here on, as all that was open ends.
    pub(crate) fn heal(&self, latency: Duration) {
        self.weather.clear(latency);
        self.cut(How::Close);
        let mut state = self.state();
        *state = State { opened: std::mem::take(&mut state.opened), ..State::default() };
    }

    pub(crate) fn cut(&self, how: How) {
        self.links().iter().for_each(|link| link.cut(how));
    }

    pub(crate) fn forget(&self) {
        self.links().iter().for_each(|link| link.forget());
    }

    /// How many connections the bridge holds open.
    pub(crate) fn open(&self) -> usize {
        self.links().iter().filter(|link| link.is_open()).count()
    }

    /// When its connections were opened.
    pub(crate) fn opened(&self) -> Vec<Instant> {
        self.state().opened.clone()
    }

    fn links(&self) -> Vec<Arc<Link>> {
        self.state().links.iter().filter_map(Weak::upgrade).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    async fn connect(&self) -> io::Result<TokioIo<End>> {
        let is_over = |until: Option<Instant>| until.is_none_or(|until| until <= Instant::now());
        if !is_over(self.state().nameless_until) {
            self.log.note(format_args!("no name"));
            return Err(io::ErrorKind::NotFound.into());
        }
        loop {
            let silent_until = self.state().silent_until;
            match silent_until {
                Some(until) if !is_over(silent_until) => sleep_until(until).await,
                _ => break,
            }
        }
        let connected = self.weather.connected(Instant::now());
        sleep_until(connected).await;
        if !is_over(self.state().refused_until) {
            // A firewall before it resets what it does not let through.
            let is_reset = self.state().opened.len().is_multiple_of(4);
            let kinds = [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset];
            let kind = kinds[usize::from(is_reset)];
            self.log.note(format_args!("{kind}"));
            return Err(kind.into());
        }
        let mut state = self.state();
        let number = state.opened.len();
        let breaks = state.breaks.iter().filter(|of| of.connection == number).copied().collect();
        let (here, there, link) = connection(&self.weather, breaks, self.log.clone(), number);
        state.opened.push(Instant::now());
        state.links.retain(|link| link.strong_count() > 0);
        state.links.push(Arc::downgrade(&link));
        drop(state);
        self.log.note(format_args!("connection {number}"));
        match &self.far_end {
            FarEnd::Service(hosts) => hosts.serve(there),
            FarEnd::Proxy(proxy) => proxy.serve(there),
        }
        Ok(TokioIo::new(here))
    }
}

/// For [`genai_bridge::BridgeBuilder::connector`].
#[derive(Clone)]
pub(crate) struct Connector(pub(crate) Arc<Network>);

impl Service<Uri> for Connector {
    type Response = TokioIo<End>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<End>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let network = Arc::clone(&self.0);
        Box::pin(async move { network.connect().await })
    }
}
