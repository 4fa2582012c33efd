//! Errors in the form of each transport, and what the emulator itself refuses.

use std::sync::Arc;

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::{GenerateContentRequest, ListModelsRequest};
use http::{HeaderValue, Version};
use serde_json::json;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::client::{Answer, grpc, grpc_request, request, rest, send};
use super::{GENERATE, GENERATE_URL, LIST, QUOTA_JSON, STREAM, plain, quota};

#[tokio::test]
async fn an_error_is_trailers_only_on_grpc_and_json_on_rest() {
    let emulator = plain().await;
    emulator.on(GENERATE, Reply::error(quota()).metadata("x-note", "kept"));
    let grpc = grpc(&emulator, GENERATE, &GenerateContentRequest::default()).await;
    assert_eq!((grpc.status.as_u16(), grpc.body.len(), grpc.trailers.len()), (200, 0, 0));
    assert_eq!(grpc.header("grpc-status"), "8");
    assert_eq!(grpc.header("grpc-message"), "%C3%A7a va trop vite".replace(' ', "%20"));
    assert_eq!(grpc.grpc_status().details(), quota().details());
    let rest = rest(&emulator, "POST", GENERATE_URL, "{}").await;
    assert_eq!((rest.status.as_u16(), rest.text()), (429, &*format!("{QUOTA_JSON}\n")));
    assert_eq!((grpc.header("x-note"), rest.header("x-note")), ("kept", "kept"));
}

#[tokio::test]
async fn each_code_has_its_http_status_and_name() {
    let emulator = plain().await;
    let cases = [
        (Code::Cancelled, 499, "CANCELLED"),
        (Code::Unknown, 500, "UNKNOWN"),
        (Code::InvalidArgument, 400, "INVALID_ARGUMENT"),
        (Code::DeadlineExceeded, 504, "DEADLINE_EXCEEDED"),
        (Code::NotFound, 404, "NOT_FOUND"),
        (Code::AlreadyExists, 409, "ALREADY_EXISTS"),
        (Code::PermissionDenied, 403, "PERMISSION_DENIED"),
        (Code::ResourceExhausted, 429, "RESOURCE_EXHAUSTED"),
        (Code::FailedPrecondition, 400, "FAILED_PRECONDITION"),
        (Code::Aborted, 409, "ABORTED"),
        (Code::OutOfRange, 400, "OUT_OF_RANGE"),
        (Code::Unimplemented, 501, "UNIMPLEMENTED"),
        (Code::Internal, 500, "INTERNAL"),
        (Code::Unavailable, 503, "UNAVAILABLE"),
        (Code::DataLoss, 500, "DATA_LOSS"),
        (Code::Unauthenticated, 401, "UNAUTHENTICATED"),
    ];
    for (code, http, name) in cases {
        emulator.once(LIST, Reply::error(Status::new(code, "no")));
        let answer = rest(&emulator, "GET", "/v1beta/models", "").await;
        assert_eq!(answer.status.as_u16(), http, "{code:?}");
        let expected = json!({"error": {"code": http, "message": "no", "status": name}});
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn what_does_not_exist_is_refused_as_each_transport_does_it() {
    let emulator = plain().await;
    let grpc = grpc(&emulator, "/no.Service/Method", &ListModelsRequest::default()).await;
    assert_eq!((grpc.grpc_status().code(), grpc.body.len()), (Code::Unimplemented, 0));
    for (verb, target) in [("GET", "/v1beta/nothing"), ("POST", "/v1beta/models"), ("POST", STREAM)]
    {
        let answer = rest(&emulator, verb, target, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "text/html; charset=UTF-8")
        );
    }
    let methods: Vec<_> = emulator.received().iter().map(|call| call.method().to_owned()).collect();
    assert_eq!(methods, ["/no.Service/Method", "", "", ""]);
}

#[tokio::test]
async fn what_does_not_fit_the_request_is_named() {
    let emulator = plain().await;
    let unknown = "Invalid JSON payload received. Unknown name";
    let cases = [
        (
            "POST",
            GENERATE_URL,
            r#"{"nope":1}"#,
            "",
            format!("{unknown} \"nope\": Cannot find field."),
        ),
        (
            "POST",
            GENERATE_URL,
            r#"{"contents":[{},{"parts":[{"texts":"x"}]}]}"#,
            "contents[1].parts[0]",
            format!("{unknown} \"texts\" at 'contents[1].parts[0]': Cannot find field."),
        ),
        (
            "GET",
            "/v1beta/models?page=1",
            "",
            "",
            format!(
                "{unknown} \"page\": Cannot bind query parameter. Field 'page' could not be found in request message."
            ),
        ),
        (
            "POST",
            "/v1beta/models/m:generateContent?model=n",
            "{}",
            "",
            format!(
                "{unknown} \"model\": Cannot bind query parameter. Field 'model' could not be found in request message."
            ),
        ),
        ("GET", "/v1beta/models", "{}", "", "The request takes no body.".to_owned()),
    ];
    for (verb, target, body, field, description) in cases {
        let answer = rest(&emulator, verb, target, body).await;
        let error = &answer.json()["error"];
        assert_eq!((&error["code"], &error["status"]), (&json!(400), &json!("INVALID_ARGUMENT")));
        assert_eq!(error["message"], *description, "{target}");
        let violation = &error["details"][0]["fieldViolations"][0];
        assert_eq!(violation["description"], *description);
        assert_eq!(violation.get("field"), (!field.is_empty()).then(|| json!(field)).as_ref());
    }
    for body in ["{", "[]", "{\"contents\":3}", "{} {}"] {
        let answer = rest(&emulator, "POST", GENERATE_URL, body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(emulator.count(GENERATE), 7);
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_refused() {
    let builder = Emulator::builder().plaintext().require_key("secret");
    let emulator = builder.start().await.unwrap();
    let cases = [
        (None, "", 403, Code::PermissionDenied),
        (Some("wrong"), "", 400, Code::InvalidArgument),
        (Some("secret"), "", 200, Code::Ok),
        (None, "?key=secret", 200, Code::Ok),
        (None, "?key=wrong", 400, Code::InvalidArgument),
    ];
    for (header, query, http, code) in cases {
        let mut asked = request(&emulator, "GET", &format!("/v1beta/models{query}"), "");
        let mut called = grpc_request(&emulator, LIST, &ListModelsRequest::default());
        for headers in [asked.headers_mut(), called.headers_mut()] {
            header.map(|key| headers.insert("x-goog-api-key", HeaderValue::from_static(key)));
        }
        let answer = Answer::read(send(&emulator, Version::HTTP_11, asked).await).await;
        assert_eq!(answer.status.as_u16(), http, "{header:?} {query}");
        if http == 400 {
            assert_eq!(answer.json()["error"]["details"][0]["reason"], "API_KEY_INVALID");
        }
        if query.is_empty() {
            let answer = Answer::read(send(&emulator, Version::HTTP_2, called).await).await;
            assert_eq!(answer.grpc_status().code(), code, "{header:?}");
        }
    }
}

#[tokio::test]
async fn the_deadline_of_the_caller_is_kept() {
    let emulator = plain().await;
    let shut = Arc::new(Semaphore::new(0));
    for method in [GENERATE, STREAM] {
        emulator.on(method, Reply::messages(super::numbered(1)).gate(Arc::clone(&shut)));
        let mut asked = grpc_request(&emulator, method, &GenerateContentRequest::default());
        asked.headers_mut().insert("grpc-timeout", HeaderValue::from_static("20m"));
        let answer = Answer::read(send(&emulator, Version::HTTP_2, asked).await).await;
        assert_eq!(answer.grpc_status().code(), Code::DeadlineExceeded, "{method}");
    }
    let mut asked = request(&emulator, "POST", GENERATE_URL, "{}");
    asked.headers_mut().insert("x-server-timeout", HeaderValue::from_static("0.02"));
    let answer = Answer::read(send(&emulator, Version::HTTP_11, asked).await).await;
    assert_eq!(answer.status, 504);
}
