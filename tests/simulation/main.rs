//! Simulation: the real bridge, the real emulator and hostile proxies on a simulated network, on
//! one thread and on virtual time. A seed draws a world: topology, weather, the service's moods,
//! callers, options. What must hold of each run is told by `model`.
//!
//! - `SIMULATION_SEEDS=0..20000 cargo test --all-features --test simulation seeds` runs these
//!   seeds; the default is few.
//! - `SIMULATION_SEED=17 cargo test --all-features --test simulation one -- --nocapture` tells all
//!   about one.
//! - `SIMULATION_THREADS` says on how many threads; `SIMULATION_LOGS=FOLDER` keeps the log of each
//!   seed, to be compared with that of another build.
//!
//! Nothing but the seed decides: no socket, no thread, no clock but tokio's paused one, no random
//! start of a `select!` (each of the bridge's on the way of a call has an order). Plaintext, since
//! keys of TLS cannot be seeded: faults of TLS are the matrix' business. A world that fails is made
//! smaller before it is told.
//!
//! `tests/simulation/plant` breaks the deciding code on purpose, in the ways of `planted.tsv`, and
//! tells how soon each is found. `tests/simulation/replay` compares the logs of two builds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells what it saw"
)]
#![allow(unreachable_pub, missing_docs, reason = "nobody uses a test")]

mod arrival;
mod callers;
mod draw;
mod hosts;
mod kinds;
mod log;
mod model;
mod named;
mod network;
mod random;
mod run;
mod service;
mod setting;
mod shrink;
mod verdicts;
mod weather;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use genai_bridge::SymptomKind;
use tokio::time::Instant;

use crate::model::violations;
use crate::named::named;
use crate::run::{Record, run};
use crate::shrink::shrink;
use crate::world::{World, faults};

/// What was seen in many worlds.
#[derive(Default)]
struct Tally {
    worlds: u64,
    calls: usize,
    completed: usize,
    symptoms: BTreeMap<&'static str, u64>,
    /// What proxies did, at the start or later.
    faults: BTreeMap<&'static str, u64>,
    broken: Vec<(u64, Vec<String>)>,
}

impl Tally {
    fn add(&mut self, world: &World, record: &Record, found: Vec<String>) {
        self.worlds += 1;
        self.calls += record.outcomes.len() + record.healed.len();
        self.completed += record.completed();
        for kind in SymptomKind::ALL {
            *self.symptoms.entry(kind.name()).or_default() += record.stats.symptoms(*kind);
        }
        for fault in faults() {
            *self.faults.entry(fault.name()).or_default() += world.times_of(fault);
        }
        if !found.is_empty() {
            self.broken.push((world.seed, found));
        }
    }

    fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    fn tell(&self) {
        println!("{} worlds, {} calls, {} complete", self.worlds, self.calls, self.completed);
        for (name, count) in &self.symptoms {
            println!("{name:>32} {count}");
        }
        let rarest = self.faults.iter().min_by_key(|(_, count)| **count);
        println!("{} faults of proxies, the rarest {rarest:?}", self.faults.len());
    }
}

fn seeds() -> Range<u64> {
    let text = std::env::var("SIMULATION_SEEDS").unwrap_or("0..60".to_owned());
    let (from, to) = text.split_once("..").expect("SIMULATION_SEEDS=from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

/// Whether the first world that is broken is enough: where faults are planted, to see how soon they
/// are found.
fn stops() -> bool {
    std::env::var_os("SIMULATION_STOPS").is_some()
}

/// Runs these seeds on as many threads as there are processors: each world is on one.
fn run_all(seeds: Range<u64>) -> Tally {
    let (next, tally) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()));
    let running = Mutex::new(BTreeMap::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds.end || (stops() && tally.lock().expect("no panic").is_broken()) {
            return;
        }
        running.lock().expect("no panic").insert(seed, Instant::now());
        let world = World::draw(seed);
        let record = run(&world);
        if let Some(folder) = std::env::var_os("SIMULATION_LOGS") {
            fs::write(Path::new(&folder).join(seed.to_string()), &record.log).expect("a file");
        }
        let found = violations(&world, &record);
        tally.lock().expect("no panic").add(&world, &record, found);
        running.lock().expect("no panic").remove(&seed);
    };
    let threads = std::env::var("SIMULATION_THREADS").ok().and_then(|text| text.parse().ok());
    let all = || thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(all);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| end_the_endless(&running, &is_over, &next));
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        watching.thread().unpark();
        assert!(ended.iter().all(Result::is_ok), "a world panicked");
    });
    tally.into_inner().expect("no panic")
}

/// Tells of a world that goes round in circles, and ends the program: nothing else would end it.
fn end_the_endless(
    running: &Mutex<BTreeMap<u64, Instant>>,
    is_over: &AtomicBool,
    next: &AtomicU64,
) {
    let limit = Duration::from_secs(if stops() { 30 } else { 600 });
    while !is_over.load(Ordering::Relaxed) {
        thread::park_timeout(Duration::from_secs(1));
        let running = running.lock().expect("no panic");
        let endless = running.iter().find(|(_, began)| began.elapsed() > limit);
        if let Some((seed, _)) = endless {
            let worlds = next.load(Ordering::Relaxed);
            println!("found after {worlds} worlds: seed {seed}: is not over after {limit:?}");
            exit(i32::from(!stops()));
        }
    }
}

#[test]
fn seeds_hold() {
    let mut tally = run_all(seeds());
    tally.tell();
    tally.broken.sort();
    for (seed, found) in &tally.broken {
        println!("seed {seed}: {}", found.join("; "));
    }
    if let Some((seed, found)) = tally.broken.first().filter(|_| stops()) {
        println!("found after {} worlds: seed {seed}: {}", tally.worlds, found[0]);
        return;
    }
    if let Some((seed, found)) = tally.broken.first() {
        let (smallest, found) = shrink(&World::draw(*seed), found);
        panic!(
            "{} worlds are broken; the first one made small: {smallest:#?}\n{found:#?}",
            tally.broken.len()
        );
    }
}

#[test]
fn worlds_that_showed_a_fault_hold() {
    for (name, world) in named() {
        let found = violations(&world, &run(&world));
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

/// All about the seed in `SIMULATION_SEED`.
#[test]
fn one_seed_tells_all() {
    let Ok(seed) = std::env::var("SIMULATION_SEED") else { return };
    let world = World::draw(seed.parse().expect("a number"));
    let record = run(&world);
    println!("{world:#?}\n{}", record.log);
    let found = violations(&world, &record);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_seed_brings_the_same_run_again() {
    for seed in 0..20 {
        let world = World::draw(seed);
        let first = run(&world).log;
        let again = run(&world).log;
        let differs = first.lines().zip(again.lines()).enumerate().find(|(_, (a, b))| a != b);
        assert!(differs.is_none() && first.len() == again.len(), "seed {seed}: {differs:?}");
    }
}

#[test]
fn a_seed_brings_the_same_run_again_in_another_process() {
    for seed in [3_u64, 5, 8] {
        let mut again = Command::new(std::env::current_exe().expect("this program"));
        again.args(["--exact", "one_seed_tells_all", "--nocapture"]);
        let again = again.env("SIMULATION_SEED", seed.to_string()).output().expect("a process");
        let log = run(&World::draw(seed)).log;
        let told = String::from_utf8_lossy(&again.stdout);
        assert!(log.len() > 100 && told.contains(&log), "seed {seed}");
    }
}
