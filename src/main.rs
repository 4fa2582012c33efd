//! The command line: feature `cli`. Each subcommand is a module of `cli/`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
