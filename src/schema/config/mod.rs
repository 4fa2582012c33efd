//! Config: the files that stand beside a service's protos: HTTP rules, and deadlines and retries by
//! method.

mod http_rules;
mod members;
mod method_configs;
#[cfg(feature = "yaml")]
mod yaml;

use serde_json::Value;

use super::naming::refused;
use crate::error::Error;
pub(super) use http_rules::ConfiguredRule;
pub(crate) use method_configs::MethodConfig;
pub(super) use method_configs::MethodConfigs;

/// All that the files say.
#[derive(Debug, Default)]
pub(super) struct ServiceConfig {
    pub(super) rules: Vec<ConfiguredRule>,
    pub(super) methods: MethodConfigs,
}

impl ServiceConfig {
    /// # Errors
    /// A file is neither of the two kinds, or one part of it cannot be read; the text names it.
    pub(super) fn read(files: &[&str]) -> Result<Self, Error> {
        let mut config = Self::default();
        for (file, number) in files.iter().zip(1..) {
            let read = parse(file).and_then(|file| config.add(&file));
            read.map_err(|why| refused(format!("service configuration {number}: {why}")))?;
        }
        Ok(config)
    }

    fn add(&mut self, file: &Value) -> Result<(), String> {
        let is_service = file.get("type").is_some_and(|kind| kind == "google.api.Service");
        match (file.get("http"), file.get("methodConfig")) {
            (None, None) if is_service => Ok(()),
            (None, None) => Err("it has neither `http` nor `methodConfig`".into()),
            (http, methods) => {
                self.rules.extend(http.map(http_rules::read).transpose()?.unwrap_or_default());
                methods.map_or(Ok(()), |methods| self.methods.add(methods))
            }
        }
    }
}

#[cfg(feature = "yaml")]
fn parse(text: &str) -> Result<Value, String> {
    // JSON is YAML, too; its own parser says better what is wrong with it.
    if text.trim_start().starts_with('{') { parse_json(text) } else { yaml::parse(text) }
}

#[cfg(not(feature = "yaml"))]
fn parse(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return parse_json(text);
    }
    Err("it is not JSON; YAML needs the feature `yaml`".into())
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}
