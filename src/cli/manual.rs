//! Manual: the scripts and pages that a package installs beside the binary.

use std::io;
use std::process::ExitCode;

use clap::Command;
use clap::error::ErrorKind;
use clap_complete::Shell;

use super::tell::write_result;

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
    write_result(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn write_page(arguments: &Man, mut command: Command) -> io::Result<ExitCode> {
    command.build();
    let command = match &arguments.command {
        None => command,
        Some(name) => {
            let found = command.find_subcommand(name).cloned();
            found.unwrap_or_else(|| no_such_command(name, &mut command))
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    write_result(&page)?;
    Ok(ExitCode::SUCCESS)
}

/// A wrong argument, though clap does not know it: ends the process as one.
fn no_such_command(name: &str, command: &mut Command) -> ! {
    let names: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    let text = format!("there is no command {name:?}; the commands are {}", names.join(", "));
    command.error(ErrorKind::InvalidValue, text).exit()
}
