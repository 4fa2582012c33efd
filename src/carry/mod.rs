//! Carry: the way of one call, and what all calls of a bridge share.

mod attempt;
mod choose;
mod closing;
mod core;
mod examine;
pub(crate) mod exchange;
mod gate;
mod limits;
mod outcome;
mod probes;
mod remembering;
mod renewal;
mod rest_only;
mod settings;
mod sieve;
mod stream_limits;
mod stream_under;
mod trace;

pub(crate) use self::core::{Core, Parts};
pub(crate) use examine::ForeignCarriers;
pub(crate) use settings::{ChosenTransport, DefaultDeadline, Settings};
