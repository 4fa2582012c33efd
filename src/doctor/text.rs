//! Text: a report for a terminal of 80 columns.

use std::fmt::Write as _;

use super::check::{Check, Outcome};
use super::report::{Diagnosis, Report};

const WIDTH: usize = 80;
/// Outcome and station stand before each line's text.
const INDENT: usize = 19;

impl Report {
    /// For a person: a line or two for each station, at most 80 columns wide, with ANSI colours if
    /// wanted.
    pub fn to_text(&self, colour: bool) -> String {
        write(self, colour)
    }
}

/// The whole screen.
fn write(report: &Report, colour: bool) -> String {
    let mut text = format!("genai-bridge doctor: {}\n\n", report.target().endpoint);
    for check in report.checks() {
        write_check(&mut text, check, colour);
    }
    let diagnosis = report.diagnosis();
    text.push('\n');
    let colour_of = colour.then(|| colour_of_diagnosis(diagnosis));
    for line in wrap(diagnosis.summary(), WIDTH) {
        push_line(&mut text, &paint(&line, colour_of));
    }
    if let Some(letter) = report.for_network_team() {
        text.push_str("\nFor the network team, ready to paste:\n\n");
        for line in letter.lines() {
            let continued = if line.starts_with("- ") { "  " } else { "" };
            for (at, piece) in wrap(line, WIDTH - 4).into_iter().enumerate() {
                push_line(&mut text, &format!("  {}{piece}", if at == 0 { "" } else { continued }));
            }
        }
    }
    text
}

fn write_check(text: &mut String, check: &Check, colour: bool) {
    let (word, code) = match check.outcome() {
        Outcome::Ok => ("ok", GREEN),
        Outcome::Failed => ("FAILED", RED),
        Outcome::Skipped => ("skipped", GREY),
    };
    let word = paint(&format!("{word:<8}"), colour.then_some(code));
    let head = format!("{word} {:<10}", check.step().name());
    let took = check.duration().map(|took| format!(" ({} ms)", took.as_millis()));
    let evidence = format!("{}{}", check.evidence(), took.unwrap_or_default());
    write_block(text, &head, &evidence);
    let arrow = format!("{:INDENT$}", "         what to do");
    for (at, advice) in check.advice().iter().enumerate() {
        write_block(text, if at == 0 { &arrow } else { NOTHING }, advice);
    }
}

/// A head, and beside it as many lines as the words take.
fn write_block(text: &mut String, head: &str, words: &str) {
    for (at, line) in wrap(words, WIDTH - INDENT - 1).into_iter().enumerate() {
        push_line(text, &format!("{} {line}", if at == 0 { head } else { NOTHING }));
    }
}

fn push_line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", line.trim_end());
}

/// Breaks between words; a word longer than a line stands alone on one, so that it can be copied.
fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn paint(text: &str, code: Option<&str>) -> String {
    match code {
        Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        None => text.to_owned(),
    }
}

fn colour_of_diagnosis(diagnosis: Diagnosis) -> &'static str {
    match diagnosis {
        Diagnosis::Healthy => GREEN,
        Diagnosis::RestOnly | Diagnosis::GrpcOnly | Diagnosis::Limited => YELLOW,
        Diagnosis::Refused | Diagnosis::Unreachable | Diagnosis::Misconfigured => RED,
    }
}

/// As wide as [`INDENT`].
const NOTHING: &str = "                   ";
const GREEN: &str = "32";
const RED: &str = "1;31";
const YELLOW: &str = "33";
const GREY: &str = "90";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Step;
    use crate::doctor::report::Target;

    #[test]
    fn lines_break_between_words_and_lose_none() {
        let words = "a bb ccc dddddddddd e";
        for width in 1..30 {
            let lines = wrap(words, width);
            assert_eq!(lines.join(" "), words);
            assert!(
                lines.iter().all(|line| line.len() <= width || !line.contains(' ')),
                "{lines:?}"
            );
        }
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn colour_changes_nothing_else() {
        let checks = vec![Check::ok(Step::Grpc, "a"), Check::failed(Step::Rest, "b").advise("c")];
        let report = Report::new(Target::default(), checks);
        let mut plain = write(&report, true);
        for code in [GREEN, RED, YELLOW, GREY, "0"] {
            plain = plain.replace(&format!("\u{1b}[{code}m"), "");
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&plain), words(&write(&report, false)));
    }
}
