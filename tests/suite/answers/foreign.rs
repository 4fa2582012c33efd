//! Foreign: answers of somebody else, with status 200.

use super::End::Error;
use super::texts::{END, ONE, events, json, ok, page, row};
use super::{DeleteFile, Embed, FOREIGN, Generate, GetOperation, ListModels, Row, Shop, Stream};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn foreign() -> Vec<Row> {
    let error = |says| Error(0, FOREIGN, says);
    vec![
        row("a list where an object is due", Generate, json("[]"), error(&[])),
        row("a message in a list", Generate, json(&format!("[{END}]")), error(&[])),
        row("a text", ListModels, json("\"gone fishing\""), error(&["gone fishing"])),
        row("a number", Embed, json("7"), error(&[])),
        row(
            "an error that is true",
            Generate,
            json(r#"{"error":true,"message":"blocked by rule 9"}"#),
            error(&["blocked by rule 9"]),
        ),
        row(
            "an error that is a list",
            Generate,
            json(r#"{"error":["blocked by rule 9"]}"#),
            error(&["blocked by rule 9"]),
        ),
        row(
            "an error that is null, and nothing else",
            Generate,
            json(r#"{"error":null}"#),
            error(&[]),
        ),
        row(
            "an answer to another method",
            Generate,
            json(r#"{"models":[{"name":"models/m"}]}"#),
            error(&["models/m"]),
        ),
        row(
            "an envelope of somebody",
            Generate,
            json(&format!(r#"{{"data":{END}}}"#)),
            error(&["data"]),
        ),
        row(
            "Cloudflare's",
            ListModels,
            json(
                r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}"#,
            ),
            error(&["Authentication error"]),
        ),
        row(
            "a filter where nothing is due",
            DeleteFile,
            json(r#"{"blocked":true,"category":"AI"}"#),
            error(&["AI"]),
        ),
        row(
            "an error where nothing is due",
            DeleteFile,
            json(r#"{"error":"not yours"}"#),
            error(&["not yours"]),
        ),
        row("null where nothing is due", DeleteFile, json("null"), error(&[])),
        row(
            "a page where nothing is due",
            DeleteFile,
            page("200 OK", "text/html", "<title>Sign in</title>"),
            error(&["Sign in"]),
        ),
        row("{} where nothing is due", DeleteFile, json("{}"), ok(1, &[])),
        row("blanks where nothing is due", DeleteFile, json(" \r\n"), ok(1, &[])),
        row(
            "204 where nothing is due",
            Shop("Erase"),
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            ok(1, &[]),
        ),
        row(
            "an operation's error as a text",
            GetOperation,
            json(r#"{"error":"refused by house rules"}"#),
            error(&["refused by house rules"]),
        ),
        row(
            "a known name of another type, in an error",
            GetOperation,
            json(r#"{"error":"no","name":5}"#),
            error(&["no"]),
        ),
        row(
            "an operation that failed is a message",
            GetOperation,
            json(r#"{"name":"o","done":true,"error":{"code":5,"message":"m"}}"#),
            ok(1, &["\"code\":5"]),
        ),
        row(
            "a filter where a field is the answer",
            Shop("Inner"),
            json(r#"{"blocked":"AI"}"#),
            error(&["AI"]),
        ),
        row(
            "an error where a field is the answer",
            Shop("Inner"),
            json(r#"{"error":"no"}"#),
            error(&["no"]),
        ),
        row("null where a field is the answer", Shop("Inner"), json("null"), error(&[])),
        row(
            "a field alone",
            Shop("Inner"),
            json(r#"{"id":"a"}"#),
            ok(1, &[r#""result":{"id":"a""#]),
        ),
        row(
            "free JSON may be anything",
            Shop("Free"),
            json(r#"{"error":"a word"}"#),
            ok(1, &["a word"]),
        ),
        row("free JSON is an object", Shop("Free"), json("[1]"), error(&[])),
        row(
            "bytes may be anything",
            Shop("Page"),
            page("200 OK", "text/html", "<title>Sign in</title>"),
            ok(1, &["text/html"]),
        ),
        row(
            "a field of the name `error`",
            Shop("Judge"),
            json(r#"{"error":"guilty"}"#),
            ok(1, &["guilty"]),
        ),
        row(
            "events: an error named so",
            Stream,
            events(&format!("data: {ONE}\n\nevent: error\ndata: {{\"message\":\"worn out\"}}\n\n")),
            Error(1, FOREIGN, &["worn out"]),
        ),
        row(
            "events: an error that is a list",
            Stream,
            events(&format!(
                "data: {ONE}\n\ndata: {{\"errors\":[{{\"detail\":\"worn out\"}}]}}\n\n"
            )),
            Error(1, FOREIGN, &["worn out"]),
        ),
        row(
            "events: a fault",
            Stream,
            events(&format!(
                "data: {ONE}\n\ndata: {{\"fault\":{{\"faultstring\":\"worn out\"}}}}\n\n"
            )),
            Error(1, FOREIGN, &["worn out"]),
        ),
        row(
            "events: a text",
            Stream,
            events(&format!("data: {ONE}\n\ndata: worn out\n\n")),
            Error(1, FOREIGN, &["worn out"]),
        ),
        row("a stream with nothing, of a model", Stream, events(""), Error(0, FOREIGN, &[])),
        row("a stream with nothing, of others", Shop("Watch"), json(""), ok(0, &[])),
    ]
}
