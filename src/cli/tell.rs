//! Tell: what a command says to a person: its result on stdout, all else on stderr.

use std::error::Error as StdError;
use std::io::{self, Write as _};

use genai_bridge::gemini;
use tonic::Status;

use super::remedy::on_the_command_line;

/// A line on stderr, for the person.
#[expect(clippy::print_stderr, reason = "this is where a command speaks to a person")]
pub(super) fn tell(line: &str) {
    eprintln!("genai-bridge: {line}");
}

/// The result of a command.
///
/// # Errors
/// Nobody takes it: the error keeps its kind, and says what could not be written.
pub(super) fn write_result(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout();
    let written = out.write_all(text).and_then(|()| out.flush());
    written
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write to stdout: {error}")))
}

/// Why a call failed, and what to do.
pub(super) fn explain(status: &Status) -> String {
    let advice = gemini::advice(status).map(|advice| advice.to_string());
    let advice = advice.unwrap_or_else(|| status.message().to_owned());
    on_the_command_line(&advice).into_owned()
}

/// An error with its causes, for a line on stderr.
pub(super) fn in_full(error: impl StdError + 'static) -> io::Error {
    io::Error::other(with_causes(&error))
}

pub(super) fn with_causes(error: &(impl StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}
