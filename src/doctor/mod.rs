//! Doctor: explains the network to a person: each station of a call, what was seen there, what to
//! do.

mod check;
mod checks;
mod examination;
mod letter;
mod line;
mod report;
mod service;
mod text;

use std::time::Duration;

use crate::bridge::builder::BridgeBuilder;
use crate::gemini::model_name;

pub use check::{Check, Outcome, Step};
pub use report::{Diagnosis, Report};

use checks::Watcher;

/// Examines the way from here to the service, with the settings of a [`BridgeBuilder`].
///
/// Goes station by station and stops where going on tells nothing new. What it calls is free of
/// charge, unless [`spend_tokens`](Self::spend_tokens) is chosen. No key and no token stands in its
/// report.
///
/// ```no_run
/// use genai_bridge::Bridge;
/// use genai_bridge::doctor::{Diagnosis, Doctor};
///
/// # async fn example() {
/// let report = Doctor::new(Bridge::builder().from_env()).examine().await;
/// if report.diagnosis() != Diagnosis::Healthy {
///     eprintln!("{}", report.to_text(false));
/// }
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a doctor does nothing before examine()"]
pub struct Doctor {
    builder: BridgeBuilder,
    model: String,
    time_limit: Duration,
    spends_tokens: bool,
    watcher: Watcher,
}

impl Doctor {
    /// With the settings that the program itself uses.
    pub fn new(builder: BridgeBuilder) -> Self {
        Self {
            builder,
            model: DEFAULT_MODEL.to_owned(),
            time_limit: Duration::from_secs(14),
            spends_tokens: false,
            watcher: Watcher::default(),
        }
    }

    /// The model that is looked for, with or without `models/`. Default: `models/gemini-2.5-flash`.
    pub fn model(mut self, model: &str) -> Self {
        self.model = model_name(model);
        self
    }

    /// The time for everything; what it does not suffice for is skipped. Default: 14 s.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit.min(ONE_YEAR);
        self
    }

    /// Also lets the model write some hundred tokens, to see whether something holds streams back.
    /// Default: not, because it costs money.
    pub fn spend_tokens(mut self) -> Self {
        self.spends_tokens = true;
        self
    }

    /// Tells each check as it ends, for a person who waits. The stations that are skipped because
    /// going on tells nothing new stand in the report alone.
    pub fn on_check(mut self, watcher: impl FnMut(&Check) + Send + 'static) -> Self {
        self.watcher = Watcher(Some(Box::new(watcher)));
        self
    }
}

/// So that no limit overflows the clock.
const ONE_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const DEFAULT_MODEL: &str = "models/gemini-2.5-flash";
