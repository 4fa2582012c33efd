//! Rules: `google.api.http`, checked against the request message when the schema is built.
//!
//! Grammar and meaning: [`google/api/http.proto`](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/api/http.proto).

use super::descriptor::{FieldDescriptor, HttpPattern, HttpRule};
use super::index::Index;
use super::template::Template;
use super::{MessageId, TypeId};

/// One binding of a method to a verb and a path.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) verb: http::Method,
    pub(crate) template: Template,
    /// The field that each variable of the template names, in order.
    pub(crate) variables: Box<[FieldPath]>,
    pub(crate) body: RuleBody,
    /// The field of the answer that is the whole body, by number; `None`: the answer itself.
    pub(crate) response_body: Option<u32>,
}

/// Field numbers from the request message down.
pub(crate) type FieldPath = Box<[u32]>;

/// What the body of the HTTP request holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuleBody {
    /// Nothing: fields that the path does not bind go into the query.
    None,
    /// All fields that the path does not bind.
    All,
    /// This field, by number; others go into the query.
    Field(u32),
}

/// A rule of a service configuration: replaces the annotation of a method wholly.
#[derive(Debug)]
pub(crate) struct HttpOverride {
    /// `package.Service.Method`
    pub(crate) selector: &'static str,
    /// In order: the first that fits a request is taken.
    pub(crate) bindings: &'static [HttpBinding],
}

/// One binding of an [`HttpOverride`].
#[derive(Debug)]
pub(crate) struct HttpBinding {
    pub(crate) verb: &'static str,
    pub(crate) path: &'static str,
    /// `""`, `"*"` or the name of a field.
    pub(crate) body: &'static str,
}

impl HttpOverride {
    pub(super) fn is_for(&self, service: &str, method: &str) -> bool {
        self.selector.rsplit_once('.') == Some((service, method))
    }
}

/// A rule and its additional bindings, in order.
///
/// # Errors
/// A binding cannot be used; the text says which, and why.
pub(super) fn read_rules(
    rule: &HttpRule,
    input: MessageId,
    output: MessageId,
    index: &Index,
) -> Result<Box<[Rule]>, String> {
    let nested =
        rule.additional_bindings.iter().find(|binding| !binding.additional_bindings.is_empty());
    if nested.is_some() {
        return Err("an additional binding has additional bindings of its own".into());
    }
    let bindings = std::iter::once(rule).chain(&rule.additional_bindings);
    let read = |binding: &HttpRule| {
        let (verb, path) = verb_and_path(binding)?;
        let read =
            read_binding(verb, path, &binding.body, &binding.response_body, (input, output), index);
        read.map_err(|why| format!("rule `{verb} {path}`: {why}"))
    };
    bindings.map(read).collect()
}

/// The bindings of a service configuration.
///
/// # Errors
/// As [`read_rules`].
pub(super) fn read_override(
    given: &HttpOverride,
    input: MessageId,
    output: MessageId,
    index: &Index,
) -> Result<Box<[Rule]>, String> {
    let read = |binding: &HttpBinding| {
        let HttpBinding { verb, path, body } = binding;
        let read = read_binding(verb, path, body, "", (input, output), index);
        read.map_err(|why| format!("rule `{verb} {path}`: {why}"))
    };
    given.bindings.iter().map(read).collect()
}

fn verb_and_path(rule: &HttpRule) -> Result<(&str, &str), String> {
    match &rule.pattern {
        Some(HttpPattern::Get(path)) => Ok(("GET", path)),
        Some(HttpPattern::Put(path)) => Ok(("PUT", path)),
        Some(HttpPattern::Post(path)) => Ok(("POST", path)),
        Some(HttpPattern::Delete(path)) => Ok(("DELETE", path)),
        Some(HttpPattern::Patch(path)) => Ok(("PATCH", path)),
        Some(HttpPattern::Custom(custom)) if custom.kind == "*" => {
            Err("custom kind `*` stands for any verb, which a client cannot send".into())
        }
        Some(HttpPattern::Custom(custom)) => Ok((&custom.kind, &custom.path)),
        None => Err("a rule has no verb and path".into()),
    }
}

fn read_binding(
    verb: &str,
    path: &str,
    body: &str,
    response_body: &str,
    (input, output): (MessageId, MessageId),
    index: &Index,
) -> Result<Rule, String> {
    let verb =
        http::Method::from_bytes(verb.as_bytes()).map_err(|_| "the verb is no HTTP method")?;
    let template = Template::parse(path).map_err(|error| error.to_string())?;
    let variables =
        template.variables().map(|variable| resolve_variable(variable.field_path(), input, index));
    let top_level = |name: &str, message: MessageId| {
        let field =
            index.field(message, name).ok_or_else(|| format!("field `{name}` does not exist"))?;
        u32::try_from(field.number).map_err(|_| format!("field `{name}` has a bad number"))
    };
    Ok(Rule {
        verb,
        variables: variables.collect::<Result<_, _>>()?,
        template,
        body: match body {
            "" => RuleBody::None,
            "*" => RuleBody::All,
            name => RuleBody::Field(top_level(name, input)?),
        },
        response_body: match response_body {
            "" => None,
            name => Some(top_level(name, output)?),
        },
    })
}

/// A variable names a singular scalar, perhaps inside singular messages.
fn resolve_variable(path: &str, input: MessageId, index: &Index) -> Result<FieldPath, String> {
    let mut numbers = Vec::new();
    let mut inside = Some(input);
    for name in path.split('.') {
        let message = inside.ok_or_else(|| format!("field `{name}` stands inside a scalar"))?;
        let field =
            index.field(message, name).ok_or_else(|| format!("field `{name}` does not exist"))?;
        if field.label == LABEL_REPEATED {
            return Err(format!("field `{name}` is repeated"));
        }
        numbers.push(u32::try_from(field.number).unwrap_or_default());
        inside = message_of(&field, index);
    }
    match inside {
        Some(_) => Err(format!("field `{path}` is a message")),
        None => Ok(numbers.into()),
    }
}

fn message_of(field: &FieldDescriptor<'_>, index: &Index) -> Option<MessageId> {
    match index.find(field.type_name) {
        Some(TypeId::Message(id)) => Some(id),
        Some(TypeId::Enum(_)) | None => None,
    }
}

const LABEL_REPEATED: i32 = 3;
