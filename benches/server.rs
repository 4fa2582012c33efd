//! Server: a process of this program that serves until its standard input ends. So it never
//! outlives the one that measures.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

type Failure = Box<dyn Error + Send + Sync>;

/// The process, which ends with this value.
pub struct Server {
    process: Child,
    /// What it prints first: where it is.
    pub place: String,
}

impl Server {
    /// Starts this program with the one argument `serve`.
    pub fn start() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let mut server = Self { process, place: String::new() };
        BufReader::new(output).read_line(&mut server.place)?;
        server.place.truncate(server.place.trim_end().len());
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves until standard input ends.
pub async fn until_input_ends(
    serving: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        _ = ended => Ok(()),
        failed = serving => failed,
    }
}
