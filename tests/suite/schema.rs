//! Bytes that are no whole descriptor set are refused, and make nothing panic, whoever sends them.

use std::sync::LazyLock;

use genai_bridge::{ErrorKind, Schema};
use proptest::prelude::{any, proptest};

use crate::messages::descriptors_of;

static SET: LazyLock<Vec<u8>> =
    LazyLock::new(|| descriptors_of(&["google/longrunning/operations.proto"]));

/// A length-delimited field of a number below 16.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    prost::encode_length_delimiter(value.len(), &mut encoded).expect("room");
    encoded.extend_from_slice(value);
    encoded
}

/// A set of one file with this in it.
fn file(parts: &[u8]) -> Vec<u8> {
    field(1, parts)
}

/// A file with a message `M`, with this in it.
fn message(parts: &[u8]) -> Vec<u8> {
    file(&field(4, &[field(1, b"M"), parts.to_vec()].concat()))
}

/// A file with a method `S.m` from `M` to `M`, with these options.
fn method(options: &[u8]) -> Vec<u8> {
    let method = [field(1, b"m"), field(2, b".M"), field(3, b".M"), field(4, options)].concat();
    let service = [field(1, b"S"), field(2, &method)].concat();
    file(&[field(4, &field(1, b"M")), field(6, &service)].concat())
}

/// `google.api.http`
fn rule(rule: &[u8]) -> Vec<u8> {
    let mut options = vec![0x82, 0xd3, 0xe4, 0x93, 0x02];
    prost::encode_length_delimiter(rule.len(), &mut options).expect("room");
    options.extend_from_slice(rule);
    options
}

/// One inside the other.
fn nest(number: u8, depth: usize, innermost: &[u8]) -> Vec<u8> {
    (1..depth).fold(innermost.to_vec(), |inner, _| [innermost, &field(number, &inner)].concat())
}

#[test]
fn what_is_no_descriptor_set_is_refused() {
    let cases: &[(&str, &[u8])] = &[
        ("a set cut off", &SET[..SET.len() - 1]),
        ("a group", &message(b"\x0b\x0c")),
        ("a package that is no text", &file(&field(2, b"\xff"))),
        ("a message cut off", &message(b"\x12\x05")),
        ("a field cut off", &message(&field(2, b"\x0a\x05"))),
        ("options of a message cut off", &message(&field(7, b"\x38"))),
        ("an enum cut off", &file(&field(5, b"\x0a\x05"))),
        ("a value of an enum cut off", &file(&field(5, &field(2, b"\x0a\x05")))),
        ("options of a method cut off", &method(b"\x0a\x05")),
        ("a rule cut off", &method(&rule(b"\x12\x05"))),
        ("a path that is no text", &method(&rule(&field(2, b"\xff")))),
        ("a verb cut off", &method(&rule(&field(8, b"\x0a\x05")))),
    ];
    for (what, bytes) in cases {
        let error = Schema::from_descriptor_set(bytes).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Schema, "{what}");
        assert!(error.to_string().contains("not a descriptor set"), "{what}: {error}");
    }
}

#[test]
fn what_is_nested_without_end_is_refused() {
    let messages = |depth| file(&field(4, &nest(3, depth, &field(1, b"M"))));
    assert!(Schema::from_descriptor_set(&messages(100)).is_ok());
    for depth in [101, 10_000] {
        let error = Schema::from_descriptor_set(&messages(depth)).expect_err("too deep");
        assert!(error.to_string().contains("inside each other"), "{error}");
    }
    let bindings = |depth| method(&rule(&nest(11, depth, &field(2, b"/v1"))));
    assert!(Schema::from_descriptor_set(&bindings(3)).is_ok());
    assert!(Schema::from_descriptor_set(&bindings(10_000)).is_err());
}

#[test]
fn a_rule_may_come_in_pieces_as_compilers_write_single_options() {
    let post = field(4, b"/v1");
    let body = field(7, b"*");
    let custom = |piece: &[u8]| rule(&field(8, piece));
    let (kind, path) = (custom(&field(1, b"HEAD")), custom(&field(2, b"/v1")));
    let a_group = [0x8b, 0xb5, 0x18, 0x0a, 0x01, b'x', 0x8c, 0xb5, 0x18];
    for (options, verb, has_body) in [
        ([rule(&post), rule(&body)].concat(), "POST", true),
        ([rule(&body), rule(&post)].concat(), "POST", true),
        ([rule(&post), a_group.to_vec(), rule(&body)].concat(), "POST", true),
        ([kind.clone(), path.clone()].concat(), "HEAD", false),
        ([path, kind].concat(), "HEAD", false),
    ] {
        let schema = Schema::from_descriptor_set(&method(&options)).expect("a schema");
        let request = schema.http_request("/S/m", b"").expect("a request");
        assert_eq!((request.method().as_str(), request.uri().path()), (verb, "/v1"));
        assert_eq!(!request.body().is_empty(), has_body, "{request:?}");
    }
}

#[test]
fn a_type_that_is_missing_is_named() {
    let unknown =
        field(2, &[field(1, b"f"), field(6, b".N"), b"\x18\x01\x28\x0b".to_vec()].concat());
    let error = Schema::from_descriptor_set(&message(&unknown)).expect_err("no type");
    assert_eq!(error.to_string(), "field `M.f` has no known type (`.N`)");
}

#[test]
fn an_extension_of_nothing_is_named() {
    let extension = [field(1, b"e"), field(2, b".N"), b"\x18\x01\x28\x05".to_vec()].concat();
    let error = Schema::from_descriptor_set(&file(&field(7, &extension))).expect_err("no message");
    assert_eq!(error.to_string(), "extension `e` extends no known message (`N`)");
}

/// An edition may write messages as groups; what a map's entries hold never is one.
#[test]
fn messages_are_groups_where_an_edition_says_so_but_not_inside_a_map() {
    let of = |name: &[u8], number: u8, label: u8, kind: u8, of: &[u8]| {
        field(
            2,
            &[field(1, name), vec![0x18, number, 0x20, label, 0x28, kind], field(6, of)].concat(),
        )
    };
    let entry = [
        field(1, b"AllEntry"),
        of(b"key", 1, 1, 9, b""),
        of(b"value", 2, 1, 11, b".M"),
        field(7, b"\x38\x01"),
    ];
    let fields = [
        of(b"one", 1, 1, 11, b".M"),
        of(b"all", 2, 3, 11, b".M.AllEntry"),
        of(b"count", 3, 1, 5, b""),
        field(3, &entry.concat()),
    ];
    let delimited = field(8, b"\x92\x03\x02\x28\x02");
    let edition = [field(12, b"editions"), b"\x70\xe8\x07".to_vec()].concat();
    let message = field(4, &[field(1, b"M"), fields.concat()].concat());
    let set = file(&[message, delimited, edition].concat());
    let schema = Schema::from_descriptor_set(&set).expect("a schema");
    for (json, wire) in [
        (r#"{"one":{"count":1}}"#, &b"\x0b\x18\x01\x0c"[..]),
        (r#"{"all":{"a":{"count":1}}}"#, b"\x12\x07\x0a\x01a\x12\x02\x18\x01"),
        (r#"{"all":{"a":{"one":{}}}}"#, b"\x12\x07\x0a\x01a\x12\x02\x0b\x0c"),
    ] {
        assert_eq!(schema.message_from_json("M", json.as_bytes()).expect("a message"), wire);
        assert_eq!(schema.json_from_message("M", wire).expect("JSON"), json.as_bytes());
    }
}

proptest! {
    #[test]
    fn no_change_of_a_set_makes_it_panic(changes in proptest::collection::vec(any::<(usize, u8)>(), 1..4)) {
        let mut bytes = SET.clone();
        let length = bytes.len();
        for (place, byte) in changes {
            bytes[place % length] = byte;
        }
        if let Ok(schema) = Schema::from_descriptor_set(&bytes) {
            for name in ["longrunning.Operation", "protobuf.FieldOptions", "api.HttpRule"] {
                let _ = schema.message_from_json(&format!("google.{name}"), b"{\"name\": 1}");
            }
            let _ = schema.http_request("/google.longrunning.Operations/GetOperation", b"\x0a\x01a");
        }
    }
}
