//! Tables: what each type of a schema becomes when it is first used.

use std::sync::OnceLock;

use super::enumeration::Enum;
use super::message::Message;
use super::types::{EnumId, MessageId, Types};

/// The types of a schema and their tables.
pub(super) struct Tables {
    pub(super) types: Types,
    messages: Box<[Lazy<Message>]>,
    enums: Box<[Lazy<Enum>]>,
}

/// Boxed, as most of them are never made.
type Lazy<T> = OnceLock<Box<T>>;

impl Tables {
    pub(super) fn new(types: Types) -> Self {
        Self {
            messages: (0..types.message_count()).map(|_| Lazy::new()).collect(),
            enums: (0..types.enum_count()).map(|_| Lazy::new()).collect(),
            types,
        }
    }

    /// The id is moved into what makes the table: borrowed, it would have to stand in memory, which
    /// costs each look.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a table for each id")]
    pub(super) fn message(&self, id: MessageId) -> &Message {
        let table = move || Box::new(Message::new(self.types.message(id), &self.types));
        self.messages[id.0 as usize].get_or_init(table)
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a table for each id")]
    pub(super) fn enumeration(&self, id: EnumId) -> &Enum {
        let table = move || {
            let declared = self.types.enumeration(id);
            Box::new(Enum::new(&declared.name, &declared.descriptor, declared.features))
        };
        self.enums[id.0 as usize].get_or_init(table)
    }
}
