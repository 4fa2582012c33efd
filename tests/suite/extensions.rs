//! Fields that are declared outside of their message: `[package.name]` in JSON.

use genai_bridge::Schema;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

const NOTE: &str = "extended.Note";

fn compile() -> (Schema, DescriptorPool) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let mut compiler = protox::Compiler::new([folder]).expect("a folder");
    compiler.open_file("extensions.proto").expect("a proto");
    let set = compiler.encode_file_descriptor_set();
    (Schema::from_descriptor_set(&set).expect("a schema"), compiler.descriptor_pool())
}

#[test]
fn extensions_go_both_ways_as_the_oracle_says() {
    let (schema, pool) = compile();
    let descriptor = pool.get_message_by_name(NOTE).expect("a message");
    for json in [
        json!({"[extended.loud]": true, "number": 1}),
        json!({"[extended.loud]": false}),
        json!({"[extended.sizes]": [1, 2, 300], "word": "a"}),
        json!({"[extended.reply]": {"[extended.reply]": {"[extended.loud]": true}}}),
        json!({"[extended.Scope.colour]": "GREEN"}),
        json!({"[extended.Scope.frame]": [{"width": 1}, {}]}),
        json!({"[extended.loud]": null}),
    ] {
        let wire = schema.message_from_json(NOTE, json.to_string().as_bytes()).expect("a message");
        let oracle = DynamicMessage::deserialize(descriptor.clone(), &json).expect("a message");
        let read = DynamicMessage::decode(descriptor.clone(), &wire[..]).expect("a message");
        assert_eq!(read, oracle, "{json}");
        let written = schema.json_from_message(NOTE, &oracle.encode_to_vec()).expect("JSON");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        assert_eq!(written, serde_json::to_value(&oracle).expect("JSON"));
    }
}

#[test]
fn a_name_that_is_no_extension_of_the_message_is_unknown() {
    let (schema, _) = compile();
    for json in [
        r#"{"loud": true}"#,
        r#"{"[loud]": true}"#,
        r#"{"extended.loud": true}"#,
        r#"{"[extended.nobody]": 1}"#,
        r#"{"[extended.colour]": "GREEN"}"#,
        r#"{"[extended.Note.number]": 1}"#,
    ] {
        let error = schema.message_from_json(NOTE, json.as_bytes()).expect_err(json);
        assert!(error.to_string().contains("has no field"), "{error}");
        let ignoring = schema.message_from_json_ignoring_unknown(NOTE, json.as_bytes());
        assert_eq!(ignoring.expect("a message"), b"", "{json}");
    }
}

#[test]
fn an_error_inside_an_extension_names_it() {
    let (schema, _) = compile();
    let json = br#"{"[extended.reply]": {"[extended.loud]": 1}}"#;
    let error = schema.message_from_json(NOTE, json).expect_err("no bool");
    let expected = "field `[extended.reply].[extended.loud]`: no bool at byte 41";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_name_that_comes_twice_is_refused_also_where_one_is_null() {
    let (schema, _) = compile();
    for json in [
        r#"{"number": null, "number": 1}"#,
        r#"{"number": 1, "number": null}"#,
        r#"{"number": null, "number": null}"#,
        r#"{"word": null, "word": "a"}"#,
        r#"{"word": "a", "word": null}"#,
        r#"{"[extended.loud]": null, "[extended.loud]": true}"#,
        r#"{"[extended.sizes]": [], "[extended.sizes]": null}"#,
    ] {
        for read in [Schema::message_from_json, Schema::message_from_json_ignoring_unknown] {
            let error = read(&schema, NOTE, json.as_bytes()).expect_err(json);
            assert!(error.to_string().contains("comes twice"), "{error}");
        }
    }
    let two = br#"{"word": "a", "digit": 1}"#;
    let error = schema.message_from_json(NOTE, two).expect_err("two members");
    assert!(error.to_string().contains("two members of one oneof"), "{error}");
    let one = br#"{"word": null, "digit": 1}"#;
    assert_eq!(schema.message_from_json(NOTE, one).expect("one member"), b"\x18\x01");
}
