//! Victim: a sidecar in a process of its own, and a good client of it that calls all the while.

use std::net::SocketAddr;

use genai_bridge::Bridge;
use genai_bridge::emulator::{Emulator, Reply};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::process::{Serving, folder};
use crate::setting::{GENERATE, answer, call, question};

pub(super) struct Victim {
    pub(super) address: SocketAddr,
    serving: Serving,
    emulator: Emulator,
    _folder: TempDir,
    good: JoinHandle<usize>,
    stop: CancellationToken,
    /// The peak of memory before anybody was hostile, in KiB.
    memory: u64,
}

impl Victim {
    pub(super) async fn start(options: &[&str]) -> Self {
        let emulator = Emulator::start().await.expect("an emulator");
        emulator.on(GENERATE, Reply::message(&answer("a")));
        let folder = folder(&emulator);
        let always = ["--listen", "127.0.0.1:0", "--transport", "grpc", "--log-level", "info"];
        let serving = Serving::start(&emulator, folder.path(), &[&always, options].concat());
        let client = serving.client().build().expect("a bridge");
        for _ in 0..20 {
            let outcome = call(client.clone(), GENERATE, &question("?")).await;
            assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
        }
        emulator.clear();
        emulator.on(GENERATE, Reply::message(&answer("a")));
        let memory = serving.peak_memory();
        let stop = CancellationToken::new();
        let good = tokio::spawn(call_until(stop.clone(), client));
        let address = serving.address.parse().expect("an address");
        Self { address, serving, emulator, _folder: folder, good, stop, memory }
    }

    /// The good client was answered each time, no call of anybody else reached the service, and the
    /// sidecar took no more memory than so much.
    pub(super) async fn ends_unharmed(self, attack: &str, kib: u64) {
        self.stop.cancel();
        let calls = self.good.await.expect("every call is answered");
        let peak = self.serving.peak_memory();
        let more = peak - self.memory;
        println!("{attack}: peak of {peak} KiB, {more} more than before; {calls} calls beside it");
        assert!(calls > 0);
        assert_eq!(self.emulator.count(GENERATE), calls);
        assert!(more <= kib, "{attack}: {more} KiB more, {kib} allowed");
    }
}

async fn call_until(stop: CancellationToken, client: Bridge) -> usize {
    let mut calls = 0;
    loop {
        let outcome = call(client.clone(), GENERATE, &question("?")).await;
        assert_eq!(outcome.status.code(), Code::Ok, "{:?}", outcome.status);
        calls += 1;
        if stop.is_cancelled() {
            return calls;
        }
    }
}
