//! Renewal: what changes below the calls of a bridge that lives on.

use super::core::Core;
use crate::bridge::options::Transport;
use crate::error::Error;
use crate::fallback::Event;
use crate::network::NetworkRenewal;

impl Core {
    /// Calls that begin from now on take this transport; those in flight keep theirs.
    pub(crate) fn set_transport(&self, transport: Transport) {
        self.fallback.fix(transport.fixed(), || self.settings.transport.set(transport));
    }

    /// # Errors
    /// A setting cannot be used; then nothing has changed.
    pub(crate) fn renew_network(&self, renewal: NetworkRenewal) -> Result<(), Error> {
        self.network.renew(renewal)?;
        self.grpc.renew();
        self.rest.renew();
        self.fallback.record(Event::Reset);
        Ok(())
    }
}
