//! Doctor: `genai-bridge doctor`.

use std::io;
use std::process::ExitCode;

/// Finds out what the network between here and the service does, step by step.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

#[expect(clippy::unused_async, reason = "all commands are run alike")]
pub(super) async fn run(_arguments: Arguments) -> io::Result<ExitCode> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "doctor: not built yet"))
}
