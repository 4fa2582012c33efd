//! Rules: `google.api.http`, checked against the request message when the schema is built.
//!
//! Grammar and meaning:
//! [`google/api/http.proto`](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/api/http.proto).

use super::descriptor::{FieldDescriptor, HttpPattern, HttpRule};
use super::template::Template;
use super::types::{MessageId, TypeId, Types};

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

/// One binding as its author wrote it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpBinding<'a> {
    pub(crate) verb: &'a str,
    pub(crate) path: &'a str,
    /// `""`, `"*"` or the name of a field.
    pub(crate) body: &'a str,
    /// `""` or the name of a field.
    pub(crate) response_body: &'a str,
}

/// A rule of a service configuration: replaces the annotation of a method wholly.
#[derive(Debug)]
pub(crate) struct HttpOverride<'a> {
    /// `package.Service.Method`
    pub(crate) selector: &'a str,
    /// In order: the first that fits a request is taken.
    pub(crate) bindings: &'a [HttpBinding<'a>],
}

impl HttpOverride<'_> {
    pub(super) fn is_for(&self, service: &str, method: &str) -> bool {
        self.selector.rsplit_once('.') == Some((service, method))
    }
}

/// What REST can send of a method's bindings, and why it cannot send the first of the others.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) usable: Vec<Rule>,
    pub(super) unusable: Option<String>,
}

impl Rules {
    fn add(&mut self, read: Result<Rule, String>) {
        match read {
            Ok(rule) => self.usable.push(rule),
            Err(why) => self.unusable = self.unusable.take().or(Some(why)),
        }
    }
}

/// A method's annotation: a rule and its additional bindings, in order.
pub(super) fn read_rules(
    rule: &HttpRule,
    input: MessageId,
    output: MessageId,
    types: &Types,
) -> Rules {
    let mut rules = Rules::default();
    for binding in std::iter::once(rule).chain(&rule.additional_bindings) {
        let is_nested = !std::ptr::eq(binding, rule) && !binding.additional_bindings.is_empty();
        rules.add(if is_nested {
            Err("an additional binding has additional bindings of its own".into())
        } else {
            binding_of(binding).and_then(|binding| read_binding(&binding, input, output, types))
        });
    }
    rules
}

/// The bindings of a service configuration.
pub(super) fn read_override(
    given: &HttpOverride<'_>,
    input: MessageId,
    output: MessageId,
    types: &Types,
) -> Rules {
    let mut rules = Rules::default();
    for binding in given.bindings {
        rules.add(read_binding(binding, input, output, types));
    }
    rules
}

fn binding_of(rule: &HttpRule) -> Result<HttpBinding<'_>, String> {
    let (verb, path): (&str, &str) = match &rule.pattern {
        Some(HttpPattern::Get(path)) => ("GET", path),
        Some(HttpPattern::Put(path)) => ("PUT", path),
        Some(HttpPattern::Post(path)) => ("POST", path),
        Some(HttpPattern::Delete(path)) => ("DELETE", path),
        Some(HttpPattern::Patch(path)) => ("PATCH", path),
        Some(HttpPattern::Custom(custom)) => (&custom.kind, &custom.path),
        None => return Err("a rule has no verb and path".into()),
    };
    Ok(HttpBinding { verb, path, body: &rule.body, response_body: &rule.response_body })
}

/// # Errors
/// The binding cannot be sent; the text says which it is, and why.
fn read_binding(
    binding: &HttpBinding<'_>,
    input: MessageId,
    output: MessageId,
    types: &Types,
) -> Result<Rule, String> {
    let HttpBinding { verb, path, .. } = binding;
    check_binding(binding, input, output, types)
        .map_err(|why| format!("rule `{verb} {path}`: {why}"))
}

fn check_binding(
    binding: &HttpBinding<'_>,
    input: MessageId,
    output: MessageId,
    types: &Types,
) -> Result<Rule, String> {
    if binding.verb == "*" {
        return Err("custom kind `*` stands for any verb, which a client cannot send".into());
    }
    let verb = http::Method::from_bytes(binding.verb.as_bytes())
        .map_err(|_| "the verb is no HTTP method")?;
    let template = Template::parse(binding.path).map_err(|error| error.to_string())?;
    let variables =
        template.variables().map(|variable| resolve_variable(variable.field_path(), input, types));
    let top_level = |name: &str, message: MessageId| {
        let field =
            types.field(message, name).ok_or_else(|| format!("field `{name}` does not exist"))?;
        u32::try_from(field.number).map_err(|_| format!("field `{name}` has a bad number"))
    };
    Ok(Rule {
        verb,
        variables: variables.collect::<Result<_, _>>()?,
        template,
        body: match binding.body {
            "" => RuleBody::None,
            "*" => RuleBody::All,
            name => RuleBody::Field(top_level(name, input)?),
        },
        response_body: match binding.response_body {
            "" => None,
            name => Some(top_level(name, output)?),
        },
    })
}

/// A variable names a singular scalar, perhaps inside singular messages.
fn resolve_variable(path: &str, input: MessageId, types: &Types) -> Result<FieldPath, String> {
    let mut numbers = Vec::new();
    let mut inside = Some(input);
    for name in path.split('.') {
        let message = inside.ok_or_else(|| format!("field `{name}` stands inside a scalar"))?;
        let field =
            types.field(message, name).ok_or_else(|| format!("field `{name}` does not exist"))?;
        if field.label == LABEL_REPEATED {
            return Err(format!("field `{name}` is repeated"));
        }
        numbers.push(u32::try_from(field.number).unwrap_or_default());
        inside = message_of(&field, types);
    }
    match inside {
        Some(_) => Err(format!("field `{path}` is a message")),
        None => Ok(numbers.into()),
    }
}

fn message_of(field: &FieldDescriptor<'_>, types: &Types) -> Option<MessageId> {
    match types.find(field.type_name) {
        Some(TypeId::Message(id)) => Some(id),
        Some(TypeId::Enum(_)) | None => None,
    }
}

const LABEL_REPEATED: i32 = 3;
