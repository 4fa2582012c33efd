//! Liveness: a silent connection with calls on it is asked, by a free call, whether it still
//! carries anything.
//!
//! Waiting for the calls' deadlines would take minutes, and PINGs close together are punished by
//! servers ([gRFC A8](https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md)); a
//! free call is not.

pub(crate) mod inquiry;

use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use tokio::time::{Instant, sleep_until};

use crate::transport::carrier::http2::connection::{Line, LooseLine};
use inquiry::{Elsewhere, Inquiry, Patience, Step};

/// How to ask.
pub(crate) trait Ways: Send + Sync + 'static {
    /// Makes a free call on this connection. Ends with any answer, or if it cannot be made.
    fn ask_on(self: Arc<Self>, line: Line) -> Asking<()>;

    /// Makes free calls on all other ways: on a gRPC connection that has not been given up, and
    /// over REST. Ends with the earliest answer, if there is one.
    fn ask_elsewhere(self: Arc<Self>, line: Line) -> Asking<Option<Elsewhere>>;
}

pub(crate) type Asking<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Watches over a connection to its end, which it brings about if the network has lost it. Holds
/// neither the connection nor the ways open.
pub(crate) async fn watch(ways: Weak<impl Ways>, line: LooseLine, patience: Patience) {
    let mut inquiry = Inquiry::new(patience, Instant::now());
    let (mut question, mut elsewhere) = (None, None);
    while let (Some(held), Some(ways)) = (line.hold(), ways.upgrade()) {
        let step = inquiry.step(&held.sight(), Instant::now());
        if inquiry.is_quiet() {
            (question, elsewhere) = (None, None);
        }
        match step {
            Step::Ask => question = Some(ways.ask_on(held)),
            Step::AskElsewhere => {
                // Whatever comes of it, no further call shall find out.
                held.give_up();
                elsewhere = Some(ways.ask_elsewhere(held));
            }
            Step::Lose(kind) => return held.lose(kind),
            Step::Wait(until) => {
                drop((held, ways));
                tokio::select! {
                    biased;
                    () = answered(&mut question) => inquiry.take_answer(Instant::now()),
                    found = answered(&mut elsewhere) => {
                        let Some(held) = line.hold() else { return };
                        inquiry.take_elsewhere(found, &held.sight(), Instant::now());
                    }
                    () = sleep_until(until) => {}
                }
            }
        }
    }
}

/// Waits for what was asked; for ever if nothing was.
async fn answered<T>(asking: &mut Option<Asking<T>>) -> T {
    match asking {
        Some(future) => {
            let answer = future.await;
            *asking = None;
            answer
        }
        None => pending().await,
    }
}
