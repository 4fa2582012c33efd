//! Table: the medians that criterion keeps, as ratios to the typed rival.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// Where criterion writes.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("transcode")
}

const PAYLOADS: &[&str] =
    &["chat request", "chat answer", "text", "image", "chunks", "embeddings", "nested"];
const WRITING: &[&str] =
    &["pbjson typed", "pbjson from wire", "prost-reflect", "memcpy", "base64-simd"];
const READING: &[&str] = &[
    "pbjson typed",
    "pbjson to wire",
    "prost-reflect",
    "serde_json Value",
    "serde_json IgnoredAny",
    "memcpy",
    "base64-simd",
];

/// Prints the time of the bridge as a ratio to each other way.
pub fn print() {
    for (task, ways) in [("write", WRITING), ("read", READING)] {
        print!("\n| {task} | bridge, µs |");
        ways.iter().for_each(|way| print!(" x {way} |"));
        println!("\n|{}", "---|".repeat(ways.len() + 2));
        for payload in PAYLOADS {
            let group = format!("{task} {payload}");
            let Some(bridge) = median(&group, "bridge") else { continue };
            print!("| {payload} | {:.2} |", bridge / 1000.0);
            for way in ways {
                let other =
                    median(&group, way).map_or("-".to_owned(), |other| ratio(bridge, other));
                print!(" {other} |");
            }
            println!();
        }
    }
    if let (Some(bridge), Some(other)) =
        (median("first call", "bridge"), median("first call", "prost-reflect"))
    {
        println!(
            "\nfirst call: {:.0} µs, {} x prost-reflect",
            bridge / 1000.0,
            ratio(bridge, other)
        );
    }
}

fn ratio(bridge: f64, other: f64) -> String {
    format!("{:.2}", bridge / other)
}

/// Nanoseconds.
fn median(group: &str, way: &str) -> Option<f64> {
    let path = folder().join(group).join(way).join("new/estimates.json");
    let estimates: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
