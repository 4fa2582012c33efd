//! The overlay (`proto/overlay`) beside the published protos: it repeats nothing of them, each of
//! its fields is marked, and its numbers are of a block of their own.

use std::collections::BTreeSet;
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, MessageDescriptor};

/// Each published table, its package, and the package of what is added to it.
const VERSIONS: [(&str, &str, &str); 2] = [
    (include_str!("../data/facts/v1.tsv"), "google.ai.generativelanguage.v1", "overlay.v1"),
    (
        include_str!("../data/facts/v1beta.tsv"),
        "google.ai.generativelanguage.v1beta",
        "overlay.v1beta",
    ),
];

const FIELDS: std::ops::Range<u32> = 266_000_001..266_000_384;
const VALUES: std::ops::Range<i32> = 2_128_000_001..2_128_003_072;

/// Once a name is published, its entry in the overlay goes: one name must not have two numbers.
#[test]
fn the_overlay_adds_only_what_is_not_published() {
    let pool = pool();
    let mut added = 0;
    for (table, package, overlay) in VERSIONS {
        let published = Published::read(table);
        for message in pool.all_messages().filter(|of| of.package_name() == overlay) {
            let name = message.full_name().replacen(overlay, package, 1);
            if !published.messages.contains(&name) {
                // A message of the overlay's own has ordinary numbers: what leads to it is marked.
                assert!(message.fields().all(|field| field.number() < 1000), "{name}");
                continue;
            }
            added += fields_added(&pool, &message, &name, &published);
        }
        for of in pool.all_enums().filter(|of| of.package_name() == overlay) {
            let name = of.full_name().replacen(overlay, package, 1);
            if published.enums.contains(&name) {
                added += values_added(&pool, &of, &name, &published);
            }
        }
    }
    assert!(added > 150, "{added}");
}

fn fields_added(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
    name: &str,
    published: &Published<'_>,
) -> usize {
    for field in message.fields() {
        let whole = format!("{name}.{}", field.name());
        assert!(!published.fields.contains(&(name, field.name())), "{whole} is published");
        assert!(FIELDS.contains(&field.number()), "{whole} has a number of the published ones");
        assert!(is_marked(pool, &field.options(), "rest_only"), "{whole} is not marked");
    }
    message.fields().len()
}

fn values_added(
    pool: &DescriptorPool,
    of: &EnumDescriptor,
    name: &str,
    published: &Published<'_>,
) -> usize {
    let values: Vec<_> = of.values().filter(|value| value.number() != 0).collect();
    for value in &values {
        let whole = format!("{name}.{}", value.name());
        assert!(!published.values.contains(&(name, value.name())), "{whole} is published");
        assert!(VALUES.contains(&value.number()), "{whole} has a number of the published ones");
        assert!(is_marked(pool, &value.options(), "rest_only_value"), "{whole} is not marked");
    }
    values.len()
}

fn is_marked(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> bool {
    let mark = pool.get_extension_by_name(&format!("genai_bridge.{name}")).expect("the option");
    matches!(options.get_extension(&mark).as_enum_number(), Some(1 | 2))
}

/// The names in a table of facts.
struct Published<'a> {
    messages: BTreeSet<String>,
    enums: BTreeSet<String>,
    fields: BTreeSet<(&'a str, &'a str)>,
    values: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Published<'a> {
    fn read(table: &'a str) -> Self {
        let rows = |kind: &'a str| {
            let rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
            rows.filter(move |row| row[0] == kind)
        };
        Self {
            messages: rows("message").map(|row| row[1].to_owned()).collect(),
            enums: rows("enum").map(|row| row[1].to_owned()).collect(),
            fields: rows("field").map(|row| (row[1], row[2])).collect(),
            values: rows("enumvalue").map(|row| (row[1], row[2])).collect(),
        }
    }
}

/// The published protos and the overlay, each in packages of its own.
fn pool() -> DescriptorPool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([root]).expect("a folder of protos");
    let files = ["v1", "v1beta/answer", "v1beta/content", "v1beta/generation"];
    for file in files {
        compiler.open_file(format!("overlay/{file}.proto")).expect("a proto");
    }
    compiler.descriptor_pool()
}
