//! Doctor: `genai-bridge doctor`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use genai_bridge::doctor::Doctor;

use super::connection::Connection;

/// Finds out what the network between here and the service does, station by station.
///
/// Exit code: 0 all is well, 3 works with limits, 4 the service refuses key or model, 5 unreachable,
/// 6 wrong settings.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// The model to look for
    #[arg(long, default_value = "gemini-2.5-flash")]
    model: String,
    /// Also let the model write some hundred tokens, to see whether streams are held back
    #[arg(long)]
    spend_tokens: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let mut doctor =
        Doctor::new(arguments.connection.builder()?.from_env()).model(&arguments.model);
    if arguments.spend_tokens {
        doctor = doctor.spend_tokens();
    }
    let report = doctor.examine().await;
    let mut out = io::stdout();
    if arguments.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        write!(out, "{}", report.to_text(colour))?;
    }
    Ok(ExitCode::from(report.diagnosis().exit_code()))
}
