//! Closing: a bridge lets its calls end, and then its connections.

use super::core::Core;

impl Core {
    /// Refuses new calls, waits for those in flight, and ends the connections.
    pub(crate) async fn close(&self) {
        self.gate.close();
        // Idle connections go at once, the others with their last call, also if nobody waits.
        self.grpc.forget_connections();
        self.rest.forget_connections();
        self.gate.until_empty().await;
        self.tasks.abort();
        self.grpc.close();
        self.rest.close();
        self.network.drivers().end().await;
    }
}
