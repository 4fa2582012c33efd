//! Setting: the bridge, the proxies and the service of a world.

use std::sync::Arc;

use genai_bridge::emulator::hostile::Wire as _;
use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy};
use genai_bridge::{Bridge, Proxy, RetryPolicy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::time::Instant;

use crate::hosts::Hosts;
use crate::log::Log;
use crate::network::{Connector, Network};
use crate::service::Logins;
use crate::weather::Weather;
use crate::wire::{End, connection};
use crate::world::World;

pub(crate) fn begin_emulator(world: &World, logins: &Logins) -> Emulator {
    let plan = world.service;
    let mut emulator = Emulator::builder().plaintext().authority(authority());
    if let Some(streams) = plan.max_streams {
        emulator = emulator.max_concurrent_streams(streams);
    }
    if let Some(window) = plan.window {
        emulator = emulator.initial_window(window);
    }
    if let Some(age) = plan.connection_age {
        emulator = emulator.connection_age(age);
    }
    let emulator = emulator.unbound().expect("an emulator");
    let logins = logins.clone();
    emulator.admit_with(move |headers| logins.admit(headers));
    emulator
}

pub(crate) fn begin_bridge(world: &World, network: &Arc<Network>, logins: &Logins) -> Bridge {
    let options = world.options;
    let retry = RetryPolicy::google().max_attempts(options.attempts);
    let proxy = if world.has_proxy() {
        Proxy::url("http://proxy.test:8080").expect("a URL")
    } else {
        Proxy::none()
    };
    Bridge::builder()
        .endpoint("http://service.test")
        .allow_plaintext()
        .credentials(logins.credentials())
        .proxy(proxy)
        .connector(Connector(Arc::clone(network)))
        .transport(options.transport)
        .resend(options.resend)
        .retry(retry)
        .grpc_head_start(options.head_start)
        .silence_limit(options.silence_limit)
        .stream_idle_limit(options.stream_idle_limit)
        .rest_connections(options.rest_connections)
        .max_metadata_size(options.max_metadata_size)
        .build()
        .expect("a bridge")
}

/// In a row: each one asks the next for its tunnels.
pub(crate) fn begin_proxies(
    hosts: &Arc<Hosts>,
    faults: &[Fault],
    began: Instant,
    log: &Log,
) -> Vec<Arc<HostileProxy>> {
    let near = Arc::new(Weather::calm(began));
    let mut proxies: Vec<Arc<HostileProxy>> = Vec::new();
    for fault in faults.iter().rev() {
        let (hosts, near, log) = (Arc::clone(hosts), Arc::clone(&near), log.clone());
        let next = proxies.last().cloned();
        let proxy = HostileProxy::builder().authority(authority()).dial(move |_| {
            let (here, there, _) = connection(&near, Vec::new(), log.clone(), usize::MAX);
            match &next {
                None => hosts.serve(there),
                Some(next) => {
                    let (to_next, taken, _) =
                        connection(&near, Vec::new(), log.clone(), usize::MAX);
                    next.serve(taken);
                    tokio::spawn(pass_on(there, to_next));
                }
            }
            Ok(here)
        });
        proxies.push(Arc::new(proxy.unbound(*fault)));
    }
    proxies.reverse();
    proxies
}

/// A tunnel through the next proxy. What breaks there, breaks here.
async fn pass_on(mut here: End, mut next: End) {
    let passed = async {
        next.write_all(b"CONNECT service.test:80 HTTP/1.1\r\n\r\n").await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(next.read_u8().await?);
        }
        if head.get(9..10) == Some(b"2") {
            copy_bidirectional(&mut here, &mut next).await?;
        }
        std::io::Result::Ok(())
    };
    if passed.await.is_err() {
        here.reset_when_dropped();
    }
}

/// Nothing is signed where there is no TLS.
fn authority() -> Authority {
    static AUTHORITY: std::sync::OnceLock<Authority> = std::sync::OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Simulation")).clone()
}
