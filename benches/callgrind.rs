//! Callgrind: instructions of a client. Valgrind counts those of one function, so what comes before
//! the calls does not count: the start, the connection, and aws-lc's entropy, which differs by
//! millions from run to run.

use std::error::Error;
use std::process::Command;

type Failure = Box<dyn Error + Send + Sync>;

/// Instructions of one call: the median of three counts, as packets do not come the same way twice.
pub fn instructions(calls: usize, arguments: impl Fn(&str) -> Vec<String>) -> Result<f64, Failure> {
    let mut counts = [0.0; 3];
    for found in &mut counts {
        *found = count(calls, &arguments)?;
    }
    counts.sort_by(f64::total_cmp);
    Ok(counts[1])
}

/// Instructions of one call of this program, which `arguments` tell to make so many within
/// [`counted`].
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn count(calls: usize, arguments: impl Fn(&str) -> Vec<String>) -> Result<f64, Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg("--toggle-collect=*callgrind::counted*").arg(std::env::current_exe()?);
    let output = command.args(arguments(&calls.to_string())).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the client failed: {text}").into());
    }
    let refs = text.lines().find_map(|line| line.split_once("refs:"));
    let (_, count) = refs.ok_or_else(|| format!("valgrind counted nothing: {text}"))?;
    Ok(count.trim().replace(',', "").parse::<u64>()? as f64 / calls as f64)
}

/// Does what is counted.
#[inline(never)]
pub fn counted<T>(work: impl FnOnce() -> T) -> T {
    work()
}
