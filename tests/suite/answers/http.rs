//! HTTP: heads and content codings.

use tonic::Code;

use super::End::Error;
use super::texts::{BOTH, END, ONE, coded, deflate, gzip, ok, row};
use super::{End, FOREIGN, Generate, Row, Shop, Stream};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn http() -> Vec<Row> {
    let head = |headers: &str| {
        format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n{END}").into_bytes()
    };
    let many: Vec<String> = (0..290).map(|at| format!("X-Hop-{at}: {at}\r\n")).collect();
    let whole = || End::Ok(1, &["\"two\""], &[], Some(true));
    vec![
        row("290 headers", Generate, head(&many.concat()), whole()),
        row("a header without a value", Generate, head("X-Empty:\r\n"), whole()),
        row(
            "a header that is folded by a tab",
            Generate,
            head("Via: 1.1 a,\r\n\t1.1 b\r\n"),
            whole(),
        ),
        row("a tab before the colon", Generate, head("X-Gate\t: 7\r\n"), whole()),
        row("bytes that are not ASCII", Generate, head("X-Gate: \u{e9}\r\n"), whole()),
        row(
            "no reason phrase",
            Generate,
            format!("HTTP/1.1 200\r\nconnection: close\r\n\r\n{END}").into_bytes(),
            whole(),
        ),
        row("identity", Generate, coded("identity", END.as_bytes()), whole()),
        row("gzip and identity", Generate, coded("Identity, GZip", &gzip(END)), whole()),
        row(
            "members of gzip",
            Generate,
            coded(
                "gzip",
                &[
                    gzip("{\"candidates\":"),
                    gzip(END.strip_prefix("{\"candidates\":").expect("so it begins")),
                ]
                .concat(),
            ),
            whole(),
        ),
        row("deflate without zlib's header", Generate, coded("DEFLATE", &deflate(END)), whole()),
        row(
            "events in gzip",
            Stream,
            coded("x-gzip", &gzip(&format!("data: {ONE}\n\ndata: {END}\n\n"))),
            End::Ok(2, BOTH, &[], Some(true)),
        ),
        row(
            "gzip that is cut",
            Generate,
            coded("gzip", gzip(END).split_last_chunk::<9>().expect("longer").0),
            Error(0, FOREIGN, &[]),
        ),
        row(
            "informational answers",
            Generate,
            [
                b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                    .to_vec(),
                head(""),
            ]
            .concat(),
            whole(),
        ),
        row("blank lines before it", Generate, [b"\r\n\r\n".to_vec(), head("")].concat(), whole()),
    ]
}

/// Where Envoy's transcoder tells a failure, unless it is set to write JSON.
pub(super) fn statuses() -> Vec<Row> {
    let head = |status: &str, headers: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n").into_bytes()
    };
    let chunked = |body: &str, trailers: &str| {
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        format!("{head}{length:x}\r\n{body}\r\n0\r\n{trailers}\r\n").into_bytes()
    };
    let slow = "grpc-status: 8\r\ngrpc-message: slow%20down\r\n";
    // tonic panics on these details, whatever the code is.
    let bad = "grpc-status: 8\r\ngrpc-message: slow%20down\r\ngrpc-status-details-bin: !\r\n";
    let bad_success = "grpc-status: 0\r\ngrpc-status-details-bin: !\r\n";
    let exhausted = |count| Error(count, &[Code::ResourceExhausted], &["slow down"]);
    vec![
        row("bad details in headers", Generate, head("429 Too Many Requests", bad), exhausted(0)),
        row("bad details with status 200", Shop("Watch"), head("200 OK", bad), exhausted(0)),
        row("bad details in trailers", Shop("Watch"), chunked("[{}]", bad), exhausted(1)),
        row("bad details of a message", Shop("Get"), chunked("{}", bad), exhausted(0)),
        row("bad details of a success", Shop("Get"), chunked("{}", bad_success), ok(1, &[])),
        row(
            "bad details at a stream's end",
            Shop("Watch"),
            chunked("[{}]", bad_success),
            ok(1, &[]),
        ),
        row("a failure in headers", Generate, head("429 Too Many Requests", slow), exhausted(0)),
        row("the same of a stream", Stream, head("429 Too Many Requests", slow), exhausted(0)),
        row("the same with status 200", Shop("Watch"), head("200 OK", slow), exhausted(0)),
        row("in trailers", Shop("Watch"), chunked(r#"[{"id":"a"}]"#, slow), exhausted(1)),
        row(
            "in trailers after lines",
            Shop("Watch"),
            chunked("{\"id\":\"a\"}\n", slow),
            exhausted(1),
        ),
        row("in trailers after bytes", Shop("Pages"), chunked("abc", slow), exhausted(1)),
        row("in trailers after nothing", Shop("Watch"), chunked("[]", slow), exhausted(0)),
        row("in trailers of a message", Shop("Get"), chunked("{}", slow), exhausted(0)),
        row("no failure", Shop("Get"), chunked("{}", "grpc-status: 0\r\n"), ok(1, &[])),
        row("other trailers", Shop("Watch"), chunked("[{}]", "x-sum: 7\r\n"), ok(1, &[])),
    ]
}
