//! Reply: what a model's answer holds: text, calls of functions, or why it holds none.
//!
//! Decide by [`Reply`], or by the numbers that the fields hold, not by prost's getters:
//! `candidate.finish_reason()` turns a reason that is newer than this crate into `Unspecified`,
//! which looks like a good end. Over gRPC such a reason is its number; over REST, where it comes as
//! a name, it is -1.

mod collect;
mod content;
mod merge;
mod reason;
#[cfg(test)]
mod tests;

pub(crate) use collect::unfinished;
pub use collect::{BrokenReply, collect_reply, collect_reply_with};
pub use content::{Reply, ReplyError};
pub(crate) use merge::{ReplyMerger, SignedText};
pub use reason::{BlockReason, FinishReason};
