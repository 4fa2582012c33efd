//! Defaults: endpoint, deadlines, retries, how a stream ends, and the call that proves gRPC.
//!
//! Deadlines and retries are those of the API's [gRPC service
//! configuration](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/ai/generativelanguage/v1beta/generativeai_grpc_service_config.json).

use std::time::Duration;

use prost::Message as _;

use crate::bridge::options::RetryPolicy;
use crate::proto::google::ai::generativelanguage::v1beta::ListModelsRequest;

pub(crate) const ENDPOINT: &str = "https://generativelanguage.googleapis.com";

/// A call that costs nothing and changes nothing: its path and its message.
pub(crate) fn probe_call() -> (String, Vec<u8>) {
    let path = "/google.ai.generativelanguage.v1beta.ModelService/ListModels";
    let message = ListModelsRequest { page_size: 1, ..ListModelsRequest::default() };
    (path.to_owned(), message.encode_to_vec())
}

/// The time for a call that sets none: 10 minutes where a model writes, 1 minute elsewhere.
///
/// The configuration leaves files, caches, predictions and operations out; they are given the
/// minute too.
pub(crate) fn deadline(path: &str) -> Option<Duration> {
    let is_slow = path.ends_with("/GenerateContent") || path.ends_with("/StreamGenerateContent");
    path.starts_with('/').then(|| Duration::from_secs(if is_slow { 600 } else { 60 }))
}

/// Retries where the configuration has them: by service, since it misspells some methods
/// (`ListPermission`, `BatchDeleteChunk`) and leaves out none of these services' own.
pub(crate) fn retry_policy(path: &str) -> Option<RetryPolicy> {
    let service = path.strip_prefix("/google.ai.generativelanguage.")?.split('/').next()?;
    let is_configured = matches!(
        service,
        "v1.GenerativeService"
            | "v1beta.DiscussService"
            | "v1beta.GenerativeService"
            | "v1beta.ModelService"
            | "v1beta.PermissionService"
            | "v1beta.RetrieverService"
            | "v1beta.TextService"
    );
    is_configured.then(RetryPolicy::google)
}

/// The fields of a streamed answer of which one says that it is whole. Server-sent events have no
/// end mark, so an intermediary can end them early without a trace; but a model gives its reason to
/// stop, or the prompt was blocked. That holds for whoever compiled the published protos himself.
pub(crate) fn end_fields(path: &str) -> &'static [&'static str] {
    let is_gemini = path.starts_with("/google.ai.generativelanguage.");
    if is_gemini && path.ends_with("/StreamGenerateContent") {
        &["candidates.finish_reason", "prompt_feedback.block_reason"]
    } else {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_and_retries_follow_the_service_configuration() {
        let package = "/google.ai.generativelanguage";
        for (method, seconds, retried) in [
            ("v1beta.GenerativeService/GenerateContent", 600, true),
            ("v1.GenerativeService/StreamGenerateContent", 600, true),
            ("v1beta.GenerativeService/CountTokens", 60, true),
            ("v1beta.PermissionService/ListPermissions", 60, true),
            ("v1.ModelService/ListModels", 60, false),
            ("v1beta.FileService/CreateFile", 60, false),
        ] {
            let path = format!("{package}.{method}");
            assert_eq!(deadline(&path), Some(Duration::from_secs(seconds)), "{method}");
            assert_eq!(retry_policy(&path).is_some(), retried, "{method}");
        }
    }
}
