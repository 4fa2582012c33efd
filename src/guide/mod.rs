#![doc = include_str!("guide.md")]

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("../../docs/faults.md")]
pub mod faults {}

#[doc = include_str!("../../docs/sidecar.md")]
pub mod sidecar {}
