//! Prompt: a request that asks a model one question.

use crate::proto::google::ai::generativelanguage::v1beta::{Content, GenerateContentRequest};

/// A request that asks `model` this text, as the user.
///
/// `model` is a name with or without `models/`. All else of the request keeps its default; set it
/// on what this returns.
///
/// ```
/// use genai_bridge::gemini;
/// use genai_bridge::v1beta::GenerationConfig;
///
/// let mut request = gemini::prompt("gemini-2.5-flash", "Why is the sky blue?");
/// request.generation_config = Some(GenerationConfig { temperature: Some(0.2), ..Default::default() });
/// assert_eq!(request.model, "models/gemini-2.5-flash");
/// ```
pub fn prompt(model: impl AsRef<str>, text: impl Into<String>) -> GenerateContentRequest {
    GenerateContentRequest {
        model: model_name(model.as_ref()),
        contents: vec![Content::user(text.into())],
        ..GenerateContentRequest::default()
    }
}

/// The name of a model as the API has it: `tunedModels/mine` is one already.
pub(crate) fn model_name(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("models/{name}") }
}
