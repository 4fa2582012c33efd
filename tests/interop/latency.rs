//! What the sidecar costs on loopback: the same client with it and without it.
//!
//! For figures: `cargo test --release --all-features --test interop latency -- --ignored --nocapture`.

use genai_bridge::Bridge;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{GenerateContentRequest, GenerateContentResponse};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use crate::serving::{Serving, grpc_client};

const ROUNDS: usize = 10;
const CALLS: usize = 300;
const CALLERS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn latency_and_throughput_of_the_sidecar() {
    let emulator = Emulator::start().await.expect("an emulator");
    let generate = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
    emulator.on(generate, Reply::message(&GenerateContentResponse::default()));
    let serving = Serving::start(&emulator, &["--transport", "grpc", "--proxy", "none"]).await;
    let direct = grpc_client(emulator.endpoint(), emulator.root_certificate().as_bytes());
    let bridges = [direct, serving.client()].map(|client| client.build().expect("a bridge"));
    for bridge in &bridges {
        one_by_one(bridge, CALLS).await;
        side_by_side(bridge, Duration::from_millis(500)).await;
    }
    // In turns, so that a busy machine hits both.
    let mut latencies = [Vec::new(), Vec::new()];
    let mut throughputs = [0.0, 0.0];
    for _ in 0..ROUNDS {
        for (side, bridge) in bridges.iter().enumerate() {
            latencies[side].extend(one_by_one(bridge, CALLS).await);
            throughputs[side] += side_by_side(bridge, Duration::from_millis(500)).await;
            emulator.clear();
            emulator.on(generate, Reply::message(&GenerateContentResponse::default()));
        }
    }
    for side in &mut latencies {
        side.sort();
    }
    let mut p50s = [Duration::ZERO; 2];
    for (name, hundredth) in [("p50", 50), ("p99", 99)] {
        let [direct, through] =
            [0, 1].map(|side| latencies[side][ROUNDS * CALLS * hundredth / 100]);
        let ratio = through.as_secs_f64() / direct.as_secs_f64();
        println!("{name}: direct {direct:?}, through the sidecar {through:?}: {ratio:.2}x");
        if name == "p50" {
            p50s = [direct, through];
        }
    }
    let [direct, through] = throughputs.map(|sum| sum / f64::from(10_u8));
    let ratio = through / direct;
    println!(
        "{CALLERS} callers: direct {direct:.0}/s, through the sidecar {through:.0}/s: {ratio:.2}x"
    );
    let added = p50s[1].saturating_sub(p50s[0]);
    println!("added by the sidecar at p50: {added:?}");
    assert!(added < Duration::from_millis(20), "a hop on loopback is no journey");
    assert_eq!(serving.stop(), Some(0));
}

async fn one_by_one(bridge: &Bridge, calls: usize) -> Vec<Duration> {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let mut latencies = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        client.generate_content(request()).await.expect("an answer");
        latencies.push(began.elapsed());
    }
    latencies
}

/// Calls a second.
async fn side_by_side(bridge: &Bridge, time: Duration) -> f64 {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let mut client = GenerativeServiceClient::new(bridge.clone());
        callers.spawn(async move {
            let mut calls = 0_u32;
            while began.elapsed() < time {
                client.generate_content(request()).await.expect("an answer");
                calls += 1;
            }
            calls
        });
    }
    let calls: u32 = callers.join_all().await.into_iter().sum();
    f64::from(calls) / began.elapsed().as_secs_f64()
}

fn request() -> GenerateContentRequest {
    GenerateContentRequest { model: "models/gemini-2.5-flash".into(), ..Default::default() }
}
