//! Doctor: `genai-bridge doctor`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use genai_bridge::doctor::{Check, Doctor, Report};

use super::connection::Connection;
use super::remedy::on_the_command_line;
use super::report::ReportOptions;
use super::tell::write_result;
use super::wrong_setting::WrongSetting;

/// Examines the network between this machine and the service, station by station.
///
/// It examines both transports. If the network breaks the calls, it prints a letter for the network
/// team.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXIT_CODES,
    mut_arg("transport", |option| option.hide(true)),
    mut_arg("timeout", |option| option.help(TIMEOUT)),
    mut_arg("spend_tokens", |option| option.help(SPEND_TOKENS)),
)]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    report: ReportOptions,
}

const TIMEOUT: &str =
    "Time limit for all checks; the checks that do not fit into it are skipped [default: 14]";
const SPEND_TOKENS: &str =
    "Also lets the model write a few hundred tokens, to see whether something delays streams";

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
            Report::misconfigured(arguments.connection.endpoint(), what, remedy.as_deref())
        }
    };
    let report = report.reword_advice(|advice| on_the_command_line(advice).into_owned());
    let text = if arguments.report.json {
        format!("{}\n", report.to_json())
    } else {
        report.to_text(io::stdout().is_terminal() && wants_colour())
    };
    write_result(text.as_bytes())?;
    Ok(ExitCode::from(report.diagnosis().exit_code()))
}

impl Arguments {
    fn doctor(&self) -> Result<Doctor, WrongSetting> {
        let mut doctor =
            Doctor::new(self.connection.builder_with_credentials()?).model(&self.report.model);
        if self.report.spend_tokens {
            doctor = doctor.spend_tokens();
        }
        if let Some(limit) = self.report.timeout {
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
