//! Log: what happened in a run, with its virtual times: by it, two runs of a seed are compared.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    began: Option<Instant>,
    text: String,
}

impl Log {
    /// The clock begins.
    pub(crate) fn begin(&self, now: Instant) {
        self.0.lock().expect("no panic").began = Some(now);
    }

    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let mut lines = self.0.lock().expect("no panic");
        let time = lines.began.map_or(0, |began| began.elapsed().as_millis());
        // Writing to a string does not fail.
        let _ = writeln!(lines.text, "{time:>9} {what}");
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().expect("no panic").text.clone()
    }

    /// What the bridge logs comes in here, too.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + 'static {
        let ours = filter_fn(|metadata| metadata.target().starts_with("genai_bridge"));
        let lines = tracing_subscriber::fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_writer(self.clone())
            .with_filter(LevelFilter::DEBUG)
            .with_filter(ours);
        Registry::default().with(lines)
    }
}

/// One event of the bridge's, as a line.
pub(crate) struct Line {
    log: Log,
    text: Vec<u8>,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.log.note(format_args!("{}", String::from_utf8_lossy(&self.text).trim()));
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { log: self.clone(), text: Vec::new() }
    }
}
