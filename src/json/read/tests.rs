//! What becomes of answers: of what is newer than the schema, and of what its peers write oddly.

use super::{Mode, read_answer, read_message};
use crate::json::{Lenience, write_text};
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

/// A text read as an answer, and what of it is overlooked.
fn read_leniently(schema: &Schema, json: &str) -> Result<(String, Vec<Lenience>), String> {
    let id = schema.message_id("every.Field").expect("a message");
    let mut wire = Vec::new();
    let notes = read_answer(schema, id, json.as_bytes(), &mut wire).map_err(|it| it.to_string())?;
    let text = write_text(schema, id, &wire).map_err(|it| it.to_string())?;
    Ok((String::from_utf8(text).expect("JSON is UTF-8"), notes.leniences.each().collect()))
}

/// A text, what it reads as, and what is overlooked in it.
const ODDITIES: &[(&str, &str, Lenience)] = &[
    (r#"{"aString":"ok \ud83d"}"#, "{\"aString\":\"ok \u{fffd}\"}", Lenience::HalfSurrogate),
    (r#"{"aString":"\ude00 ok"}"#, "{\"aString\":\"\u{fffd} ok\"}", Lenience::HalfSurrogate),
    (r#"{"aString":"\ud83d\u0041\n"}"#, "{\"aString\":\"\u{fffd}A\\n\"}", Lenience::HalfSurrogate),
    (
        r#"{"aString":"\ud83d\ud83d\ude00"}"#,
        "{\"aString\":\"\u{fffd}\u{1f600}\"}",
        Lenience::HalfSurrogate,
    ),
    (r#"{"new":"\ud83d","aBool":true}"#, r#"{"aBool":true}"#, Lenience::HalfSurrogate),
    (
        r#"{"structure":{"a\ud83d":"\ud83d"}}"#,
        "{\"structure\":{\"a\u{fffd}\":\"\u{fffd}\"}}",
        Lenience::HalfSurrogate,
    ),
    (
        r#"{"inners":[null,{"aBool":true},null]}"#,
        r#"{"inners":[{"aBool":true}]}"#,
        Lenience::NullElement,
    ),
    (r#"{"inners":[null]}"#, "{}", Lenience::NullElement),
    (r#"{"byName":{"a":null,"b":{}}}"#, r#"{"byName":{"b":{}}}"#, Lenience::NullElement),
    (r#"{"byNumber":{"1":null,"2":"b"}}"#, r#"{"byNumber":{"2":"b"}}"#, Lenience::NullElement),
    (r#"{"aDouble":NaN}"#, r#"{"aDouble":"NaN"}"#, Lenience::BareNonFinite),
    (r#"{"aFloat":-Infinity}"#, r#"{"aFloat":"-Infinity"}"#, Lenience::BareNonFinite),
    (r#"{"maybeDouble": Infinity }"#, r#"{"maybeDouble":"Infinity"}"#, Lenience::BareNonFinite),
    (r#"{"floats":[1.5,NaN,2.5]}"#, r#"{"floats":[1.5,"NaN",2.5]}"#, Lenience::BareNonFinite),
    (
        r#"{"doubles":[NaN,-Infinity]}"#,
        r#"{"doubles":["NaN","-Infinity"]}"#,
        Lenience::BareNonFinite,
    ),
    (r#"{"wrappedFloat":NaN}"#, r#"{"wrappedFloat":"NaN"}"#, Lenience::BareNonFinite),
    (r#"{"new":[NaN,{"a":-Infinity}],"aBool":true}"#, r#"{"aBool":true}"#, Lenience::BareNonFinite),
    (r#"{"someBytes":"aGVs\nbG8=\r\n"}"#, r#"{"someBytes":"aGVsbG8="}"#, Lenience::OddBase64),
    (
        r#"{"byteStrings":["aGVs bG8","aA=="]}"#,
        r#"{"byteStrings":["aGVsbG8=","aA=="]}"#,
        Lenience::OddBase64,
    ),
    (r#"{"someBytes":"aGk=="}"#, r#"{"someBytes":"aGk="}"#, Lenience::OddBase64),
    (r#"{"aString":"a","aString":"b"}"#, r#"{"aString":"b"}"#, Lenience::RepeatedName),
    (r#"{"aString":"a","a_string":"b"}"#, r#"{"aString":"b"}"#, Lenience::RepeatedName),
    (
        r#"{"ints":[1,2],"aBool":true,"ints":[3]}"#,
        r#"{"aBool":true,"ints":[3]}"#,
        Lenience::RepeatedName,
    ),
    (
        r#"{"inner":{"aBool":true},"inner":{"aString":"b"}}"#,
        r#"{"inner":{"aString":"b"}}"#,
        Lenience::RepeatedName,
    ),
    (
        r#"{"inners":[{"aString":"a","aString":"b"},{}]}"#,
        r#"{"inners":[{"aString":"b"},{}]}"#,
        Lenience::RepeatedName,
    ),
    (r#"{"unpacked":[1,2],"unpacked":["3"]}"#, r#"{"unpacked":["3"]}"#, Lenience::RepeatedName),
    (r#"{"oneString":"","oneInt":7}"#, r#"{"oneInt":7}"#, Lenience::RepeatedName),
    (
        r#"{"oneField":{"aBool":true},"oneInt":7,"oneField":{}}"#,
        r#"{"oneField":{}}"#,
        Lenience::RepeatedName,
    ),
    (r#"{"byNumber":{"1":"a","1":"b"}}"#, r#"{"byNumber":{"1":"b"}}"#, Lenience::RepeatedName),
    (r#"{"structure":{"a":1,"a":2}}"#, r#"{"structure":{"a":2}}"#, Lenience::RepeatedName),
    (r#"{"anInt32":3000000000,"aBool":true}"#, r#"{"aBool":true}"#, Lenience::NumberLeftOut),
    (r#"{"anInt32":12.5}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"anInt32":"12.5"}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"anUint64":-1}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"anInt64":"9223372036854775808"}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"aFixed32":4294967296}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"maybeInt":1e99}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"anInt32":"NaN"}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"wrapped":1.5}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"oneInt":1.5}"#, "{}", Lenience::NumberLeftOut),
    (r#"{"zigzagKeys":{"1":1.5,"2":3}}"#, r#"{"zigzagKeys":{"2":3}}"#, Lenience::NumberLeftOut),
];

#[test]
fn oddities_do_not_cost_an_answer_and_are_refused_elsewhere() {
    let schema = every_field();
    let long = "x".repeat(200);
    let long_half = format!(r#"{{"aString":"{long}\ud83d{long}"}}"#);
    let long_read = format!("{{\"aString\":\"{long}\u{fffd}{long}\"}}");
    let long = (long_half.as_str(), long_read.as_str(), Lenience::HalfSurrogate);
    for (given, expected, lenience) in ODDITIES.iter().copied().chain([long]) {
        let found = read_leniently(&schema, given);
        assert_eq!(found, Ok((expected.to_owned(), vec![lenience])), "{given}");
        for read in [Schema::message_from_json, Schema::message_from_json_ignoring_unknown] {
            assert!(read(&schema, "every.Field", given.as_bytes()).is_err(), "{given}");
        }
    }
}

#[test]
fn what_would_guess_a_meaning_or_lose_an_element_fails() {
    let schema = every_field();
    for given in [
        r#"{"ints":[1,2.5]}"#,
        r#"{"ints":[1,null]}"#,
        r#"{"zigzags":[1,9223372036854775808]}"#,
        r#"{"unpacked":[1,-1]}"#,
        r#"{"doubles":[1,null]}"#,
        r#"{"floats":[1,1e39]}"#,
        r#"{"strings":["a",null]}"#,
        r#"{"colours":["RED",null]}"#,
        r#"{"anInt32":"twelve"}"#,
        r#"{"anInt32":true}"#,
        r#"{"anInt32":[1]}"#,
        r#"{"aDouble":nan}"#,
        r#"{"aDouble":+Infinity}"#,
        r#"{"aString":7}"#,
        r#"{"aString":"\ud83"#,
        r#"{"aString":"\ud83d"#,
        r#"{"aString":"\x"}"#,
        r#"{"someBytes":"a*b="}"#,
        r#"{"someBytes":"a*b=\n"}"#,
        r#"{"byNumber":{"1.5":"a"}}"#,
        r#"{"aBool":true} x"#,
        r#"{"aBool":true,}"#,
    ] {
        assert!(read_leniently(&schema, given).is_err(), "{given}");
    }
}

#[test]
fn null_after_a_value_is_the_last_one_too() {
    for (given, expected) in [
        (r#"{"aString":"a","aString":null}"#, "{}"),
        (r#"{"aString":"a","aString":null,"aString":"b"}"#, r#"{"aString":"b"}"#),
        (r#"{"ints":[1],"ints":null}"#, "{}"),
        (r#"{"oneString":"a","oneString":null}"#, "{}"),
    ] {
        let found = read_leniently(&every_field(), given);
        assert_eq!(found, Ok((expected.to_owned(), vec![Lenience::RepeatedName])), "{given}");
    }
}

#[test]
fn what_is_written_well_needs_no_lenience() {
    let given =
        r#"{"aString":"a","oneString":null,"oneInt":7,"anInt32":1.0,"aDouble":"NaN","inner":null}"#;
    let (_, leniences) = read_leniently(&every_field(), given).expect("an answer");
    assert_eq!(leniences, []);
}

/// The same name again and again must not cost a look at all that came before, each time.
#[test]
fn names_that_come_again_cost_their_size() {
    let inners = vec!["{}"; 100_000].join(",");
    let names = vec![r#""aString":"a","aBool":true"#; 100_000].join(",");
    let given = format!(r#"{{"inners":[{inners}],{names}}}"#);
    assert!(read_leniently(&every_field(), &given).is_ok());
}

/// What is noted of one value must not be held against the next.
#[test]
fn a_number_left_out_leaves_no_trace() {
    let schema = every_field();
    for (given, expected) in [
        (r#"{"wrapped":1.5,"anInt32":7,"inner":{}}"#, r#"{"anInt32":7,"inner":{}}"#),
        (
            r#"{"wrapped":1.5,"inner":{"wrapped":"9","anInt32":1.5}}"#,
            r#"{"inner":{"wrapped":"9"}}"#,
        ),
        (r#"{"ints":[1],"anInt32":1.5,"aBool":true}"#, r#"{"ints":[1],"aBool":true}"#),
        (r#"{"aDouble":-1e400,"aFloat":"3.5e38","aBool":true}"#, r#"{"aBool":true}"#),
        (r#"{"inners":[{"ints":[1]},{"anInt32":1.5}]}"#, r#"{"inners":[{"ints":[1]},{}]}"#),
    ] {
        let (found, _) = read_leniently(&schema, given).expect(given);
        assert_eq!(found, expected, "{given}");
    }
    let any = r#"{"anies":[{"@type":"type.googleapis.com/google.protobuf.Int32Value","value":1.5},{"@type":"type.googleapis.com/google.protobuf.Int32Value","value":2}]}"#;
    assert_eq!(read(&anies(), "Anies", any), Ok(any.replace("1.5", "0")));
}

fn anies() -> Schema {
    let folder = tempfile::tempdir().expect("a folder");
    let proto = r#"
        syntax = "proto3";
        import "google/protobuf/any.proto";
        import "google/protobuf/wrappers.proto";
        message Anies { repeated google.protobuf.Any anies = 1; google.protobuf.Int32Value number = 2; }
    "#;
    std::fs::write(folder.path().join("anies.proto"), proto).expect("a file");
    let mut compiler = protox::Compiler::new([folder.path()]).expect("a folder");
    compiler.include_imports(true).open_file("anies.proto").expect("a proto");
    Schema::from_descriptor_set(&compiler.encode_file_descriptor_set()).expect("a schema")
}
