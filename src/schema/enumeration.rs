//! Enums as flat tables: what a value is called.

use std::borrow::Cow;

use super::descriptor::EnumDescriptor;
use super::features::Features;
use super::inline_text::InlineText;
use super::message::DENSE;
use super::names::Names;
use super::naming::{quoted, text};
use super::rest_only::RestOnly;

/// An enum type.
#[derive(Debug)]
pub(crate) struct Enum {
    pub(crate) name: Box<str>,
    /// Numbers without a name are unknown fields (proto2), not values.
    pub(crate) closed: bool,
    /// `google.protobuf.NullValue`: JSON `null`.
    pub(crate) is_null: bool,
    /// The value that stands for an absent one: the first.
    pub(crate) default: i32,
    /// What a name reads as that is newer than the schema: a number without a name, -1 in nearly
    /// every enum.
    pub(crate) unknown: i32,
    /// Sorted by number; of several names for a number the first.
    by_number: Box<[(i32, InlineText<40>)]>,
    /// By number, where numbers are small: index into `by_number` + 1, or 0.
    dense: Box<[u16]>,
    names: Names,
    /// By number, sorted: the values that are marked.
    rest_only: Box<[(i32, RestOnly)]>,
}

impl Enum {
    /// From what an [`EnumDescriptor`] reads.
    pub(super) fn new(name: &str, encoded: &[u8], features: Features) -> Self {
        let mut rest_only = Vec::new();
        let mut declared: Vec<(i32, Cow<'_, str>)> = Vec::new();
        for value in EnumDescriptor::values(encoded).flatten() {
            declared.push((value.number, text(value.name)));
            match RestOnly::of(value.options.rest_only) {
                RestOnly::No => {}
                mark => rest_only.push((value.number, mark)),
            }
        }
        rest_only.sort_by_key(|value| value.0);
        let mut values = declared.clone();
        values.sort_by_key(|value| value.0);
        values.dedup_by_key(|value| value.0);
        let by_number: Box<[_]> = values
            .iter()
            .map(|(number, name)| (*number, InlineText::new(quoted(name).as_bytes())))
            .collect();
        let mut dense = vec![0; DENSE as usize];
        let mut used = 0;
        for ((number, _), at) in by_number.iter().zip(1_u16..) {
            let number = usize::try_from(*number).unwrap_or(usize::MAX);
            if let Some(place) = dense.get_mut(number) {
                *place = at;
                used = used.max(number + 1);
            }
        }
        dense.truncate(used);
        let has_name = |number: &i32| values.binary_search_by_key(number, |value| value.0).is_ok();
        let numbers = declared.iter().map(|(number, name)| (name.as_ref(), number.cast_unsigned()));
        Self {
            name: name.into(),
            closed: features.closed_enum,
            is_null: name == "google.protobuf.NullValue",
            default: declared.first().map_or(0, |value| value.0),
            unknown: (i32::MIN..0).rev().find(|number| !has_name(number)).unwrap_or(-1),
            by_number,
            dense: dense.into(),
            names: Names::new(numbers),
            rest_only: rest_only.into(),
        }
    }

    /// The mark of a value.
    pub(crate) fn rest_only(&self, number: i32) -> RestOnly {
        let at = self.rest_only.binary_search_by_key(&number, |value| value.0);
        at.ok().and_then(|at| self.rest_only.get(at)).map_or(RestOnly::No, |value| value.1)
    }

    /// The quoted name of a value.
    #[inline]
    pub(crate) fn name_of(&self, number: i32) -> Option<&InlineText<40>> {
        let at = match self.dense.get(usize::try_from(number).unwrap_or(usize::MAX)) {
            Some(at) => usize::from(*at).checked_sub(1)?,
            None => self.by_number.binary_search_by_key(&number, |value| value.0).ok()?,
        };
        self.by_number.get(at).map(|value| &value.1)
    }

    #[inline]
    pub(crate) fn number_of(&self, name: &[u8]) -> Option<i32> {
        self.names.get(name).map(u32::cast_signed)
    }
}
