//! What a parser merges, drops or refuses, the transcoder does, too: as upb, and where it agrees
//! Go, were seen to do it.

use genai_bridge::Schema;
use prost::Message as _;
use prost_types::field_descriptor_proto::Type;

const AGAIN: &str = "merging.Again";

/// The field `value` is a group, as `message_encoding = DELIMITED` makes it.
fn schema() -> Schema {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let mut compiler = protox::Compiler::new([folder]).expect("a folder");
    compiler.include_imports(true).open_file("merging.proto").expect("a proto");
    let mut set = compiler.file_descriptor_set();
    let messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
    let fields = messages.filter(|message| message.name() == "Again").flat_map(|m| &mut m.field);
    for field in fields.filter(|field| field.name() == "value") {
        field.set_type(Type::Group);
    }
    Schema::from_descriptor_set(&set.encode_to_vec()).expect("a schema")
}

/// A field of a message, or of a string: tag, length and bytes.
fn field(number: u8, inside: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(inside.len()).expect("short")][..], inside].concat()
}

#[test]
fn what_is_replaced_does_not_show() {
    let schema = schema();
    let time = |seconds: u8| field(4, &[0x08, seconds]);
    // The year 10000 and later.
    let late = [0x08, 0x80, 0xdc, 0xc6, 0xfe, 0xff, 0xff, 0x7f];
    let entry =
        |key: &str, value: &[u8]| field(8, &[field(1, key.as_bytes()), field(2, value)].concat());
    let high = |key: u8, level: u8| field(9, &[0x08, key, 0x10, level]);
    let any = |url: &[u8], value: &[u8]| field(13, &[field(1, url), field(2, value)].concat());
    for (wire, expected) in [
        // A run that begins in one form and goes on in the other.
        (
            [&[0x08, 1][..], &[0x0a, 2, 2, 3], &[0x0a, 1, 4], &[0x08, 5]].concat(),
            r#"{"packed":[1,2,3,4,5]}"#,
        ),
        (
            [&[0x12, 2, 1, 2][..], &[0x10, 3], &[0x10, 4], &[0x12, 1, 5]].concat(),
            r#"{"loose":[1,2,3,4,5]}"#,
        ),
        // What JSON cannot carry, and something else after it.
        ([field(4, &late), field(3, b"a")].concat(), r#"{"word":"a"}"#),
        ([field(3, b"\xff"), field(3, b"a")].concat(), r#"{"word":"a"}"#),
        ([field(3, b"\xff"), time(0)].concat(), r#"{"time":"1970-01-01T00:00:00Z"}"#),
        (
            [entry("a", &late), entry("a", &[])].concat(),
            r#"{"times":{"a":"1970-01-01T00:00:00Z"}}"#,
        ),
        // A message in two parts, as the value of a map.
        (
            field(8, &[field(1, b"a"), field(2, &[0x08, 1]), field(2, &[0x10, 2])].concat()),
            r#"{"times":{"a":"1970-01-01T00:00:01.000000002Z"}}"#,
        ),
        (
            [any(b"x/merging.Again", &[2]), any(b"x/google.protobuf.Value", &[0x20, 1])].concat(),
            r#"{"any":{"@type":"x/google.protobuf.Value","value":true}}"#,
        ),
        // Groups that nobody knows, inside a time.
        (field(4, &[0x7b, 0x7b, 0x7c, 0x7c, 0x08, 1]), r#"{"time":"1970-01-01T00:00:01Z"}"#),
        // A number that is none of a closed enum sets nothing.
        ([field(3, b"a"), vec![0x28, 9]].concat(), r#"{"word":"a"}"#),
        (vec![0x28, 1, 0x28, 9], r#"{"level":"HIGH"}"#),
        ([high(1, 1), high(1, 9)].concat(), r#"{"levels":{"1":"HIGH"}}"#),
        (high(1, 9), "{}"),
        // Groups are merged as messages are.
        (vec![0x33, 0x34, 0x33, 0x08, 7, 0x34], r#"{"pick":{"size":7}}"#),
        (
            vec![0x5b, 0x08, 7, 0x5c, 0x5b, 0x12, 2, 0x20, 1, 0x5c],
            r#"{"box":{"size":7,"lid":true}}"#,
        ),
        // A tag in more bytes than it needs.
        (field(7, &[0x8a, 0, 2, 0x20, 1, 0x0a, 2, 0x20, 0]), r#"{"list":[true,false]}"#),
    ] {
        let json = schema.json_from_message(AGAIN, &wire).map_err(|error| error.to_string());
        let json = json.map(|json| String::from_utf8(json).expect("text"));
        assert_eq!(json.as_deref(), Ok(expected), "{wire:02x?}");
    }
}

#[test]
fn what_no_parser_reads_is_refused_also_where_it_is_replaced() {
    let schema = schema();
    let value = |inside: &[u8]| field(7, &field(1, inside));
    let text = |text: &[u8]| field(2, &field(3, text));
    let (cut, rest) = (|number| field(number, &[0x1a, 2]), |number| field(number, &[0x08, 5]));
    for wire in [
        // A string of a proto3 message, a cut one, the end of no group.
        [value(&field(3, b"\xff")), field(3, b"a")].concat(),
        [value(&[0x1a, 9, b'a']), field(3, b"a")].concat(),
        [value(&[0x0c]), field(3, b"a")].concat(),
        // A key that another one of the same entry replaces, and a value.
        value(&field(5, &field(1, &[field(1, b"\xff"), field(1, b"a")].concat()))),
        value(&field(5, &field(1, &[text(b"\xff"), text(b"a")].concat()))),
        // A part of a message that is cut, and would go on in the next one.
        [field(3, b"a"), field(3, b"b"), cut(4), rest(4)].concat(),
        [field(8, &field(1, b"a")), field(8, &[field(1, b"a"), cut(2), rest(2)].concat())].concat(),
        field(8, &[cut(2), rest(2), field(1, b"a")].concat()),
    ] {
        assert!(schema.json_from_message(AGAIN, &wire).is_err(), "{wire:02x?}");
    }
}

#[test]
fn a_key_of_a_map_is_read_as_its_digits() {
    let schema = schema();
    let key = |json: &str| {
        let wire = schema.message_from_json(AGAIN, json.as_bytes());
        let json = wire.and_then(|wire| schema.json_from_message(AGAIN, &wire));
        json.map(|json| String::from_utf8(json).expect("text")).map_err(|error| error.to_string())
    };
    for (given, read) in [
        (r#"{"levels":{"0":1}}"#, r#"{"levels":{"0":"HIGH"}}"#),
        (r#"{"levels":{"00012":1}}"#, r#"{"levels":{"12":"HIGH"}}"#),
        (r#"{"signs":{"-07":true}}"#, r#"{"signs":{"-7":true}}"#),
        (r#"{"signs":{"-0":true}}"#, r#"{"signs":{"0":true}}"#),
    ] {
        assert_eq!(key(given).as_deref(), Ok(read));
    }
    for wrong in ["1.0", "1e0", "+1", "-1", "-0", "", "-", " 1", "1 ", "4294967296", "0x1"] {
        let refused = key(&format!(r#"{{"levels":{{"{wrong}":1}}}}"#)).expect_err(wrong);
        assert!(refused.contains("field `levels`"), "{refused}");
    }
}

#[test]
fn null_is_a_value_also_in_a_group() {
    let schema = schema();
    for json in [r#"{"value":null}"#, r#"{"value":{"a":null}}"#, r#"{"box":{"lid":null}}"#] {
        let wire = schema.message_from_json(AGAIN, json.as_bytes()).expect("a message");
        assert!(!wire.is_empty());
        let back = schema.json_from_message(AGAIN, &wire).expect("JSON");
        assert_eq!(String::from_utf8_lossy(&back), json);
    }
}

#[test]
fn an_extension_of_another_message_is_not_passed_over() {
    let schema = schema();
    let ignoring = |json: &str| schema.message_from_json_ignoring_unknown(AGAIN, json.as_bytes());
    let error = ignoring(r#"{"[merging.elsewhere]":1}"#).expect_err("of `Other`");
    assert!(error.to_string().contains("has no field `[merging.elsewhere]`"), "{error}");
    assert_eq!(ignoring(r#"{"[merging.nobody]":1,"nobody":2}"#).expect("passed over"), b"");
}

#[test]
fn padding_of_base64_is_right_or_absent() {
    let name = "google.protobuf.BytesValue";
    let set = schema_of_wrappers();
    let read = |json: &str| set.message_from_json(name, json.as_bytes()).ok();
    for (json, bytes) in
        [(r#""aGk=""#, &b"hi"[..]), (r#""aGk""#, b"hi"), (r#""aA==""#, b"h"), (r#""aA""#, b"h")]
    {
        assert_eq!(read(json), Some(field(1, bytes)), "{json}");
    }
    for json in [r#""aA=""#, r#""aGk==""#, r#""=""#, r#""====""#, r#""aGlo====""#, r#""a""#] {
        assert_eq!(read(json), None, "{json}");
    }
}

fn schema_of_wrappers() -> Schema {
    let mut compiler = protox::Compiler::new::<[&str; 0], _>([]).expect("no folder");
    compiler.open_file("google/protobuf/wrappers.proto").expect("a proto");
    Schema::from_descriptor_set(&compiler.encode_file_descriptor_set()).expect("a schema")
}
