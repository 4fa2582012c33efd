//! Tell: what a command says to a person, on stderr.

use std::error::Error as StdError;
use std::io;

/// A line on stderr, for the person.
#[expect(clippy::print_stderr, reason = "this is where a command speaks to a person")]
pub(super) fn tell(line: &str) {
    eprintln!("genai-bridge: {line}");
}

/// An error with its causes, for a line on stderr.
pub(super) fn in_full(error: impl StdError + 'static) -> io::Error {
    io::Error::other(with_causes(&error))
}

pub(super) fn with_causes(error: &(impl StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
