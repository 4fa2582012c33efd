//! Limits: what is documented for all models, or what one `Model` says of itself.

use crate::proto::google::ai::generativelanguage::{v1, v1beta};

/// What a request may ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    model: Option<OneModel>,
    prompt_tokens: Option<i32>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct OneModel {
    name: String,
    max_temperature: Option<f32>,
    input_tokens: i32,
    output_tokens: i32,
    methods: Vec<String>,
}

impl Limits {
    /// What the service documents for all models: a temperature of 0 to 1, no limit of tokens.
    pub fn documented() -> Self {
        Self::default()
    }

    /// How long the prompt is, as `CountTokens` found; compared with the model's
    /// `input_token_limit`.
    #[must_use]
    pub fn prompt_tokens(mut self, tokens: i32) -> Self {
        self.prompt_tokens = Some(tokens);
        self
    }

    /// The model that these limits are of, where they are of one.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_ref().map(|model| model.name.as_str())
    }

    pub(super) fn max_temperature(&self) -> f32 {
        let own = self.model.as_ref().and_then(|model| model.max_temperature);
        own.unwrap_or(1.0)
    }

    /// Whether the request is for another model, or for one that does not write.
    pub(super) fn fault_of_model(&self, asked: &str) -> Option<String> {
        let model = self.model.as_ref()?;
        if asked != model.name {
            return Some(format!(
                "is `{}`, but the limits are those of `{}`",
                clip(asked),
                clip(&model.name)
            ));
        }
        let writes = model.methods.is_empty()
            || model.methods.iter().any(|method| WRITES.contains(&method.as_str()));
        (!writes).then(|| {
            format!("is `{}`, which supports {} only", clip(asked), model.methods.join(", "))
        })
    }

    pub(super) fn fault_of_output(&self, tokens: i32) -> Option<String> {
        let most = self.model.as_ref().map_or(0, |model| model.output_tokens);
        if tokens < 1 {
            Some(format!("is {tokens}, not 1 or more"))
        } else if most > 0 && tokens > most {
            Some(format!("is {tokens}; the model writes at most {most}"))
        } else {
            None
        }
    }

    pub(super) fn fault_of_prompt(&self) -> Option<String> {
        let tokens = self.prompt_tokens?;
        let most = self.model.as_ref()?.input_tokens;
        (most > 0 && tokens > most)
            .then(|| format!("are {tokens} tokens long; the model reads at most {most}"))
    }
}

impl From<&v1beta::Model> for Limits {
    fn from(model: &v1beta::Model) -> Self {
        let model = OneModel {
            name: model.name.clone(),
            max_temperature: model.max_temperature,
            input_tokens: model.input_token_limit,
            output_tokens: model.output_token_limit,
            methods: model.supported_generation_methods.clone(),
        };
        Self { model: Some(model), prompt_tokens: None }
    }
}

impl From<&v1::Model> for Limits {
    fn from(model: &v1::Model) -> Self {
        Self::from(&v1beta::Model {
            name: model.name.clone(),
            max_temperature: model.max_temperature,
            input_token_limit: model.input_token_limit,
            output_token_limit: model.output_token_limit,
            supported_generation_methods: model.supported_generation_methods.clone(),
            ..v1beta::Model::default()
        })
    }
}

/// Either of them is enough: the service lists the first for both.
const WRITES: [&str; 2] = ["generateContent", "streamGenerateContent"];

/// As much of a name as fits on a line.
pub(super) fn clip(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}
