//! Reply: reads a model's answer: its text, its function calls, or why it has none.
//!
//! Use [`Reply`], or the numbers in the fields, and not prost's getters. If a finish reason is
//! newer than this crate, `candidate.finish_reason()` returns `Unspecified`, which looks like a
//! complete answer. The field itself then has the reason's number (over gRPC) or -1 (over REST,
//! which sends names).

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
