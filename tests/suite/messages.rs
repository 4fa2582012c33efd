//! Messages of any type, filled by rule, from the project's own protos.

use std::sync::OnceLock;

use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, Value,
};

/// The descriptors of `proto/`, compiled here and now.
pub(crate) fn descriptors() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let root = root();
        descriptors_of(&proto_files(&root, &root))
    })
}

/// The descriptors of these files below `proto/`, and of what they import.
pub(crate) fn descriptors_of(files: &[impl AsRef<std::path::Path>]) -> Vec<u8> {
    let mut compiler = protox::Compiler::new([root()]).expect("proto/");
    compiler.include_imports(true);
    compiler.open_files(files).expect("the protos compile");
    compiler.encode_file_descriptor_set()
}

fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

fn proto_files(root: &std::path::Path, folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(proto_files(root, &path));
        } else {
            files.push(path.strip_prefix(root).expect("below the root").to_owned());
        }
    }
    files.sort();
    files
}

pub(crate) fn pool() -> DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(descriptors()).expect("a pool")).clone()
}

/// Each method of the API, and of the operations beside it.
pub(crate) fn methods() -> Vec<MethodDescriptor> {
    pool().services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// The path under which gRPC carries a method.
pub(crate) fn path_of(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// One binding of a method: where its variables stand, and what they must look like.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) template: String,
}

impl Binding {
    /// `(field path, pattern)` of each variable.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let inside = self.template.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let split = |variable: &str| match variable.split_once('=') {
            Some((field, pattern)) => (field.to_owned(), pattern.to_owned()),
            None => (variable.to_owned(), "*".to_owned()),
        };
        inside.map(split).collect()
    }
}

/// The bindings of a method's annotation, in order.
pub(crate) fn bindings(method: &MethodDescriptor) -> Vec<Binding> {
    let http = pool().get_extension_by_name("google.api.http").expect("the annotation");
    let options = method.options();
    if !options.has_extension(&http) {
        return Vec::new();
    }
    let rule = options.get_extension(&http).as_message().expect("a rule").clone();
    let more = rule.get_field_by_name("additional_bindings").expect("a field").into_owned();
    let more = more
        .as_list()
        .expect("a list")
        .iter()
        .map(|rule| rule.as_message().expect("a rule").clone());
    std::iter::once(rule).chain(more).map(|rule| Binding { template: template_of(&rule) }).collect()
}

fn template_of(rule: &DynamicMessage) -> String {
    ["get", "put", "post", "delete", "patch"]
        .iter()
        .find(|verb| rule.has_field_by_name(verb))
        .and_then(|verb| rule.get_field_by_name(verb)?.as_str().map(str::to_owned))
        .expect("a verb and a path")
}

/// A value for a variable: each wildcard becomes a segment that needs encoding.
pub(crate) fn example_of(pattern: &str) -> String {
    pattern.replace("**", "r\u{e9}st/of it").replace('*', "a~b c%2F\u{e9}")
}

/// Sets a field, down a path of names.
pub(crate) fn set(message: &mut DynamicMessage, path: &str, value: &str) {
    match path.split_once('.') {
        None => message.set_field_by_name(path, Value::String(value.to_owned())),
        Some((first, rest)) => {
            let inside = message.get_field_by_name_mut(first).expect("a field");
            set(inside.as_message_mut().expect("a message"), rest, value);
        }
    }
}

/// A message in which every field is set, of each oneof the member that `variant` picks.
pub(crate) fn filled(message: &MessageDescriptor, variant: usize) -> DynamicMessage {
    fill(message, variant, 4)
}

fn fill(descriptor: &MessageDescriptor, variant: usize, depth: usize) -> DynamicMessage {
    if let Some(message) = well_known(descriptor, variant) {
        return message;
    }
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if (holds_message(&field) && depth == 0) || !is_picked(&field, variant) {
            continue;
        }
        message.set_field(&field, value_of(&field, variant, depth));
    }
    message
}

fn holds_message(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => holds_message(&entry.map_entry_value_field()),
        kind => matches!(kind, Kind::Message(_)),
    }
}

fn is_picked(field: &FieldDescriptor, variant: usize) -> bool {
    field.containing_oneof().is_none_or(|oneof| {
        let members: Vec<u32> = oneof.fields().map(|member| member.number()).collect();
        members[variant % members.len()] == field.number()
    })
}

fn value_of(field: &FieldDescriptor, variant: usize, depth: usize) -> Value {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!("a map has entries") };
        let value = value_of(&entry.map_entry_value_field(), variant, depth);
        let key = match entry.map_entry_key_field().kind() {
            Kind::String => MapKey::String("a \"key\"".into()),
            Kind::Bool => MapKey::Bool(true),
            Kind::Int64 => MapKey::I64(-1),
            _ => MapKey::I32(-1),
        };
        return Value::Map([(key, value)].into_iter().collect());
    }
    let count = if field.cardinality() == Cardinality::Repeated { 2 } else { 1 };
    let mut values: Vec<Value> = (0..count).map(|at| single(field, variant + at, depth)).collect();
    if count == 1 { values.remove(0) } else { Value::List(values) }
}

fn single(field: &FieldDescriptor, variant: usize, depth: usize) -> Value {
    let number = i32::try_from(field.number()).expect("small");
    match field.kind() {
        Kind::Double => Value::F64([0.1, -1.5e-300, f64::INFINITY, 3.0][variant % 4]),
        Kind::Float => Value::F32([0.1, -1.5e-30, 16_777_216.0, f32::NEG_INFINITY][variant % 4]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(if variant.is_multiple_of(2) { number } else { i32::MIN })
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(if variant.is_multiple_of(2) { 9_007_199_254_740_993 } else { i64::MIN })
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::MAX),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX),
        Kind::Bool => Value::Bool(true),
        Kind::String => {
            Value::String(format!("{}: \u{1f600}\u{2028}\"\\\n\u{7f}&=+%/?#", field.name()))
        }
        Kind::Bytes => Value::Bytes(vec![0, 255, 62, 63, 251][..2 + variant % 4].to_vec().into()),
        // A number that this schema does not know may come from a newer service.
        Kind::Enum(of) => {
            let known: Vec<i32> =
                of.values().map(|value| value.number()).filter(|value| *value != 0).collect();
            Value::EnumNumber(known.get(variant % (known.len() + 1)).copied().unwrap_or(4711))
        }
        Kind::Message(of) => Value::Message(fill(&of, variant, depth - 1)),
    }
}

/// Messages that are not free to hold anything.
fn well_known(descriptor: &MessageDescriptor, variant: usize) -> Option<DynamicMessage> {
    let transcode = |wire: Vec<u8>| {
        DynamicMessage::decode(descriptor.clone(), wire.as_slice()).expect("well known")
    };
    Some(match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            let nanos = [0, 500_000_000, 120_000, 1][variant % 4];
            transcode(prost_types::Timestamp { seconds: 1_700_000_000, nanos }.encode_to_vec())
        }
        "google.protobuf.Duration" => {
            let nanos = [0, 500_000_000, 120_000, 1][variant % 4];
            transcode(prost_types::Duration { seconds: 3, nanos }.encode_to_vec())
        }
        "google.protobuf.FieldMask" => {
            let paths = vec!["display_name".into(), "usage.total_count".into()];
            transcode(prost_types::FieldMask { paths }.encode_to_vec())
        }
        "google.protobuf.Any" => {
            let of = pool().get_message_by_name("google.rpc.ErrorInfo").expect("a message");
            let value = fill(&of, variant, 2).encode_to_vec();
            let type_url = "type.googleapis.com/google.rpc.ErrorInfo".into();
            transcode(prost_types::Any { type_url, value }.encode_to_vec())
        }
        "google.protobuf.Struct" => {
            let json = serde_json::json!({"a": [1.5, null, "x", {"b": false}], "": {}});
            DynamicMessage::deserialize(descriptor.clone(), json).expect("a struct")
        }
        "google.protobuf.Value" => {
            let json =
                [serde_json::json!(null), serde_json::json!([true, {}]), serde_json::json!("s")];
            DynamicMessage::deserialize(descriptor.clone(), json[variant % 3].clone())
                .expect("a value")
        }
        _ => return None,
    })
}
