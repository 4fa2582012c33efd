//! HTTP rules: `http.rules` of a `google.api.Service`. A rule replaces the annotation of its
//! method, and the last one of a method counts
//! ([`google/api/http.proto`](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/api/http.proto)).

use serde_json::Value;

use super::super::rule::HttpBinding;
use super::members::{list, text};

/// A rule of one method.
#[derive(Debug)]
pub(in super::super) struct ConfiguredRule {
    /// `package.Service.Method`
    pub(in super::super) selector: String,
    bindings: Vec<Binding>,
}

#[derive(Debug)]
struct Binding {
    verb: String,
    path: String,
    body: String,
    response_body: String,
}

impl ConfiguredRule {
    pub(in super::super) fn bindings(&self) -> Vec<HttpBinding<'_>> {
        let bindings = self.bindings.iter().map(|binding| HttpBinding {
            verb: &binding.verb,
            path: &binding.path,
            body: &binding.body,
            response_body: &binding.response_body,
        });
        bindings.collect()
    }
}

/// The rules of `http`, the last one of a method first.
pub(super) fn read(http: &Value) -> Result<Vec<ConfiguredRule>, String> {
    list(http, "rules")?.iter().rev().map(read_rule).collect()
}

fn read_rule(rule: &Value) -> Result<ConfiguredRule, String> {
    let selector = text(rule, "selector")?.to_owned();
    let of_rule = |why: String| format!("rule of `{selector}`: {why}");
    let mut bindings = vec![read_binding(rule).map_err(of_rule)?];
    for binding in
        either(rule, "additional_bindings", "additionalBindings", list).map_err(of_rule)?
    {
        bindings.push(read_binding(binding).map_err(of_rule)?);
    }
    if selector.is_empty() {
        return Err("a rule has no `selector`".into());
    }
    Ok(ConfiguredRule { selector, bindings })
}

fn read_binding(binding: &Value) -> Result<Binding, String> {
    let mut found = None;
    for verb in ["get", "put", "post", "delete", "patch"] {
        let path = text(binding, verb)?;
        if !path.is_empty() && found.replace((verb.to_uppercase(), path.to_owned())).is_some() {
            return Err("it has two verbs".into());
        }
    }
    if let Some(custom) = binding.get("custom") {
        found = Some((text(custom, "kind")?.to_owned(), text(custom, "path")?.to_owned()));
    }
    let (verb, path) = found.ok_or("it has no verb and path")?;
    let body = text(binding, "body")?.to_owned();
    let response_body = either(binding, "response_body", "responseBody", text)?.to_owned();
    Ok(Binding { verb, path, body, response_body })
}

/// A member by the name of the proto, which YAML uses, or by that of JSON.
fn either<'v, T: ?Sized>(
    of: &'v Value,
    name: &str,
    json_name: &str,
    read: impl Fn(&'v Value, &str) -> Result<&'v T, String>,
) -> Result<&'v T, String> {
    read(of, if of.get(json_name).is_some() { json_name } else { name })
}
