//! One file per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends where its setting is not as expected"
)]
// Without the emulator only what looks at the sources remains.
#![cfg_attr(not(feature = "emulator"), allow(dead_code, reason = "used with the emulator"))]

#[cfg(feature = "emulator")]
mod auto;
#[cfg(feature = "emulator")]
mod bad_input;
#[cfg(feature = "emulator")]
mod clients;
#[cfg(feature = "emulator")]
mod connections;
#[cfg(feature = "emulator")]
mod deadlines;
#[cfg(feature = "emulator")]
mod emulator;
mod layers;
#[cfg(feature = "emulator")]
mod messages;
#[cfg(feature = "emulator")]
mod parity;
#[cfg(feature = "emulator")]
mod peers;
#[cfg(feature = "emulator")]
mod secrets;
#[cfg(feature = "emulator")]
mod setting;
