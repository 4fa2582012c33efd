//! Table: the outcomes as the rows of `docs/faults.md`, and whether it tells them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use genai_bridge::emulator::Fault;
use genai_bridge::{Delivery, SymptomKind};

use super::{Case, Connection, Seen};

/// Whose carriers the calls of a table went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Ours,
    Theirs,
}

/// The page is written by two tests.
static PAGE: Mutex<()> = Mutex::new(());

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")
}

/// The two sections of the page: all up to the second title, and the rest.
fn sections() -> [String; 2] {
    let page = std::fs::read_to_string(path()).expect("a page");
    let (ours, theirs) = page.split_once(TITLE).expect("two sections");
    [ours.to_owned(), format!("{TITLE}{theirs}")]
}

/// Compares what was seen with the page, or writes it there.
pub(super) fn hold_true(part: Part, seen: &[(Case, Seen)]) {
    let _page = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sections = sections();
    let section = &mut sections[part as usize];
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let head = section.split("\n| fault").next().expect("a head");
        let end = if part == Part::Ours { "\n" } else { "" };
        *section = format!("{head}\n{}{end}", table_of(seen));
        std::fs::write(path(), sections.concat()).expect("written");
        return;
    }
    let wrong: Vec<String> = match part {
        Part::Ours => lines_of(seen)
            .into_iter()
            .filter(|line| !section.lines().any(|told| line.fits(told)))
            .map(|line| line.to_string())
            .collect(),
        // Where no connection can be watched, time decides what comes after the first failure.
        Part::Theirs => seen
            .iter()
            .filter(|((_, connection, _), _)| *connection == Connection::Fresh)
            .flat_map(|case| lines_of(std::slice::from_ref(case)))
            .filter(|line| !section.lines().any(|told| line.ends_as(told)))
            .map(|line| line.to_string())
            .collect(),
    };
    assert!(wrong.is_empty(), "docs/faults.md does not tell:\n{}", wrong.join("\n"));
}

/// The calls of the second table that fare otherwise than in the first: in anything but the name of
/// the symptom, and in that alone.
pub(super) fn differences(seen: &[(Case, Seen)]) -> (Vec<String>, usize) {
    let ours = &sections()[0];
    let (mut otherwise, mut renamed) = (Vec::new(), 0);
    for (case, seen) in seen {
        let alone = lines_of(&[(*case, seen.clone())]);
        let line = alone.first().expect("one line");
        let told = ours.lines().filter(|told| line.is_of(told));
        if told.clone().any(|told| line.fits(told)) {
            continue;
        }
        if told.clone().any(|told| line.fits_but_for_symptom(told)) {
            renamed += 1;
        } else {
            otherwise.push(line.to_string());
        }
    }
    (otherwise, renamed)
}

const LATE: &str = "DeadlineExceeded";
const TITLE: &str = "## Over carriers of the program's own";

/// A row of the table: the calls that fared alike.
pub(super) struct Line {
    fault: Fault,
    calls: String,
    seen: Seen,
}

impl Line {
    /// Whether the row as told is of these calls.
    fn is_of(&self, told: &str) -> bool {
        let Some([fault, calls, ..]) = cells(told) else { return false };
        fault == self.fault.name()
            && self.calls.split(", ").all(|call| calls.split(", ").any(|told| told == call))
    }

    /// Whether the row as told is this one; of its symptoms each may occur.
    fn fits(&self, told: &str) -> bool {
        let Some([.., symptoms, _, _]) = cells(told) else { return false };
        let told_symptoms: BTreeSet<&str> = symptoms.split(" or ").collect();
        let kinds = self.seen.symptoms.iter().map(String::as_str);
        self.fits_but_for_symptom(told)
            && (kinds.clone().all(|kind| told_symptoms.contains(kind))
                && (symptoms.is_empty() || kinds.count() > 0))
            && is_one_class(&told_symptoms)
    }

    /// Whether the call was carried as the row tells, and seen by the service as often. Where time
    /// runs out a call goes over REST, and at its deadline it ends wherever it is.
    fn ends_as(&self, told: &str) -> bool {
        let Some([_, _, transport, _, processed, symptoms, ..]) = cells(told) else { return false };
        let is_late = symptoms == LATE || self.seen.symptoms.contains(LATE);
        let is_carried = transport == self.seen.transport
            || (transport == "gRPC" && self.seen.transport == "REST");
        let is_the_same = is_carried && processed == self.seen.processed.to_string();
        self.is_of(told) && (is_the_same || is_late)
    }

    fn fits_but_for_symptom(&self, told: &str) -> bool {
        let Some([_, _, transport, attempts, processed, _, next, state]) = cells(told) else {
            return false;
        };
        self.is_of(told)
            && transport == self.seen.transport
            && attempts == self.seen.attempts.to_string()
            && processed == self.seen.processed.to_string()
            && next == self.seen.next
            && state == self.seen.state
    }
}

fn cells(row: &str) -> Option<[&str; 8]> {
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    cells.get(1..9)?.try_into().ok().filter(|_| cells.len() == 10)
}

/// Symptoms of one fault that race must prove the same, and be few.
fn is_one_class(told: &BTreeSet<&str>) -> bool {
    let delivery = |name: &str| {
        let kind = SymptomKind::ALL.iter().find(|kind| format!("{kind:?}") == name);
        kind.map(|kind| kind.delivery())
    };
    let classes: Vec<Option<Delivery>> = told.iter().map(|name| delivery(name)).collect();
    told.len() <= 3 && classes.windows(2).all(|pair| pair[0] == pair[1])
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fault, calls, seen } = self;
        let symptoms = seen.symptoms.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
        let Seen { transport, attempts, processed, next, state, .. } = seen;
        write!(
            f,
            "| {fault} | {calls} | {transport} | {attempts} | {processed} | {symptoms} | {next} | {state} |"
        )
    }
}

fn lines_of(seen: &[(Case, Seen)]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for ((fault, connection, shape), seen) in seen {
        let call = format!("{connection:?} {shape:?}").to_lowercase();
        match lines.iter_mut().find(|line| line.fault == *fault && line.seen == *seen) {
            Some(line) => line.calls = format!("{}, {call}", line.calls),
            None => lines.push(Line { fault: *fault, calls: call, seen: seen.clone() }),
        }
    }
    lines
}

fn table_of(seen: &[(Case, Seen)]) -> String {
    let mut table = String::from(
        "| fault | calls | carried by | attempts | seen by the service | symptom | next call | settles on |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for line in lines_of(seen) {
        writeln!(table, "{line}").expect("a string");
    }
    table
}
