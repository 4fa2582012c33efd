//! HTTP/2, carrier of gRPC: streams of h2 on our own connections, each failure named.

mod checks;
pub(crate) mod connection;
pub(crate) mod connections;
mod ended;
pub(crate) mod exchange;
pub(crate) mod failure;
mod frames;
mod opening;
mod peer_state;
mod pings;
mod tap;
pub(crate) mod traffic;

#[cfg(any(test, fuzzing))]
pub(crate) use frames::walk_frames;

use std::time::Duration;

/// The numbers of the carrier.
#[derive(Debug, Clone)]
pub(crate) struct Http2Settings {
    /// Calls in flight on a connection before another one is opened: the number of streams that
    /// servers commonly allow, and RFC 9113 recommends as the least.
    pub(crate) calls_per_connection: usize,
    /// A connection without a call for so long is closed, before a firewall forgets it.
    pub(crate) idle_limit: Duration,
    /// Least time to wait for the peer's SETTINGS.
    pub(crate) settings_limit: Duration,
    /// Silence on a connection with calls in flight before it is asked whether it lives.
    pub(crate) keep_alive_interval: Duration,
    /// Time for the answer to that.
    pub(crate) keep_alive_timeout: Duration,
    /// Most bytes of a header list that h2 reads. What is beyond it h2 drops from trailers without
    /// a word, and far beyond it the whole connection goes, so this is far above what anybody may
    /// want: `grpc-status-details-bin` and the message of a status may be long.
    pub(crate) max_header_list_size: u32,
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            calls_per_connection: 100,
            idle_limit: Duration::from_secs(45),
            settings_limit: Duration::from_secs(2),
            keep_alive_interval: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(20),
            max_header_list_size: 64 * 1024 * 1024,
        }
    }
}

impl Http2Settings {
    /// A slow way to the peer is given three times what it took so far, within reason.
    pub(crate) fn wait_for_settings(&self, dialled_in: Duration) -> Duration {
        let slow = (dialled_in * 3).min(self.settings_limit * 3);
        self.settings_limit.max(slow)
    }
}
