//! Carry: the way of one call, from its first attempt to the end of its answer.

pub(crate) mod attempt;
pub(crate) mod stream;
mod watch;
