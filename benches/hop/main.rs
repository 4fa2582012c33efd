//! What a sidecar costs beside other hops: Envoy, nginx and haproxy, as far as they are installed,
//! and the floor of its own stack, which is hyper's server and client with nothing between them.
//! The first row is the service itself, without a hop.
//!
//! `cargo bench --bench hop`, after `cargo build --release --features cli` in the crate.
//! `-- NAME=BINARY ..` measures these builds of `genai-bridge` in place of that one, so that two of
//! them can be compared. Service, hop and client are processes of their own, and all speak HTTP/2
//! over TLS. Processor time is what Linux says of the hop's threads (`schedstat`), divided by
//! calls; the median of interleaved rounds.

mod client;
mod floor;
mod peers;
mod service;
mod tls;

use std::iter;
use std::process::Command;

use peers::{Hop, Place};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is measured: a name, and what the client is told: calls or streams, connections, callers on each, how many calls
/// in all, and for streams their chunks. The service waits for `wait` milliseconds.
const LOADS: [(&str, [&str; 6]); 7] = [
    ("1 caller", ["calls", "1", "1", "2000", "0", "0"]),
    ("1 x 64", ["calls", "1", "64", "12800", "0", "0"]),
    ("4 x 16", ["calls", "4", "16", "12800", "0", "0"]),
    ("64 x 1", ["calls", "64", "1", "12800", "0", "0"]),
    ("1 x 64, 50 ms", ["calls", "1", "64", "3200", "0", "50"]),
    ("4 x 64, 50 ms", ["calls", "4", "64", "12800", "0", "50"]),
    ("chunks", ["streams", "1", "8", "16", "1000", "0"]),
];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["service", port, folder] => service::serve(port, folder),
        ["floor", port, upstream, folder] => floor::serve(port, upstream, folder),
        ["client", port, folder, processes, ref load @ ..] => {
            client::load(port, folder, processes, load)
        }
        ref builds => measure(builds),
    }
}

fn measure(builds: &[&str]) -> Result<(), Failure> {
    let rounds = std::env::var("ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(7);
    let place = Place::new()?;
    let (service, hops) = place.start(builds)?;
    // Without a hop, what is measured is the service itself.
    let hops: Vec<Hop> = iter::once(service).chain(hops).collect();
    let mut found = vec![vec![Vec::new(); LOADS.len()]; hops.len()];
    for round in 0..rounds {
        let load = std::fs::read_to_string("/proc/loadavg")?;
        eprintln!("round {round}, load {}", load.split(' ').next().unwrap_or_default());
        for (at, (_, load)) in LOADS.iter().enumerate() {
            for (hop, found) in hops.iter().zip(&mut found) {
                found[at].push(run(&place, hop, load)?);
            }
        }
    }
    println!(
        "processor time of the hop, us a call or chunk (thousands a second), median of {rounds}:"
    );
    print!("| hop |");
    LOADS.iter().for_each(|(name, _)| print!(" {name} |"));
    println!("\n|---|{}", "---|".repeat(LOADS.len()));
    for (hop, found) in hops.iter().zip(&found) {
        print!("| {} |", hop.name);
        for values in found {
            let cpu = median(values.iter().map(|value| value.0).collect());
            let rate = median(values.iter().map(|value| value.1).collect());
            print!(" {cpu:.2} ({:.1}) |", rate / 1000.0);
        }
        println!();
    }
    Ok(())
}

/// Microseconds of the hop for each call, and calls a second.
fn run(place: &Place, hop: &Hop, load: &[&str]) -> Result<(f64, f64), Failure> {
    let mut client = Command::new(std::env::current_exe()?);
    client.args(["client", &hop.port, place.folder(), &hop.processes().join(",")]).args(load);
    let output = client.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers = text.trim().split_once(' ').filter(|_| output.status.success());
    let (cpu, rate) = numbers.ok_or_else(|| {
        format!("{}, {load:?}: {}", hop.name, String::from_utf8_lossy(&output.stderr))
    })?;
    Ok((cpu.parse()?, rate.parse()?))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
