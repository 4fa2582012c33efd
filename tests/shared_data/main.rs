//! Checks against data that is not part of the project: recorded answers and public conformance
//! suites.
//!
//! `.ci/run` runs them with `--ignored` and `GENAI_BRIDGE_SHARED` set to the folder that holds
//! `testdata` and `cases`. `sse.rs` is not part of this binary: it is compiled into the crate,
//! whose event streams are private, and runs with `cargo test --lib shared_data -- --ignored`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test ends where its data is not as expected, and prints what it counted"
)]

mod advice;
mod cases;
mod codec_cases;
#[path = "../../build/descriptor.rs"]
mod descriptor;
mod http_rules;
mod json_suite;
#[allow(dead_code, reason = "the build uses all of it")]
#[path = "../../build/overlay.rs"]
mod overlay;
mod overlay_facts;
mod proto_facts;
mod protojson;
mod recorded;
mod replies;
mod round_trip;
mod stream_under;

use std::path::PathBuf;

/// The folder with the shared data; a check that cannot find it fails.
fn shared() -> PathBuf {
    std::env::var_os("GENAI_BRIDGE_SHARED").expect("GENAI_BRIDGE_SHARED names no folder").into()
}

/// The entries of a `.tar.gz`, by path.
fn unpack(name: &str) -> Vec<(String, Vec<u8>)> {
    let file = std::fs::File::open(shared().join("testdata").join(name)).expect("an archive");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().expect("entries").map(|entry| {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("content");
        (path, bytes)
    });
    entries.collect()
}
