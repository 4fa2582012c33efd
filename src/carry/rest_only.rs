//! Rest only: what a request sets that only REST has keeps it from gRPC, or is left out there.

use super::core::Core;
use crate::bridge::options::{ActiveTransport, Transport};
use crate::call::compression::plain_message;
use crate::call::frame::Frame;
use crate::call::{Call, Message, Reduced};
use crate::error::Error;
use crate::overlay::{OverGrpc, over_grpc};

impl Core {
    /// Finds out what of the call's one message gRPC can carry, unless it goes over REST in any
    /// case.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn find_rest_only(&self, call: &mut Call) -> Result<(), Error> {
        let (Some(method), Message::One(frame)) = (&call.method, &call.message) else {
            return Ok(());
        };
        if self.transport_of(call) == Transport::Rest || !self.schema.has_rest_only() {
            return Ok(());
        }
        // What only gRPC can decompress is the service's to read.
        let limit = self.settings.max_message_size;
        let Ok(message) = plain_message(frame, call.encoding.as_ref(), limit) else {
            return Ok(());
        };
        match over_grpc(&self.schema, method.input, &message)? {
            OverGrpc::Whole => {}
            OverGrpc::Without { message, left_out } => {
                let frame = Frame::wrap(&message).ok_or_else(|| {
                    Error::invalid_request("the request has a message over 4 GiB")
                })?;
                call.reduced = Some(Reduced { message: Message::One(frame), left_out });
            }
            OverGrpc::Not { field } => call.rest_only = Some(field.into()),
        }
        Ok(())
    }

    /// Where a call goes that sets a field which only REST has. That says nothing of gRPC.
    ///
    /// # Errors
    /// It cannot go over REST: its caller or its method leave gRPC alone.
    pub(super) fn choose_for_field(
        &self,
        call: &Call,
        field: &str,
    ) -> Result<ActiveTransport, Error> {
        if self.transport_of(call) != Transport::Grpc && call.has_rest_form() {
            return Ok(ActiveTransport::Rest);
        }
        let error = only_over_rest(field);
        Err(if call.has_rest_form() { error.with_remedy(LET_GO) } else { error })
    }
}

/// The refusal of a message for gRPC.
pub(super) fn only_over_rest(field: &str) -> Error {
    Error::invalid_request(format!(
        "field `{field}` exists over REST only; over gRPC the service would ignore it"
    ))
}

const LET_GO: &str = "let the call go over REST: set the transport to auto or rest (`CallOptions::transport` for one call, `BridgeBuilder::transport` for all)";
