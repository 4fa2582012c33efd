//! `JSONTestSuite`: what is JSON is read, what is not is refused, nothing panics.

use genai_bridge::Schema;

use crate::{shared, unpack};

/// Texts that are JSON but that `google.protobuf.Value` cannot hold, each with the reason.
const NOT_A_VALUE: &[(&str, &str)] = &[
    ("y_object_duplicated_key.json", "ProtoJSON refuses a name that comes twice"),
    ("y_object_duplicated_key_and_value.json", "ProtoJSON refuses a name that comes twice"),
];

#[test]
#[ignore = "needs the shared test data"]
fn what_is_json_is_read_and_what_is_not_is_refused() {
    let descriptors =
        std::fs::read(shared().join("testdata/conformance_messages.binpb")).expect("descriptors");
    let schema = Schema::from_descriptor_set(&descriptors).expect("a schema");
    let (mut read, mut refused, mut either, mut failures) = (0, 0, 0, Vec::new());
    for (path, text) in unpack("json_test_suite.tar.gz") {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_read = schema.message_from_json("google.protobuf.Value", &text).is_ok();
        let excused = NOT_A_VALUE.iter().any(|(excused, _)| *excused == name);
        match (name.get(..2), is_read) {
            (Some("y_"), true) => read += 1,
            (Some("y_"), false) if excused => refused += 1,
            (Some("n_"), false) => refused += 1,
            (Some("i_"), _) => either += 1,
            (Some("y_" | "n_"), _) => failures.push(name.to_owned()),
            _ => {}
        }
    }
    println!("{read} read, {refused} refused, {either} may be either, {} failed", failures.len());
    assert!(failures.is_empty(), "{failures:?}");
    assert!(read > 90 && refused > 180, "the suite is not whole");
}
