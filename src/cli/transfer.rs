//! Transfer: what upload and download share: the progress bar, the version, the words for a
//! failure.

use std::process::ExitCode;

use genai_bridge::files::{Files, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use tonic::Status;

use super::tell::{explain, tell};

/// The version of the API.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Version {
    V1,
    V1beta,
}

impl Version {
    pub(super) fn of(self, files: Files) -> Files {
        match self {
            Self::V1 => files.v1(),
            Self::V1beta => files,
        }
    }
}

/// Shows how far a transfer is, on stderr where that is a terminal; done when the transfer has
/// ended.
pub(super) fn show(mut progress: Progress) -> impl Future<Output = ()> {
    let shown = tokio::spawn(async move {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        while let Some(transferred) = progress.next().await {
            if let Some(total) = transferred.total() {
                bar.set_length(total);
            }
            bar.set_position(transferred.bytes());
        }
        bar.finish_and_clear();
    });
    async move {
        // A bar that cannot be drawn is no failure of the transfer.
        let _ = shown.await;
    }
}

/// Says on stderr why a transfer failed.
pub(super) fn failed(status: &Status) -> ExitCode {
    tell(&explain(status));
    ExitCode::FAILURE
}

const BAR: &str = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
