//! The project's tables of facts are those of the shared folder, row by row, in the columns that
//! they keep.

use std::fs;

use crate::shared;

/// Each table of the shared folder, and the project's.
const TABLES: &[(&str, &str)] = &[
    ("generativelanguage_v1.tsv", include_str!("../data/facts/v1.tsv")),
    ("generativelanguage_v1beta.tsv", include_str!("../data/facts/v1beta.tsv")),
    ("shared_deps.tsv", include_str!("../data/facts/shared.tsv")),
];

/// The columns kept of each kind of row: file names, imports and counts say nothing about the API.
const KEPT: &[(&str, &[usize])] = &[
    ("service", &[1, 3, 5]),
    ("method", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
    ("message", &[1, 4, 5]),
    ("oneof", &[1, 2, 3]),
    ("field", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ("enum", &[1, 4]),
    ("enumvalue", &[1, 2, 3, 4]),
    ("extension", &[1, 2, 3, 4, 5]),
];

#[test]
#[ignore = "needs the shared test data"]
fn the_facts_are_those_of_the_shared_folder() {
    for (name, ours) in TABLES {
        let theirs = fs::read_to_string(shared().join("facts").join(name)).expect("a table");
        let theirs: Vec<String> = theirs.lines().filter_map(kept_columns).collect();
        let is_row = |line: &&str| !line.starts_with('#') && !line.is_empty();
        let ours: Vec<&str> = ours.lines().filter(is_row).collect();
        println!("{name}: {} rows", ours.len());
        assert!(ours == theirs, "{name} differs");
    }
}

/// `google.protobuf` is left out: it comes with the compiler.
fn kept_columns(line: &str) -> Option<String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let (kind, kept) = KEPT.iter().find(|(kind, _)| *kind == columns[0])?;
    if columns[1].starts_with("google.protobuf.") {
        return None;
    }
    let kept = kept.iter().map(|at| columns.get(*at).copied().unwrap_or_default());
    let row = std::iter::once(*kind).chain(kept).collect::<Vec<_>>().join("\t");
    Some(row.trim_end_matches('\t').to_owned())
}
