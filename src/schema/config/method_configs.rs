//! Method configs: `methodConfig` of a gRPC service config: how long a call may take, and which
//! answers are tried again ([service
//! config](https://github.com/grpc/grpc/blob/v1.75.0/doc/service_config.md)).

use std::time::Duration;

use serde_json::Value;
use tonic::Code;

use super::members::{list, text};
use crate::bridge::options::RetryPolicy;
use crate::proto::google::rpc;

/// What a service config says of one method.
#[derive(Debug, Clone, Default)]
pub(crate) struct MethodConfig {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<RetryPolicy>,
}

/// Those of all methods.
#[derive(Debug, Default)]
pub(in super::super) struct MethodConfigs(Vec<(Name, MethodConfig)>);

/// A method, all methods of a service where `method` is empty, or all methods where both are.
#[derive(Debug)]
struct Name {
    service: String,
    method: String,
}

impl MethodConfigs {
    pub(super) fn add(&mut self, configs: &Value) -> Result<(), String> {
        let Value::Array(configs) = configs else { return Err("`methodConfig` is no list".into()) };
        for config in configs {
            let read = read_config(config)?;
            for name in list(config, "name")? {
                let (service, method) = (text(name, "service")?, text(name, "method")?);
                let name = Name { service: service.to_owned(), method: method.to_owned() };
                self.0.push((name, read.clone()));
            }
        }
        Ok(())
    }

    /// That of a method, else of its service, else of all.
    pub(in super::super) fn find(&self, service: &str, method: &str) -> Option<&MethodConfig> {
        let of = |service: &str, method: &str| {
            let is_it = |name: &Name| name.service == service && name.method == method;
            self.0.iter().find(|(name, _)| is_it(name)).map(|(_, config)| config)
        };
        of(service, method).or_else(|| of(service, "")).or_else(|| of("", ""))
    }
}

fn read_config(config: &Value) -> Result<MethodConfig, String> {
    let timeout = match text(config, "timeout")? {
        "" => None,
        given => Some(duration(given)?),
    };
    let retry = config.get("retryPolicy").map(read_retry).transpose()?;
    Ok(MethodConfig { timeout, retry })
}

fn read_retry(policy: &Value) -> Result<RetryPolicy, String> {
    let number = |name| policy.get(name).and_then(Value::as_f64).filter(|number| *number > 0.0);
    let missing = |name: &str| format!("`retryPolicy` has no `{name}`");
    let attempts = policy.get("maxAttempts").and_then(Value::as_u64);
    let attempts = attempts.filter(|attempts| *attempts > 1).ok_or(missing("maxAttempts"))?;
    let initial = duration(text(policy, "initialBackoff")?)?;
    let max = duration(text(policy, "maxBackoff")?)?;
    let multiplier = number("backoffMultiplier").ok_or(missing("backoffMultiplier"))?;
    let mut retry = RetryPolicy::none()
        .max_attempts(u32::try_from(attempts).unwrap_or(MOST_ATTEMPTS).min(MOST_ATTEMPTS))
        .backoff(initial, multiplier, max);
    for code in list(policy, "retryableStatusCodes")? {
        retry = retry.also(read_code(code)?);
    }
    Ok(retry)
}

/// Each gRPC runtime takes more than these for these.
const MOST_ATTEMPTS: u32 = 5;

/// A code by its name or its number.
fn read_code(code: &Value) -> Result<Code, String> {
    let by_name = |name| rpc::Code::from_str_name(name).map(i32::from);
    let by_number = || code.as_i64().and_then(|number| i32::try_from(number).ok());
    let number = code.as_str().and_then(by_name).or_else(by_number);
    let known = number.filter(|number| (0..=16).contains(number));
    known.map(Code::from).ok_or_else(|| format!("there is no code {code}"))
}

/// `1.5s`
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("`{text}` is no duration, such as 1.5s"))
}
