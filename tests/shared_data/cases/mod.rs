//! Answers of the wide world: each case of `cases/cases.jsonl`, served byte by byte, and what the
//! bridge made of it.
//!
//! Rules and format: `cases/README.md` beside the cases.

mod case;
mod judge;
mod serve;

use std::collections::{BTreeMap, BTreeSet};

use genai_bridge::Schema;

use judge::{Seen, faults_of};

#[tokio::test]
#[ignore = "needs the shared test data"]
async fn answers_of_the_wide_world_become_what_the_rules_say() {
    let schemas = Schemas::load();
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    let mut total = 0;
    for case in case::load() {
        let faults = faults_of(&case, &schemas, &Seen::of(&case, &schemas).await).await;
        let (right, of) = counts.entry(case.kind.clone()).or_default();
        *of += 1;
        total += 1;
        if faults.is_empty() {
            *right += 1;
        } else {
            println!("{}: {}\n      {}", case.id, case.what, faults.join("\n      "));
            failed.insert(case.id);
        }
    }
    for (kind, (right, of)) in &counts {
        println!("{right:5} of {of:2} {kind}");
    }
    println!("{:5} of {total} in all", total - failed.len());
    assert!(failed.is_empty(), "{failed:?}");
    assert!(total >= 77, "the cases are not whole");
}

/// The schema of the Gemini API, and that of the cases with `"call": "generic"`.
pub(super) struct Schemas {
    pub(super) gemini: Schema,
    pub(super) shop: Schema,
}

impl Schemas {
    fn load() -> Self {
        let shop = std::fs::read(crate::shared().join("cases/cases.binpb")).expect("descriptors");
        Self {
            gemini: Schema::from_descriptor_set(&crate::round_trip::compile().0).expect("a schema"),
            shop: Schema::from_descriptor_set(&shop).expect("a schema"),
        }
    }
}
