//! Processor: the processor time of a client's one thread, compared over interleaved rounds.

use std::error::Error;
use std::process::Command;

type Failure = Box<dyn Error + Send + Sync>;

/// Medians over the rounds: what the first and the second of two clients print, and the ratio of
/// the two in one round. Each is this program, told what to do by its arguments.
pub fn compare(rounds: usize, clients: [Vec<String>; 2]) -> Result<[f64; 3], Failure> {
    let mut found = [(); 3].map(|()| Vec::new());
    for _ in 0..rounds {
        let (first, second) = (printed(&clients[0])?, printed(&clients[1])?);
        for (values, value) in found.iter_mut().zip([first, second, first / second]) {
            values.push(value);
        }
    }
    Ok(found.map(|mut values| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }))
}

/// The number that a client prints.
fn printed(arguments: &[String]) -> Result<f64, Failure> {
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Nanoseconds of a processor that this thread has had.
pub fn nanos() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(status.split_whitespace().next().ok_or("no time")?.parse()?)
}

/// Prints the microseconds since then that each of `count` took.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn report(began: u64, count: usize) -> Result<(), Failure> {
    println!("{}", (nanos()? - began) as f64 / 1e3 / count as f64);
    Ok(())
}

/// The load of the machine.
pub fn load() -> Result<String, Failure> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}
