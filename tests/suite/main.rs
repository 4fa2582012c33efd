//! One file per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends where its setting is not as expected"
)]

#[cfg(feature = "adc")]
mod adc;
mod answers;
mod auto;
mod bad_input;
mod carriers;
mod client_streams;
mod clients;
mod closing;
#[cfg(feature = "cli")]
mod command_line;
mod connections;
mod connector;
mod counters;
mod cutter;
mod deadlines;
mod doctor;
mod downloads;
mod emulator;
mod extensions;
mod fallback;
mod files;
mod guide;
mod hostile;
mod http_rules;
mod in_memory;
mod json;
mod json_failures;
mod layers;
mod liveness;
mod matrix;
mod merging;
mod messages;
mod network;
mod operations;
mod oracle;
mod overlay_facts;
mod own_numbers;
mod parameters;
mod parity;
mod peers;
mod proto_facts;
mod renewal;
mod rest_only;
mod runtimes;
mod schema;
mod secrets;
mod selective;
mod servers;
mod service_config;
mod setting;
#[cfg(feature = "cli")]
mod sidecar;
mod status_size;
mod stream_under;
#[cfg(all(unix, feature = "cli"))]
mod terminal;
mod traces;
#[cfg(feature = "cli")]
mod transfers;
mod unknown_json;
mod verdicts;
#[cfg(feature = "cli")]
mod verify;
mod vertex;
mod weather;
#[cfg(feature = "cli")]
mod wrong_options;
