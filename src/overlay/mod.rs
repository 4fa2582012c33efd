//! Overlay: what of a request only REST can carry, and what is left of it for gRPC.
//!
//! The service has fields over REST that its published protos lack. Those that the crate knows have
//! numbers of a block of their own (`proto/overlay`). A protobuf server passes over what it does
//! not know, so none of them may go over gRPC: the model would think less or cost more than was
//! asked for, and nobody would say so.

mod block;
mod reduce;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::error::Error;
use crate::json::{MAX_DEPTH, Wire};
use crate::schema::{Kind, MessageId, RestOnly, Schema, Special};
use block::{BLOCK, may_hold_rest_only};
use reduce::{Reducer, Stop};

/// What gRPC can carry of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OverGrpc {
    /// All of it.
    Whole,
    /// This is what remains; ids and metadata are left out.
    Without {
        message: Bytes,
        /// How many fields.
        left_out: u64,
    },
    /// Nothing: without this field the request would mean something else.
    Not { field: String },
}

/// What gRPC can carry of a message.
///
/// # Errors
/// The bytes hold what looks like a field of the block, and are no such message.
pub(crate) fn over_grpc(
    schema: &Schema,
    message: MessageId,
    bytes: &Bytes,
) -> Result<OverGrpc, Error> {
    if !schema.has_rest_only() || !may_hold(schema, message, Wire::new(bytes), MAX_DEPTH) {
        return Ok(OverGrpc::Whole);
    }
    let mut reducer = Reducer::new(schema);
    match reducer.outermost(message, Wire::new(bytes)) {
        Ok(_) if reducer.left_out == 0 => Ok(OverGrpc::Whole),
        Ok(rest) => Ok(OverGrpc::Without { message: rest.into(), left_out: reducer.left_out }),
        Err(Stop::Pinned(names)) => Ok(OverGrpc::Not { field: names.join(".") }),
        Err(Stop::Fault(fault)) => {
            let fault = fault.within(bytes);
            Err(Error::invalid_request(format!("the request message: {fault}")))
        }
    }
}

/// Whether a message may hold something of the block. A large one is walked for its large parts, so
/// that nobody searches the bytes of an image.
fn may_hold(schema: &Schema, id: MessageId, mut wire: Wire<'_>, depth: u32) -> bool {
    let (whole, message) = (wire.rest(), schema.message(id));
    if whole.len() < LARGE || depth == 0 || message.special == Special::Any {
        return may_hold_rest_only(whole);
    }
    while !wire.is_empty() {
        let Ok(found) = wire.next_field(depth) else { return may_hold_rest_only(whole) };
        let field = message.field_of_number(found.number);
        let holds = match field.filter(|field| field.accepts(found.wire_type)) {
            None => BLOCK.contains(&found.number),
            Some(field) if field.rest_only != RestOnly::No => true,
            Some(field) => match (field.kind, Wire::new(found.value).delimited_wire()) {
                (Kind::Message(id), Ok(inside)) => may_hold(schema, id, inside, depth - 1),
                (Kind::Bytes | Kind::String, _) => false,
                _ => may_hold_rest_only(found.value),
            },
        };
        if holds {
            return true;
        }
    }
    false
}

/// A search of fewer bytes costs less than a call.
const LARGE: usize = 16 * 1024;
