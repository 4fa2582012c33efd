//! Report: the arguments that `doctor` and `verify` share.

use std::time::Duration;

use super::values::{model, seconds};

/// What to ask the service, and how to report it. Each command says of itself what its time limit
/// is for, and what tokens buy.
#[derive(Debug, clap::Args)]
pub(super) struct ReportOptions {
    /// The model to ask about
    #[arg(long, value_parser = model, default_value = "gemini-2.5-flash")]
    pub(super) model: String,
    /// Time limit
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) timeout: Option<Duration>,
    /// Also makes calls that cost tokens
    #[arg(long)]
    pub(super) spend_tokens: bool,
    /// Writes JSON
    #[arg(long)]
    pub(super) json: bool,
}
