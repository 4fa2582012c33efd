//! Calls through real proxies, started here on loopback and ended by process id.
//!
//! `.ci/run` installs the proxies and runs these with `--ignored`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends where its setting is not as expected, and prints what it met"
)]

mod bed;
#[cfg(feature = "cli")]
mod clients;
mod examination;
#[cfg(feature = "cli")]
mod latency;
mod link;
#[cfg(feature = "cli")]
mod load;
#[cfg(all(feature = "digest", feature = "negotiate"))]
mod logins;
mod paths;
mod proxies;
mod row;
#[cfg(feature = "cli")]
mod serving;
#[cfg(feature = "cli")]
mod soak;
mod tls_peers;
mod transcoders;
#[cfg(feature = "cli")]
mod wheel;
