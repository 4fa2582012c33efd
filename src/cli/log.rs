//! Log: where events go, and in what form.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::{Args, ValueEnum};
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use super::tell::{in_full, tell};

#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogOptions {
    /// What is logged: off, error, warn, info (each call and each change of transport), debug
    /// [default: info for `serve`, warn for `run`]
    #[arg(long = "log-level", value_name = "LEVEL", env = "GENAI_BRIDGE_LOG_LEVEL")]
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
    /// Begins to log; keys, tokens and messages are in no event.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn begin(&self, default: LevelFilter) -> io::Result<()> {
        let level = self.level.unwrap_or(default);
        let events = fmt::layer().with_ansi(false);
        let log = match &self.file {
            Some(path) => Log::file(path)?,
            None => Log::Stderr,
        };
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
        begun.map_err(in_full)
    }
}

fn is_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
}

/// Where lines go. A disk that is full is told once; calls go on.
#[derive(Debug, Clone)]
enum Log {
    Stderr,
    File { file: Arc<File>, path: Arc<Path>, has_failed: Arc<AtomicBool> },
}

impl Log {
    fn file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
            io::Error::other(format!("cannot open the log {}: {error}", path.display()))
        })?;
        Ok(Self::File { file: Arc::new(file), path: path.into(), has_failed: Arc::default() })
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr => io::stderr().write(line),
            Self::File { file, path, has_failed } => {
                match (&**file).write_all(line) {
                    Ok(()) => has_failed.store(false, Relaxed),
                    Err(error) if !has_failed.swap(true, Relaxed) => tell(&format!(
                        "cannot write the log {}: {error}; calls go on, events are lost",
                        path.display()
                    )),
                    Err(_) => {}
                }
                Ok(line.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
