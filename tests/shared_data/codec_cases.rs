//! JSON and wire bytes where protobuf's own runtimes agree: extensions, maps of messages, names
//! that come twice, times.

use std::collections::BTreeMap;

use genai_bridge::{Error, Schema};
use serde_json::Value;

use crate::protojson::same;
use crate::shared;

#[test]
#[ignore = "needs the shared test data"]
fn every_codec_case_passes() {
    let folder = shared().join("cases");
    let cases = std::fs::read_to_string(folder.join("codec_cases.jsonl")).expect("the cases");
    let mut schemas: BTreeMap<String, Schema> = BTreeMap::new();
    let (mut passed, mut failures) = (0, Vec::new());
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let set = case["descriptors"].as_str().expect("a file").to_owned();
        let schema = schemas.entry(set).or_insert_with_key(|set| {
            let descriptors = std::fs::read(folder.join(set)).expect("descriptors");
            Schema::from_descriptor_set(&descriptors).expect("a schema")
        });
        match run(schema, &case) {
            Ok(()) => passed += 1,
            Err(why) => failures.push(format!("{}: {why}", case["id"])),
        }
    }
    println!("codec cases: {passed} passed, {} failed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(passed >= 34, "the cases are not whole");
}

fn run(schema: &Schema, case: &Value) -> Result<(), String> {
    let [name, input, expected] =
        ["type", "input", "expect"].map(|key| case[key].as_str().expect("a text"));
    let to_json = case["direction"] == "wire_to_json";
    let found = transcode(schema, name, input, to_json, case["ignore_unknown"] == true);
    let found = match (found, expected) {
        (Err(_), "refuse") => return Ok(()),
        (Ok(found), "refuse") => return Err(format!("gave {found:02x?}")),
        (found, _) => found.map_err(|error| error.to_string())?,
    };
    let is_same = if to_json {
        let parse = |text: &[u8]| serde_json::from_slice::<Value>(text).expect("JSON");
        same(&parse(&found), &parse(expected.as_bytes()))
    } else {
        found == bytes_of(expected)
    };
    if is_same { Ok(()) } else { Err(format!("gave {}", found.escape_ascii())) }
}

fn transcode(
    schema: &Schema,
    name: &str,
    input: &str,
    to_json: bool,
    ignore_unknown: bool,
) -> Result<Vec<u8>, Error> {
    match (to_json, ignore_unknown) {
        (true, _) => schema.json_from_message(name, &bytes_of(input)),
        (false, true) => schema.message_from_json_ignoring_unknown(name, input.as_bytes()),
        (false, false) => schema.message_from_json(name, input.as_bytes()),
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16).expect("hex")).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
