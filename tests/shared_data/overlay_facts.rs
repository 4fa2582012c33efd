//! Every field that Google's client sends or reads beyond the published protos is in the overlay,
//! or is left out for a reason.

use std::collections::BTreeMap;
use std::path::Path;

use prost_reflect::DescriptorPool;

use crate::shared;

/// Rows that are no fields of this service: message and JSON name, `*` for any message.
const LEFT_OUT: &[(&str, &[(&str, &str)])] = &[
    (
        "made by the client",
        &[
            ("*", "sdkHttpResponse"),
            ("GenerateContentResponse", "automaticFunctionCallingHistory"),
            ("GenerateContentResponse", "parsed"),
            ("GenerateContentResponse.UsageMetadata", "InitialPromptTokenCount"),
        ],
    ),
    (
        "another name of a published field",
        &[
            ("CitationMetadata", "citations"),
            ("EmbedContentResponse", "embeddings"),
            ("GenerateContentResponse.UsageMetadata", "responseTokenCount"),
            ("GenerateContentResponse.UsageMetadata", "responseTokensDetails"),
            ("Model", "supportedActions"),
            ("Video", "videoBytes"),
            ("Video", "mimeType"),
            ("FileSearch.RetrievalConfig", "latLng"),
            ("FileSearch.RetrievalConfig", "languageCode"),
        ],
    ),
    (
        "of Google Cloud alone, though the column does not say so",
        &[
            ("ContentEmbedding", "statistics"),
            ("EmbedContentResponse", "metadata"),
            ("GenerationConfig", "modelSelectionConfig"),
            ("Model", "endpoints"),
            ("Model", "labels"),
            ("Model", "tunedModelInfo"),
            ("Model", "defaultCheckpointId"),
            ("Model", "checkpoints"),
            ("TunedModel", "model"),
            ("TunedModel", "endpoint"),
            ("TunedModel", "checkpoints"),
        ],
    ),
];

#[test]
#[ignore = "needs the shared test data"]
fn every_field_of_googles_client_is_typed_or_left_out_for_a_reason() {
    let table = std::fs::read_to_string(shared().join("facts/rest_only_fields.tsv"));
    let (table, pool) = (table.expect("a table"), pool());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut missing = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (version, message, name) = (columns[0], columns[2], columns[3]);
        let name_in_overlay = format!("overlay.{version}.{message}");
        let typed = pool.get_message_by_name(&name_in_overlay);
        let what = if typed.is_some_and(|of| of.get_field_by_json_name(name).is_some()) {
            "typed"
        } else if columns.get(5) == Some(&"vertex") {
            "of Google Cloud alone"
        } else {
            let reason = LEFT_OUT.iter().find(|(_, rows)| {
                rows.iter().any(|(of, field)| (*of == "*" || *of == message) && *field == name)
            });
            reason.map_or("missing", |reason| reason.0)
        };
        if what == "missing" {
            missing.push(format!("{version} {message} {name}"));
        }
        *counts.entry(format!("{version}: {what}")).or_default() += 1;
    }
    for (what, count) in &counts {
        println!("{count:5} {what}");
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert_eq!(counts.values().sum::<usize>(), 223, "the table is not whole");
}

fn pool() -> DescriptorPool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([root]).expect("a folder of protos");
    compiler.open_file("overlay/v1.proto").expect("a proto");
    compiler.descriptor_pool()
}
