//! Parameters: the ranges that the service documents, and a model's own limits, checked before a
//! call.

mod check;
mod guard;
mod limits;
#[cfg(test)]
mod tests;

pub(crate) use check::RANGES;
pub use check::{Request, Violation, check};
pub(crate) use guard::Guard;
pub use limits::Limits;
