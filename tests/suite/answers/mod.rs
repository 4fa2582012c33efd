//! Whoever answers: answers of gateways, filters and transcoders, byte by byte, and what a caller
//! sees of them over REST.

mod foreign;
mod framing;
mod http;
mod meaning;
mod texts;
mod words;

use std::path::Path;

use genai_bridge::gemini::reply::Reply as _;
use genai_bridge::v1beta::GenerateContentResponse;
use genai_bridge::{Error, Schema, Transport, gemini};
use prost::Message as _;
use tonic::Code;

use crate::peers::{http1, plain};
use crate::setting::{Outcome, call_raw, frame};

/// The method that is called.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Called {
    Generate,
    Stream,
    ListModels,
    Embed,
    DeleteFile,
    GetOperation,
    /// Of `tests/data/shop.proto`.
    Shop(&'static str),
}
use Called::{DeleteFile, Embed, Generate, GetOperation, ListModels, Shop, Stream};

/// One answer, and what becomes of it.
struct Row {
    what: &'static str,
    called: Called,
    answer: Vec<u8>,
    end: End,
}

enum End {
    /// So many messages; texts that stand in their JSON, texts that do not; whether the reply is
    /// whole, where it is one.
    Ok(usize, &'static [&'static str], &'static [&'static str], Option<bool>),
    /// One of these codes after so many messages; what is said of it.
    Error(usize, &'static [Code], &'static [&'static str]),
}

/// The codes of an answer that is not the service's.
const FOREIGN: &[Code] = &[Code::Unavailable, Code::Internal, Code::Unknown, Code::DataLoss];

impl Called {
    /// Path, input, output, request.
    fn method(self) -> (String, String, String, &'static str) {
        const V1BETA: &str = "google.ai.generativelanguage.v1beta";
        let of = |service: &str, input: &str, output: &str, request| {
            let package =
                if service.starts_with("Operations") { "google.longrunning" } else { V1BETA };
            let full = |name: &str| {
                if name.contains('.') { name.to_owned() } else { format!("{package}.{name}") }
            };
            (format!("/{package}.{service}"), full(input), full(output), request)
        };
        let question = r#"{"model":"models/m","contents":[{"parts":[{"text":"?"}]}]}"#;
        let (ask, answer) = ("GenerateContentRequest", "GenerateContentResponse");
        match self {
            Generate => of("GenerativeService/GenerateContent", ask, answer, question),
            Stream => of("GenerativeService/StreamGenerateContent", ask, answer, question),
            ListModels => {
                of("ModelService/ListModels", "ListModelsRequest", "ListModelsResponse", "{}")
            }
            Embed => of(
                "GenerativeService/EmbedContent",
                "EmbedContentRequest",
                "EmbedContentResponse",
                r#"{"model":"models/m"}"#,
            ),
            DeleteFile => of(
                "FileService/DeleteFile",
                "DeleteFileRequest",
                "google.protobuf.Empty",
                r#"{"name":"files/a"}"#,
            ),
            GetOperation => of(
                "Operations/GetOperation",
                "GetOperationRequest",
                "Operation",
                r#"{"name":"batches/a"}"#,
            ),
            Shop(method) => {
                let output = match method {
                    "Get" | "Watch" => "shop.v1.Slip",
                    "Erase" => "google.protobuf.Empty",
                    "Page" | "Pages" => "google.api.HttpBody",
                    "Free" => "google.protobuf.Struct",
                    _ => "shop.v1.Verdict",
                };
                (format!("/shop.v1.Shop/{method}"), "shop.v1.Ask".into(), output.into(), "{}")
            }
        }
    }
}

/// A schema of a program's own.
fn shop() -> Schema {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/data"), root.join("proto")];
    let mut compiler = protox::Compiler::new(folders).expect("folders");
    compiler.include_imports(true);
    compiler.open_files(["shop.proto", "google/rpc/error_details.proto"]).expect("a proto");
    Schema::from_descriptor_set(&compiler.encode_file_descriptor_set()).expect("a schema")
}

#[tokio::test]
async fn whoever_answers_is_understood() {
    let (gemini, shop) = (gemini::schema().expect("a schema"), shop());
    let mut faults = Vec::new();
    let rows: Vec<Row> = [
        meaning::enums(),
        meaning::anies(),
        meaning::lenient(),
        foreign::foreign(),
        framing::framings(),
        framing::replies(),
        words::words(),
        http::http(),
        http::statuses(),
    ]
    .into_iter()
    .flatten()
    .collect();
    for row in &rows {
        let schema = if matches!(row.called, Shop(_)) { &shop } else { &gemini };
        let (path, input, output, request) = row.called.method();
        let port = http1(row.answer.clone()).await;
        let builder = plain(port, Transport::Rest);
        let is_own = matches!(row.called, Shop(_));
        let builder = if is_own { builder.schema(shop.clone()) } else { builder };
        let request = schema.message_from_json(&input, request.as_bytes()).expect("a request");
        let bridge = builder.build().expect("a bridge");
        let outcome = call_raw(bridge, &path, frame(&request)).await;
        let found = row.faults(schema, &output, &outcome);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", row.what)));
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

impl Row {
    fn faults(&self, schema: &Schema, output: &str, outcome: &Outcome) -> Vec<String> {
        let status = &outcome.status;
        let json = |message: &bytes::Bytes| {
            let json = schema.json_from_message(output, message).expect("JSON");
            String::from_utf8(json).expect("UTF-8")
        };
        let texts: Vec<String> = outcome.messages.iter().map(json).collect();
        let mut faults = Vec::new();
        let (count, has, lacks, says) = match self.end {
            End::Ok(count, has, lacks, is_whole) => {
                if status.code() != Code::Ok {
                    faults.push(format!("{status:?}"));
                }
                if is_whole.is_some() && is_whole != Some(is_complete(outcome)) {
                    faults.push(format!("complete is not {is_whole:?}"));
                }
                (count, has, lacks, &[][..])
            }
            End::Error(count, codes, says) => {
                if !codes.contains(&status.code()) {
                    faults.push(format!("{:?} {status}", status.code()));
                }
                (count, &[][..], &[][..], says)
            }
        };
        if texts.len() != count {
            faults.push(format!("{} messages: {texts:?}", texts.len()));
        }
        let all = texts.concat();
        faults.extend(
            has.iter().filter(|text| !all.contains(**text)).map(|it| format!("no {it} in {all}")),
        );
        faults.extend(
            lacks.iter().filter(|text| all.contains(**text)).map(|it| format!("{it} in {all}")),
        );
        let said = format!("{} {:?}", status.message(), Error::of(status).map(ToString::to_string));
        faults.extend(
            says.iter().filter(|it| !said.contains(**it)).map(|it| format!("no {it} in {said}")),
        );
        faults
    }
}

/// Whether the last message that holds candidates says that the reply is whole.
fn is_complete(outcome: &Outcome) -> bool {
    let replies = outcome.messages.iter();
    let mut replies =
        replies.map(|wire| GenerateContentResponse::decode(wire.clone()).expect("a reply"));
    replies.any(|reply| reply.text().is_ok())
}
