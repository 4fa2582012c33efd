//! Fault names: each fault by its place, its row, its name.

use std::fmt;
use std::str::FromStr;

use super::fault::{Fault, Row};
use super::rows::ROWS;
use super::stages::Stages;

impl Fault {
    /// Every fault, in the order of the way.
    #[expect(clippy::indexing_slicing, reason = "the compiler does it")]
    pub const ALL: &'static [Self] = &{
        let mut all = [Self::Pass; ROWS.len()];
        let mut place = 0;
        while place < all.len() {
            all[place] = ROWS[place].fault;
            // So a fault is found by its place.
            assert!(
                all[place] as usize == place,
                "the rows stand in another order than the faults"
            );
            place += 1;
        }
        all
    };

    /// Its name in kebab case, as [`FromStr`] reads it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub(super) fn stages(self) -> Stages {
        self.row().stages
    }

    fn row(self) -> &'static Row {
        ROWS.get(self as usize).expect("each fault has a row")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let row = ROWS.iter().find(|row| row.name == name);
        row.map(|row| row.fault).ok_or_else(|| UnknownFault(name.into()))
    }
}

/// No fault has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFault(Box<str>);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no fault is named {:?}", self.0)
    }
}

impl std::error::Error for UnknownFault {}
