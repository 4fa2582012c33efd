//! Several runtimes: each drives its own connections, and none waits for another one.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, BridgeBuilder, Credentials, Proxy, Transport};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::{Request, Status};

use crate::setting::{BOTH, GENERATE, STREAM, answer, behind, question, through};

/// Far beyond what a call needs on a busy machine; a call that waits for another runtime takes as long.
const LONG: Duration = Duration::from_secs(30);
/// A bridge that was not used for so long looks at its connections before it uses them.
const A_WHILE: Duration = Duration::from_millis(15);
const EACH: [Transport; 3] = [Transport::Grpc, Transport::Rest, Transport::Auto];

/// The service and its proxy, which run by themselves.
struct Ground {
    emulator: Emulator,
    proxy: HostileProxy,
    runtime: Runtime,
}

impl Ground {
    fn new(fault: Fault) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (emulator, proxy) = runtime.block_on(behind(fault));
        Self { emulator, proxy, runtime }
    }

    fn bridge(&self) -> BridgeBuilder {
        through(&self.emulator, &self.proxy)
    }

    /// Closes all connections, and waits until they are.
    fn cut(&self) {
        self.proxy.set_and_cut(Fault::Pass);
        // The one thread of this runtime ends the connections' tasks in turn, and then this one.
        self.runtime.block_on(async {
            self.runtime.spawn(sleep(A_WHILE)).await.expect("no panic");
        });
    }
}

/// A runtime that stands still unless it is told to run something.
fn still() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn ask(bridge: &Bridge) -> Result<ActiveTransport, Status> {
    let mut request = Request::new(question("?"));
    request.set_timeout(LONG);
    let reply = GenerativeServiceClient::new(bridge.clone()).generate_content(request).await?;
    Ok(*reply.extensions().get().expect("the transport"))
}

async fn ask_for_stream(bridge: &Bridge) -> Result<usize, Status> {
    let mut request = Request::new(question("?"));
    request.set_timeout(LONG);
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let mut stream = client.stream_generate_content(request).await?.into_inner();
    let mut messages = 0;
    while stream.message().await?.is_some() {
        messages += 1;
    }
    Ok(messages)
}

#[test]
fn two_runtimes_that_take_turns_do_not_wait_for_each_other() {
    for transport in EACH {
        let ground = Ground::new(Fault::Pass);
        let bridge = ground.bridge().transport(transport).build().expect("a bridge");
        let runtimes = [still(), still()];
        for turn in 0..1000 {
            let asked = runtimes[turn % 2].block_on(ask(&bridge));
            asked.unwrap_or_else(|status| panic!("{transport:?}, call {turn}: {status:?}"));
        }
        assert_eq!(ground.emulator.count(GENERATE), 1000, "{transport:?}");
        if transport != Transport::Auto {
            assert_eq!(ground.proxy.counts().tunnels(), 2, "{transport:?}");
        }
    }
}

#[test]
fn streams_of_two_runtimes_do_not_wait_for_each_other() {
    for transport in EACH {
        let ground = Ground::new(Fault::Pass);
        ground.emulator.on(STREAM, Reply::messages([answer("x"), answer("y")]));
        let bridge = ground.bridge().transport(transport).build().expect("a bridge");
        let runtimes = [still(), still()];
        for turn in 0..20 {
            let asked = runtimes[turn % 2].block_on(ask_for_stream(&bridge));
            assert_eq!(asked.expect("a stream"), 2, "{transport:?}, call {turn}");
        }
    }
}

#[test]
fn the_limit_of_connections_is_that_of_a_runtime() {
    let ground = Ground::new(Fault::Pass);
    let builder = ground.bridge().transport(Transport::Rest).rest_connections(1);
    let bridge = builder.build().expect("a bridge");
    let runtimes = [still(), still(), still()];
    for turn in 0..9 {
        runtimes[turn % 3].block_on(ask(&bridge)).expect("an answer");
    }
    assert_eq!(bridge.stats().connections(ActiveTransport::Rest), 3);
    assert_eq!(ground.proxy.counts().tunnels(), 3);
}

/// Its calls, its dials and its connections end with it; the other one goes on.
#[test]
fn a_runtime_that_has_ended_leaves_nothing_behind() {
    for (transport, active) in
        [(Transport::Grpc, ActiveTransport::Grpc), (Transport::Rest, ActiveTransport::Rest)]
    {
        let ground = Ground::new(Fault::Pass);
        let builder = ground.bridge().transport(transport).rest_connections(1);
        let bridge = builder.build().expect("a bridge");
        let other = still();
        other.block_on(ask(&bridge)).expect("an answer");
        for round in 0..5 {
            let ending = still();
            ending.block_on(ask(&bridge)).expect("an answer");
            ground.emulator.once(GENERATE, Reply::never());
            let call = bridge.clone();
            ending.spawn(async move { ask(&call).await });
            ending.block_on(ground.emulator.received_when(2 + 3 * round + 1));
            assert_eq!(bridge.stats().connections(active), 2, "{transport:?}");
            drop(ending);
            assert_eq!(bridge.stats().connections(active), 1, "{transport:?}");
            other.block_on(ask(&bridge)).expect("an answer");
        }
    }
}

#[test]
fn a_dial_that_nobody_drives_holds_no_other_runtime_up() {
    for transport in EACH {
        let ground = Ground::new(Fault::ConnectSilence);
        let builder = ground.bridge().transport(transport).rest_connections(1);
        let bridge = builder.build().expect("a bridge");
        let (stopped, other) = (still(), still());
        stopped.block_on(async {
            let mut call = pin!(ask(&bridge));
            tokio::select! {
                ended = &mut call => panic!("{ended:?}"),
                _ = ground.proxy.wait_until(|counts| counts.tunnels() + counts.strikes() > 0) => {}
            }
        });
        ground.proxy.set(Fault::Pass);
        other.block_on(ask(&bridge)).expect("an answer");
    }
}

/// Nobody saw it close; the call must not be given to it.
#[test]
fn a_connection_that_was_closed_while_its_runtime_stood_still_costs_no_call() {
    for transport in BOTH {
        let ground = Ground::new(Fault::Pass);
        let bridge = ground.bridge().transport(transport).build().expect("a bridge");
        let runtime = still();
        for calls in 1..=20 {
            runtime.block_on(ask(&bridge)).unwrap_or_else(|status| {
                panic!("{transport:?}, call {calls}: {status:?}");
            });
            ground.cut();
        }
        assert_eq!(ground.emulator.count(GENERATE), 20);
    }
}

#[test]
fn a_runtime_with_threads_and_one_without_share_a_bridge() {
    for transport in EACH {
        let ground = Ground::new(Fault::Pass);
        let bridge = ground.bridge().transport(transport).build().expect("a bridge");
        let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let threads = threads.expect("a runtime");
        let mut running = JoinSet::new();
        for _ in 0..8 {
            let bridge = bridge.clone();
            let calls = async move {
                for _ in 0..50 {
                    ask(&bridge).await?;
                }
                Ok::<_, Status>(())
            };
            running.spawn_on(calls, threads.handle());
        }
        let alone = {
            let bridge = bridge.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    let runtime = still();
                    for _ in 0..20 {
                        runtime.block_on(ask(&bridge))?;
                    }
                }
                Ok::<_, Status>(())
            })
        };
        threads.block_on(async {
            while let Some(ended) = running.join_next().await {
                ended.expect("no panic").expect("answers");
            }
        });
        alone.join().expect("no panic").expect("answers");
        assert_eq!(ground.emulator.count(GENERATE), 460, "{transport:?}");
    }
}

#[test]
fn a_token_that_nobody_fetches_any_more_holds_no_other_runtime_up() {
    let ground = Ground::new(Fault::Pass);
    let asked = Arc::new(Semaphore::new(0));
    let source = {
        let asked = Arc::clone(&asked);
        let is_first = AtomicBool::new(true);
        move || {
            let (asked, is_first) = (Arc::clone(&asked), is_first.swap(false, Ordering::SeqCst));
            async move {
                asked.add_permits(1);
                if is_first {
                    pending::<()>().await;
                }
                Ok::<_, std::io::Error>("a token")
            }
        }
    };
    let bridge = ground.bridge().credentials(Credentials::bearer(source)).build();
    let bridge = bridge.expect("a bridge");
    let (stopped, other) = (still(), still());
    let call = bridge.clone();
    stopped.spawn(async move { ask(&call).await });
    let _asked = stopped.block_on(asked.acquire()).expect("open");
    other.block_on(ask(&bridge)).expect("an answer");
}

/// The probe that the first one began is not awaited: the second one makes its own.
#[test]
fn a_probe_that_nobody_drives_holds_no_other_runtime_up() {
    let ground = Ground::new(Fault::CallSwallowed);
    let bridge = ground.bridge().grpc_head_start(LONG).build().expect("a bridge");
    let (stopped, other) = (still(), still());
    stopped.block_on(async {
        let mut call = pin!(ask(&bridge));
        tokio::select! {
            ended = &mut call => panic!("{ended:?}"),
            _ = ground.proxy.wait_until(|counts| counts.grpc_requests() > 0) => {}
        }
    });
    ground.proxy.set(Fault::Pass);
    assert_eq!(other.block_on(ask(&bridge)).expect("an answer"), ActiveTransport::Grpc);
}

#[test]
fn without_a_runtime_a_call_fails_and_says_why() {
    let bridge = Bridge::builder().api_key("key").proxy(Proxy::none()).build().expect("a bridge");
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let mut context = Context::from_waker(Waker::noop());
    let call = pin!(client.generate_content(question("?"))).poll(&mut context);
    let Poll::Ready(Err(status)) = call else { panic!("{call:?}") };
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert!(status.message().contains("no tokio runtime"), "{status:?}");
    let connect = pin!(bridge.connect()).poll(&mut context);
    assert!(matches!(connect, Poll::Ready(Err(_))), "{connect:?}");
}
