//! Gateways that are no program of Debian's or Python's: small servers write as grpc-gateway and
//! ASP.NET do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use genai_bridge::emulator::Emulator;
use http::StatusCode;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};

use super::{Api, Case, cases, compare, service};

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gateway {
    /// grpc-gateway, version 1: `{"result": ..}` a line, `{"error": {"grpc_code": ..}}`.
    Grpc1,
    /// Version 2: `{"result": ..}` a line, `{"error": {"code": ..}}`, all fields.
    Grpc2,
    /// Microsoft.AspNetCore.Grpc.JsonTranscoding: a message a line, a status as one line more.
    AspNet,
}

impl Gateway {
    /// What it sends for this case: an HTTP status, a type, and the pieces of the body.
    fn answer(self, api: &Api, case: &Case) -> (StatusCode, &'static str, Vec<String>) {
        let messages = case.messages.iter().map(|json| {
            let message = api.message(case.output, json);
            // Both write all that is not set, too.
            let options = SerializeOptions::new().skip_default_fields(self == Self::Grpc1);
            message.serialize_with_options(serde_json::value::Serializer, &options).expect("JSON")
        });
        let messages: Vec<Value> = messages.collect();
        if case.output == "google.api.HttpBody" && case.error.is_none() {
            let body: Vec<u8> = base64_simd::STANDARD
                .decode_to_vec(messages[0]["data"].as_str().expect("base64"))
                .expect("base64");
            return (StatusCode::OK, "text/html", vec![String::from_utf8(body).expect("a text")]);
        }
        let error = case.error.as_ref().map(|error| self.error(api, error, case.is_stream()));
        let http = match &case.error {
            Some(error) if messages.is_empty() => http_of(error.code()),
            _ => StatusCode::OK,
        };
        let line = |json: Value| format!("{json}\n");
        let pieces = messages.into_iter().map(|message| match self {
            Self::Grpc1 | Self::Grpc2 if case.is_stream() => line(json!({"result": message})),
            _ => line(message),
        });
        (http, "application/json", pieces.chain(error.map(line)).collect())
    }

    fn error(self, api: &Api, error: &Status, in_stream: bool) -> Value {
        let status = api.packed(error);
        let (code, message, details) = (&status["code"], &status["message"], &status["details"]);
        match (self, in_stream) {
            (Self::Grpc1, true) => {
                let http = http_of(error.code());
                json!({"error": {
                    "grpc_code": code, "http_code": http.as_u16(), "message": message,
                    "http_status": http.canonical_reason(), "details": details,
                }})
            }
            (Self::Grpc1, false) => {
                json!({"error": message, "code": code, "message": message, "details": details})
            }
            (Self::Grpc2, true) => json!({"error": status}),
            (Self::Grpc2 | Self::AspNet, _) => status,
        }
    }
}

/// As grpc-gateway and ASP.NET map them.
fn http_of(code: Code) -> StatusCode {
    match code {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        other => panic!("no case ends with {other:?}"),
    }
}

impl Api {
    /// A `google.rpc.Status` in JSON, with its list of details even if that is empty.
    fn packed(&self, status: &Status) -> Value {
        let descriptor = self.pool.get_message_by_name("google.rpc.Status").expect("a type");
        let packed = DynamicMessage::decode(descriptor, status.details()).expect("a status");
        let mut json = serde_json::to_value(packed).expect("JSON");
        json["code"] = json!(i32::from(status.code()));
        json["message"] = json!(status.message());
        if json["details"].is_null() {
            json["details"] = json!([]);
        }
        json
    }
}

type Answer = (StatusCode, &'static str, Vec<String>);

/// Answers whatever comes with the answer that is laid down.
async fn serve() -> (SocketAddr, Arc<Mutex<Answer>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = Arc::new(Mutex::new((StatusCode::OK, "", Vec::new())));
    let laid_down = Arc::clone(&answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&laid_down)));
        }
    });
    (address, answer)
}

async fn converse(mut stream: TcpStream, answer: Arc<Mutex<Answer>>) {
    while read_request(&mut stream).await.is_some() {
        let (status, content_type, pieces) = answer.lock().expect("no panic").clone();
        let mut text = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let chunk = |piece: String| format!("{:x}\r\n{piece}\r\n", piece.len());
        text.extend(pieces.into_iter().map(chunk));
        text.push_str("0\r\n\r\n");
        // In parts, which end anywhere.
        for part in text.as_bytes().chunks(700) {
            if stream.write_all(part).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body).await.ok().map(drop)
}

#[tokio::test]
#[ignore = "part of interop"]
async fn gateways_give_what_grpc_gives() {
    let api = Api::compile();
    let service: Emulator = service(&api).await;
    let mut faults = Vec::new();
    for gateway in [Gateway::Grpc1, Gateway::Grpc2, Gateway::AspNet] {
        let (address, answer) = serve().await;
        let lay_down = |case: &Case| {
            *answer.lock().expect("no panic") = gateway.answer(&api, case);
        };
        let endpoint = format!("http://{address}");
        let name = format!("{gateway:?}");
        faults.extend(compare(&api, &service, &name, &endpoint, &cases(&api), lay_down).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
