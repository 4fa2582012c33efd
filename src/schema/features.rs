//! Features: what the syntax or edition of a file, and each element in it, chooses.

use prost::Message;

/// `google.protobuf.FeatureSet`: what an edition lets each element choose.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct FeatureSet {
    #[prost(int32, optional, tag = "1")]
    field_presence: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    enum_type: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    repeated_field_encoding: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    utf8_validation: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    message_encoding: Option<i32>,
}

/// The features in force for an element, each one decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a feature of its own")]
pub(super) struct Features {
    pub(super) implicit_presence: bool,
    pub(super) closed_enum: bool,
    pub(super) packed: bool,
    pub(super) delimited: bool,
    /// Parsers refuse a string that is not UTF-8.
    pub(super) checked_utf8: bool,
}

impl Features {
    /// What the syntax or edition of a file sets out from
    /// ([defaults](https://protobuf.dev/editions/features/)).
    pub(super) fn of_file(syntax: &str, edition: i32, own: Option<FeatureSet>) -> Self {
        let start = match syntax {
            "proto3" => Self {
                implicit_presence: true,
                closed_enum: false,
                packed: true,
                delimited: false,
                checked_utf8: true,
            },
            "editions" if edition >= EDITION_2023 => Self {
                implicit_presence: false,
                closed_enum: false,
                packed: true,
                delimited: false,
                checked_utf8: true,
            },
            _ => Self {
                implicit_presence: false,
                closed_enum: true,
                packed: false,
                delimited: false,
                checked_utf8: false,
            },
        };
        start.with(own)
    }

    /// The same, where an element inside says otherwise.
    pub(super) fn with(self, own: Option<FeatureSet>) -> Self {
        let Some(own) = own else { return self };
        let choose = |chosen: Option<i32>, yes: i32, inherited: bool| {
            chosen.filter(|value| *value != 0).map_or(inherited, |value| value == yes)
        };
        Self {
            implicit_presence: choose(own.field_presence, IMPLICIT, self.implicit_presence),
            closed_enum: choose(own.enum_type, CLOSED, self.closed_enum),
            packed: choose(own.repeated_field_encoding, PACKED, self.packed),
            delimited: choose(own.message_encoding, DELIMITED, self.delimited),
            checked_utf8: choose(own.utf8_validation, VERIFY, self.checked_utf8),
        }
    }
}

const EDITION_2023: i32 = 1000;
const IMPLICIT: i32 = 2;
const CLOSED: i32 = 2;
const PACKED: i32 = 1;
const DELIMITED: i32 = 2;
const VERIFY: i32 = 2;
