//! What becomes of answers: of what is newer than the schema, and of what its peers write oddly.

use super::{Mode, read_message};
use crate::json::write_text;
use crate::schema::Schema;

/// Each type and shape of field.
fn every_field() -> Schema {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut compiler = protox::Compiler::new([root]).expect("a folder");
    compiler.include_imports(true).open_file("every_field.proto").expect("a proto");
    Schema::from_descriptor_set(&compiler.encode_file_descriptor_set()).expect("a schema")
}

/// The JSON of what an answer reads as, or why it is refused.
fn read(schema: &Schema, name: &str, json: &str) -> Result<String, String> {
    let id = schema.message_id(name).expect("a message");
    let mut wire = Vec::new();
    let read = read_message(schema, id, json.as_bytes(), Mode::Answer, &mut wire);
    let json = read.and_then(|()| write_text(schema, id, &wire)).map_err(|fault| fault.to_string());
    json.map(|json| String::from_utf8(json).expect("JSON is UTF-8"))
}

#[test]
fn an_enum_name_that_nobody_knows_never_reads_as_zero() {
    let schema = every_field();
    for (given, expected) in [
        (r#"{"colour":"MAUVE"}"#, r#"{"colour":-1}"#),
        (r#"{"colour":""}"#, r#"{"colour":-1}"#),
        (r#"{"colour":"red"}"#, r#"{"colour":-1}"#),
        (r#"{"colour":"BELOW"}"#, r#"{"colour":"BELOW"}"#),
        (r#"{"colour":98}"#, r#"{"colour":98}"#),
        (r#"{"colour":3000000000}"#, r#"{"colour":-1}"#),
        (r#"{"colour":1.5}"#, r#"{"colour":-1}"#),
        (r#"{"colour":null}"#, "{}"),
        (r#"{"maybeColour":"MAUVE"}"#, r#"{"maybeColour":-1}"#),
        (r#"{"oneColour":"MAUVE"}"#, r#"{"oneColour":-1}"#),
        (r#"{"colours":["RED","MAUVE","FAR"]}"#, r#"{"colours":["RED",-1,"FAR"]}"#),
        (r#"{"colours":["MAUVE"]}"#, r#"{"colours":[-1]}"#),
        (r#"{"byBool":{"true":"MAUVE","false":"RED"}}"#, r#"{"byBool":{"true":-1,"false":"RED"}}"#),
        (r#"{"inners":[{"colour":"MAUVE"}]}"#, r#"{"inners":[{"colour":-1}]}"#),
    ] {
        assert_eq!(read(&schema, "every.Field", given).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn an_unknown_name_takes_no_number_that_has_one() {
    let set = prost_types::FileDescriptorSet {
        file: vec![prost_types::FileDescriptorProto {
            name: Some("a.proto".into()),
            syntax: Some("proto3".into()),
            enum_type: vec![prost_types::EnumDescriptorProto {
                name: Some("Level".into()),
                value: [("GROUND", 0), ("CELLAR", -1), ("VAULT", -2)]
                    .map(|(name, number)| prost_types::EnumValueDescriptorProto {
                        name: Some(name.into()),
                        number: Some(number),
                        options: None,
                    })
                    .into(),
                ..Default::default()
            }],
            message_type: vec![prost_types::DescriptorProto {
                name: Some("House".into()),
                field: vec![prost_types::FieldDescriptorProto {
                    name: Some("level".into()),
                    number: Some(1),
                    label: Some(1),
                    r#type: Some(14),
                    type_name: Some(".Level".into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    let set = prost::Message::encode_to_vec(&set);
    let schema = Schema::from_descriptor_set(&set).expect("a schema");
    assert_eq!(read(&schema, "House", r#"{"level":"ROOF"}"#).as_deref(), Ok(r#"{"level":-3}"#));
}

#[test]
fn an_any_that_cannot_be_read_is_kept_as_its_json() {
    let kept = |json: &str| {
        format!(r#"{{"@type":"type.googleapis.com/google.protobuf.Struct","value":{json}}}"#)
    };
    let info = r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"BUSY"}"#;
    let unknown = r#"{"@type":"type.googleapis.com/a.B","c":[1,null],"d":{"e":"f"}}"#;
    let inside = |inner: &str| {
        format!(r#"{{"@type":"type.googleapis.com/google.rpc.Status","details":[{inner}]}}"#)
    };
    let cases: &[(String, String)] = &[
        (info.into(), info.into()),
        (info.replace("\"reason\"", "\"mood\":1,\"reason\""), info.into()),
        (unknown.into(), kept(unknown)),
        (r#"{"@type":"a.B"}"#.into(), kept(r#"{"@type":"a.B"}"#)),
        (r#"{"@type":7,"a":true}"#.into(), kept(r#"{"@type":7,"a":true}"#)),
        (r#"{"progressPercent":12}"#.into(), kept(r#"{"progressPercent":12}"#)),
        ("{}".into(), "{}".into()),
        // The type is known, and what stands in it is not of that type.
        (info.replace("\"BUSY\"", "{}"), kept(&info.replace("\"BUSY\"", "{}"))),
        (
            r#"{"@type":"type.googleapis.com/google.protobuf.Duration"}"#.into(),
            kept(r#"{"@type":"type.googleapis.com/google.protobuf.Duration"}"#),
        ),
        // One inside another, which is of a known type.
        (inside(unknown), inside(&kept(unknown))),
        (
            r#"["a",1]"#.into(),
            r#"{"@type":"type.googleapis.com/google.protobuf.Value","value":["a",1]}"#.into(),
        ),
    ];
    let schema = Schema::own().expect("a schema");
    for (given, expected) in cases {
        let list = |any: &str| format!(r#"{{"code":3,"details":[{info},{any},{info}]}}"#);
        let found = read(schema, "google.rpc.Status", &list(given));
        assert_eq!(found, Ok(list(expected)), "{given}");
    }
    assert!(read(schema, "google.rpc.Status", r#"{"details":[{"a":]}"#).is_err());
    assert!(read(schema, "google.rpc.Status", r#"{"details":[{"a":1"#).is_err());
}

#[test]
fn anys_inside_each_other_cost_their_size() {
    let depth = 30;
    let open = r#"{"@type":"type.googleapis.com/google.rpc.Status","details":["#.repeat(depth);
    let text = format!("{open}{{\"a\":1}}{}", "]}".repeat(depth));
    let schema = Schema::own().expect("a schema");
    assert!(read(schema, "google.protobuf.Any", &text).is_ok());
    assert!(read(schema, "google.protobuf.Any", &text[..text.len() - 1]).is_err());
}
