//! The tree is the way a call takes: a module uses only those to its left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The import order of ARCHITECTURE.md; modules of one group may use each other.
const GROUPS: &[&[&str]] = &[
    &["symptom", "error"],
    &["proto", "frame", "policy", "schema"],
    &["json", "call", "credentials"],
    &["network", "fallback"],
    &["grpc", "rest"],
    &["gemini"],
    &["proof", "retries", "stats", "vigil", "attempts", "bridge", "watched", "builder", "fuzz"],
    &["doctor", "sidecar"],
    &["main", "cli"],
];

/// Uses that the groups would allow or forbid wrongly, with the reason.
const NEVER: &[(&str, &str, &str)] = &[
    ("grpc", "rest", "the transports never meet"),
    ("rest", "grpc", "the transports never meet"),
    ("network", "fallback", "how bytes travel knows nothing of transports"),
    ("emulator", "grpc", "the emulator is an oracle"),
    ("emulator", "rest", "the emulator is an oracle"),
    ("emulator", "json", "the emulator is an oracle"),
    ("emulator", "network", "the emulator is an oracle"),
];

/// What the emulator may use.
const EMULATOR_USES: &[&str] = &["proto", "rpc", "v1", "v1beta", "longrunning"];

/// Files without IO, clock, environment or spawn.
const PURE: &[&str] = &[
    "json",
    "schema",
    "frame",
    "rest/sse",
    "rest/array",
    "rest/status",
    "fallback/state",
    "fallback/verdict",
    "fallback/course",
    "fallback/retry",
];

/// What a pure file does not name.
const IMPURE: &[&str] = &[
    "tokio::net",
    "tokio::spawn",
    "Instant::now",
    "std::env",
    "std::fs",
    "std::net",
    "SystemTime",
];

/// Outside things and their one owner.
const OWNERS: &[(&str, &[&str])] = &[
    ("client::legacy", &["rest/client", "rest/dialler"]),
    ("tonic::transport", &[]),
    ("h2::client", &["grpc/", "doctor/service"]),
    ("tokio_rustls", &["network/tls", "network/connector", "network/mod", "sidecar/"]),
    ("wide::", &["json/block"]),
    ("std::env", &["network/proxy", "credentials/adc", "builder", "cli/"]),
];

#[test]
fn modules_use_only_those_to_their_left() {
    let faults: Vec<String> = sources().iter().flat_map(import_faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_files_stay_pure() {
    let pure = |source: &&Source| PURE.iter().any(|path| source.is_in(path));
    let sources = sources();
    assert!(sources.iter().filter(pure).count() >= PURE.len());
    for source in sources.iter().filter(pure) {
        for word in IMPURE {
            assert!(!source.code.contains(word), "{} names {word}", source.path);
        }
    }
}

#[test]
fn outside_things_have_one_owner() {
    for source in sources().iter().filter(|source| source.module != "emulator") {
        for (thing, owners) in OWNERS {
            let owned = owners.iter().any(|owner| source.path.starts_with(owner));
            assert!(owned || !source.code.contains(thing), "{} names {thing}", source.path);
        }
    }
}

#[test]
fn a_wrong_import_is_found() {
    let source = |module: &str, code: &str| Source {
        path: format!("{module}/mod.rs"),
        module: module.to_owned(),
        code: code.to_owned(),
    };
    assert!(import_faults(&source("rest", "use crate::network::Network;")).is_empty());
    assert_eq!(import_faults(&source("network", "use crate::rest::RestTransport;")).len(), 1);
    assert_eq!(import_faults(&source("grpc", "crate::rest::x()")).len(), 1);
    assert_eq!(import_faults(&source("unheard_of", "")).len(), 1);
}

/// A source file without its tests.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    module: String,
    code: String,
}

impl Source {
    fn is_in(&self, path: &str) -> bool {
        self.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(['/', '.']))
    }
}

fn import_faults(source: &Source) -> Vec<String> {
    let fault = |used: &str, why: &str| format!("{} uses {used}: {why}", source.path);
    let Some(own) = group(&source.module) else {
        let known = ["emulator", "lib"].contains(&source.module.as_str());
        let mut faults = if known {
            vec![]
        } else {
            vec![fault("nothing", "its place in the order is unknown")]
        };
        if source.module == "emulator" {
            let foreign = uses(&source.code)
                .into_iter()
                .filter(|used| used != "emulator" && !EMULATOR_USES.contains(&used.as_str()));
            faults.extend(foreign.map(|used| fault(&used, "the emulator is an oracle")));
        }
        return faults;
    };
    let mut faults = Vec::new();
    for used in uses(&source.code) {
        if group(&used).is_some_and(|place| place > own) {
            faults.push(fault(&used, "it stands to the right"));
        }
        for (from, to, why) in NEVER {
            if *from == source.module && *to == used {
                faults.push(fault(&used, why));
            }
        }
    }
    faults
}

fn group(module: &str) -> Option<usize> {
    GROUPS.iter().position(|group| group.contains(&module))
}

/// The modules that `crate::…` paths in the code name.
fn uses(code: &str) -> BTreeSet<String> {
    let names = code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "src was not found");
    files.into_iter().map(|file| read_source(&root, &file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read_source(root: &Path, file: &Path) -> Source {
    let path = file.strip_prefix(root).expect("below src").to_string_lossy().replace('\\', "/");
    let whole = fs::read_to_string(file).expect("text");
    let code = whole.split("#[cfg(test)]").next().unwrap_or_default();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let module = path.split(['/', '.']).next().unwrap_or_default().to_owned();
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    Source {
        module,
        code: if is_test { String::new() } else { code.collect::<Vec<_>>().join("\n") },
        path,
    }
}
