//! Carry: the way of one call, and what all calls of a bridge share.

mod attempt;
mod choose;
mod core;
mod examine;
mod outcome;
mod settings;
mod stream;
mod watch;

pub(crate) use self::core::{Core, Parts};
pub(crate) use settings::{DefaultDeadline, Settings};
