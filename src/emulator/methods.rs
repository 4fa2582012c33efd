//! Methods: every RPC of a descriptor set, by gRPC path and by HTTP rule.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, OnceLock};

use http::Method as Verb;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, MessageDescriptor, MethodDescriptor, Value,
};

use super::binding::{Binding, BodyRule, Capture, Template};
use super::field::field_of;
use super::gemini::OPERATION_RULES;
use crate::proto::DESCRIPTORS;

/// The RPCs that the emulator knows.
#[derive(Debug)]
pub(super) struct Methods {
    methods: HashMap<Box<str>, Method>,
}

/// One RPC.
#[derive(Debug)]
pub(super) struct Method {
    /// `/package.Service/Method`
    pub(super) path: Box<str>,
    pub(super) descriptor: MethodDescriptor,
    bindings: Vec<Binding>,
}

/// What a REST request asks for.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) method: &'a Method,
    pub(super) binding: &'a Binding,
    pub(super) captures: Vec<Capture>,
}

impl Methods {
    /// Those of Gemini's v1 and v1beta, and the operations at the rules of its service
    /// configuration.
    pub(super) fn gemini() -> io::Result<Arc<Self>> {
        // Tests start many emulators, and reading the protos takes longer than the rest of it.
        static GEMINI: OnceLock<Arc<Methods>> = OnceLock::new();
        if let Some(methods) = GEMINI.get() {
            return Ok(Arc::clone(methods));
        }
        let methods = Arc::new(Self::read_gemini()?);
        Ok(Arc::clone(GEMINI.get_or_init(|| methods)))
    }

    fn read_gemini() -> io::Result<Self> {
        let mut methods = Self::decode(DESCRIPTORS)?;
        for method in methods.methods.values_mut() {
            let rules = OPERATION_RULES.iter().filter(|rule| *rule.0 == *method.path);
            let bindings = rules.map(|(_, verb, template, body)| {
                read_binding(&method.descriptor, verb, template, BodyRule::parse(body), None)
            });
            let bindings = bindings.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
            if !bindings.is_empty() {
                method.bindings = bindings;
            }
        }
        Ok(methods)
    }

    /// Those of a `FileDescriptorSet`.
    pub(super) fn decode(descriptors: &[u8]) -> io::Result<Self> {
        let pool = DescriptorPool::decode(descriptors).map_err(io::Error::other)?;
        let annotation = pool.get_extension_by_name("google.api.http");
        let mut methods = HashMap::new();
        for descriptor in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            let service = descriptor.parent_service().full_name();
            let path: Box<str> = format!("/{service}/{}", descriptor.name()).into();
            let bindings = match &annotation {
                Some(annotation) => read_rules(&descriptor, annotation)
                    .map_err(|why| io::Error::other(format!("the HTTP rule of {path}: {why}")))?,
                None => Vec::new(),
            };
            methods.insert(path.clone(), Method { path, descriptor, bindings });
        }
        Ok(Self { methods })
    }

    /// The method of a gRPC path.
    pub(super) fn find(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// The method of a REST request, by the most exact of the rules that match.
    pub(super) fn route(&self, verb: &Verb, path: &str) -> Option<Route<'_>> {
        let bindings = self.methods.values().flat_map(|method| {
            let bindings = method.bindings.iter().filter(|binding| binding.verb == *verb);
            bindings.map(move |binding| (method, binding))
        });
        let routes = bindings.filter_map(|(method, binding)| {
            Some(Route { method, binding, captures: binding.template.captures(path)? })
        });
        routes.max_by_key(|route| route.binding.template.rank())
    }
}

/// The rule of a method and its additional bindings.
fn read_rules(
    method: &MethodDescriptor,
    annotation: &ExtensionDescriptor,
) -> Result<Vec<Binding>, String> {
    let options = method.options();
    if !options.has_extension(annotation) {
        return Ok(Vec::new());
    }
    let rule = options.get_extension(annotation);
    let rule = rule.as_message().ok_or("it is no message")?;
    let mut bindings = vec![read_rule(method, rule)?];
    let additional = rule.get_field_by_name("additional_bindings");
    for rule in additional.as_deref().and_then(Value::as_list).unwrap_or_default() {
        bindings.push(read_rule(method, rule.as_message().ok_or("a binding is no message")?)?);
    }
    Ok(bindings)
}

fn read_rule(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Binding, String> {
    let body = BodyRule::parse(&text(rule, "body"));
    let response_body = Some(text(rule, "response_body")).filter(|field| !field.is_empty());
    let plain = ["get", "put", "post", "delete", "patch"];
    if let Some(verb) = plain.iter().find(|verb| rule.has_field_by_name(verb)) {
        let template = text(rule, verb);
        return read_binding(method, &verb.to_uppercase(), &template, body, response_body);
    }
    let custom = rule.get_field_by_name("custom");
    let custom = custom.as_deref().and_then(Value::as_message).ok_or("it has no pattern")?;
    read_binding(method, &text(custom, "kind"), &text(custom, "path"), body, response_body)
}

fn read_binding(
    method: &MethodDescriptor,
    verb: &str,
    template: &str,
    body: BodyRule,
    response_body: Option<String>,
) -> Result<Binding, String> {
    let template = Template::parse(template)?;
    for path in template.field_paths() {
        require_field(&method.input(), path)?;
    }
    if let BodyRule::Field(field) = &body {
        require_field(&method.input(), field)?;
    }
    if let Some(field) = &response_body {
        require_field(&method.output(), field)?;
    }
    let verb = Verb::from_bytes(verb.as_bytes()).map_err(|error| error.to_string())?;
    Ok(Binding { verb, template, body, response_body: response_body.map(Into::into) })
}

fn require_field(message: &MessageDescriptor, path: &str) -> Result<(), String> {
    let found = field_of(message, path);
    found.map(drop).ok_or_else(|| format!("{} has no field {path}", message.full_name()))
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}
