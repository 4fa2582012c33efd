//! Log: where events go, and in what form. A thread of its own writes them, so that no call waits
//! for a disk. What comes shortly after a line is written together: one wake and one write for all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use super::tell::{in_full, tell};
use super::values::level;
use super::wrong_setting::WrongSetting;

#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogOptions {
    /// What is logged: off, error, warn, info (each call and each change of transport), debug,
    /// trace
    /// [default: info for `serve`, warn for `run`]
    #[arg(long = "log-level", value_name = "LEVEL", env = "GENAI_BRIDGE_LOG_LEVEL", value_parser = level)]
    level: Option<LevelFilter>,

    /// One line of text, or one JSON object, for each event
    #[arg(
        long = "log-format",
        value_name = "FORM",
        env = "GENAI_BRIDGE_LOG_FORMAT",
        default_value = "text"
    )]
    format: Form,

    /// Appends to this file in place of stderr
    #[arg(long = "log-file", value_name = "FILE", env = "GENAI_BRIDGE_LOG_FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
}

impl LogOptions {
    /// Begins to log; keys, tokens and messages are in no event. Dropping what is returned writes
    /// what is left.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn begin(&self, default: LevelFilter) -> io::Result<WorkerGuard> {
        let level = self.level.unwrap_or(default);
        let events = fmt::layer().with_ansi(false);
        let to = match &self.file {
            Some(path) => Destination::file(path)?,
            None => Destination::Stderr,
        };
        let (log, written) = NonBlockingBuilder::default()
            .buffered_lines_limit(MAX_WAITING_LINES)
            .thread_name("genai-bridge-log")
            .finish(Log { to, lines: Vec::new(), has_failed: false, told_lost: 0 });
        let _ = LOST.set(log.error_counter());
        let of_ours = Targets::new().with_target("genai_bridge", level);
        // Each event says what it is about; spans are for traces.
        let chosen = registry().with(of_ours).with(filter_fn(is_event));
        let begun = match self.format {
            Form::Text => chosen.with(events.with_writer(log)).try_init(),
            Form::Json => {
                let events = events.json().flatten_event(true).with_current_span(false);
                let events = events.with_span_list(false).with_writer(log);
                chosen.with(events).try_init()
            }
        };
        begun.map_err(in_full)?;
        Ok(written)
    }
}

fn is_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
}

/// Writes lines. A disk that is full is told once, lines that were lost as soon as one is written;
/// calls go on.
#[derive(Debug)]
struct Log {
    to: Destination,
    /// Not written yet.
    lines: Vec<u8>,
    has_failed: bool,
    told_lost: usize,
}

#[derive(Debug)]
enum Destination {
    Stderr,
    File(File, PathBuf),
}

impl Destination {
    fn file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
            let what = format!("cannot open the log {}: {error}", path.display());
            WrongSetting::new(what, "choose another file with --log-file")
        })?;
        Ok(Self::File(file, path.to_owned()))
    }
}

impl Log {
    /// Lines that found too many others waiting.
    fn tell_lost(&mut self) {
        let lost = LOST.get().map_or(0, ErrorCounter::dropped_lines);
        if lost > self.told_lost {
            tell(&format!("the log is too slow: {} events are lost", lost - self.told_lost));
            self.told_lost = lost;
        }
    }

    /// Writes what there is. What fails here has nobody to be returned to.
    fn write_lines(&mut self) {
        self.tell_lost();
        let lines = std::mem::take(&mut self.lines);
        match &mut self.to {
            Destination::Stderr => {
                let _ = io::stderr().write_all(&lines);
            }
            Destination::File(file, path) => match file.write_all(&lines) {
                Ok(()) => self.has_failed = false,
                Err(error) if !self.has_failed => {
                    self.has_failed = true;
                    tell(&format!(
                        "cannot write the log {}: {error}; calls go on, events are lost",
                        path.display()
                    ));
                }
                Err(_) => {}
            },
        }
    }
}

impl Write for Log {
    /// Takes a line; `flush` writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(line);
        if self.lines.len() >= MAX_TOGETHER {
            self.write_lines();
        }
        Ok(line.len())
    }

    /// Asked for when no line waits. The next ones find this thread awake, so that no call wakes
    /// it.
    fn flush(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.write_lines();
        thread::sleep(PAUSE);
        Ok(())
    }
}

/// Told by the writer's thread, which is made before there is a counter.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();
/// Beyond them lines are lost; a line has about 200 bytes.
const MAX_WAITING_LINES: usize = 10_000;
/// Bytes that are written at once, at most some more.
const MAX_TOGETHER: usize = 64 * 1024;
/// How late a line may be written.
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_wait_for_the_flush_and_many_of_them_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let to = Destination::file(&path).expect("a file");
        let mut log = Log { to, lines: Vec::new(), has_failed: false, told_lost: 0 };
        let written = || fs::read_to_string(&path).expect("a log");
        log.write_all(b"one\n").expect("taken");
        log.write_all(b"two\n").expect("taken");
        assert_eq!(written(), "");
        log.flush().expect("written");
        assert_eq!(written(), "one\ntwo\n");
        let line = [b'l'; 200];
        for _ in 0..=MAX_TOGETHER / line.len() {
            log.write_all(&line).expect("taken");
        }
        assert!(written().len() > MAX_TOGETHER);
    }
}
