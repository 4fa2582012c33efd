//! Cli: reads the arguments and hands them to one module per subcommand.
#![allow(clippy::doc_markdown, reason = "doc comments of arguments are the text of --help")]

mod arguments;
mod connection;
mod doctor;
mod download;
mod files;
mod generate;
mod log;
mod manual;
mod remedy;
mod report;
mod run;
mod serve;
mod sidecar;
mod state;
mod tell;
mod transfer;
mod upload;
mod values;
mod verify;
mod wrong_setting;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use tell::tell;

/// Calls the Gemini API over gRPC, or over REST where a proxy breaks gRPC.
#[derive(Debug, Parser)]
#[command(name = "genai-bridge", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Doctor(doctor::Arguments),
    Verify(verify::Arguments),
    Generate(generate::Arguments),
    Upload(upload::Arguments),
    Download(download::Arguments),
    Serve(serve::Arguments),
    Run(run::Arguments),
    Completions(manual::Completions),
    Man(manual::Man),
}

/// Runs the command that the arguments name.
pub(crate) fn run() -> ExitCode {
    let arguments: Arguments = arguments::read();
    let ended = runtime().and_then(|runtime| {
        let ended = runtime.block_on(async {
            match arguments.command {
                Command::Doctor(arguments) => doctor::run(arguments).await,
                Command::Verify(arguments) => verify::run(arguments).await,
                Command::Generate(arguments) => generate::run(arguments).await,
                Command::Upload(arguments) => upload::run(arguments).await,
                Command::Download(arguments) => download::run(arguments).await,
                Command::Serve(arguments) => serve::run(arguments).await,
                Command::Run(arguments) => run::run(arguments).await,
                Command::Completions(arguments) => {
                    manual::complete(&arguments, Arguments::command())
                }
                Command::Man(arguments) => manual::write_page(&arguments, Arguments::command()),
            }
        });
        // A look-up of a name cannot be cancelled, and must not be waited for.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(code) => code,
        // Whoever read our output has gone: `genai-bridge doctor | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One thread; a sidecar has others for its connections.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
