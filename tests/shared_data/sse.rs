//! Event streams: the vectors of web-platform-tests and of the HTML standard.
//!
//! `EventStream` is private to the crate, and a service that could show all of this through a call
//! would have to speak no JSON. So this file is compiled into the crate's own tests, beside the
//! splitter.

use serde_json::Value;

use super::SplitFault;
use super::tests::cut;

/// The vector, what we make of it, and why.
type Deviation = (&'static str, Result<&'static [&'static str], SplitFault>, &'static str);

/// What a client of this service reads otherwise.
const DEVIATIONS: &[Deviation] = &[
    (
        "bom-twice",
        Err(SplitFault::NotAStream),
        "a stream that opens with a line that is no field is another server's text",
    ),
    (
        "unterminated-final-event",
        Ok(&["test1", "test2"]),
        "the end of the HTTP body proves the end, and JSON shows whether it is whole",
    ),
    (
        "two-events-third-dropped",
        Err(SplitFault::Truncated),
        "half a line is a stream that was cut",
    ),
];

#[test]
#[ignore = "needs the shared test data"]
fn every_event_stream_vector_is_cut_as_it_says() {
    let folder =
        std::env::var_os("GENAI_BRIDGE_SHARED").expect("GENAI_BRIDGE_SHARED names no folder");
    let path = std::path::Path::new(&folder).join("testdata/sse_vectors.json");
    let vectors: Vec<Value> =
        serde_json::from_slice(&std::fs::read(path).expect("vectors")).expect("JSON");
    let mut failures = Vec::new();
    let mut deviations = 0;
    for vector in &vectors {
        let name = vector["name"].as_str().expect("a name");
        let body = decode_hex(vector["input_hex"].as_str().expect("hex"));
        // Types and ids of events are not read; an event without text holds no message.
        let events = vector["expect"].as_array().expect("events").iter();
        let texts = events.map(|event| event["data"].as_str().expect("data").to_owned());
        let mut expected = Ok(texts.filter(|text| !text.trim().is_empty()).collect());
        if let Some((_, ours, why)) = DEVIATIONS.iter().find(|(deviating, ..)| *deviating == name) {
            let ours = ours.map(|texts| texts.iter().map(ToString::to_string).collect());
            assert_ne!(ours, expected, "{name} is no deviation any more ({why})");
            deviations += 1;
            expected = ours;
        }
        for chunk in [1, 2, 3, 7, body.len()] {
            let found = cut(&body, chunk);
            if found != expected {
                failures.push(format!("{name} by {chunk}: {found:?} is not {expected:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(vectors.len() == 24 && deviations == DEVIATIONS.len(), "the vectors are not whole");
}

fn decode_hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().collect();
    let byte = |pair: &[char]| {
        u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}
