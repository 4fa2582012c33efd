//! Remembered: the verdicts of a fallback, as they outlive it.

use tokio::time::Instant;

use crate::symptom::SymptomKind;

/// What is held against gRPC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// For all calls, and why.
    pub(crate) grpc: Option<(SymptomKind, Term)>,
    /// For single methods, by their paths.
    pub(crate) methods: Vec<(Box<str>, Term)>,
}

/// How long a verdict holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) until: Instant,
    /// So many in a row; each doubles the expiry of the next one.
    pub(crate) verdicts: u32,
}

impl Remembered {
    pub(crate) fn is_empty(&self) -> bool {
        self.grpc.is_none() && self.methods.is_empty()
    }
}
