//! One file per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where its setting is not as expected"
)]

mod http_rules;
mod layers;
mod proto_facts;
