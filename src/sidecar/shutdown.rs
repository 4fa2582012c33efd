//! Shutdown: the three steps in which a sidecar ends.

use tokio_util::sync::CancellationToken;
use tonic::Status;

/// No new calls; then no calls; then no connections.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    begun: CancellationToken,
    calls_ended: CancellationToken,
    cut: CancellationToken,
}

impl Shutdown {
    /// Connections take no more calls; those in flight go on.
    pub(super) fn begin(&self) {
        self.begun.cancel();
    }

    /// Calls in flight end with a status.
    pub(super) fn end_calls(&self) {
        self.calls_ended.cancel();
    }

    /// What is still open is dropped.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    pub(super) async fn until_begun(&self) {
        self.begun.cancelled().await;
    }

    pub(super) async fn until_calls_ended(&self) {
        self.calls_ended.cancelled().await;
    }

    /// Owned, for the body of an answer.
    pub(super) fn calls_ended(&self) -> CancellationToken {
        self.calls_ended.clone()
    }

    pub(super) async fn until_cut(&self) {
        self.cut.cancelled().await;
    }
}

/// How calls end that had their time to finish.
pub(super) fn shutting_down() -> Status {
    Status::unavailable("the sidecar is shutting down")
}
