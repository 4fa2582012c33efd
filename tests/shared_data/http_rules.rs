//! HTTP rules: Google's vectors for clients, through `Schema::http_request`.

use std::path::Path;

use genai_bridge::{ErrorKind, Schema};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use protox::file::{
    ChainFileResolver, DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver,
    IncludeFileResolver,
};
use serde_json::{Value, json};

use crate::shared;

/// Where we follow `google/api/http.proto` and the vectors do not: the case, what we make of it,
/// the rule.
const DEVIATIONS: &[(&str, Ours, &str)] = &[
    (
        "SimpleNonMatchingRequest_SlashInSingleStarPatternField",
        Ours::Uri("/collections/abc%2Fdef"),
        "in a variable of a single segment all but [-_.~0-9a-zA-Z] is percent-encoded",
    ),
    (
        "SimpleNonMatchingRequest_SlashInImplicitSingleStarPatternField",
        Ours::Uri("/collections/abc%2Fdef"),
        "as the case before: `{var}` is `{var=*}`",
    ),
    ("MultiBindingTopLevelRuleMatch", Ours::BadRule, PART_OF_A_SEGMENT),
    ("MultiBindingAdditionalRuleMatch", Ours::BadRule, PART_OF_A_SEGMENT),
    ("MultiBindingFailure", Ours::BadRule, PART_OF_A_SEGMENT),
    (
        "AllFieldsBodyExcludesQuery",
        Ours::Body(r#"{"nested":{"x":10,"z":30}}"#),
        "`*`: every field not bound by the path template is in the body",
    ),
    ("RecursiveField_NoBodyField", Ours::GoodRule, RECURSION),
    ("RecursiveField_NonRecursiveFieldForBody", Ours::GoodRule, RECURSION),
    (
        "MissingBody",
        Ours::Body("{}"),
        "the field is mapped to the body; an absent message is an empty one there",
    ),
    (
        "UriEncoding_EncodedPunctuation",
        Ours::Uri("/abc/%23%21%22%24%25%5E%26%2A%28%29"),
        "the vector repeats the answer of the case before it",
    ),
];

const PART_OF_A_SEGMENT: &str = "the grammar has no wildcard that is a part of a segment";
const RECURSION: &str = "only what a request holds goes into the query, and that ends by itself";

/// What we make of a case that the vectors decide otherwise.
#[derive(Clone, Copy)]
enum Ours {
    Uri(&'static str),
    Body(&'static str),
    BadRule,
    GoodRule,
}

#[test]
#[ignore = "needs the shared test data"]
fn every_http_rule_case_passes() {
    let folder = shared().join("testdata");
    let messages = std::fs::read(folder.join("http_rule_messages.binpb")).expect("descriptors");
    let vectors = std::fs::read(folder.join("http_rule_vectors.json")).expect("vectors");
    let vectors: Value = serde_json::from_slice(&vectors).expect("JSON");
    let cases = vectors["tests"].as_array().expect("cases");
    let mut failures = Vec::new();
    let mut deviations = 0;
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let deviation = DEVIATIONS.iter().find(|(deviating, ..)| *deviating == name);
        let rule = match case["ruleName"].as_str() {
            Some(name) => &vectors["namedRules"][name],
            None => &case["inlineRule"],
        };
        if run(&messages, rule, case, None).is_err() == deviation.is_none() {
            failures.push(format!("{name}: {:?}", run(&messages, rule, case, None)));
        }
        if let Some((_, ours, why)) = deviation {
            deviations += 1;
            if let Err(found) = run(&messages, rule, case, Some(*ours)) {
                failures.push(format!("{name}, by our rule ({why}): {found}"));
            }
        }
    }
    println!("{} cases, {deviations} decided by http.proto instead", cases.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases.len() == 49 && deviations == DEVIATIONS.len(), "the vectors are not whole");
}

/// Whether a case comes out as the vectors say, or as we say instead.
fn run(messages: &[u8], rule: &Value, case: &Value, ours: Option<Ours>) -> Result<(), String> {
    let input = format!("{PACKAGE}.{}", case["requestMessageName"].as_str().expect("a message"));
    let set = descriptors_with(messages, &input, rule);
    let schema = Schema::from_descriptor_set(&set);
    let is_bad_rule = case.get("invalidRule").or_else(|| case.get("invalid_rule")).is_some();
    let (schema, is_bad_rule) = match (schema, ours) {
        (Ok(_), Some(Ours::GoodRule)) => return Ok(()),
        (schema, Some(Ours::BadRule)) => (schema, true),
        (schema, _) => (schema, is_bad_rule),
    };
    let schema = match (schema, is_bad_rule) {
        (Err(error), true) => {
            let text = error.to_string();
            let names_it = text.contains("the.Service.Method") && text.contains("rule `");
            return if names_it { Ok(()) } else { Err(format!("does not name the rule: {text}")) };
        }
        // One rule that cannot be used costs its method the REST form, not the schema.
        (Ok(schema), true) => {
            let request = match &case["request"] {
                Value::Null => Vec::new(),
                request => encode(&set, &input, request),
            };
            return match schema.http_request("/the.Service/Method", &request) {
                Err(error) if error.to_string().contains("rule `") => Ok(()),
                Err(error) => Err(format!("does not name the rule: {error}")),
                Ok(found) => Err(format!("the rule was taken: {}", found.uri())),
            };
        }
        (schema, false) => schema.map_err(|error| error.to_string())?,
    };
    let request = encode(&set, &input, &case["request"]);
    let found = schema.http_request("/the.Service/Method", &request);
    match (found, case.get("nonmatchingRequest").is_some() && ours.is_none()) {
        (Err(error), true) if error.kind() == ErrorKind::InvalidRequest => Ok(()),
        (Err(error), _) => Err(error.to_string()),
        (Ok(found), true) => Err(format!("was sent as {}", found.uri())),
        (Ok(found), false) => compare(&found, case, ours),
    }
}

fn compare(
    found: &http::Request<bytes::Bytes>,
    case: &Value,
    ours: Option<Ours>,
) -> Result<(), String> {
    let success = case.get("success").cloned().unwrap_or_else(|| json!({ "method": "GET" }));
    let uri = match ours {
        Some(Ours::Uri(uri)) => uri,
        _ => success["uri"].as_str().expect("a URI"),
    };
    let body = match ours {
        Some(Ours::Body(body)) => Some(serde_json::from_str(body).expect("JSON")),
        _ => success.get("body").cloned(),
    };
    let found_body = (!found.body().is_empty())
        .then(|| serde_json::from_slice::<Value>(found.body()).expect("JSON"));
    if found.method() != success["method"].as_str().expect("a verb") {
        return Err(format!("was sent as {}", found.method()));
    }
    if found.uri() != uri {
        return Err(format!("{} is not {uri}", found.uri()));
    }
    if found_body == body { Ok(()) } else { Err(format!("{found_body:?} is not {body:?}")) }
}

fn encode(set: &[u8], message: &str, request: &Value) -> Vec<u8> {
    let pool = DescriptorPool::decode(set).expect("a pool");
    let descriptor = pool.get_message_by_name(message).expect("the message");
    DynamicMessage::deserialize(descriptor, request).expect("a request").encode_to_vec()
}

/// The messages of the vectors, and a service of one method with this rule.
fn descriptors_with(messages: &[u8], input: &str, rule: &Value) -> Vec<u8> {
    let source = format!(
        "syntax = 'proto3'; package the;
         import 'google/api/annotations.proto'; import '{MESSAGES}';
         service Service {{
             rpc Method(.{input}) returns (.{input}) {{ option (google.api.http) = {}; }}
         }}",
        rule_text(rule)
    );
    let mut resolver = ChainFileResolver::new();
    resolver.add(Source(source));
    resolver.add(DescriptorSetFileResolver::decode(messages).expect("descriptors"));
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    resolver.add(IncludeFileResolver::new(protos));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(SERVICE).expect("a service");
    compiler.encode_file_descriptor_set()
}

/// A rule of the vectors in the text format of protos.
fn rule_text(rule: &Value) -> String {
    let fields = rule.as_object().expect("a rule").iter().map(|(name, value)| match value {
        Value::Array(rules) => {
            let rules = rules.iter().map(|rule| format!("additional_bindings {}", rule_text(rule)));
            rules.collect::<Vec<_>>().join(" ")
        }
        value => format!("{name}: {value}"),
    });
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(" "))
}

/// A file that exists in memory alone.
struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            SERVICE => File::from_source(name, &self.0),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

const PACKAGE: &str = "google.api.gax.grpc.rest.tests";
const MESSAGES: &str = "transcoder_test.proto";
const SERVICE: &str = "service.proto";
