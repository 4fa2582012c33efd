//! Fault: why a message or a JSON text cannot be transcoded: what, at which field, at which byte.

use std::borrow::Cow;
use std::fmt;

/// Boxed, so that the good way stays small.
pub(crate) type Result<T> = std::result::Result<T, Box<Fault>>;

/// What is wrong with an input, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    what: Cow<'static, str>,
    place: Place,
    /// Names of the fields around it, innermost first.
    path: Vec<Box<str>>,
    /// The message can be read, but JSON has no form for a value in it.
    pub(super) is_unwritable: bool,
}

impl Fault {
    #[cold]
    pub(super) fn new(what: impl Into<Cow<'static, str>>, offset: usize) -> Box<Self> {
        Self::of(what.into(), Place::Offset(offset))
    }

    /// A fault where `rest` begins, wherever that is: see [`within`](Self::within).
    #[cold]
    pub(super) fn at(what: impl Into<Cow<'static, str>>, rest: &[u8]) -> Box<Self> {
        Self::of(what.into(), Place::Address(rest.as_ptr() as usize))
    }

    /// The same for a value that can be read, but that JSON has no form for.
    #[cold]
    pub(super) fn unwritable(what: impl Into<Cow<'static, str>>, rest: &[u8]) -> Box<Self> {
        let mut fault = Self::at(what, rest);
        fault.is_unwritable = true;
        fault
    }

    /// The same fault, of bytes inside a value: the message around them can be read.
    #[cold]
    pub(super) fn of_value(mut self: Box<Self>) -> Box<Self> {
        self.is_unwritable = true;
        self
    }

    fn of(what: Cow<'static, str>, place: Place) -> Box<Self> {
        Box::new(Self { what, place, path: Vec::new(), is_unwritable: false })
    }

    /// The same fault, with its place as an offset in `source`, if it lies there.
    #[cold]
    pub(crate) fn within(mut self: Box<Self>, source: &[u8]) -> Box<Self> {
        if let Place::Address(address) = self.place {
            let offset = address.checked_sub(source.as_ptr() as usize);
            if let Some(offset) = offset.filter(|offset| *offset <= source.len()) {
                self.place = Place::Offset(offset);
            }
        }
        self
    }

    /// The same fault, met in a copy of `original`: its place is where that begins.
    #[cold]
    pub(super) fn in_copy_of(mut self: Box<Self>, original: &[u8]) -> Box<Self> {
        self.place = Place::Address(original.as_ptr() as usize);
        self
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

/// Where a fault was met. A cursor over wire bytes is passed on so often that it only knows what is
/// before it, and not how far it has come.
#[derive(Debug, Clone, Copy)]
enum Place {
    Offset(usize),
    Address(usize),
}

/// A text that ends too early.
pub(super) const CUT: &str = "the text ends in the middle of a value";

pub(super) const NOT_UTF8: &str = "a string that is not UTF-8";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let names: Vec<&str> = self.path.iter().rev().map(AsRef::as_ref).collect();
            write!(f, "field `{}`: ", names.join("."))?;
        }
        f.write_str(&self.what)?;
        match self.place {
            Place::Offset(offset) => write!(f, " at byte {offset}"),
            Place::Address(_) => Ok(()),
        }
    }
}
