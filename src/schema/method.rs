//! Methods: the RPCs of a schema, by path.

use super::config::MethodConfig;
use super::descriptor::MethodDescriptor;
use super::naming::refused;
use super::rule::{HttpOverride, Rule, Rules, read_override, read_rules};
use super::types::{MessageId, TypeId, Types};
use crate::error::{Error, ErrorKind};

/// One RPC of a schema.
#[derive(Debug)]
pub(crate) struct Method {
    /// `/package.Service/Method`
    pub(crate) path: Box<str>,
    pub(crate) input: MessageId,
    pub(crate) output: MessageId,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
    /// What REST can send of the HTTP rule and its additional bindings, in order; empty: no REST
    /// form.
    pub(crate) rules: Box<[Rule]>,
    /// Why REST cannot send one of them.
    unusable: Option<Box<str>>,
    /// What the service's configuration says of it.
    pub(crate) config: MethodConfig,
}

impl Method {
    pub(super) fn read(
        service: &str,
        descriptor: &MethodDescriptor<'_>,
        overrides: &[HttpOverride<'_>],
        types: &Types,
    ) -> Result<Self, Error> {
        let name = descriptor.name;
        let refuse = |why: String| refused(format!("method `{service}.{name}`{why}"));
        let message = |type_name: &str| match types.find(type_name) {
            Some(TypeId::Message(id)) => Ok(id),
            Some(TypeId::Enum(_)) | None => {
                Err(refuse(format!(" has no known type (`{type_name}`)")))
            }
        };
        let (input, output) = (message(descriptor.input_type)?, message(descriptor.output_type)?);
        let given = overrides.iter().find(|given| given.is_for(service, name));
        let Rules { usable, unusable } = match (given, &descriptor.options.http) {
            (Some(given), _) => read_override(given, input, output, types),
            (None, Some(rule)) => read_rules(rule, input, output, types),
            (None, None) => Rules::default(),
        };
        Ok(Self {
            path: ["/", service, "/", name].concat().into(),
            input,
            output,
            client_streaming: descriptor.client_streaming,
            server_streaming: descriptor.server_streaming,
            rules: usable.into(),
            unusable: unusable.map(Into::into),
            config: MethodConfig::default(),
        })
    }

    /// Whether REST can carry it: it has an HTTP rule that can be used, and takes one message.
    pub(crate) fn has_rest_form(&self) -> bool {
        !self.rules.is_empty() && !self.client_streaming
    }

    /// What REST sends of it.
    ///
    /// # Errors
    /// It has no REST form; the text says why.
    pub(crate) fn rest_form(&self) -> Result<&[Rule], Error> {
        let why = match &self.unusable {
            _ if self.has_rest_form() => return Ok(&self.rules),
            _ if self.client_streaming => "streams from the client, which REST cannot carry",
            Some(why) => &format!("has no HTTP rule that REST can use: {why}"),
            None => "has no HTTP rule, so REST cannot carry it",
        };
        Err(Error::new(ErrorKind::Unsupported, format!("method `{}` {why}", self.path)))
    }
}
