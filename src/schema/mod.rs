//! Schema: a descriptor set compiled once to tables: messages, methods, HTTP rules.

/// Index of a message in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId(pub(crate) u32);

/// One RPC of a schema.
#[derive(Debug)]
pub(crate) struct Method {
    /// `/package.Service/Method`
    pub(crate) path: Box<str>,
    pub(crate) input: MessageId,
    pub(crate) output: MessageId,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
}

/// Messages and methods of a descriptor set, ready for both transports.
#[derive(Debug, Clone)]
pub struct Schema {}
