//! One file per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends where its setting is not as expected"
)]

mod auto;
mod bad_input;
mod clients;
mod connections;
mod deadlines;
mod emulator;
mod hostile;
mod http_rules;
mod layers;
mod matrix;
mod messages;
mod parity;
mod peers;
mod proto_facts;
mod secrets;
mod setting;
mod weather;
