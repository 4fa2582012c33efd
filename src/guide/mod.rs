#![doc = include_str!("guide.md")]

/// Switching: what decides about the transport of a call, and for how long.
///
#[doc = include_str!("pictures/transports.svg")]
///
#[doc = include_str!("switching/start.md")]
///
#[doc = include_str!("pictures/states.svg")]
///
#[doc = include_str!("switching/states.md")]
///
#[doc = include_str!("pictures/verdict.svg")]
///
#[doc = include_str!("switching/verdict.md")]
pub mod switching {}

#[doc = include_str!("observability.md")]
pub mod observability {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("../../docs/faults.md")]
#[allow(clippy::doc_markdown, reason = "a table of symptoms by their names")]
pub mod faults {}

#[doc = include_str!("../../docs/selective_faults.md")]
pub mod selective_faults {}

#[doc = include_str!("../../docs/sidecar.md")]
pub mod sidecar {}
