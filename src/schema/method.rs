//! Methods: the RPCs of a schema, by path.

use super::descriptor::MethodDescriptor;
use super::index::Index;
use super::rule::{HttpOverride, Rule, read_override, read_rules};
use super::{MessageId, TypeId, refused};
use crate::error::Error;

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

impl Method {
    pub(super) fn read(
        service: &str,
        descriptor: &MethodDescriptor<'_>,
        overrides: &[HttpOverride],
        index: &Index,
    ) -> Result<Self, Error> {
        let name = descriptor.name;
        let refuse = |why: String| refused(format!("method `{service}.{name}`{why}"));
        let message = |type_name: &str| match index.find(type_name) {
            Some(TypeId::Message(id)) => Ok(id),
            Some(TypeId::Enum(_)) | None => {
                Err(refuse(format!(" has no known type (`{type_name}`)")))
            }
        };
        let (input, output) = (message(descriptor.input_type)?, message(descriptor.output_type)?);
        let rules: Result<Box<[Rule]>, String> = match (
            overrides.iter().find(|given| given.is_for(service, name)),
            &descriptor.options.http,
        ) {
            (Some(given), _) => read_override(given, input, output, index),
            (None, Some(rule)) => read_rules(rule, input, output, index),
            (None, None) => Ok(Box::default()),
        };
        Ok(Self {
            path: ["/", service, "/", name].concat().into(),
            input,
            output,
            client_streaming: descriptor.client_streaming,
            server_streaming: descriptor.server_streaming,
            rules: rules.map_err(|why| refuse(format!(": {why}")))?,
        })
    }
}
