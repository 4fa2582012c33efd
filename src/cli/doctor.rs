//! Doctor: `genai-bridge doctor`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use genai_bridge::doctor::{Check, Doctor, Report};

use super::connection::{Connection, WrongSetting, seconds};

/// Examines the network between this machine and the service, station by station.
///
/// It examines both transports. If the network breaks the calls, it prints a letter for the network
/// team.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, mut_arg("transport", |option| option.hide(true)))]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// The model to look for
    #[arg(long, default_value = "gemini-2.5-flash")]
    model: String,
    /// Time limit for all checks; the checks that do not fit into it are skipped [default: 14]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Also lets the model write a few hundred tokens, to see whether something delays streams
    #[arg(long)]
    spend_tokens: bool,
    /// Writes JSON
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  2  the command line cannot be read
  3  the service works with limits, for instance over REST only
  4  the service refuses the key or the model
  5  the service cannot be reached
  6  a setting cannot be used";

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let report = match arguments.doctor() {
        Ok(doctor) => examine(doctor).await?,
        Err(WrongSetting { what, remedy }) => {
            Report::misconfigured(arguments.connection.endpoint(), what, remedy)
        }
    };
    let mut out = io::stdout();
    if arguments.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{}", report.to_text(out.is_terminal() && wants_colour()))?;
    }
    Ok(ExitCode::from(report.diagnosis().exit_code()))
}

impl Arguments {
    fn doctor(&self) -> Result<Doctor, WrongSetting> {
        let mut doctor =
            Doctor::new(self.connection.builder_with_credentials()?).model(&self.model);
        if self.spend_tokens {
            doctor = doctor.spend_tokens();
        }
        if let Some(limit) = self.timeout {
            doctor = doctor.time_limit(limit);
        }
        Ok(doctor)
    }
}

/// Examines; a person at a terminal sees each station as it ends, on one line that goes at the end.
/// It is shorter than any terminal is wide, since only a whole line can be rewritten.
async fn examine(doctor: Doctor) -> io::Result<Report> {
    let is_plain = std::env::var_os("TERM").is_some_and(|kind| kind == "dumb");
    if is_plain || !io::stderr().is_terminal() {
        return Ok(doctor.examine().await);
    }
    rewrite_line("examining")?;
    let tell = |check: &Check| {
        let told = format!("examining: {} {}", check.step().name(), check.outcome().name());
        // A terminal that has gone sees no progress; the report goes elsewhere.
        let _ = rewrite_line(&told);
    };
    let report = doctor.on_check(tell).examine().await;
    rewrite_line("")?;
    Ok(report)
}

/// Puts the text in place of the terminal's current line.
fn rewrite_line(text: &str) -> io::Result<()> {
    let mut terminal = io::stderr();
    write!(terminal, "\r\u{1b}[K{text}")?;
    terminal.flush()
}

/// <https://no-color.org>: set to anything but nothing, it means no.
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
