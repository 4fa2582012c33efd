//! Rest only: what becomes of a call over gRPC by a field, or an enum value, that the service has
//! over REST alone.

use super::types::Types;

/// `genai_bridge.RestOnly`, the option that marks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestOnly {
    /// The published protos have it.
    No,
    /// The request means something else without it.
    Pins,
    /// It is left out.
    Drops,
    /// The members that the schema does not know, as text; it is left out.
    Unknown,
}

impl RestOnly {
    pub(super) const fn of(number: i32) -> Self {
        match number {
            1 => Self::Pins,
            2 => Self::Drops,
            3 => Self::Unknown,
            _ => Self::No,
        }
    }
}

/// Whether the schema declares the mark; without it nothing is marked.
pub(super) fn is_declared(types: &Types) -> bool {
    let options = types.extensions_of("google.protobuf.FieldOptions");
    options.iter().any(|extension| *extension.name == *"genai_bridge.rest_only")
}
