//! Trouble: a login that does not come about.

use crate::symptom::LoginTrouble;

/// A login that does not come about, for the evidence and for the advice.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) kind: LoginTrouble,
    pub(crate) detail: String,
}

impl Trouble {
    pub(crate) fn new(kind: LoginTrouble, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}
