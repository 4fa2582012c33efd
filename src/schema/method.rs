//! Methods: the RPCs of a schema, by path.

use super::MessageId;
use super::rule::Rule;

/// One RPC of a schema.
#[derive(Debug)]
pub(crate) struct Method {
    /// `/package.Service/Method`
    pub(crate) path: Box<str>,
    pub(crate) input: MessageId,
    pub(crate) output: MessageId,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
    /// The HTTP rule and its additional bindings, in order; empty: no REST form.
    pub(crate) rules: Box<[Rule]>,
}
