//! Lenience: what an answer is read in spite of, where nothing of its meaning is guessed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an answer was read in spite of. A request, and
/// [`Schema::message_from_json`](crate::Schema::message_from_json), are read to the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lenience {
    /// The name of an enum value that the schema does not know: it reads as -1.
    UnknownEnumName,
    /// An `Any` of an unknown type, or without one: it is kept as a `google.protobuf.Struct`.
    UnknownAny,
    /// Half of a surrogate pair in a text: it reads as U+FFFD.
    HalfSurrogate,
    /// `null` in a list or map: it is skipped.
    NullElement,
    /// `NaN` or `Infinity` without quotes.
    BareNonFinite,
    /// Base64 with line ends or blanks in it, or with too much or too little padding.
    OddBase64,
    /// A name that comes twice, or two members of a oneof: the last one counts.
    RepeatedName,
    /// A number that its field cannot hold: the field is left out.
    NumberLeftOut,
}

impl Lenience {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::UnknownEnumName,
        Self::UnknownAny,
        Self::HalfSurrogate,
        Self::NullElement,
        Self::BareNonFinite,
        Self::OddBase64,
        Self::RepeatedName,
        Self::NumberLeftOut,
    ];

    /// Its name in kebab case: a label for metrics and logs. It stays as it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownEnumName => "unknown-enum-name",
            Self::UnknownAny => "unknown-any",
            Self::HalfSurrogate => "half-surrogate",
            Self::NullElement => "null-element",
            Self::BareNonFinite => "bare-non-finite",
            Self::OddBase64 => "odd-base64",
            Self::RepeatedName => "repeated-name",
            Self::NumberLeftOut => "number-left-out",
        }
    }
}

impl fmt::Display for Lenience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each lenience was needed.
#[derive(Debug, Default)]
pub(crate) struct LenienceCounts([AtomicU64; Lenience::ALL.len()]);

impl LenienceCounts {
    /// Counts those of one answer; gives those that were needed for the first time.
    pub(crate) fn count(&self, met: Leniences) -> impl Iterator<Item = Lenience> {
        met.each().filter(|lenience| {
            let count = self.0.get(*lenience as usize);
            count.is_some_and(|count| count.fetch_add(1, Relaxed) == 0)
        })
    }

    pub(crate) fn of(&self, lenience: Lenience) -> u64 {
        self.0.get(lenience as usize).map_or(0, |count| count.load(Relaxed))
    }
}

/// The leniences that one text needed: a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leniences(u16);

impl Leniences {
    #[cold]
    pub(crate) fn add(&mut self, lenience: Lenience) {
        self.0 |= 1 << lenience as u16;
    }

    pub(crate) fn each(self) -> impl Iterator<Item = Lenience> {
        Lenience::ALL.into_iter().filter(move |lenience| self.0 & 1 << *lenience as u16 != 0)
    }
}
