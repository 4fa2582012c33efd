//! The tree is the way a call takes: a module uses only those before it, and no files use each
//! other.

mod circles;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use circles::circles;
use tree::Tree;

/// The import order of ARCHITECTURE.md: a module uses only those before it.
const ORDER: &[&str] = &[
    "symptom",
    "error",
    "bridge/options",
    "network",
    "credentials",
    "proto",
    "emulator",
    "schema",
    "json",
    "overlay",
    "call",
    "dialect",
    "fallback",
    "transport/carrier/http2",
    "transport/carrier/http1",
    "transport/carrier",
    "transport/grpc",
    "transport/rest",
    "transport",
    "gemini",
    "probe",
    "retry",
    "bridge/stats",
    "carry",
    "bridge",
    "fuzz",
    "doctor",
    "guide",
    "sidecar",
    "cli",
    "main",
];

/// Uses that the order would allow, and the reason why they are wrong.
const NEVER: &[(&str, &str, &str)] = &[
    ("transport/rest", "transport/grpc", "the transports never meet"),
    ("transport/carrier/http1", "transport/carrier/http2", "the carriers never meet"),
    ("emulator", "symptom", ORACLE),
    ("emulator", "error", ORACLE),
    ("emulator", "network", ORACLE),
];
const ORACLE: &str = "the emulator is an oracle";

/// The only files that may use each other: TLS to the service runs within TLS to a proxy.
const CIRCLES: &[&[&str]] = &[&["network/io.rs", "network/tls.rs"]];

/// Files without IO, clock, environment or spawn.
const PURE: &[&str] = &[
    "json",
    "schema",
    "call/frame",
    "transport/rest/split",
    "transport/rest/answer/status",
    "fallback/state",
    "fallback/resend",
    "fallback/methods",
    "call/author",
    "probe/liveness/inquiry",
    "transport/carrier/http2/frames",
    "transport/carrier/http2/traffic",
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
    ("tonic::transport", &["transport/carrier/foreign/"]),
    ("reqwest::", &["transport/carrier/foreign/"]),
    ("h2::client", &["transport/carrier/http2/", "doctor/line"]),
    ("tokio_rustls", &["network/tls", "network/connector", "network/mod", "sidecar/"]),
    ("wide::", &["json/block"]),
    (
        "std::env",
        &["network/proxy", "network/trust_store", "credentials/adc", "bridge/builder", "cli/"],
    ),
];

#[test]
fn modules_use_only_those_before_them() {
    let found = uses_against_order(sources());
    assert!(found.is_empty(), "these stand later in the order: {found:#?}");
}

#[test]
fn what_must_never_meet_does_not() {
    assert_eq!(forbidden_uses(sources()), Vec::<String>::new());
}

#[test]
fn no_files_use_each_other_but_tls_within_tls() {
    let (new, gone) = compare_circles(&circles(sources()), CIRCLES);
    assert!(new.is_empty(), "these use each other: {new:#?}");
    assert!(gone.is_empty(), "these circles are gone: strike them out: {gone:#?}");
}

#[test]
fn each_file_has_its_room() {
    assert_eq!(homeless(sources()), Vec::<String>::new());
}

#[test]
fn pure_files_stay_pure() {
    let sources = sources();
    let pure: Vec<&str> =
        sources.files().filter(|file| PURE.iter().any(|path| is_in(file, path))).collect();
    assert!(pure.len() >= PURE.len());
    for file in pure {
        for name in sources.names(file) {
            let impure = IMPURE.iter().any(|word| name.contains(word));
            assert!(!impure, "{file} names {name}");
        }
    }
}

#[test]
fn outside_things_have_one_owner() {
    let sources = sources();
    for file in sources.files().filter(|file| !is_in(file, "emulator")) {
        for name in sources.names(file) {
            for (thing, owners) in OWNERS {
                let is_owner = owners.iter().any(|owner| file.starts_with(owner));
                assert!(is_owner || !name.contains(thing), "{file} names {name}");
            }
        }
    }
}

fn sources() -> &'static Tree {
    static SOURCES: LazyLock<Tree> =
        LazyLock::new(|| Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    &SOURCES
}

fn is_in(file: &str, path: &str) -> bool {
    file.strip_prefix(path).is_some_and(|rest| rest.starts_with(['/', '.']))
}

/// Where a file stands in the order: the longest path that it is in counts.
fn place(file: &str) -> Option<usize> {
    let paths = ORDER.iter().enumerate().filter(|(_, path)| is_in(file, path));
    paths.max_by_key(|(_, path)| path.len()).map(|(place, _)| place)
}

fn uses_against_order(tree: &Tree) -> BTreeSet<(String, String)> {
    let uses =
        tree.files().flat_map(|file| tree.uses(file).into_iter().map(move |used| (file, used)));
    let wrong = uses.filter(|(file, used)| *file != "lib.rs" && place(used) > place(file));
    wrong.map(|(file, used)| (file.to_owned(), used)).collect()
}

fn forbidden_uses(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.files() {
        for used in tree.uses(file) {
            let broken = NEVER.iter().find(|(from, to, _)| is_in(file, from) && is_in(&used, to));
            found.extend(broken.map(|(_, _, why)| format!("{file} uses {used}: {why}")));
        }
    }
    found
}

/// The circles that are in no listed one, and the listed ones of which nothing is left.
fn compare_circles(
    found: &[BTreeSet<String>],
    listed: &[&[&str]],
) -> (Vec<BTreeSet<String>>, Vec<Vec<String>>) {
    let is_within = |circle: &BTreeSet<String>, listed: &[&str]| {
        circle.iter().all(|file| listed.contains(&file.as_str()))
    };
    let is_new =
        |circle: &&BTreeSet<String>| !listed.iter().any(|listed| is_within(circle, listed));
    let is_gone = |listed: &&&[&str]| !found.iter().any(|circle| is_within(circle, listed));
    let named = |listed: &&[&str]| listed.iter().map(ToString::to_string).collect();
    (
        found.iter().filter(is_new).cloned().collect(),
        listed.iter().filter(is_gone).map(named).collect(),
    )
}

/// Files that no module declares, that stand at the root, or whose module has no place in the
/// order.
fn homeless(tree: &Tree) -> Vec<String> {
    let strays = tree.strays().into_iter().map(|file| format!("{file}: no module declares it"));
    let at_root = |file: &&str| !file.contains('/') && !ROOT.contains(file);
    let at_root = tree.files().filter(at_root).map(|file| format!("{file}: it needs a room"));
    let unknown = |file: &&str| *file != "lib.rs" && place(file).is_none();
    let unknown = tree.files().filter(unknown).map(|file| format!("{file}: not in the order"));
    strays.chain(at_root).chain(unknown).collect()
}

/// The files that need no room.
const ROOT: &[&str] = &["lib.rs", "error.rs", "main.rs"];

/// Faults planted in a small tree, each of which must be found.
mod planted {
    use super::*;

    const LIB: &str = "mod error; mod network; mod transport; pub use network::Network;";
    const TRANSPORT: &str = "pub mod rest;";

    fn tree(network: &str, rest: &str) -> Tree {
        Tree::of([
            ("lib.rs", LIB),
            ("error.rs", "pub struct Error;"),
            ("network/mod.rs", network),
            ("network/tls.rs", "use super::Network; pub struct Tls;"),
            ("transport/mod.rs", TRANSPORT),
            ("transport/rest/mod.rs", rest),
        ])
    }

    fn against_order(network: &str) -> Vec<String> {
        let found = uses_against_order(&tree(network, "pub struct RestTransport;"));
        found.into_iter().map(|(user, used)| format!("{user} uses {used}")).collect()
    }

    const FOUND: &str = "network/mod.rs uses transport/rest/mod.rs";

    #[test]
    fn a_use_in_order_is_no_fault() {
        let tree = tree("pub struct Network;", "use crate::error::Error; use crate::Network;");
        assert!(uses_against_order(&tree).is_empty());
        assert_eq!(tree.uses("transport/rest/mod.rs").len(), 2);
    }

    #[test]
    fn a_use_against_the_order_is_found_wherever_it_stands() {
        for code in [
            "#[cfg(test)] mod tests; use crate::transport::rest::RestTransport as Probe;",
            "#[cfg(test)] mod tests { fn f() { \"}\"; } } fn g() { crate::transport::rest::f(); }",
            "use crate::{error::Error, transport::rest::{self, RestTransport}};",
            "fn f() { use super::transport::rest; }",
            "mod inner { use super::super::transport::rest::RestTransport; }",
            "fn f() { vec![crate::transport::rest::RestTransport]; }",
            "struct Network { a: Option<crate::transport::rest::RestTransport> }",
            "macro_rules! m { () => { $crate::transport::rest::f() } }",
        ] {
            assert_eq!(against_order(code), [FOUND], "{code}");
        }
    }

    #[test]
    fn what_only_tests_or_comments_name_is_no_fault() {
        for code in [
            "#[cfg(test)] mod tests { use crate::transport::rest::RestTransport; }",
            "#[cfg(test)] use crate::transport::rest::RestTransport;",
            "#[cfg(test)] impl Network { fn f() { crate::transport::rest::f() } }",
            "impl Network { #[cfg(test)] fn f() { crate::transport::rest::f() } }",
            "// crate::transport::rest\n/// [`a`](crate::transport::rest)\nstruct Network;",
            "const A: &str = \"crate::transport::rest\";",
            "pub(in crate::transport::rest) struct Network;",
        ] {
            assert_eq!(against_order(code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn two_files_that_use_each_other_are_found() {
        let closed = tree("mod tls; use tls::Tls; pub struct Network;", "");
        let found = circles(&closed);
        let circle = ["network/mod.rs", "network/tls.rs"];
        assert_eq!(found, [BTreeSet::from(circle.map(str::to_owned))]);
        assert_eq!(compare_circles(&found, &[]).0.len(), 1);
        assert_eq!(compare_circles(&found, &[&circle]), (Vec::new(), Vec::new()));
        let open = tree("mod tls; pub struct Network;", "");
        let (new, gone) = compare_circles(&circles(&open), &[&circle]);
        assert_eq!((new.len(), gone.len()), (0, 1));
    }

    #[test]
    fn a_file_without_a_room_is_found() {
        let tree = Tree::of([
            ("lib.rs", "mod attempts; mod error; mod attic; #[cfg(test)] mod tests;"),
            ("attempts.rs", ""),
            ("error.rs", ""),
            ("attic/mod.rs", ""),
            ("network/tls.rs", ""),
            ("tests.rs", ""),
        ]);
        let expected = [
            "network/tls.rs: no module declares it",
            "attempts.rs: it needs a room",
            "attempts.rs: not in the order",
            "attic/mod.rs: not in the order",
        ];
        assert_eq!(homeless(&tree), expected);
    }
}
