//! Case: one line of `cases.jsonl`, as the README beside it describes it.

use serde_json::Value;

use crate::shared;

/// A peer's answer, and what must become of it.
pub(super) struct Case {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) what: String,
    pub(super) call: Called,
    pub(super) answer: Answer,
    pub(super) expect: Value,
    /// The gRPC answer whose code, message and details the case's must equal.
    pub(super) equal_to: Option<Grpc>,
}

/// The method that is called, and the types of its messages.
#[derive(Clone)]
pub(super) struct Called {
    pub(super) path: String,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) is_stream: bool,
    /// A method of the cases' own schema, not of Gemini's.
    pub(super) is_generic: bool,
}

pub(super) enum Answer {
    /// The pieces of the answer's bytes, and whether the server closes after it.
    Rest {
        pieces: Vec<Vec<u8>>,
        closes: bool,
    },
    Grpc(Grpc),
}

#[derive(Clone)]
pub(super) struct Grpc {
    pub(super) head: Vec<(String, String)>,
    pub(super) messages: Vec<Vec<u8>>,
    /// `None`: the head alone.
    pub(super) trailers: Option<Vec<(String, String)>>,
}

pub(super) fn load() -> Vec<Case> {
    let text = std::fs::read_to_string(shared().join("cases/cases.jsonl")).expect("cases.jsonl");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a case"));
    lines.map(|line| Case::read(&line)).collect()
}

impl Case {
    fn read(line: &Value) -> Self {
        let text = |name: &str| line[name].as_str().expect(name).to_owned();
        let answer = match line["transport"].as_str() {
            Some("grpc") => Answer::Grpc(Grpc::read(&line["grpc"])),
            _ => Answer::Rest { pieces: pieces_of(line), closes: line["close"] == true },
        };
        Self {
            id: text("id"),
            kind: text("kind"),
            what: text("what"),
            call: Called::read(line),
            answer,
            expect: line["expect"].clone(),
            equal_to: line.get("code_equal_to_grpc").map(Grpc::read),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let elements = self.expect[name].as_array().into_iter().flatten();
        elements.map(|element| element.as_str().expect("a text")).collect()
    }
}

impl Called {
    fn read(line: &Value) -> Self {
        let call = line["call"].as_str().expect("call");
        if call == "generic" {
            let text = |name: &str| line[name].as_str().expect(name).to_owned();
            return Self {
                path: text("method"),
                input: text("input"),
                output: text("output"),
                is_stream: line["stream"] == true,
                is_generic: true,
            };
        }
        let package = "google.ai.generativelanguage.v1beta";
        let operations = "google.longrunning";
        let (package, method, input, output) = match call {
            "unary" => (package, "GenerativeService/GenerateContent", GENERATE, GENERATED),
            "stream" => (package, "GenerativeService/StreamGenerateContent", GENERATE, GENERATED),
            "list_models" => {
                (package, "ModelService/ListModels", "ListModelsRequest", "ListModelsResponse")
            }
            "batch_embed" => (
                package,
                "GenerativeService/BatchEmbedContents",
                "BatchEmbedContentsRequest",
                "BatchEmbedContentsResponse",
            ),
            "embed" => (
                package,
                "GenerativeService/EmbedContent",
                "EmbedContentRequest",
                "EmbedContentResponse",
            ),
            "delete_file" => (package, "FileService/DeleteFile", "DeleteFileRequest", EMPTY),
            "get_operation" => {
                (operations, "Operations/GetOperation", "GetOperationRequest", "Operation")
            }
            "list_operations" => (
                operations,
                "Operations/ListOperations",
                "ListOperationsRequest",
                "ListOperationsResponse",
            ),
            other => panic!("no such call: {other}"),
        };
        let output = if output == EMPTY { EMPTY.into() } else { format!("{package}.{output}") };
        Self {
            path: format!("/{package}.{method}"),
            input: format!("{package}.{input}"),
            output,
            is_stream: call == "stream",
            is_generic: false,
        }
    }

    /// The JSON of a request that fits the method's HTTP rule.
    pub(super) fn request(&self) -> &'static str {
        match self.path.rsplit('/').next().expect("a method") {
            "GenerateContent" | "StreamGenerateContent" => {
                r#"{"model":"models/m","contents":[{"parts":[{"text":"hello"}]}]}"#
            }
            "BatchEmbedContents" | "EmbedContent" => r#"{"model":"models/m"}"#,
            "GetOperation" => r#"{"name":"batches/a"}"#,
            "ListOperations" => r#"{"name":"batches"}"#,
            "DeleteFile" => r#"{"name":"files/a"}"#,
            _ => "{}",
        }
    }
}

impl Grpc {
    fn read(answer: &Value) -> Self {
        let messages = answer["messages"].as_array().expect("messages").iter();
        Self {
            head: pairs(&answer["head"]),
            messages: messages.map(|hex| bytes_of(hex.as_str().expect("hex"))).collect(),
            trailers: Some(&answer["trailers"]).filter(|given| !given.is_null()).map(pairs),
        }
    }
}

fn pairs(list: &Value) -> Vec<(String, String)> {
    let pairs = list.as_array().expect("pairs").iter();
    pairs.map(|pair| (text_of(&pair[0]), text_of(&pair[1]))).collect()
}

/// A text; one that stands so many times; or several of these, joined.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text_of).collect(),
        repeated => {
            let times = repeated["times"].as_u64().expect("times") as usize;
            repeated["of"].as_str().expect("of").repeat(times)
        }
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let digits = digits.map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

/// The pieces of a REST answer; what travels compressed is the last one.
fn pieces_of(line: &Value) -> Vec<Vec<u8>> {
    let given = line["pieces"].as_array().expect("pieces").iter();
    let mut pieces: Vec<Vec<u8>> = given.map(|piece| latin1(&text_of(piece))).collect();
    if let Some(body) = line.get("body") {
        let body = compressed(body, line["body_zlib"] == true);
        let length = body.len().to_string();
        for piece in &mut pieces {
            let text: String = piece.iter().map(|byte| char::from(*byte)).collect();
            *piece = latin1(&text.replace("@LENGTH@", &length));
        }
        pieces.push(body);
    }
    pieces
}

fn compressed(body: &Value, is_zlib: bool) -> Vec<u8> {
    use std::io::Write as _;
    let members: Vec<Vec<u8>> = match body {
        Value::Array(members) => members.iter().map(|member| latin1(&text_of(member))).collect(),
        whole => vec![latin1(&text_of(whole))],
    };
    let level = flate2::Compression::default();
    let compress = |member: &Vec<u8>| {
        if is_zlib {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(member).and_then(|()| encoder.finish()).expect("memory")
        } else {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(member).and_then(|()| encoder.finish()).expect("memory")
        }
    };
    members.iter().flat_map(compress).collect()
}

/// Each character is one byte.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("latin-1")).collect()
}

const GENERATE: &str = "GenerateContentRequest";
const GENERATED: &str = "GenerateContentResponse";
const EMPTY: &str = "google.protobuf.Empty";
