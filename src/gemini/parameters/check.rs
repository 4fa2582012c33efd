//! Check: the parameters of one request against the limits of its model.

use std::borrow::Cow;
use std::fmt;

use prost::Message;

use super::limits::{Limits, clip};
use crate::proto::google::ai::generativelanguage::{v1, v1beta};
use crate::proto::google::rpc::bad_request::FieldViolation;
use v1beta::{GenerationConfig, ThinkingConfig};

/// The documented ranges in one line.
pub(crate) const RANGES: &str = "candidate_count is 1 to 8, temperature and top_p are 0.0 to 1.0 (some models take a temperature up to 2.0: GetModel tells max_temperature), max_output_tokens is at most the model's output_token_limit";

/// One parameter that the service would refuse, or that does nothing good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    field: &'static str,
    description: String,
}

impl Violation {
    /// The field of the request, such as `generation_config.temperature`.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with it.
    pub fn description(&self) -> &str {
        &self.description
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.description)
    }
}

impl From<Violation> for FieldViolation {
    fn from(violation: Violation) -> Self {
        Self {
            field: violation.field.to_owned(),
            description: violation.description,
            ..Self::default()
        }
    }
}

/// Checks a `GenerateContentRequest` of v1 or v1beta. Nothing is sent, and the prompt is not looked
/// at.
///
/// ```
/// use genai_bridge::gemini::parameters::{Limits, check};
/// use genai_bridge::v1beta::{GenerateContentRequest, GenerationConfig};
///
/// let config = GenerationConfig { top_p: Some(1.5), ..GenerationConfig::default() };
/// let request = GenerateContentRequest {
///     model: "models/gemini-2.5-flash".into(),
///     generation_config: Some(config),
///     ..GenerateContentRequest::default()
/// };
/// let violations = check(&request, &Limits::documented());
/// assert_eq!(violations[0].to_string(), "`generation_config.top_p` is 1.5, not 0 to 1");
/// ```
pub fn check(request: &impl Request, limits: &Limits) -> Vec<Violation> {
    let (config, tier) = (request.config(), request.service_tier());
    check_parameters(request.model(), config.as_deref(), tier, limits)
}

/// A request that asks a model to write.
pub trait Request: sealed::Sealed {
    /// The model's name.
    fn model(&self) -> &str;

    /// Its parameters. Those of v1 are among those of v1beta, under the same numbers.
    fn config(&self) -> Option<Cow<'_, GenerationConfig>>;

    /// The number of its `ServiceTier`.
    fn service_tier(&self) -> i32;
}

impl Request for v1beta::GenerateContentRequest {
    fn model(&self) -> &str {
        &self.model
    }

    fn config(&self) -> Option<Cow<'_, GenerationConfig>> {
        self.generation_config.as_ref().map(Cow::Borrowed)
    }

    fn service_tier(&self) -> i32 {
        self.service_tier
    }
}

impl Request for v1::GenerateContentRequest {
    fn model(&self) -> &str {
        &self.model
    }

    fn config(&self) -> Option<Cow<'_, GenerationConfig>> {
        let config = self.generation_config.as_ref()?;
        GenerationConfig::decode(config.encode_to_vec().as_slice()).ok().map(Cow::Owned)
    }

    fn service_tier(&self) -> i32 {
        self.service_tier
    }
}

mod sealed {
    use super::{v1, v1beta};

    /// Out of reach of other crates, so that a request can gain what is checked.
    #[expect(unnameable_types, reason = "sealed")]
    pub trait Sealed {}

    impl Sealed for v1::GenerateContentRequest {}
    impl Sealed for v1beta::GenerateContentRequest {}
}

pub(super) fn check_parameters(
    model: &str,
    config: Option<&GenerationConfig>,
    service_tier: i32,
    limits: &Limits,
) -> Vec<Violation> {
    let count = config.and_then(|config| config.candidate_count);
    let count = count.filter(|count| !(1..=8).contains(count));
    let output = config.and_then(|config| config.max_output_tokens);
    let temperature = config.and_then(|config| config.temperature);
    let top_p = config.and_then(|config| config.top_p);
    let thinking = config.and_then(|config| config.thinking_config.as_ref());
    let found = [
        model_fault(model).map(|what| ("model", what)),
        limits.fault_of_model(model).map(|what| ("model", what)),
        count.map(|count| ("generation_config.candidate_count", format!("is {count}, not 1 to 8"))),
        output
            .and_then(|tokens| limits.fault_of_output(tokens))
            .map(|what| ("generation_config.max_output_tokens", what)),
        temperature
            .and_then(|value| out_of_range(value, limits.max_temperature()))
            .map(|what| ("generation_config.temperature", what)),
        top_p
            .and_then(|value| out_of_range(value, 1.0))
            .map(|what| ("generation_config.top_p", what)),
        thinking.and_then(thinking_fault),
        enum_fault(service_tier).map(|what| ("service_tier", what)),
        limits.fault_of_prompt().map(|what| ("contents", what)),
    ];
    let found = found.into_iter().flatten();
    found.map(|(field, description)| Violation { field, description }).collect()
}

/// What is wrong with a number that must be 0 to `most`; NaN is in no range.
fn out_of_range(value: f32, most: f32) -> Option<String> {
    (!(0.0..=most).contains(&value)).then(|| format!("is {value}, not 0 to {most}"))
}

/// What is wrong with how much a model is to think: the service takes a level or a budget.
fn thinking_fault(config: &ThinkingConfig) -> Option<(&'static str, String)> {
    const LEVEL: &str = "generation_config.thinking_config.thinking_level";
    const BUDGET: &str = "generation_config.thinking_config.thinking_budget";
    let level = config.thinking_level;
    if let Some(what) = enum_fault(level) {
        return Some((LEVEL, what));
    }
    let budget = config.thinking_budget?;
    if level != 0 {
        return Some((LEVEL, "is set beside `thinking_budget`, which it replaces".to_owned()));
    }
    (budget < -1).then(|| (BUDGET, format!("is {budget}, not -1 (the model decides) or more")))
}

/// What is wrong with the number of an enum's value. One that the crate does not know is no fault:
/// the service may be newer.
fn enum_fault(number: i32) -> Option<String> {
    (number < 0).then(|| format!("is {number}, which is no value of an enum of the API"))
}

fn model_fault(model: &str) -> Option<String> {
    let name = COLLECTIONS.iter().find_map(|collection| model.strip_prefix(collection));
    match name {
        Some(name) if !name.is_empty() && !name.contains('/') => None,
        Some(_) | None if model.is_empty() => Some("is empty".to_owned()),
        Some(_) | None => {
            Some(format!("is `{}`, not `models/...` or `tunedModels/...`", clip(model)))
        }
    }
}

/// Where models live: the HTTP rules of `GenerateContent`.
const COLLECTIONS: [&str; 3] = ["models/", "tunedModels/", "dynamic/"];
