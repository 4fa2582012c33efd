//! Recorded bodies of the real service: JSON -> wire -> JSON loses what the protos do not know, and
//! nothing else.
//!
//! Each message is also read by prost-reflect, and must be the same there, on the wire and as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use genai_bridge::Schema;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
};
use serde_json::Value;

use crate::protojson::same;
use crate::{overlay, shared, unpack};

#[test]
#[ignore = "needs the shared test data"]
fn a_round_trip_loses_only_what_the_protos_do_not_know() {
    let (set, pool) = compile();
    let schema = Schema::from_descriptor_set(&set).expect("a schema");
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut left_out = 0;
    for recording in recordings() {
        let Some(name) = recording.message else {
            left_out += 1;
            continue;
        };
        let count = counts.entry(name).or_default();
        for text in &recording.texts {
            match round_trip(&schema, &pool, name, text) {
                Ok(Outcome::Kept(unknown)) => count.add(&unknown),
                Ok(Outcome::Refused) => count.refused += 1,
                Err(why) => failures.push(format!("{} ({name}): {why}", recording.file)),
            }
        }
    }
    for (name, Count { kept, whole, unknown, refused }) in &counts {
        println!(
            "{kept:5} {name}: {whole} whole, {unknown} unknown fields lost; {refused} refused"
        );
    }
    let kept: usize = counts.values().map(|count| count.kept).sum();
    let refused: usize = counts.values().map(|count| count.refused).sum();
    println!("{kept} kept, {refused} refused as the oracle does, {} failed", failures.len());
    println!("{left_out} bodies of methods that the protos do not have");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(kept > 3000 && refused < 20, "the recordings are not whole");
}

/// The crate's own messages keep what no schema knows: nothing is lost but members at their
/// defaults.
#[test]
#[ignore = "needs the shared test data"]
fn the_crates_own_messages_lose_nothing() {
    assert_loses_nothing(&genai_bridge::gemini::schema().expect("a schema"));
}

/// The same where `unknown_json` alone keeps what the published protos lack: the overlay is taken
/// out.
#[test]
#[ignore = "needs the shared test data"]
fn unknown_json_alone_loses_nothing() {
    let (set, _) = compile();
    let set = overlay::apply(&set).expect("the published protos");
    let schema = Schema::from_descriptor_set(&set).expect("a schema");
    let part = "google.ai.generativelanguage.v1beta.Part";
    assert!(schema.message_from_json(part, br#"{"toolCall":{}}"#).is_err(), "no overlay");
    assert_loses_nothing(&schema);
}

fn assert_loses_nothing(schema: &Schema) {
    let (_, pool) = compile();
    let (mut kept, mut refused) = (0, 0);
    let mut failures = Vec::new();
    for recording in recordings() {
        let Some(name) = recording.message.filter(|name| name.starts_with("google.ai.")) else {
            continue;
        };
        let descriptor = pool.get_message_by_name(name).expect("a message");
        for text in &recording.texts {
            let wire = match schema.message_from_json_ignoring_unknown(name, text.as_bytes()) {
                Ok(wire) => wire,
                Err(error) => {
                    println!("refused: {} ({name}): {error}", recording.file);
                    refused += 1;
                    continue;
                }
            };
            let json = schema.json_from_message(name, &wire).expect("what was read is written");
            let given: Value = serde_json::from_str(text).expect("JSON");
            let written: Value = serde_json::from_slice(&json).expect("JSON");
            let mut losses = Losses::default();
            losses.compare(&given, &written, &descriptor, "");
            // What the published protos do not know: of the overlay, or of nobody.
            let (given, written) = (in_camel_case(given), in_camel_case(written));
            losses.unknown.retain(|path| {
                let path = in_camel_case(Value::String(path.clone()));
                let path = path.as_str().expect("a text");
                member_at(&given, path) != member_at(&written, path)
            });
            if losses.known.is_empty() && losses.unknown.is_empty() {
                kept += 1;
            } else {
                let Losses { known, unknown } = losses;
                failures.push(format!("{}: {known:?} {unknown:?}", recording.file));
            }
        }
    }
    println!("{kept} without a loss, {refused} refused, {} with one", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(kept > 2900 && refused < 20, "the recordings are not whole");
}

/// Some callers write the names of the proto, which are read too; a text is taken for a name.
fn in_camel_case(value: Value) -> Value {
    match value {
        Value::String(name) => {
            let mut words = name.split('_');
            let first = words.next().unwrap_or_default().to_owned();
            Value::String(words.fold(first, |camel, word| {
                let (initial, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
                camel + &initial.to_uppercase() + rest
            }))
        }
        Value::Array(elements) => elements.into_iter().map(in_camel_case).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let name = in_camel_case(Value::String(name));
                (name.as_str().expect("a text").to_owned(), in_camel_case(value))
            })
            .collect(),
        value => value,
    }
}

/// All values at a path of names, whatever lists are on the way.
fn member_at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for name in path.split('.').filter(|name| !name.is_empty()) {
        let inside = found.into_iter().flat_map(|value| match value {
            Value::Array(elements) => elements.iter().collect(),
            value => vec![value],
        });
        found = inside.filter_map(|value| value.get(name)).collect();
    }
    found
}

#[derive(Default)]
struct Count {
    kept: usize,
    whole: usize,
    unknown: usize,
    refused: usize,
}

impl Count {
    fn add(&mut self, unknown: &[String]) {
        self.kept += 1;
        self.whole += usize::from(unknown.is_empty());
        self.unknown += unknown.len();
    }
}

/// What became of a text.
enum Outcome {
    /// It was kept, but for these unknown fields and names.
    Kept(Vec<String>),
    /// It is not `ProtoJSON`; the oracle says so too.
    Refused,
}

fn round_trip(
    schema: &Schema,
    pool: &DescriptorPool,
    name: &str,
    text: &str,
) -> Result<Outcome, String> {
    let descriptor = pool.get_message_by_name(name).expect("a message");
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let mut reader = serde_json::Deserializer::from_str(text);
    let oracle =
        DynamicMessage::deserialize_with_options(descriptor.clone(), &mut reader, &options);
    let wire = schema.message_from_json_ignoring_unknown(name, text.as_bytes());
    let (wire, oracle) = match (wire, oracle) {
        (Ok(wire), Ok(oracle)) => (wire, oracle),
        (Err(_), Err(_)) => return Ok(Outcome::Refused),
        (Err(error), Ok(_)) => return Err(error.to_string()),
        (Ok(_), Err(error)) => return Err(format!("the oracle alone refuses it: {error}")),
    };
    let found = DynamicMessage::decode(descriptor.clone(), wire.as_slice())
        .map_err(|error| format!("the oracle cannot decode it: {error}"))?;
    let (found, expected) = (json_of(&found), json_of(&oracle));
    if !same(&found, &expected) {
        return Err(format!("{found} is not {expected}"));
    }
    let json = schema.json_from_message(name, &wire).map_err(|error| error.to_string())?;
    let kept: Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    if !same(&kept, &expected) {
        return Err(format!("{kept} is not {expected}"));
    }
    let given: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut losses = Losses::default();
    losses.compare(&given, &kept, &descriptor, "");
    match losses.known.as_slice() {
        [] => Ok(Outcome::Kept(losses.unknown)),
        known => Err(format!("lost {known:?}")),
    }
}

/// The oracle's JSON, by way of its text: a `Value` would show all digits of the double that a
/// float is.
fn json_of(message: &DynamicMessage) -> Value {
    let text = serde_json::to_string(message).expect("a message");
    serde_json::from_str(&text).expect("JSON")
}

/// Paths of what is in a text and not in what became of it.
#[derive(Default)]
struct Losses {
    unknown: Vec<String>,
    known: Vec<String>,
}

impl Losses {
    fn compare(&mut self, given: &Value, kept: &Value, message: &MessageDescriptor, path: &str) {
        if message.full_name().starts_with("google.protobuf.") {
            // Times, durations and the like may be written in another way; the oracle compares
            // those.
            let is_dynamic = ["Struct", "Value", "ListValue"].contains(&message.name());
            if is_dynamic && !same(given, kept) {
                self.known.push(path.to_owned());
            }
            return;
        }
        for (name, value) in given.as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let field =
                message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
            match field {
                _ if value.is_null() => {}
                None => self.unknown.push(path),
                Some(field) => {
                    self.compare_field(value, kept.get(field.json_name()), &field, &path);
                }
            }
        }
    }

    fn compare_field(
        &mut self,
        given: &Value,
        kept: Option<&Value>,
        field: &FieldDescriptor,
        path: &str,
    ) {
        let Some(kept) = kept else {
            if names_unknown_value(given, field) {
                self.unknown.push(path.to_owned());
            } else if field.supports_presence() || !is_default(given, field) {
                self.known.push(path.to_owned());
            }
            return;
        };
        let message = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let Kind::Message(value) = entry.map_entry_value_field().kind() else { return };
                for (key, given) in given.as_object().into_iter().flatten() {
                    self.compare(given, &kept[key], &value, &format!("{path}.{key}"));
                }
                return;
            }
            Kind::Message(message) => message,
            _ => return,
        };
        match (given, kept) {
            (Value::Array(given), Value::Array(kept)) if field.is_list() => {
                if given.len() != kept.len() {
                    self.known.push(format!("elements of {path}"));
                }
                for (given, kept) in given.iter().zip(kept) {
                    self.compare(given, kept, &message, path);
                }
            }
            _ => self.compare(given, kept, &message, path),
        }
    }
}

fn names_unknown_value(given: &Value, field: &FieldDescriptor) -> bool {
    let Kind::Enum(of) = field.kind() else { return false };
    let is_unknown =
        |value: &Value| value.as_str().is_some_and(|name| of.get_value_by_name(name).is_none());
    given.as_array().map_or_else(|| is_unknown(given), |values| values.iter().any(is_unknown))
}

fn is_default(given: &Value, field: &FieldDescriptor) -> bool {
    match (given, field.kind()) {
        (Value::String(name), Kind::Enum(of)) => of.default_value().name() == name,
        (Value::String(text), _) => text.is_empty() || text == "0",
        (Value::Number(number), _) => number.as_f64() == Some(0.0),
        (Value::Bool(is_true), _) => !is_true,
        (Value::Array(elements), _) => elements.is_empty(),
        (Value::Object(entries), _) => entries.is_empty(),
        (Value::Null, _) => true,
    }
}

pub(crate) fn compile() -> (Vec<u8>, DescriptorPool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([&root]).expect("a folder of protos");
    compiler.include_imports(true);
    for file in [
        "google/ai/generativelanguage/v1beta/generative_service.proto",
        "google/ai/generativelanguage/v1beta/cache_service.proto",
        "google/ai/generativelanguage/v1beta/file_service.proto",
        "google/ai/generativelanguage/v1beta/model_service.proto",
        "google/ai/generativelanguage/v1beta/prediction_service.proto",
        "google/longrunning/operations.proto",
        "google/rpc/error_details.proto",
        "overlay/rest_only.proto",
    ] {
        compiler.open_file(file).expect("a proto");
    }
    // The raw bytes: prost's own descriptor types would drop the HTTP annotations.
    (compiler.encode_file_descriptor_set(), compiler.descriptor_pool())
}

/// One recorded body: the texts in it, and which message they are.
struct Recording {
    file: String,
    message: Option<&'static str>,
    texts: Vec<String>,
}

/// Requests and answers.
fn recordings() -> Vec<Recording> {
    let path = shared().join("testdata/recorded_index.tsv");
    let index = std::fs::read_to_string(path).expect("the index");
    let mut lines = index.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().expect("a head");
    let column = |name: &str| head.iter().position(|column| *column == name).expect("a column");
    let [file, api, method, url, kind] = ["file", "api", "method", "url", "body_kind"].map(column);
    let rows: BTreeMap<String, Vec<&str>> =
        lines.map(|row| (format!("recorded/{}", row[file]), row)).collect();
    let mut recordings = Vec::new();
    for (path, bytes) in unpack("recorded.tar.gz") {
        let text = String::from_utf8_lossy(&bytes);
        if path.ends_with(".http.json") {
            recordings.extend(request_of(path, &text));
        } else if let Some(row) = rows.get(&path).filter(|row| row[api] == "gl") {
            recordings.extend(answer_of(path, &text, row[method], row[url], row[kind]));
        }
    }
    recordings
}

fn request_of(file: String, text: &str) -> Option<Recording> {
    let http: Value = serde_json::from_str(text).expect("JSON");
    let url = http["url"].as_str().filter(|url| url.contains("generativelanguage"))?;
    let body = http["req_body"].as_str().filter(|body| !body.is_empty())?;
    let (request, _) = messages_of(http["method"].as_str().unwrap_or_default(), url);
    Some(Recording { file, message: request, texts: vec![body.to_owned()] })
}

fn answer_of(file: String, text: &str, method: &str, url: &str, kind: &str) -> Option<Recording> {
    let texts: Vec<String> = match kind {
        "json" | "json-array" => match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(elements)) => elements.iter().map(ToString::to_string).collect(),
            Ok(_) => vec![text.to_owned()],
            Err(_) => return None,
        },
        "sse" => {
            let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
            let whole = lines.filter(|line| serde_json::from_str::<Value>(line).is_ok());
            whole.map(|line| line.trim().to_owned()).collect()
        }
        _ => return None,
    };
    let errors: Vec<String> = texts.iter().filter_map(|text| error_in(text)).collect();
    if !errors.is_empty() {
        return Some(Recording { file, message: Some("google.rpc.Status"), texts: errors });
    }
    let message = match url {
        "" => Some(message_of_shape(texts.first().map_or("", String::as_str), kind)),
        url => messages_of(method, url).1,
    };
    Some(Recording { file, message, texts })
}

/// The error inside Google's wrapper, whose `code` and `status` are those of HTTP.
fn error_in(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("error").filter(|error| error.is_object()).map(ToString::to_string)
}

/// Request and answer of a method of v1beta.
fn messages_of(verb: &str, url: &str) -> (Option<&'static str>, Option<&'static str>) {
    let url = url.split('?').next().unwrap_or_default();
    let Some((_, path)) = url.split_once("/v1beta/").filter(|(host, _)| !host.contains("/upload"))
    else {
        return (None, None);
    };
    let (resource, custom) = path.split_once(':').unwrap_or((path, ""));
    let segments: Vec<&str> = resource.split('/').collect();
    match (verb, segments.as_slice(), custom) {
        (_, _, "generateContent" | "streamGenerateContent") => {
            (Some(GENERATE), Some("google.ai.generativelanguage.v1beta.GenerateContentResponse"))
        }
        (_, _, "batchEmbedContents") => (
            Some("google.ai.generativelanguage.v1beta.BatchEmbedContentsRequest"),
            Some("google.ai.generativelanguage.v1beta.BatchEmbedContentsResponse"),
        ),
        (_, _, "countTokens") => (
            Some("google.ai.generativelanguage.v1beta.CountTokensRequest"),
            Some("google.ai.generativelanguage.v1beta.CountTokensResponse"),
        ),
        (_, _, "predictLongRunning") => (
            Some("google.ai.generativelanguage.v1beta.PredictLongRunningRequest"),
            Some("google.longrunning.Operation"),
        ),
        (_, ["models", _, "operations", _], "") => (None, Some("google.longrunning.Operation")),
        ("GET", ["cachedContents"], "") => {
            (None, Some("google.ai.generativelanguage.v1beta.ListCachedContentsResponse"))
        }
        ("DELETE", ["cachedContents" | "files", _], "") => (None, Some("google.protobuf.Empty")),
        (_, ["cachedContents", ..], "") => (
            Some("google.ai.generativelanguage.v1beta.CachedContent"),
            Some("google.ai.generativelanguage.v1beta.CachedContent"),
        ),
        ("GET", ["models"], "") => {
            (None, Some("google.ai.generativelanguage.v1beta.ListModelsResponse"))
        }
        ("GET", ["files"], "") => {
            (None, Some("google.ai.generativelanguage.v1beta.ListFilesResponse"))
        }
        ("GET", ["files", _], "") => (None, Some("google.ai.generativelanguage.v1beta.File")),
        _ => (None, None),
    }
}

/// Rows without a URL: the body tells what it answers.
fn message_of_shape(text: &str, kind: &str) -> &'static str {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let has = |key: &str| kind == "json" && value.get(key).is_some();
    if has("totalTokens") {
        "google.ai.generativelanguage.v1beta.CountTokensResponse"
    } else if has("embeddings") {
        "google.ai.generativelanguage.v1beta.BatchEmbedContentsResponse"
    } else if has("embedding") {
        "google.ai.generativelanguage.v1beta.EmbedContentResponse"
    } else if has("models") {
        "google.ai.generativelanguage.v1beta.ListModelsResponse"
    } else {
        "google.ai.generativelanguage.v1beta.GenerateContentResponse"
    }
}

const GENERATE: &str = "google.ai.generativelanguage.v1beta.GenerateContentRequest";
