//! Fault: why a message or a JSON text cannot be transcoded: what, at which field, at which byte.

use std::borrow::Cow;
use std::fmt;

/// Boxed, so that the good way stays small.
pub(crate) type Result<T> = std::result::Result<T, Box<Fault>>;

/// What is wrong with an input, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    what: Cow<'static, str>,
    offset: usize,
    /// Names of the fields around it, innermost first.
    path: Vec<Box<str>>,
}

impl Fault {
    #[cold]
    pub(super) fn new(what: impl Into<Cow<'static, str>>, offset: usize) -> Box<Self> {
        Box::new(Self { what: what.into(), offset, path: Vec::new() })
    }

    /// The same fault, seen from the message around it.
    #[cold]
    pub(super) fn inside(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.path.push(field.into());
        self
    }

    /// Whether the input ends too early, and would be good with more of it.
    pub(crate) fn is_cut(&self) -> bool {
        self.what == CUT
    }
}

/// A text that ends too early.
pub(super) const CUT: &str = "the text ends in the middle of a value";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let names: Vec<&str> = self.path.iter().rev().map(AsRef::as_ref).collect();
            write!(f, "field `{}`: ", names.join("."))?;
        }
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}
