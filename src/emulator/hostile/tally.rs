//! Tally: what the proxy saw and did, for tests to assert on and to wait for.

use tokio::sync::watch;

/// Counters since the proxy was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    tunnels: usize,
    handshakes: usize,
    grpc_requests: usize,
    rest_requests: usize,
    strikes: usize,
}

impl Counts {
    /// CONNECT requests that were granted.
    pub fn tunnels(&self) -> usize {
        self.tunnels
    }

    /// TLS handshakes that the proxy completed with a client, in place of the target.
    pub fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// gRPC calls that the proxy could read, including those that it did not pass on.
    ///
    /// With a fault that sends GOAWAY in place of a request, every HTTP/2 request counts as gRPC,
    /// because the proxy cannot read compressed headers then.
    pub fn grpc_requests(&self) -> usize {
        self.grpc_requests
    }

    /// All other requests that the proxy could read.
    pub fn rest_requests(&self) -> usize {
        self.rest_requests
    }

    /// How often the fault took effect. Inspecting TLS without a fault, or another form of a
    /// successful answer to CONNECT, is not counted.
    pub fn strikes(&self) -> usize {
        self.strikes
    }
}

/// The counts as they grow.
#[derive(Debug, Default)]
pub(super) struct Tally(watch::Sender<Counts>);

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        *self.0.borrow()
    }

    pub(super) async fn wait_until(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.0.subscribe();
        *counts.wait_for(condition).await.expect("the sender lives as long as this borrow of it")
    }

    pub(super) fn tunnel(&self) {
        self.0.send_modify(|counts| counts.tunnels += 1);
    }

    pub(super) fn handshake(&self) {
        self.0.send_modify(|counts| counts.handshakes += 1);
    }

    /// Counts a gRPC call and tells its number, from one.
    pub(super) fn grpc_request(&self) -> usize {
        let mut number = 0;
        self.0.send_modify(|counts| {
            counts.grpc_requests += 1;
            number = counts.grpc_requests;
        });
        number
    }

    pub(super) fn rest_request(&self) {
        self.0.send_modify(|counts| counts.rest_requests += 1);
    }

    pub(super) fn strike(&self) {
        self.0.send_modify(|counts| counts.strikes += 1);
    }
}
