//! Manual: the scripts and pages that a package installs beside the binary.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// Writes a script that completes commands and options: `genai-bridge completions bash`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell that reads the script
    shell: Shell,
}

/// Writes the manual page, or that of one command: `genai-bridge man serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The command
    command: Option<String>,
}

pub(super) fn complete(arguments: &Completions, mut command: Command) -> io::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "genai-bridge", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn write_page(arguments: &Man, mut command: Command) -> io::Result<ExitCode> {
    command.build();
    let command = match &arguments.command {
        None => command,
        Some(name) => {
            let found = command.find_subcommand(name).cloned();
            found.ok_or_else(|| io::Error::other(format!("there is no command {name}")))?
        }
    };
    clap_mangen::Man::new(command).render(&mut io::stdout())?;
    Ok(ExitCode::SUCCESS)
}
