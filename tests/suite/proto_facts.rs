//! `proto/` says what Google's protos say: every row of `tests/data/facts` is found in the compiled
//! descriptors, and nothing else is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use genai_bridge::Schema;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, ExtensionDescriptor,
    FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor, Value,
};

/// Each table with its packages, and how many rows it holds of: service, method, message, field,
/// oneof, enum, enum value, extension.
const TABLES: &[(&str, &[&str], [usize; 8])] = &[
    (
        include_str!("../data/facts/v1.tsv"),
        &["google.ai.generativelanguage.v1"],
        [2, 7, 38, 129, 3, 8, 67, 0],
    ),
    (
        include_str!("../data/facts/v1beta.tsv"),
        &["google.ai.generativelanguage.v1beta"],
        [9, 58, 210, 601, 22, 32, 160, 0],
    ),
    (
        include_str!("../data/facts/shared.tsv"),
        &["google.api", "google.longrunning", "google.rpc", "google.type"],
        [1, 5, 56, 169, 2, 9, 59, 12],
    ),
];

const KINDS: [&str; 8] =
    ["service", "method", "message", "field", "oneof", "enum", "enumvalue", "extension"];

#[test]
#[expect(clippy::print_stdout, reason = "what was compared is worth a line")]
fn the_protos_say_what_the_facts_say() {
    let pool = compile().descriptor_pool();
    let mut differences = Vec::new();
    for (table, packages, counts) in TABLES {
        let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let expected: BTreeSet<String> = lines.map(str::to_owned).collect();
        let found = rows_of(&pool, packages);
        let count =
            |kind: &str| expected.iter().filter(|row| row.split('\t').next() == Some(kind)).count();
        println!("{}: {:?}", packages.join(", "), KINDS.map(|kind| (kind, count(kind))));
        assert_eq!(KINDS.map(count), *counts, "the table of {packages:?} is not whole");
        differences.extend(expected.difference(&found).map(|row| format!("missing: {row}")));
        differences.extend(found.difference(&expected).map(|row| format!("extra:   {row}")));
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// A rule that names no field, or breaks the grammar, would be refused here.
#[test]
fn every_rule_of_the_protos_is_taken() {
    let schema = Schema::from_descriptor_set(&compile().encode_file_descriptor_set()).unwrap();
    let name = r#"{"name":"corpora/a/permissions/b"}"#;
    let wire = schema.message_from_json(&format!("{V1BETA}.GetPermissionRequest"), name.as_bytes());
    let path = format!("/{V1BETA}.PermissionService/GetPermission");
    let request = schema.http_request(&path, &wire.unwrap()).unwrap();
    assert_eq!(request.uri(), "/v1beta/corpora/a/permissions/b");
}

const V1BETA: &str = "google.ai.generativelanguage.v1beta";

fn compile() -> protox::Compiler {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([&root]).expect("a folder of protos");
    compiler.include_imports(true).open_files(files_in(&root)).expect("protos");
    compiler
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let paths =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// The rows of these packages, as the tables write them.
fn rows_of(pool: &DescriptorPool, packages: &[&str]) -> BTreeSet<String> {
    let rows = Rows { pool };
    let ours = |package: &str| packages.contains(&package);
    let services = pool.services().filter(|service| ours(service.package_name()));
    let messages = pool.all_messages();
    let messages =
        messages.filter(|message| ours(message.package_name()) && !message.is_map_entry());
    let enums = pool.all_enums().filter(|of| ours(of.package_name()));
    let extensions = pool.all_extensions().filter(|of| ours(of.parent_file().package_name()));
    services
        .flat_map(|service| rows.of_service(&service))
        .chain(messages.flat_map(|message| rows.of_message(&message)))
        .chain(enums.flat_map(|of| rows_of_enum(&of)))
        .chain(extensions.map(|extension| row_of_extension(&extension)))
        .map(|columns| columns.join("\t").trim_end_matches('\t').to_owned())
        .collect()
}

type Row = Vec<String>;

struct Rows<'a> {
    pool: &'a DescriptorPool,
}

impl Rows<'_> {
    fn of_service(&self, service: &ServiceDescriptor) -> Vec<Row> {
        let options = service.options();
        let host = self
            .option(&options, "google.api.default_host")
            .as_ref()
            .map_or_else(String::new, text);
        let own = vec!["service".into(), service.full_name().into(), host, deprecated(&options)];
        std::iter::once(own)
            .chain(service.methods().map(|method| self.of_method(&method)))
            .collect()
    }

    fn of_method(&self, method: &MethodDescriptor) -> Row {
        let options = method.options();
        let mut row = vec![
            "method".into(),
            method.parent_service().full_name().into(),
            method.name().into(),
            method.input().full_name().into(),
            method.output().full_name().into(),
            yes(method.is_client_streaming()),
            yes(method.is_server_streaming()),
        ];
        let http = self.option(&options, "google.api.http");
        row.extend(
            http.as_ref().and_then(Value::as_message).map_or_else(Default::default, http_columns),
        );
        let signatures = self.options(&options, "google.api.method_signature");
        let quoted = |value: &Value| {
            Some(text(value)).filter(|text| !text.is_empty()).unwrap_or_else(|| "\"\"".into())
        };
        row.push(signatures.iter().map(quoted).collect::<Vec<_>>().join(" | "));
        let operation = self.option(&options, "google.longrunning.operation_info");
        row.push(operation.as_ref().and_then(Value::as_message).map_or_else(String::new, |info| {
            format!(
                "response_type={}; metadata_type={}",
                get(info, "response_type"),
                get(info, "metadata_type")
            )
        }));
        row.push(deprecated(&options));
        row
    }

    fn of_message(&self, message: &MessageDescriptor) -> Vec<Row> {
        let options = message.options();
        let resource = self.option(&options, "google.api.resource");
        let resource =
            resource.as_ref().and_then(Value::as_message).map_or_else(String::new, resource_column);
        let name = message.full_name();
        let own = vec!["message".into(), name.into(), deprecated(&options), resource];
        let oneofs = message.oneofs().filter(|oneof| !oneof.is_synthetic()).map(|oneof| {
            let members: Vec<String> = oneof.fields().map(|field| field.name().into()).collect();
            vec!["oneof".into(), name.into(), oneof.name().into(), members.join(",")]
        });
        let fields = message.fields().map(|field| self.of_field(&field));
        std::iter::once(own).chain(oneofs).chain(fields).collect()
    }

    fn of_field(&self, field: &FieldDescriptor) -> Row {
        let options = field.options();
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        let is_usual = field.json_name() == lower_camel(field.name());
        let behaviors = self.options(&options, "google.api.field_behavior");
        let behaviors: Vec<String> = behaviors.iter().map(|value| self.behavior(value)).collect();
        vec![
            "field".into(),
            field.parent_message().full_name().into(),
            field.name().into(),
            field.number().to_string(),
            type_column(field),
            label_column(field).into(),
            oneof.map_or_else(String::new, |oneof| oneof.name().into()),
            if is_usual { String::new() } else { field.json_name().into() },
            behaviors.join(","),
            deprecated(&options),
            self.reference(&options),
        ]
    }

    /// The extension of this name, if the options hold it.
    fn option(&self, options: &DynamicMessage, name: &str) -> Option<Value> {
        let extension = self.pool.get_extension_by_name(name).expect("a known option");
        options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
    }

    fn options(&self, options: &DynamicMessage, name: &str) -> Vec<Value> {
        match self.option(options, name) {
            Some(Value::List(values)) => values,
            Some(single) => vec![single],
            None => Vec::new(),
        }
    }

    fn behavior(&self, value: &Value) -> String {
        let of = self.pool.get_enum_by_name("google.api.FieldBehavior").expect("the enum");
        let number = value.as_enum_number().expect("an enum value");
        of.get_value(number).expect("a known behaviour").name().into()
    }

    fn reference(&self, options: &DynamicMessage) -> String {
        let Some(reference) = self.option(options, "google.api.resource_reference") else {
            return String::new();
        };
        let reference = reference.as_message().expect("a message");
        let parts = ["type", "child_type"].map(|name| (name, get(reference, name)));
        let parts = parts.iter().filter(|(_, value)| !value.is_empty());
        parts.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";")
    }
}

fn rows_of_enum(of: &EnumDescriptor) -> Vec<Row> {
    let own = vec!["enum".into(), of.full_name().into(), deprecated(&of.options())];
    let values = of.values().map(|value| {
        let number = value.number().to_string();
        let (of, name) = (of.full_name().into(), value.name().into());
        vec!["enumvalue".into(), of, name, number, deprecated(&value.options())]
    });
    std::iter::once(own).chain(values).collect()
}

fn row_of_extension(extension: &ExtensionDescriptor) -> Row {
    let label = match extension.cardinality() {
        Cardinality::Repeated => "repeated",
        Cardinality::Optional | Cardinality::Required => "singular",
    };
    vec![
        "extension".into(),
        extension.full_name().into(),
        extension.number().to_string(),
        extension.containing_message().full_name().into(),
        kind_name(&extension.kind()),
        label.into(),
    ]
}

/// Verb, path, body, response body, additional bindings.
fn http_columns(rule: &DynamicMessage) -> [String; 5] {
    let (verb, path) = verb_and_path(rule);
    let additional = rule.get_field_by_name("additional_bindings").expect("a field");
    let additional = additional.as_list().expect("a list").iter().map(|binding| {
        let binding = binding.as_message().expect("a message");
        let (verb, path) = verb_and_path(binding);
        let body = Some(get(binding, "body")).filter(|body| !body.is_empty());
        format!("{verb} {path} body={}", body.as_deref().unwrap_or("-"))
    });
    let additional = additional.collect::<Vec<_>>().join(" | ");
    [verb, path, get(rule, "body"), get(rule, "response_body"), additional]
}

fn verb_and_path(rule: &DynamicMessage) -> (String, String) {
    let verbs = ["get", "put", "post", "delete", "patch"];
    let verb = verbs.into_iter().find(|verb| rule.has_field_by_name(verb)).expect("a verb");
    (verb.to_uppercase(), get(rule, verb))
}

fn resource_column(resource: &DynamicMessage) -> String {
    let patterns = resource.get_field_by_name("pattern").expect("a field");
    let patterns =
        patterns.as_list().expect("a list").iter().map(|value| format!("pattern={}", text(value)));
    let single = |name: &str| {
        Some(get(resource, name))
            .filter(|value| !value.is_empty())
            .map(|value| format!("{name}={value}"))
    };
    let columns = single("type")
        .into_iter()
        .chain(patterns)
        .chain(single("plural"))
        .chain(single("singular"));
    columns.collect::<Vec<_>>().join("; ")
}

fn type_column(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let name = |field: FieldDescriptor| kind_name(&field.kind());
            format!(
                "map<{},{}>",
                name(entry.map_entry_key_field()),
                name(entry.map_entry_value_field())
            )
        }
        kind => kind_name(&kind),
    }
}

fn label_column(field: &FieldDescriptor) -> &'static str {
    match field.cardinality() {
        _ if field.is_map() => "map",
        Cardinality::Repeated => "repeated",
        Cardinality::Required => "required",
        Cardinality::Optional if field.field_descriptor_proto().proto3_optional() => "optional",
        Cardinality::Optional => "singular",
    }
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!("message:{}", message.full_name()),
        Kind::Enum(of) => format!("enum:{}", of.full_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn deprecated(options: &DynamicMessage) -> String {
    let value = options.get_field_by_name("deprecated");
    yes(value.and_then(|value| value.as_bool()).unwrap_or_default())
}

fn yes(is_so: bool) -> String {
    if is_so { "yes".into() } else { String::new() }
}

fn get(message: &DynamicMessage, name: &str) -> String {
    text(&message.get_field_by_name(name).expect("a field"))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").into()
}

/// protoc's rule for a JSON name.
fn lower_camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        camel + &initial.to_uppercase() + rest
    })
}
