//! Checks: between the task of a connection, which alone can send a PING, and those who want one.

use tokio::sync::Notify;

/// Whether a PING is wanted, and whether its answer came.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    asked: Notify,
    answered: Notify,
}

impl Checks {
    /// Wants a PING and waits for its answer, or for the end of the connection. For one caller at a
    /// time.
    pub(crate) async fn check(&self) {
        let answered = self.answered.notified();
        self.asked.notify_one();
        answered.await;
    }

    /// Waits until a PING is wanted.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Lets go of who waits.
    pub(crate) fn answer(&self) {
        self.answered.notify_waiters();
    }
}
