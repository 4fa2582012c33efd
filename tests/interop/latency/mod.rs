//! What the sidecar costs on loopback: the same client with it and without it. Client, sidecar and
//! service are processes of their own.
//!
//! For figures:
//! `cargo test --release --all-features --test interop latency -- --ignored --nocapture`.

mod bare;
mod figures;
mod service;

use std::path::Path;
use std::process::Command;

use tokio::time::Duration;

use crate::clients::script;
use crate::serving::Serving;
use bare::Bare;
use figures::{Latencies, Pairs, processor_time};
use service::ServiceProcess;

const ROUNDS: usize = 15;
const CALLS: usize = 200;
const CALLERS: usize = 64;
const TIME: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn latency_and_throughput_of_the_sidecar() {
    let mut service = ServiceProcess::start();
    let options = ["--transport", "grpc", "--proxy", "none"];
    let serving = Serving::before(&service.endpoint, &service.root, &options).await;
    let added = measure_tonic(&mut service, &serving).await;
    match std::env::var_os("GENAI_BRIDGE_CLIENTS") {
        Some(clients) => measure_python(Path::new(&clients), &service, &serving),
        None => println!("no Python client: GENAI_BRIDGE_CLIENTS is not set"),
    }
    assert!(added < 20_000.0, "a hop on loopback is no journey");
    assert_eq!(serving.stop(), Some(0));
}

/// Microseconds that the sidecar adds to a call of tonic's.
async fn measure_tonic(service: &mut ServiceProcess, serving: &Serving) -> f64 {
    let clients = [
        Bare::connect(&service.endpoint, service.root.as_bytes()).await,
        Bare::connect(&serving.endpoint(), &serving.root).await,
    ];
    let processes = [std::process::id(), service.id(), serving.id()];
    let (mut latencies, mut rates) = (Latencies::default(), Pairs::default());
    let mut work = [Work::default(), Work::default()];
    for client in &clients {
        client.one_by_one(CALLS).await;
        client.side_by_side(CALLERS, TIME).await;
    }
    // In turns, so that a busy machine hits both.
    for _ in 0..ROUNDS {
        let (mut rounds, mut rate) = ([Vec::new(), Vec::new()], [0.0; 2]);
        for (side, client) in clients.iter().enumerate() {
            let times = client.one_by_one(CALLS).await;
            rounds[side] = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
            let before = processes.map(processor_time);
            let (calls, time) = client.side_by_side(CALLERS, TIME).await;
            rate[side] = f64::from(calls) / time.as_secs_f64();
            work[side].add(calls, before, processes.map(processor_time));
            service.clear();
        }
        latencies.add(rounds);
        rates.add(rate);
    }
    latencies.print("tonic");
    println!(
        "tonic, {CALLERS} callers: direct {:.0}/s, through the sidecar {:.0}/s: {:.2}x",
        rates.direct(),
        rates.through(),
        rates.ratio(),
    );
    for (way, work) in ["direct", "through the sidecar"].iter().zip(&work) {
        let [client, service, sidecar] = work.each_call();
        println!(
            "processor time of a call, {way}: client {client:.0} µs, service {service:.0} µs, sidecar {sidecar:.0} µs"
        );
    }
    latencies.added()
}

/// Processor time of client, service and sidecar while calls are made.
#[derive(Default)]
struct Work {
    calls: u32,
    times: [Duration; 3],
}

impl Work {
    fn add(&mut self, calls: u32, before: [Duration; 3], after: [Duration; 3]) {
        self.calls += calls;
        for (sum, (before, after)) in self.times.iter_mut().zip(before.iter().zip(after)) {
            *sum += after.saturating_sub(*before);
        }
    }

    /// In microseconds.
    fn each_call(&self) -> [f64; 3] {
        self.times.map(|time| time.as_secs_f64() * 1e6 / f64::from(self.calls))
    }
}

/// Google's client, for whom the sidecar is.
fn measure_python(clients: &Path, service: &ServiceProcess, serving: &Serving) {
    let folder = tempfile::tempdir().expect("a folder");
    let roots = folder.path().join("roots.pem");
    let both = [service.root.as_bytes(), &serving.root].join(&b'\n');
    std::fs::write(&roots, both).expect("a file");
    let mut command = Command::new(clients.join("py/bin/python"));
    command.arg(script("latency.py")).env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &roots);
    command.args([ROUNDS, CALLS].map(|number| number.to_string()));
    command.args([&service.endpoint, &serving.endpoint()].map(|url| url.replace("https://", "")));
    command.env("no_proxy", "localhost");
    let output = command.output().expect("a client");
    let text = String::from_utf8_lossy(&output.stdout);
    let rounds: Vec<Vec<f64>> = text.lines().map(times_in).collect();
    assert_eq!(rounds.len(), 2 * ROUNDS, "{text} {}", String::from_utf8_lossy(&output.stderr));
    let mut latencies = Latencies::default();
    for round in rounds.chunks(2) {
        latencies.add([round[0].clone(), round[1].clone()]);
    }
    latencies.print("Python");
}

fn times_in(line: &str) -> Vec<f64> {
    line.split(' ').map(|time| time.parse().expect("a number")).collect()
}
