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

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex;
    use std::time::Duration;

    use hyper_util::rt::TokioIo;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;
    use crate::network::{Alpn, Network, NetworkSettings, Origin, Proxy, Tasks, UserConnector};
    use crate::symptom::SymptomKind;
    use crate::transport::carrier::http2::Http2Settings;
    use crate::transport::carrier::http2::connection::{Connection, Seat};

    /// A call on a connection whose peer says nothing after its SETTINGS.
    async fn silent_call() -> Seat {
        let connector = tower::service_fn(|_| async {
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(async move {
                let _open = h2::server::handshake(far).await;
                pending::<()>().await;
            });
            Ok::<_, std::io::Error>(TokioIo::new(near))
        });
        let connector = Some(UserConnector::new(connector));
        let settings =
            NetworkSettings { proxy: Proxy::none(), connector, ..NetworkSettings::default() };
        let network = Network::new(settings).expect("a network");
        let origin = Origin::parse("http://service.test", true).expect("an origin");
        let dialled = network.connect(&origin, Alpn::Http2).await.expect("a stream");
        // No PING does the same work.
        let keep_alive_interval = DAY;
        let settings = Http2Settings { keep_alive_interval, ..Http2Settings::default() };
        let (limit, changed) = (settings.settings_limit, Arc::new(Notify::new()));
        let opened = Connection::open(dialled, limit, &settings, changed, &Tasks::default()).await;
        opened.expect("HTTP/2").take_any_seat()
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// What is asked, each time at once answered or never.
    struct Asked {
        log: Mutex<Vec<&'static str>>,
        is_answered: bool,
        is_answered_elsewhere: bool,
    }

    impl Asked {
        fn new(is_answered: bool, is_answered_elsewhere: bool) -> Arc<Self> {
            Arc::new(Self { log: Mutex::default(), is_answered, is_answered_elsewhere })
        }

        fn log(&self) -> Vec<&'static str> {
            self.log.lock().expect("no panic").clone()
        }
    }

    impl Ways for Asked {
        fn ask_on(self: Arc<Self>, _: Line) -> Asking<()> {
            self.log.lock().expect("no panic").push("here");
            if self.is_answered { Box::pin(ready(())) } else { Box::pin(pending()) }
        }

        fn ask_elsewhere(self: Arc<Self>, _: Line) -> Asking<Option<Elsewhere>> {
            self.log.lock().expect("no panic").push("elsewhere");
            let (kind, at) = (SymptomKind::KeepAliveTimeout, Instant::now());
            Box::pin(ready(self.is_answered_elsewhere.then_some(Elsewhere { kind, at })))
        }
    }

    /// Watches the call's connection for a day at most; whether that ended before.
    async fn watched(ways: &Arc<Asked>, line: LooseLine) -> bool {
        timeout(DAY, watch(Arc::downgrade(ways), line, Patience::default())).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_ended_once_another_way_was_answered() {
        let (seat, ways) = (silent_call().await, Asked::new(false, true));
        let began = Instant::now();
        assert!(watched(&ways, seat.line().loosen()).await);
        assert_eq!(ways.log(), ["here", "elsewhere", "here"]);
        assert!((8..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        // The connection's own task ends it.
        sleep_until(Instant::now() + Duration::from_secs(1)).await;
        assert!(seat.line().loosen().hold().is_none(), "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_answers_the_connection_stays_and_gets_no_further_calls() {
        let (seat, ways) = (silent_call().await, Asked::new(false, false));
        assert!(!seat.peer().seen.is_closing());
        assert!(!watched(&ways, seat.line().loosen()).await);
        assert!(ways.log().starts_with(&["here", "elsewhere", "here", "elsewhere"]));
        assert!(seat.line().loosen().hold().is_some() && seat.peer().seen.is_closing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_answers_is_asked_again_and_nobody_else_is() {
        let (seat, ways) = (silent_call().await, Asked::new(true, true));
        assert!(!watched(&ways, seat.line().loosen()).await);
        let log = ways.log();
        assert!(log.len() > 10 && log.iter().all(|asked| *asked == "here"), "{log:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_watches_over_what_has_ended() {
        let (seat, ways) = (silent_call().await, Asked::new(false, true));
        let line = seat.line().loosen();
        drop(seat);
        assert!(watched(&ways, line).await);
        let seat = silent_call().await;
        let (line, gone) = (seat.line().loosen(), Arc::downgrade(&ways));
        drop(ways);
        watch(gone, line, Patience::default()).await;
        assert!(seat.line().loosen().hold().is_some());
    }
}
