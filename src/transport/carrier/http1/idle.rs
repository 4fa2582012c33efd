//! Idle: which connection a call gets; without IO, and with the time as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// What can carry one request after the other.
pub(super) trait Reusable: Sized {
    /// Whether it takes a request now.
    fn is_ready(&self) -> bool;

    /// The same once more, if it carries many requests at a time.
    fn share(&self) -> Option<Self>;
}

/// The connections without a call, and the calls without a connection. Never both.
pub(super) struct Idle<C> {
    /// With the time since when. The last one was used last.
    connections: Vec<(C, Instant)>,
    calls: VecDeque<oneshot::Sender<C>>,
}

impl<C> Default for Idle<C> {
    fn default() -> Self {
        let (connections, calls) = Default::default();
        Self { connections, calls }
    }
}

impl<C: Reusable> Idle<C> {
    /// The connection that was used last: the others fall idle for longer, and close. Without one
    /// the call gets a place among those that wait.
    pub(super) fn take(&mut self, now: Instant) -> Result<C, oneshot::Receiver<C>> {
        while let Some((connection, since)) = self.connections.pop() {
            if now >= since + IDLE_LIMIT || !connection.is_ready() {
                continue;
            }
            if let Some(shared) = connection.share() {
                self.connections.push((connection, now));
                return Ok(shared);
            }
            return Ok(connection);
        }
        let (call, connection) = oneshot::channel();
        self.calls.push_back(call);
        Err(connection)
    }

    /// Gives a connection to the call that waits the longest, and keeps it if none does.
    pub(super) fn put(&mut self, mut connection: C, now: Instant) {
        while let Some(call) = self.calls.pop_front() {
            if let Some(shared) = connection.share() {
                // A call that waits no more leaves it to the others.
                let _ = call.send(shared);
                continue;
            }
            match call.send(connection) {
                Ok(()) => return,
                Err(unwanted) => connection = unwanted,
            }
        }
        self.connections.push((connection, now));
    }

    /// Lets go of the calls that wait no more.
    pub(super) fn forget_calls(&mut self) {
        self.calls.retain(|call| !call.is_closed());
    }

    /// Lets go of the connections that were idle too long; tells when to look again.
    pub(super) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        self.connections
            .retain(|(connection, since)| now < *since + IDLE_LIMIT && connection.is_ready());
        self.connections.iter().map(|(_, since)| *since + IDLE_LIMIT).min()
    }
}

/// An idle connection is closed after this. Whether it still carries anything cannot be asked: in
/// HTTP/1.1 only the next call would show it, and be lost if it does not. A new connection takes
/// some round trips.
const IDLE_LIMIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    /// A capital carries many requests at a time; `x` is closed.
    #[derive(Debug, PartialEq)]
    struct Fake(char);

    impl Reusable for Fake {
        fn is_ready(&self) -> bool {
            self.0 != 'x'
        }

        fn share(&self) -> Option<Self> {
            self.0.is_uppercase().then_some(Self(self.0))
        }
    }

    #[test]
    fn a_call_gets_the_connection_that_was_used_last_if_it_is_open_and_not_too_old() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // What is put at 0 s, 1 s and so on; when three calls come, and what they get; when to look
        // again, by a keeper that comes before them.
        let cases = [
            ("", 0, "", None),
            ("a", 0, "a", Some(3)),
            ("abc", 2, "cba", Some(3)),
            ("abc", 3, "cb", Some(4)),
            ("abc", 5, "", None),
            ("Ab", 2, "bAA", Some(3)),
            ("xbx", 2, "b", Some(4)),
        ];
        for (put, now, expected, next) in cases {
            for is_kept in [false, true] {
                let mut idle = Idle::default();
                for (second, name) in (0..).zip(put.chars()) {
                    idle.put(Fake(name), at(second));
                }
                if is_kept {
                    assert_eq!(idle.sweep(at(now)), next.map(at), "{put}");
                }
                let taken: String =
                    (0..3).filter_map(|_| idle.take(at(now)).ok()).map(|c| c.0).collect();
                assert_eq!(taken, expected, "{put}");
            }
        }
    }

    #[test]
    fn a_connection_goes_to_the_call_that_waits_the_longest() {
        let now = Instant::now();
        // The calls, of which some wait no more (`-`); what is put; what each gets; what stays idle.
        let cases = [
            ("w", "a", "a", ""),
            ("ww", "a", "a.", ""),
            ("ww", "abc", "ab", "c"),
            ("-w", "a", ".a", ""),
            ("--", "a", "..", "a"),
            ("w-w", "A", "A.A", "A"),
        ];
        for (calls, put, expected, idle_after) in cases {
            for forgets in [false, true] {
                let mut idle = Idle::default();
                let mut waiting: Vec<_> =
                    calls.chars().map(|_| idle.take(now).expect_err("none is idle")).collect();
                for (call, kind) in waiting.iter_mut().zip(calls.chars()) {
                    if kind == '-' {
                        call.close();
                    }
                }
                if forgets {
                    idle.forget_calls();
                }
                put.chars().for_each(|name| idle.put(Fake(name), now));
                let got = waiting.iter_mut().map(|call| call.try_recv().map_or('.', |c| c.0));
                assert_eq!(got.collect::<String>(), expected, "{calls} {put}");
                let left: String = idle.connections.iter().map(|(c, _)| c.0).collect();
                assert_eq!(left, idle_after, "{calls} {put}");
            }
        }
    }
}
