//! Pings: whether a peer lives, asked by HTTP/2 itself: before a call takes an idle connection, and
//! under calls that nothing else asks for. More of them would be punished ([gRFC
//! A8](https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md)).

use std::future::{pending, poll_fn};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, sleep, sleep_until};

use super::Http2Settings;
use super::peer_state::PeerState;
use super::traffic::Sight;
use crate::symptom::SymptomKind;

/// Sends PINGs when asked to, and when the peer has long been silent with calls on the connection.
/// Ends once it leaves one of the latter unanswered.
pub(crate) async fn send_pings(
    pings: Option<PingPong>,
    seen: &PeerState,
    sight: impl Fn() -> Sight,
    settings: Http2Settings,
) {
    let Some(pings) = pings else { return pending().await };
    let mut pings = Pings { pings, is_open: false };
    loop {
        let is_check = tokio::select! {
            biased;
            () = seen.checks.asked() => true,
            () = sleep_until(next_look(&sight(), &settings)) => false,
        };
        if !is_check && next_look(&sight(), &settings) > Instant::now() {
            continue;
        }
        match pings.is_answered(&sight, settings.keep_alive_timeout).await {
            Some(true) => seen.checks.answer(),
            // Who asked has turned to another connection by now.
            Some(false) if is_check => {}
            Some(false) => return seen.lose(SymptomKind::KeepAliveTimeout),
            None => return pending().await,
        }
    }
}

/// When the peer has been silent for long, if it goes on.
fn next_look(sight: &Sight, settings: &Http2Settings) -> Instant {
    let since = sight.busy_since.map_or_else(Instant::now, |_| sight.silent_since());
    since + settings.keep_alive_interval
}

struct Pings {
    pings: PingPong,
    /// One is on its way; HTTP/2 allows more, h2 does not.
    is_open: bool,
}

impl Pings {
    /// Whether the peer answers, or says anything else. `None` if the connection has ended.
    async fn is_answered(&mut self, sight: &impl Fn() -> Sight, limit: Duration) -> Option<bool> {
        let asked = Instant::now();
        if !self.is_open {
            self.pings.send_ping(Ping::opaque()).ok()?;
            self.is_open = true;
        }
        tokio::select! {
            biased;
            pong = poll_fn(|cx| self.pings.poll_pong(cx)) => {
                self.is_open = false;
                pong.ok().map(|_| true)
            }
            () = until_late(sight, limit) => Some(sight().heard > asked),
        }
    }
}

/// Ends when the answer to what is asked now is late.
async fn until_late(sight: &impl Fn() -> Sight, limit: Duration) {
    let asked = Instant::now();
    loop {
        sleep(limit / 20).await;
        if let Some(late) = sight().late_at(asked, limit, Instant::now()) {
            return sleep_until(late).await;
        }
    }
}
