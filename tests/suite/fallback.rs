//! Every fault, on a bridge that knows nothing yet and on one that trusts gRPC: what a call costs, and whether it is
//! answered.

use std::sync::Arc;
use std::time::Duration;

use genai_bridge::Bridge;
use genai_bridge::emulator::Fault;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::{Request, Status};

use crate::hostile::passes_rest;
use crate::setting::{GENERATE, STREAM, behind, change, question, through};

/// Long enough for every answer that comes on a busy machine; what never comes ends with it.
const PATIENCE: Duration = Duration::from_secs(6);
/// Faults that cost an answer although REST passes.
const EXCUSED: [Fault; 5] = [
    // gRPC is proven by a call that is not hit, and a later one is.
    Fault::SecondMessageReset,
    Fault::UnroutedUnimplemented,
    Fault::UnroutedPage,
    Fault::EverySecondCall,
    Fault::EveryThirdCall,
];
/// Networks that are tried at a time.
const AT_A_TIME: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_network_makes_a_paid_call_go_out_twice_and_rest_answers_where_it_can() {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for fault in Fault::ALL {
        for is_proven in [false, true] {
            let places = Arc::clone(&places);
            running.spawn(async move {
                let _place = places.acquire().await.expect("it is never closed");
                check(*fault, is_proven).await;
            });
        }
    }
    while let Some(checked) = running.join_next().await {
        checked.expect("no panic");
    }
}

async fn check(fault: Fault, is_proven: bool) {
    let (emulator, proxy) = behind(if is_proven { Fault::Inspect } else { fault }).await;
    let bridge = through(&emulator, &proxy).build().expect("a bridge");
    if is_proven {
        bridge.connect().await.expect("a transport");
        change(&proxy, fault, &bridge).await;
    }
    let (whole, streamed) = (ask(&bridge).await, ask_for_stream(&bridge).await);
    let (generate, stream) = (emulator.count(GENERATE), emulator.count(STREAM));
    assert!(generate <= 1 && stream <= 1, "{fault}: sent {generate} and {stream} times");
    if !is_proven && passes_rest(fault) && !EXCUSED.contains(&fault) {
        assert!(whole.is_ok() && streamed.is_ok(), "{fault}: {whole:?}, {streamed:?}");
        assert_eq!((generate, stream), (1, 1), "{fault}");
    }
}

async fn ask(bridge: &Bridge) -> Result<(), Status> {
    let mut request = Request::new(question("?"));
    request.set_timeout(PATIENCE);
    GenerativeServiceClient::new(bridge.clone()).generate_content(request).await.map(drop)
}

async fn ask_for_stream(bridge: &Bridge) -> Result<(), Status> {
    let mut request = Request::new(question("?"));
    request.set_timeout(PATIENCE);
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let mut messages = client.stream_generate_content(request).await?.into_inner();
    while messages.message().await?.is_some() {}
    Ok(())
}
