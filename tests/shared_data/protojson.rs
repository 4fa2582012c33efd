//! The official `ProtoJSON` conformance cases.

use genai_bridge::Schema;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;

use crate::shared;

#[test]
#[ignore = "needs the shared test data"]
fn every_conformance_case_passes() {
    let folder = shared().join("testdata");
    let descriptors =
        std::fs::read(folder.join("conformance_messages.binpb")).expect("descriptors");
    let schema = Schema::from_descriptor_set(&descriptors).expect("a schema");
    let pool = DescriptorPool::decode(descriptors.as_slice()).expect("a pool");
    let corpus =
        std::fs::read_to_string(folder.join("protojson_corpus.jsonl")).expect("the corpus");
    let (mut passed, mut left_out, mut failures) = (0, 0, Vec::new());
    for line in corpus.lines() {
        let case: Value = serde_json::from_str(line).expect("a case");
        if case["oracle_agrees"] != true {
            left_out += 1;
            continue;
        }
        match run(&schema, &pool, &case) {
            Ok(()) => passed += 1,
            Err(why) => failures.push(format!("{}: {why}", case["name"])),
        }
    }
    println!(
        "{passed} passed, {left_out} left out (the oracle disagrees), {} failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(passed > 900);
}

fn run(schema: &Schema, pool: &DescriptorPool, case: &Value) -> Result<(), String> {
    let name = case["type"].as_str().expect("a type");
    let ignore = case["category"] == "JSON_IGNORE_UNKNOWN_PARSING_TEST";
    let wire = match (case["json"].as_str(), case["pb_b64"].as_str()) {
        (Some(json), _) if ignore => {
            schema.message_from_json_ignoring_unknown(name, json.as_bytes())
        }
        (Some(json), _) => schema.message_from_json(name, json.as_bytes()),
        (None, Some(wire)) => Ok(decode_base64(wire)),
        (None, None) => return Err("no input".into()),
    };
    let oracle = &case["oracle"];
    if oracle["parse_error"] == true {
        return match (wire, case["out"].as_str()) {
            (Err(_), _) => Ok(()),
            (Ok(wire), Some("JSON")) if schema.json_from_message(name, &wire).is_err() => Ok(()),
            (Ok(wire), _) => Err(format!("was read as {wire:02x?}")),
        };
    }
    let wire = wire.map_err(|error| error.to_string())?;
    if oracle["serialize_error"] == true {
        return match schema.json_from_message(name, &wire) {
            Err(_) => Ok(()),
            Ok(json) => Err(format!("was written as {}", String::from_utf8_lossy(&json))),
        };
    }
    if let Some(expected) = oracle["protobuf_payload"].as_str() {
        let message = |wire: &[u8]| {
            DynamicMessage::decode(pool.get_message_by_name(name).expect("a message"), wire)
                .map_err(|error| error.to_string())
        };
        let (found, expected) = (message(&wire)?, message(&decode_base64(expected))?);
        let encode = |message: &DynamicMessage| prost::Message::encode_to_vec(message);
        return if found == expected || encode(&found) == encode(&expected) {
            Ok(())
        } else {
            Err(format!("{found} is not {expected}"))
        };
    }
    let json = schema.json_from_message(name, &wire).map_err(|error| error.to_string())?;
    let found: Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let expected: Value =
        serde_json::from_str(oracle["json_payload"].as_str().expect("an oracle")).expect("JSON");
    if same(&found, &expected) { Ok(()) } else { Err(format!("{found} is not {expected}")) }
}

/// JSON has no integers: `1` and `1.0` are one value.
pub(crate) fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => one.as_f64() == two.as_f64(),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len()
                && one
                    .iter()
                    .all(|(key, value)| two.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == two,
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(text).expect("base64")
}
