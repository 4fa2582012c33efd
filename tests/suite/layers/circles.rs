//! Circles: files that use each other, directly or by way of others.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Tree;

/// Each circle as the files in it.
pub(super) fn circles(tree: &Tree) -> Vec<BTreeSet<String>> {
    let uses: BTreeMap<&str, BTreeSet<String>> =
        tree.files().map(|file| (file, tree.uses(file))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reach(file, &uses))).collect();
    let mut circles = BTreeSet::new();
    for (file, found) in &reached {
        if found.contains(file) {
            let circle = found.iter().filter(|other| reached[**other].contains(file));
            circles.insert(circle.map(ToString::to_string).collect());
        }
    }
    circles.into_iter().collect()
}

/// All files that one uses, and those that these use.
fn reach<'a>(from: &str, uses: &'a BTreeMap<&str, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = uses[from].iter().map(String::as_str).collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(uses[file].iter().map(String::as_str));
        }
    }
    found
}
