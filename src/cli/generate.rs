//! Generate: `genai-bridge generate`.

use std::io;
use std::process::ExitCode;

/// Asks a model, and streams its answer to the terminal.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

#[expect(clippy::unused_async, reason = "all commands are run alike")]
pub(super) async fn run(_arguments: Arguments) -> io::Result<ExitCode> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "generate: not built yet"))
}
