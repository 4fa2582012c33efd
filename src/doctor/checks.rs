//! Checks: what was found so far, told to who waits for it.

use std::fmt;

use super::check::{Check, Step};

type Tell = Box<dyn FnMut(&Check) + Send>;

/// Who is told each check as it ends.
#[derive(Default)]
pub(super) struct Watcher(pub(super) Option<Tell>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "nobody" })
    }
}

/// The checks that ended, in the order in which they did.
#[derive(Debug, Default)]
pub(super) struct Checks {
    ended: Vec<Check>,
    watcher: Watcher,
}

impl Checks {
    pub(super) fn new(watcher: Watcher) -> Self {
        Self { ended: Vec::new(), watcher }
    }

    pub(super) fn push(&mut self, check: Check) {
        if let Some(tell) = &mut self.watcher.0 {
            tell(&check);
        }
        self.ended.push(check);
    }

    pub(super) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        for check in checks {
            self.push(check);
        }
    }

    /// Each station once: those not reached are said to be left out.
    pub(super) fn complete(mut self) -> Vec<Check> {
        let failed = self.ended.iter().filter(|check| check.has_failed()).map(Check::step).min();
        let why = failed.map_or_else(
            || "there is nothing to look at".to_owned(),
            |step| format!("it would tell nothing new after {}", step.name()),
        );
        for step in Step::ALL {
            if !self.ended.iter().any(|check| check.step() == *step) {
                self.ended.push(Check::skipped(*step, why.clone()));
            }
        }
        self.ended
    }
}
