//! Gemini: the answers that need no script, and the rules of its service configuration.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::script::Reply;
use crate::v1beta::candidate::FinishReason;
use crate::v1beta::generate_content_response::UsageMetadata;
use crate::v1beta::{
    BatchEmbedContentsRequest, BatchEmbedContentsResponse, Candidate, Content, ContentEmbedding,
    CountTokensResponse, EmbedContentResponse, GenerateContentRequest, GenerateContentResponse,
    GetModelRequest, ListModelsRequest, ListModelsResponse, Model, Part, part,
};

/// Method, verb, path and body of the operations, which the configuration, not the protos, decides.
pub(super) const OPERATION_RULES: &[(&str, &str, &str, &str)] = &[
    (CANCEL, "POST", "/v1/{name=tunedModels/*/operations/*}:cancel", "*"),
    (CANCEL, "POST", "/v1/{name=batches/*}:cancel", ""),
    (DELETE, "DELETE", "/v1/{name=operations/**}", ""),
    (DELETE, "DELETE", "/v1/{name=batches/*}", ""),
    (GET, "GET", "/v1/{name=tunedModels/*/operations/*}", ""),
    (GET, "GET", "/v1/{name=generatedFiles/*/operations/*}", ""),
    (GET, "GET", "/v1/{name=batches/*}", ""),
    (GET, "GET", "/v1/{name=models/*/operations/*}", ""),
    (GET, "GET", "/v1/{name=corpora/*/operations/*}", ""),
    (GET, "GET", "/v1/{name=ragStores/*/operations/*}", ""),
    (GET, "GET", "/v1/{name=ragStores/*/upload/operations/*}", ""),
    (LIST, "GET", "/v1/{name=operations}", ""),
    (LIST, "GET", "/v1/{name=tunedModels/*}/operations", ""),
    (LIST, "GET", "/v1/{name=batches}", ""),
    (LIST, "GET", "/v1/{name=models/*}/operations", ""),
    (CANCEL, "POST", "/v1beta/{name=batches/*}:cancel", ""),
    (DELETE, "DELETE", "/v1beta/{name=batches/*}", ""),
    (GET, "GET", "/v1beta/{name=tunedModels/*/operations/*}", ""),
    (GET, "GET", "/v1beta/{name=generatedFiles/*/operations/*}", ""),
    (GET, "GET", "/v1beta/{name=batches/*}", ""),
    (GET, "GET", "/v1beta/{name=models/*/operations/*}", ""),
    (GET, "GET", "/v1beta/{name=corpora/*/operations/*}", ""),
    (LIST, "GET", "/v1beta/{name=tunedModels/*}/operations", ""),
    (LIST, "GET", "/v1beta/{name=batches}", ""),
    (LIST, "GET", "/v1beta/{name=models/*}/operations", ""),
];

const CANCEL: &str = "/google.longrunning.Operations/CancelOperation";
const DELETE: &str = "/google.longrunning.Operations/DeleteOperation";
const GET: &str = "/google.longrunning.Operations/GetOperation";
const LIST: &str = "/google.longrunning.Operations/ListOperations";

/// Between the messages of a stream: enough to come one by one, too little to wait for.
const PAUSE: Duration = Duration::from_millis(5);

/// The answer to a method of v1 or v1beta. What is set here has the same field numbers in both.
pub(super) fn answer(path: &str, request: &Bytes) -> Option<Reply> {
    let path = path.strip_prefix("/google.ai.generativelanguage.")?;
    let (_, method) = path.split_once('/')?;
    match method {
        "ListModels" => Some(list_models(&read(request))),
        "GetModel" => Some(get_model(&read(request))),
        "GenerateContent" => Some(Reply::message(&generate(&read(request)))),
        "StreamGenerateContent" => Some(stream(&read(request))),
        "CountTokens" => Some(Reply::message(&CountTokensResponse {
            total_tokens: PROMPT_TOKENS,
            ..Default::default()
        })),
        "EmbedContent" => Some(Reply::message(&EmbedContentResponse {
            embedding: Some(embedding(0)),
            ..Default::default()
        })),
        "BatchEmbedContents" => Some(batch_embed(&read(request))),
        _ => None,
    }
}

/// A request of v1 is a request of v1beta; one that cannot be read was refused before.
fn read<T: Message + Default>(request: &Bytes) -> T {
    T::decode(request.clone()).unwrap_or_default()
}

fn list_models(request: &ListModelsRequest) -> Reply {
    let start = request.page_token.parse().unwrap_or(0);
    let size = usize::try_from(request.page_size).ok().filter(|size| *size > 0).unwrap_or(50);
    let models: Vec<Model> = models().into_iter().skip(start).take(size).collect();
    let end = start + models.len();
    let next_page_token = if end < self::models().len() { end.to_string() } else { String::new() };
    Reply::message(&ListModelsResponse { models, next_page_token, ..Default::default() })
}

fn get_model(request: &GetModelRequest) -> Reply {
    match models().into_iter().find(|model| model.name == request.name) {
        Some(model) => Reply::message(&model),
        None => Reply::error(tonic::Status::not_found(format!(
            "{} is not found for API version v1beta, or is not supported for generateContent. Call \
             ListModels to see the list of available models and their supported methods.",
            request.name
        ))),
    }
}

fn models() -> [Model; 3] {
    let generates = ["generateContent", "countTokens", "createCachedContent"];
    [
        model("gemini-2.5-flash", "Gemini 2.5 Flash", (1_048_576, 65_536), &generates),
        model("gemini-2.5-pro", "Gemini 2.5 Pro", (1_048_576, 65_536), &generates),
        model("gemini-embedding-001", "Gemini Embedding 001", (2048, 1), &["embedContent"]),
    ]
}

fn model(id: &str, display_name: &str, limits: (i32, i32), methods: &[&str]) -> Model {
    let generates = limits.1 > 1;
    Model {
        name: format!("models/{id}"),
        base_model_id: id.to_owned(),
        version: "001".to_owned(),
        display_name: display_name.to_owned(),
        input_token_limit: limits.0,
        output_token_limit: limits.1,
        supported_generation_methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        temperature: generates.then_some(1.0),
        max_temperature: generates.then_some(2.0),
        top_p: generates.then_some(0.95),
        top_k: generates.then_some(64),
        thinking: generates,
        ..Default::default()
    }
}

const PARTS: [&str; 6] =
    ["The sky ", "is blue ", "because air ", "scatters ", "short waves ", "most."];
const PROMPT_TOKENS: i32 = 7;

fn generate(request: &GenerateContentRequest) -> GenerateContentResponse {
    response(request, &PARTS.concat(), Some(12))
}

fn stream(request: &GenerateContentRequest) -> Reply {
    let last = PARTS.len() - 1;
    let messages = PARTS
        .iter()
        .enumerate()
        .map(|(index, text)| response(request, text, (index == last).then_some(12)));
    Reply::messages(messages).pause(PAUSE)
}

/// A message of the answer; the last one says how many tokens it took.
fn response(
    request: &GenerateContentRequest,
    text: &str,
    tokens: Option<i32>,
) -> GenerateContentResponse {
    let part = Part { data: Some(part::Data::Text(text.to_owned())), ..Default::default() };
    let finish_reason =
        if tokens.is_some() { FinishReason::Stop } else { FinishReason::Unspecified };
    GenerateContentResponse {
        candidates: vec![Candidate {
            index: Some(0),
            content: Some(Content {
                parts: vec![part],
                role: "model".to_owned(),
                ..Default::default()
            }),
            finish_reason: finish_reason.into(),
            ..Default::default()
        }],
        usage_metadata: Some(UsageMetadata {
            prompt_token_count: PROMPT_TOKENS,
            candidates_token_count: tokens.unwrap_or_default(),
            total_token_count: PROMPT_TOKENS + tokens.unwrap_or_default(),
            ..Default::default()
        }),
        model_version: request.model.rsplit('/').next().unwrap_or_default().to_owned(),
        response_id: "emulated".to_owned(),
        ..Default::default()
    }
}

fn batch_embed(request: &BatchEmbedContentsRequest) -> Reply {
    let embeddings = (0..request.requests.len()).map(embedding).collect();
    Reply::message(&BatchEmbedContentsResponse { embeddings, ..Default::default() })
}

/// Values that show which request of a batch they answer.
fn embedding(index: usize) -> ContentEmbedding {
    let start = u8::try_from(index).map_or(0.0, f32::from);
    ContentEmbedding { values: vec![start, 0.25, -0.5, 0.125], ..Default::default() }
}
