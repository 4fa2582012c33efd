//! Words: how errors are written.

use tonic::Code;

use super::End::Error;
use super::texts::{gzip, page, row};
use super::{FOREIGN, Generate, Row, Stream};

/// What it is; status, type and body; one of these codes, and what is said.
type Refusal = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [Code],
    &'static [&'static str],
);

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn words() -> Vec<Row> {
    let refused = |status, content_type, body, codes, says| {
        (page(status, content_type, body), Error(0, codes, says))
    };
    let table: &[Refusal] = &[
        (
            "Kong's",
            "401 Unauthorized",
            "application/json",
            r#"{"message":"No API key found in request","request_id":"9"}"#,
            &[Code::Unauthenticated],
            &["No API key found"],
        ),
        (
            "Azure API Management's",
            "401 Access Denied",
            "application/json",
            r#"{ "statusCode": 401, "message": "Access denied due to missing subscription key." }"#,
            &[Code::Unauthenticated],
            &["missing subscription key"],
        ),
        (
            "AWS's, in capitals",
            "403 Forbidden",
            "application/json",
            r#"{"Message":"User is not authorized"}"#,
            &[Code::PermissionDenied],
            &["User is not authorized"],
        ),
        (
            "AWS's, with a type",
            "400 Bad Request",
            "application/x-amz-json-1.1",
            r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
            &[Code::InvalidArgument],
            &["Rate exceeded"],
        ),
        (
            "AWS's, in XML",
            "403 Forbidden",
            "application/xml",
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
            &[Code::PermissionDenied],
            &["Request has expired"],
        ),
        (
            "Spring's",
            "404 Not Found",
            "application/json",
            r#"{"timestamp":"2026-01-01T00:00:00Z","status":404,"error":"Not Found","message":"No handler here","path":"/v1"}"#,
            &[Code::NotFound],
            &["Not Found", "No handler here"],
        ),
        (
            "a problem",
            "403 Forbidden",
            "application/problem+json",
            r#"{"type":"https://example.com/credit","title":"Out of credit","detail":"Your balance is 30.","status":403,"instance":"/a"}"#,
            &[Code::PermissionDenied],
            &["Out of credit", "Your balance is 30."],
        ),
        (
            "a problem in terms of fields",
            "400 Bad Request",
            "application/problem+json",
            r#"{"title":"One or more errors","status":400,"errors":{"name":["is required"]}}"#,
            &[Code::InvalidArgument],
            &["One or more errors"],
        ),
        (
            "OAuth's",
            "401 Unauthorized",
            "application/json",
            r#"{"error":"invalid_token","error_description":"The token expired"}"#,
            &[Code::Unauthenticated],
            &["invalid_token", "The token expired"],
        ),
        (
            "JSON:API's",
            "422 Unprocessable Entity",
            "application/vnd.api+json",
            r#"{"errors":[{"status":"422","title":"Invalid","detail":"No such model"}]}"#,
            &[Code::FailedPrecondition],
            &["Invalid", "No such model"],
        ),
        (
            "Apigee's, of a quota",
            "429 Too Many Requests",
            "application/json",
            r#"{"fault":{"faultstring":"Rate limit quota violation","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}"#,
            &[Code::ResourceExhausted],
            &["Rate limit quota violation"],
        ),
        (
            "Connect's",
            "403 Forbidden",
            "application/json",
            r#"{"code":"permission_denied","message":"not your shelf"}"#,
            &[Code::PermissionDenied],
            &["not your shelf"],
        ),
        (
            "OpenAI's",
            "429 Too Many Requests",
            "application/json",
            r#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            &[Code::ResourceExhausted],
            &["You exceeded your quota"],
        ),
        (
            "FastAPI's list",
            "422 Unprocessable Entity",
            "application/json",
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            &[Code::FailedPrecondition],
            &["field required"],
        ),
        (
            "Lambda's",
            "502 Bad Gateway",
            "application/json",
            r#"{"errorMessage":"timed out","errorType":"Error"}"#,
            &[Code::Unavailable, Code::Internal],
            &["timed out"],
        ),
        (
            "a number of somebody's own",
            "403 Forbidden",
            "application/json",
            r#"{"code":40301,"msg":"blocked by policy"}"#,
            &[Code::PermissionDenied],
            &["blocked by policy"],
        ),
        (
            "nginx's",
            "502 Bad Gateway",
            "text/html",
            "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>",
            &[Code::Unavailable, Code::Internal],
            &["502 Bad Gateway"],
        ),
        (
            "IIS's",
            "403 Forbidden",
            "text/html",
            "<!DOCTYPE html><html><head><title>403 - Forbidden: Access is denied.</title><style>body{}</style></head></html>",
            &[Code::PermissionDenied],
            &["403 - Forbidden: Access is denied."],
        ),
        (
            "F5's",
            "200 OK",
            "text/html; charset=utf-8",
            "<html><head><title>Request Rejected</title></head><body>Your support ID is: 77</body></html>",
            FOREIGN,
            &["Request Rejected"],
        ),
        (
            "Zscaler's",
            "403 Forbidden",
            "text/html",
            "<!-- a --><html><head><TITLE>\nAccess Denied &mdash; Zscaler\n</TITLE></head></html>",
            &[Code::PermissionDenied],
            &["Access Denied"],
        ),
        (
            "Envoy's",
            "503 Service Unavailable",
            "text/plain",
            "upstream connect error or disconnect/reset before headers",
            &[Code::Unavailable],
            &["upstream connect error"],
        ),
        (
            "JSON that says it is a page",
            "429 Too Many Requests",
            "text/html",
            r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#,
            &[Code::ResourceExhausted],
            &["slow"],
        ),
        (
            "an error said twice",
            "503 Service Unavailable",
            "application/json",
            r#"{"error":{"code":503,"message":"full","status":"UNAVAILABLE"}}{"error":{"code":503,"message":"full","status":"UNAVAILABLE"}}"#,
            &[Code::Unavailable],
            &["full"],
        ),
        (
            "an error in an event with CR",
            "429 Too Many Requests",
            "text/event-stream",
            "event: error\rdata: {\"error\":{\"code\":429,\"message\":\"slow\",\"status\":\"RESOURCE_EXHAUSTED\"}}\r\r",
            &[Code::ResourceExhausted],
            &["slow"],
        ),
        (
            "an error in a list",
            "400 Bad Request",
            "application/json",
            r#"[{"error":{"code":400,"message":"odd","status":"FAILED_PRECONDITION"}}]"#,
            &[Code::FailedPrecondition],
            &["odd"],
        ),
        (
            "an error of grpc-gateway 1",
            "404 Not Found",
            "application/json",
            r#"{"error":"no shelf","code":5,"message":"no shelf","details":[]}"#,
            &[Code::NotFound],
            &["no shelf"],
        ),
    ];
    let mut rows: Vec<Row> = Vec::new();
    for (what, status, content_type, body, codes, says) in table {
        let (answer, end) = refused(status, content_type, body, *codes, *says);
        rows.push(row(what, Generate, answer, end));
        let (answer, end) = refused(status, content_type, body, *codes, *says);
        rows.push(row(what, Stream, answer, end));
    }
    let cut = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 500\r\nconnection: close\r\n\r\nnobody home upstream";
    rows.push(row(
        "an error that is cut",
        Generate,
        cut.into(),
        Error(0, &[Code::Unavailable], &["nobody home upstream"]),
    ));
    let zipped = gzip(r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#);
    let head =
        "HTTP/1.1 429 Too Many Requests\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
    rows.push(row(
        "an error in gzip",
        Generate,
        [head.as_bytes(), &zipped].concat(),
        Error(0, &[Code::ResourceExhausted], &["slow"]),
    ));
    rows
}
