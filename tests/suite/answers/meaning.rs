//! Meaning: names of enum values and types that nobody here knows, and odd values.

use super::End::Error;
use super::texts::{events, json, ok, row};
use super::{Embed, End, FOREIGN, Generate, GetOperation, Row, Shop};

pub(super) fn enums() -> Vec<Row> {
    let reason = |value: &str| {
        json(&format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"x"}}]}},"finishReason":{value}}}]}}"#
        ))
    };
    let stopped = || End::Ok(1, &["\"finishReason\":", "\"x\""], &[], Some(false));
    vec![
        row("a reason in small letters", Generate, reason("\"stop\""), stopped()),
        row("a reason that is empty", Generate, reason("\"\""), stopped()),
        row("a number as a text", Generate, reason("\"1\""), stopped()),
        row("a number beyond 32 bits", Generate, reason("4294967297"), stopped()),
        row("a number that is no whole one", Generate, reason("1.5"), stopped()),
        row(
            "a whole number as a fraction",
            Generate,
            reason("1.0"),
            End::Ok(1, &["STOP"], &[], Some(true)),
        ),
        row(
            "a name in a list, and in a message below",
            Shop("Get"),
            json(r#"{"state":"AJAR","parts":[{"lastState":"AJAR"}],"id":"a"}"#),
            ok(1, &[r#""state":-1"#, r#""lastState":-1"#, r#""id":"a""#]),
        ),
        row(
            "a name in a wrapped line",
            Shop("Watch"),
            json("{\"result\":{\"state\":\"AJAR\"}}\n{\"result\":{\"state\":\"OPEN\"}}\n"),
            ok(2, &[r#""state":-1"#, r#""state":"OPEN""#]),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn anies() -> Vec<Row> {
    let extra = |value: &str| json(&format!(r#"{{"id":"a","extra":{value},"count":"7"}}"#));
    let kept = |has| ok(1, has);
    vec![
        row(
            "a type whose name comes last",
            Shop("Get"),
            extra(r#"{"a":1,"@type":"x/no.Such"}"#),
            kept(&["\"a\":1", "no.Such", "\"count\":\"7\""]),
        ),
        row(
            "a type that is empty",
            Shop("Get"),
            extra(r#"{"@type":"","a":1}"#),
            kept(&["\"a\":1", "\"count\":\"7\""]),
        ),
        row(
            "a type that is a number",
            Shop("Get"),
            extra(r#"{"@type":5,"a":1}"#),
            kept(&["\"a\":1", "\"count\":\"7\""]),
        ),
        row(
            "a known type that does not fit",
            Shop("Get"),
            extra(r#"{"@type":"x/shop.v1.Ask","name":[1]}"#),
            kept(&["\"name\":[1]", "\"count\":\"7\""]),
        ),
        row(
            "an Any inside an Any",
            Shop("Get"),
            extra(r#"{"@type":"x/shop.v1.Slip","extra":{"@type":"x/no.Such"}}"#),
            kept(&["shop.v1.Slip", "no.Such"]),
        ),
        row(
            "an Any that is empty",
            Shop("Get"),
            extra("{}"),
            kept(&["\"id\":\"a\"", "\"count\":\"7\""]),
        ),
        row(
            "a list of some",
            Shop("Get"),
            json(
                r#"{"notes":[{"@type":"x/no.Such","a":1},{"@type":"x/shop.v1.Ask","name":"n"},{"b":2}]}"#,
            ),
            kept(&["\"a\":1", "\"name\":\"n\"", "\"b\":2"]),
        ),
        row(
            "in a stream",
            Shop("Watch"),
            events("data: {\"extra\":{\"a\":1}}\n\n"),
            kept(&["\"a\":1"]),
        ),
        row(
            "in an operation's error",
            GetOperation,
            json(
                r#"{"name":"o","done":true,"error":{"code":8,"message":"m","details":[{"@type":"x/no.Such","a":1}]}}"#,
            ),
            kept(&["\"code\":8", "\"a\":1"]),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn lenient() -> Vec<Row> {
    let kept = |has, lacks| End::Ok(1, has, lacks, None);
    vec![
        row(
            "low half of a pair",
            Shop("Get"),
            json(r#"{"id":"\udc00x"}"#),
            kept(&["\u{fffd}x"], &[]),
        ),
        row(
            "halves in the wrong order",
            Shop("Get"),
            json(r#"{"id":"\udc00\ud83d"}"#),
            kept(&["\u{fffd}\u{fffd}"], &[]),
        ),
        row(
            "null in a list of texts",
            Shop("Get"),
            json(r#"{"lines":["a",null],"id":"b"}"#),
            Error(0, FOREIGN, &[]),
        ),
        row(
            "null in a map",
            Shop("Get"),
            json(r#"{"stock":{"a":null,"b":2}}"#),
            kept(&["\"b\":2"], &["\"a\""]),
        ),
        row(
            "a fraction in a map",
            Shop("Get"),
            json(r#"{"stock":{"a":1.5,"b":2}}"#),
            kept(&["\"b\":2"], &["\"a\""]),
        ),
        row(
            "null in lists of messages",
            Shop("Get"),
            json(r#"{"parts":[null,{"id":"a"},null],"notes":[null]}"#),
            kept(&["\"id\":\"a\""], &[]),
        ),
        row(
            "-Infinity",
            Shop("Get"),
            json(r#"{"weight":-Infinity}"#),
            kept(&["\"-Infinity\""], &[]),
        ),
        row(
            "a double out of range",
            Shop("Get"),
            json(r#"{"weight":1e400,"id":"a"}"#),
            kept(&["\"id\":\"a\""], &["weight"]),
        ),
        row(
            "a negative size",
            Shop("Get"),
            json(r#"{"size":-1,"count":9223372036854775808,"id":"a"}"#),
            kept(&["\"id\":\"a\""], &["size", "count"]),
        ),
        row(
            "base64 with too much padding",
            Shop("Get"),
            json(r#"{"raw":"AP8====","id":"a"}"#),
            kept(&["\"raw\":\"AP8=\""], &[]),
        ),
        row(
            "base64 of the other alphabet, with blanks",
            Shop("Get"),
            json("{\"raw\":\"-_8 \\r\\n\"}"),
            kept(&["\"raw\":\"+/8=\""], &[]),
        ),
        row(
            "a list that comes twice",
            Shop("Get"),
            json(r#"{"lines":["a"],"lines":["b"]}"#),
            kept(&["[\"b\"]"], &["\"a\""]),
        ),
        row(
            "a message that comes twice",
            Shop("Judge"),
            json(r#"{"result":{"id":"a","word":"w"},"result":{"number":2}}"#),
            kept(&["\"number\":2"], &["\"a\"", "\"w\""]),
        ),
        row(
            "a name that comes twice, once as null",
            Shop("Get"),
            json(r#"{"id":"a","id":null}"#),
            kept(&[], &["\"a\""]),
        ),
        row(
            "two of a oneof",
            Shop("Get"),
            json(r#"{"number":1,"word":"w"}"#),
            kept(&["\"word\":\"w\""], &["number"]),
        ),
        row(
            "a fraction in a list of numbers",
            Embed,
            json(r#"{"embedding":{"values":[1,null,2]}}"#),
            Error(0, FOREIGN, &[]),
        ),
        row(
            "NaN in a list of numbers",
            Embed,
            json(r#"{"embedding":{"values":[1,NaN,Infinity]}}"#),
            kept(&["[1,\"NaN\",\"Infinity\"]"], &[]),
        ),
    ]
}
