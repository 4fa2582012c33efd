//! The transcoder agrees with prost-reflect, over every type of field.

mod entropy;

use std::sync::LazyLock;

use genai_bridge::Schema;
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _};

use entropy::Entropy;

struct Both {
    schema: Schema,
    pool: DescriptorPool,
}

/// The messages of the API, and one with each type and shape of field.
static BOTH: LazyLock<Both> = LazyLock::new(|| {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{root}/proto"), format!("{root}/tests/data")];
    let mut compiler = protox::Compiler::new(folders).expect("folders");
    compiler.include_imports(true);
    let service = "google/ai/generativelanguage/v1beta/generative_service.proto";
    compiler.open_files(["every_field.proto", service]).expect("protos");
    let descriptors = compiler.encode_file_descriptor_set();
    Both {
        schema: Schema::from_descriptor_set(&descriptors).expect("a schema"),
        pool: DescriptorPool::decode(descriptors.as_slice()).expect("a pool"),
    }
});

const MESSAGES: &[&str] = &[
    "every.Field",
    "google.ai.generativelanguage.v1beta.GenerateContentRequest",
    "google.ai.generativelanguage.v1beta.GenerateContentResponse",
    "google.ai.generativelanguage.v1beta.BatchEmbedContentsRequest",
];

proptest! {
    #[test]
    fn a_message_has_the_json_that_the_oracle_gives_it((at, entropy) in any_case()) {
        let message = random_message(at, &entropy);
        let name = message.descriptor().full_name().to_owned();
        let json = BOTH.schema.json_from_message(&name, &encode(&message)).expect("JSON");
        prop_assert!(same(&parse(&json), &oracle_json(&message)), "{}", text(&json));
    }

    #[test]
    fn the_oracles_json_is_read_back_as_the_same_message((at, entropy) in any_case(), pretty: bool) {
        let message = random_message(at, &entropy);
        let name = message.descriptor().full_name().to_owned();
        let json = if pretty { serde_json::to_vec_pretty(&message) } else { serde_json::to_vec(&message) };
        let json = json.expect("JSON");
        let wire = BOTH.schema.message_from_json(&name, &json).expect("a message");
        let read = decode(&message.descriptor(), &wire);
        prop_assert!(read == message, "{} is not {}", text(&serde_json::to_vec(&read).expect("JSON")), text(&json));
    }

    #[test]
    fn a_message_after_a_message_is_merged_as_the_oracle_merges(
        (at, one) in any_case(),
        two in any_entropy(),
    ) {
        let (first, second) = (random_message(at, &one), random_message(at, &two));
        let name = first.descriptor().full_name().to_owned();
        let wire = [encode(&first), encode(&second)].concat();
        let merged = decode(&first.descriptor(), &wire);
        match BOTH.schema.json_from_message(&name, &wire) {
            Ok(json) => prop_assert!(same(&parse(&json), &oracle_json(&merged)), "{}", text(&json)),
            // The seconds of one duration and the fraction of another may have two signs.
            Err(error) => prop_assert!(error.to_string().contains("of two signs"), "{error}"),
        }
    }

    #[test]
    fn damaged_json_gives_an_error_with_its_place_or_a_message(
        (at, entropy) in any_case(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any_damage()), 1..4),
    ) {
        let message = random_message(at, &entropy);
        let name = message.descriptor().full_name().to_owned();
        let mut json = serde_json::to_vec(&message).expect("JSON");
        for (index, damage) in &damages {
            damage.apply(index.index(json.len() + 1), &mut json);
        }
        match BOTH.schema.message_from_json(&name, &json) {
            Ok(wire) => prop_assert!(wire.capacity() <= 4 * json.len() + 1024),
            Err(error) => prop_assert!(has_place(&error.to_string(), json.len()), "{error}"),
        }
    }

    #[test]
    fn damaged_wire_bytes_give_an_error_with_their_place_or_json(
        (at, entropy) in any_case(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any_damage()), 1..4),
    ) {
        let message = random_message(at, &entropy);
        let name = message.descriptor().full_name().to_owned();
        let mut wire = encode(&message);
        for (index, damage) in &damages {
            damage.apply(index.index(wire.len() + 1), &mut wire);
        }
        match BOTH.schema.json_from_message(&name, &wire) {
            Ok(json) => prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok()),
            Err(error) => prop_assert!(has_place(&error.to_string(), wire.len()), "{error}"),
        }
    }
}

#[test]
fn a_value_that_is_set_again_is_merged_unless_it_was_another_between() {
    let name = "google.protobuf.Value";
    let descriptor = BOTH.pool.get_message_by_name(name).expect("a type");
    let null = b"\x2a\x06\x0a\x04\x12\x02\x08\x00"; // {"": null}
    let text = b"\x2a\x0a\x0a\x08\x0a\x01a\x12\x03\x1a\x01b"; // {"a": "b"}
    let list = b"\x32\x04\x0a\x02\x20\x01"; // [true]
    let unknown = b"\x50\x01";
    for (wire, expected) in [
        ([&null[..], text].concat(), r#"{"":null,"a":"b"}"#),
        ([&null[..], list, text].concat(), r#"{"a":"b"}"#),
        ([&list[..], list].concat(), "[true,true]"),
        ([&text[..], unknown, null, unknown].concat(), r#"{"":null,"a":"b"}"#),
        ([&null[..], b"\x20\x01"].concat(), "true"),
        (unknown.to_vec(), "null"),
    ] {
        let json = parse(&BOTH.schema.json_from_message(name, &wire).expect("JSON"));
        assert_eq!(json, parse(expected.as_bytes()));
        assert!(same(&json, &oracle_json(&decode(&descriptor, &wire))));
    }
}

#[test]
fn an_error_names_the_field_and_the_byte() {
    let cases = [
        (
            r#"{"anInt32":1.5}"#,
            "field `an_int32`: no integer, or one too large for its field at byte 11",
        ),
        (r#"{"inner":{"inner":{"aBool":1}}}"#, "field `inner.inner.a_bool`: no bool at byte 27"),
        (
            r#"{"byName":{"x":{"ints":[1,null]}}}"#,
            "field `by_name.ints`: `null` in a list at byte 26",
        ),
        (r#"{"aString":"a","a_string":"b"}"#, "field `a_string`: the field comes twice at byte 15"),
        (
            r#"{"byBool":{"true":1,"true":2}}"#,
            "field `by_bool`: a map with a key that comes twice at byte 10",
        ),
        (
            r#"{"inner":{"strange":1}}"#,
            "field `inner`: `every.Field` has no field `strange` at byte 10",
        ),
        (r#"{"structure":{"a":[1,{"b":tru}]}}"#, "field `structure`: no bool at byte 26"),
    ];
    for (json, expected) in cases {
        let error = BOTH.schema.message_from_json("every.Field", json.as_bytes()).expect_err(json);
        assert!(error.to_string().ends_with(expected), "{json}: {error}");
    }
}

#[test]
fn an_error_in_wire_bytes_names_the_field_and_the_byte() {
    let cases: [(&[u8], &str); 6] = [
        (b"\x68", "field `a_bool`: the message ends in the middle of a field at byte 1"),
        (
            b"\x68\x01\x72\x05ab",
            "field `a_string`: the message ends in the middle of a field at byte 4",
        ),
        (b"\x68\x01\x72\x01\xff", "field `a_string`: a string that is not UTF-8 at byte 4"),
        // A message that has to be put in order first: the place is where it begins.
        (
            b"\x8a\x01\x06\x68\x01\x68\x00\x72\x05",
            "field `inner`: the message ends in the middle of a field at byte 9",
        ),
        (
            b"\x8a\x01\x07\x68\x01\x68\x00\x72\x01\xff",
            "field `inner.a_string`: a string that is not UTF-8 at byte 3",
        ),
        (
            b"\x82\x05\x06\x10\x01\x0a\x02\x12\x05",
            "field `structure`: the message ends in the middle of a field at byte 3",
        ),
    ];
    for (wire, expected) in cases {
        let error = BOTH.schema.json_from_message("every.Field", wire).expect_err(expected);
        assert!(error.to_string().ends_with(expected), "{wire:02x?}: {error}");
    }
}

#[test]
fn a_default_is_left_out_however_long_its_zero_is() {
    // `a_string` of no bytes, and `a_bool` false, each with a zero of two bytes.
    let wire = [0x72, 0x80, 0x00, 0x68, 0x80, 0x00];
    let json = BOTH.schema.json_from_message("every.Field", &wire).expect("JSON");
    assert_eq!(text(&json), "{}");
}

#[test]
fn base64_is_read_in_every_form_and_with_escapes_anywhere() {
    let bytes: Vec<u8> = (0..40_u8).map(|n| 255 - n * 6).collect();
    let wire_of = |base64: &str| {
        let json = format!(r#"{{"someBytes": "{base64}"}}"#);
        BOTH.schema.message_from_json("every.Field", json.as_bytes())
    };
    for length in 1..bytes.len() {
        let bytes = &bytes[..length];
        let wire = [&[0x7a, u8::try_from(length).expect("short")], bytes].concat();
        for alphabet in [base64_simd::STANDARD, base64_simd::URL_SAFE, base64_simd::URL_SAFE_NO_PAD]
        {
            let base64 = alphabet.encode_to_string(bytes);
            assert_eq!(wire_of(&base64).expect("a message"), wire, "{base64}");
            for (at, letter) in base64.char_indices() {
                let escape = format!("\\u{:04x}", u32::from(letter));
                let escaped = [&base64[..at], &escape, &base64[at + 1..]].concat();
                assert_eq!(wire_of(&escaped).expect("a message"), wire, "{escaped}");
                let (wrong, cut) = (escaped.replacen('u', "u00", 1), &escaped[..at + 3]);
                assert!(wire_of(&wrong).is_err() && wire_of(cut).is_err(), "{escaped}");
            }
        }
    }
    // Wrong padding and two alphabets are refused, wherever an escape stands.
    for forms in [
        [r"QUI==", r"QUI=\u003d", r"QUI\u003d\u003d"],
        [r"QUJD====", r"QUJD===\u003d", r"QUJD\u003d==="],
        [r"-_-_+/+/", r"-_-_\u002b/+/", r"\u002d_-_+/+/"],
        [r"QQ=Q", r"QQ=\u0051", r"QQ\u003dQ"],
    ] {
        assert!(forms.iter().all(|base64| wire_of(base64).is_err()), "{forms:?}");
    }
}

#[test]
fn a_list_goes_on_behind_a_tag_that_is_longer_than_needed() {
    // `strings` twice, the second time with a tag of three bytes; `ints` too.
    let wire = [0xa2, 0x02, 1, b'a', 0xa2, 0x82, 0, 1, b'b', 0x80, 0x02, 1, 0x82, 0x82, 0, 1, 2];
    let json = BOTH.schema.json_from_message("every.Field", &wire).expect("JSON");
    assert_eq!(text(&json), r#"{"ints":[1,2],"strings":["a","b"]}"#);
}

#[test]
fn messages_out_of_order_inside_each_other_take_no_longer_than_their_depth_tells() {
    // Each one holds another one, then the same scalar twice: written as it stands, it must be
    // written again.
    let mut wire = vec![0x68, 1];
    for _ in 0..95 {
        let mut outer = vec![0x8a, 0x01];
        prost::encoding::encode_varint(wire.len() as u64, &mut outer);
        outer.extend_from_slice(&wire);
        outer.extend_from_slice(&[0x68, 0, 0x68, 1]);
        wire = outer;
    }
    let json = BOTH.schema.json_from_message("every.Field", &wire).expect("JSON");
    assert_eq!(text(&json).matches("aBool").count(), 96);
}

/// A way to spoil some bytes.
#[derive(Debug, Clone)]
enum Damage {
    Replace(u8),
    Insert(u8),
    Remove,
    Cut,
}

impl Damage {
    fn apply(&self, at: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Insert(byte) => bytes.insert(at, *byte),
            Self::Cut => bytes.truncate(at),
            Self::Replace(byte) if at < bytes.len() => bytes[at] = *byte,
            Self::Remove if at < bytes.len() => drop(bytes.remove(at)),
            Self::Replace(_) | Self::Remove => {}
        }
    }
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(br#"{}[],:"\0-.eunt "#.to_vec())];
    prop_oneof![
        byte.clone().prop_map(Damage::Replace),
        byte.prop_map(Damage::Insert),
        Just(Damage::Remove),
        Just(Damage::Cut),
    ]
}

/// Whether the text ends by naming a byte of the input, or the one behind it.
fn has_place(text: &str, length: usize) -> bool {
    let place = text.rsplit_once(" at byte ").and_then(|(_, place)| place.parse().ok());
    place.is_some_and(|place: usize| place <= length)
}

fn any_entropy() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

/// A message, as what it is made from: prost-reflect's `Debug` does not end on all of them.
fn any_case() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (0..MESSAGES.len(), any_entropy())
}

fn random_message(at: usize, entropy: &[u8]) -> DynamicMessage {
    let descriptor = BOTH.pool.get_message_by_name(MESSAGES[at]).expect("the message");
    let message = Entropy(entropy).message(&descriptor, 5);
    decode(&descriptor, &encode(&message))
}

/// The message of some wire bytes. A default that was set where it means nothing is left out.
fn decode(descriptor: &MessageDescriptor, wire: &[u8]) -> DynamicMessage {
    let decode = |wire: &[u8]| DynamicMessage::decode(descriptor.clone(), wire).expect("a message");
    decode(&encode(&decode(wire)))
}

fn encode(message: &DynamicMessage) -> Vec<u8> {
    prost::Message::encode_to_vec(message)
}

fn parse(json: &[u8]) -> serde_json::Value {
    serde_json::from_slice(json).expect("JSON")
}

fn oracle_json(message: &DynamicMessage) -> serde_json::Value {
    // By way of text: a float as a JSON value would be widened to a double.
    parse(&serde_json::to_vec(message).expect("JSON"))
}

fn text(json: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(json)
}

/// JSON has no integers: `1` and `1.0` are one value.
fn same(one: &serde_json::Value, two: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, two) {
        (Number(one), Number(two)) => {
            // serde_json may read a double one step off.
            let (one, two) = (one.as_f64().expect("a double"), two.as_f64().expect("a double"));
            (one - two).abs() <= one.abs() * f64::EPSILON
        }
        (Array(one), Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Object(one), Object(two)) => {
            one.len() == two.len()
                && one
                    .iter()
                    .all(|(key, value)| two.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == two,
    }
}
