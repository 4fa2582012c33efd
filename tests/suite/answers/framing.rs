//! Framing: one stream in all its forms, and whether it is whole.

use tonic::Code;

use super::End::Error;
use super::texts::{BOTH, END, ONE, events, json, ok, row};
use super::{End, FOREIGN, Generate, Row, Shop, Stream};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn framings() -> Vec<Row> {
    let whole = || End::Ok(2, BOTH, &[], Some(true));
    let mark = "\u{feff}";
    let exhausted = &[Code::ResourceExhausted];
    vec![
        row(
            "events behind a mark",
            Stream,
            events(&format!("{mark}data: {ONE}\n\ndata: {END}\n\n")),
            whole(),
        ),
        row(
            "events with ids, comments and blanks",
            Stream,
            events(&format!(": hi\n\nid: 1\nretry: 5\ndata: {ONE}\n\n\n\n: hi\ndata:{END}\n\n")),
            whole(),
        ),
        row(
            "data in lines",
            Stream,
            events(&format!(
                "data: {ONE}\n\ndata: {{\"candidates\":\ndata: [{{\"content\":{{\"parts\":[{{\"text\":\"two\"}}]}},\"finishReason\":\"STOP\"}}]}}\n\n"
            )),
            whole(),
        ),
        row(
            "events that end in [DONE]",
            Stream,
            events(&format!("data: {ONE}\n\ndata: {END}\n\ndata: [DONE]\n\n")),
            whole(),
        ),
        row(
            "the last event without its end",
            Stream,
            events(&format!("data: {ONE}\n\ndata: {END}")),
            whole(),
        ),
        row("lines behind a mark", Stream, json(&format!("{mark}{ONE}\n{END}\n")), whole()),
        row(
            "lines with CR LF, and empty ones",
            Stream,
            json(&format!("{ONE}\r\n\r\n{END}\r\n")),
            whole(),
        ),
        row("an array behind a mark", Stream, json(&format!("{mark}[{ONE},{END}]")), whole()),
        row(
            "an array of wrapped ones",
            Stream,
            json(&format!("[{{\"result\":{ONE}}},{{\"result\":{END}}}]")),
            whole(),
        ),
        row(
            "wrapped, with blanks",
            Stream,
            json(&format!("{{ \"result\" : {ONE} }}\n\t{{\n \"result\": {END}\n}}")),
            whole(),
        ),
        row(
            "wrapped, beside no error",
            Stream,
            json(&format!(
                "{{\"result\":{ONE},\"error\":null}}\n{{\"result\":{END},\"error\":null}}\n"
            )),
            whole(),
        ),
        row(
            "wrapped empty ones",
            Shop("Watch"),
            json("{\"result\":{}}\n{\"result\":{\"id\":\"a\"}}\n"),
            ok(2, &["\"id\":\"a\""]),
        ),
        row(
            "messages, then their doubles",
            Shop("Watch"),
            json("[{\"id\":\"a\"}]"),
            ok(1, &["\"id\":\"a\""]),
        ),
        row(
            "one object over lines",
            Stream,
            json(&END.replace(',', ",\n  ")),
            End::Ok(1, &["\"two\""], &[], Some(true)),
        ),
        row("an array that is cut", Stream, json(&format!("[{ONE},")), Error(1, FOREIGN, &[])),
        row(
            "a line that is cut",
            Stream,
            json(&format!("{ONE}\n{{\"candidates\":[")),
            Error(1, FOREIGN, &[]),
        ),
        row(
            "a wrapped error with details",
            Stream,
            json(&format!(
                "{{\"result\":{ONE}}}\n{{\"error\":{{\"code\":8,\"message\":\"slow\",\"details\":[]}}}}\n"
            )),
            Error(1, exhausted, &["slow"]),
        ),
        row(
            "an error in an array",
            Stream,
            json(&format!(
                "[{ONE},{{\"error\":{{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"message\":\"slow\"}}}}]"
            )),
            Error(1, exhausted, &["slow"]),
        ),
        row(
            "an error as a line of its own",
            Stream,
            json(&format!("{ONE}\n{{\"code\":8,\"message\":\"slow\",\"details\":[]}}\n")),
            Error(1, exhausted, &["slow"]),
        ),
        row(
            "an error of version 1",
            Stream,
            json(&format!(
                "{{\"result\":{ONE}}}\n{{\"error\":{{\"grpc_code\":8,\"http_code\":429,\"message\":\"slow\",\"http_status\":\"Too Many Requests\"}}}}\n"
            )),
            Error(1, exhausted, &["slow"]),
        ),
        row(
            "an error by its name alone",
            Stream,
            events(&format!(
                "data: {ONE}\n\ndata: {{\"error\":{{\"status\":\"RESOURCE_EXHAUSTED\",\"message\":\"slow\"}}}}\n\n"
            )),
            Error(1, exhausted, &["slow"]),
        ),
        row(
            "an error without a frame",
            Stream,
            events(&format!("data: {ONE}\n\n{{\"error\":{{\"code\":8,\"message\":\"slow\"}}}}")),
            Error(1, exhausted, &["slow"]),
        ),
        row(
            "names of the message's own",
            Shop("Hear"),
            json("{\"error\":\"guilty\"}\n{\"result\":{\"id\":\"a\"}}\n"),
            ok(2, &["guilty", "\"id\":\"a\""]),
        ),
    ]
}

pub(super) fn replies() -> Vec<Row> {
    let cut = || Error(1, &[Code::DataLoss], &[]);
    vec![
        row("lines without a reason", Stream, json(&format!("{ONE}\n")), cut()),
        row(
            "a reason that is unspecified",
            Stream,
            events(&format!("data: {}\n\n", END.replace("STOP", "FINISH_REASON_UNSPECIFIED"))),
            cut(),
        ),
        row(
            "[DONE] is no reason",
            Stream,
            events(&format!("data: {ONE}\n\ndata: [DONE]\n\n")),
            cut(),
        ),
        row(
            "an array without a reason",
            Stream,
            json(&format!("[{ONE}]")),
            End::Ok(1, &["\"one\""], &[], Some(false)),
        ),
        row(
            "a prompt that was blocked",
            Stream,
            events("data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n"),
            End::Ok(1, &["SAFETY"], &[], Some(false)),
        ),
        row(
            "no candidates",
            Generate,
            json(r#"{"usageMetadata":{"totalTokenCount":1},"candidates":[]}"#),
            End::Ok(1, &[], &[], Some(false)),
        ),
        row(
            "too long",
            Generate,
            json(&END.replace("STOP", "MAX_TOKENS")),
            End::Ok(1, &["MAX_TOKENS"], &[], Some(false)),
        ),
        row(
            "a message after its end",
            Generate,
            json(&format!("{END}{END}")),
            Error(0, FOREIGN, &[]),
        ),
    ]
}
