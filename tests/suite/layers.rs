//! The tree is the way a call takes: a module uses only those to its left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The import order of ARCHITECTURE.md; modules of one group may use each other.
const GROUPS: &[&[&str]] = &[
    &["symptom", "error"],
    &["proto", "call/frame", "bridge/options", "schema", "network"],
    &["json", "call", "credentials"],
    &["dialect"],
    &["fallback"],
    &["transport/carrier/http2"],
    &["transport/carrier/http1"],
    &["transport/grpc"],
    &["transport/rest"],
    &["transport/carrier", "transport"],
    &["gemini"],
    &["probe", "retry", "bridge/stats", "carry", "bridge", "fuzz"],
    &["doctor", "guide", "sidecar"],
    &["main", "cli"],
];

/// Uses that the groups would allow or forbid wrongly, with the reason.
const NEVER: &[(&str, &str, &str)] = &[
    ("transport/rest", "transport/grpc", "the transports never meet"),
    ("network", "fallback", "how bytes travel knows nothing of transports"),
    ("emulator", "transport", "the emulator is an oracle"),
    ("emulator", "json", "the emulator is an oracle"),
    ("emulator", "network", "the emulator is an oracle"),
];

/// What the emulator may use.
const EMULATOR_USES: &[&str] = &["emulator", "proto", "rpc", "v1", "v1beta", "longrunning"];

/// Files without IO, clock, environment or spawn.
const PURE: &[&str] = &[
    "json",
    "schema",
    "call/frame",
    "transport/rest/events",
    "transport/rest/answer/status",
    "fallback/state",
    "fallback/verdict",
    "fallback/course",
    "retry/backoff",
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
    ("client::legacy", &["transport/carrier/http1/"]),
    ("tonic::transport", &[]),
    ("h2::client", &["transport/carrier/http2/", "doctor/service"]),
    ("tokio_rustls", &["network/tls", "network/connector", "network/mod", "sidecar/"]),
    ("wide::", &["json/block"]),
    ("std::env", &["network/proxy", "credentials/adc", "bridge/builder", "cli/"]),
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
    for source in sources().iter().filter(|source| !is_below(&source.module, "emulator")) {
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
    assert!(import_faults(&source("transport/rest", "use crate::network::Network;")).is_empty());
    assert_eq!(
        import_faults(&source("network", "use crate::transport::rest::RestTransport;")).len(),
        1
    );
    assert_eq!(import_faults(&source("transport/grpc", "crate::transport::rest::x()")).len(), 1);
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

fn is_below(module: &str, room: &str) -> bool {
    module.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn import_faults(source: &Source) -> Vec<String> {
    let fault = |used: &str, why: &str| format!("{} uses {used}: {why}", source.path);
    let Some(own) = group(&source.module) else {
        let is_emulator = is_below(&source.module, "emulator");
        let known = is_emulator || source.module == "lib";
        let mut faults = if known {
            vec![]
        } else {
            vec![fault("nothing", "its place in the order is unknown")]
        };
        if is_emulator {
            let foreign = uses(&source.code)
                .into_iter()
                .filter(|used| !EMULATOR_USES.iter().any(|room| is_below(used, room)));
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
            if is_below(&source.module, from) && is_below(&used, to) {
                faults.push(fault(&used, why));
            }
        }
    }
    faults
}

/// The group that names the module or, else, the folder it is in.
fn group(module: &str) -> Option<usize> {
    let position = GROUPS.iter().position(|group| group.contains(&module));
    position.or_else(|| group(module.rsplit_once('/')?.0))
}

/// The modules that `crate::…` paths in the code name.
fn uses(code: &str) -> BTreeSet<String> {
    let names = code.split("crate::").skip(1).map(|rest| {
        let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let path = rest.split(|c| !is_path(c)).next().unwrap_or_default();
        let is_module = |name: &&str| name.starts_with(|c: char| c.is_ascii_lowercase());
        path.split("::").take_while(is_module).collect::<Vec<_>>().join("/")
    });
    names.filter(|name| !name.is_empty()).collect()
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
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    Source {
        module,
        code: if is_test { String::new() } else { code.collect::<Vec<_>>().join("\n") },
        path,
    }
}
