//! Question: what is asked, what the bridge assumes, and what was seen.

use std::pin::Pin;

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::model_service_client::ModelServiceClient;
use genai_bridge::v1beta::{
    Content, CountTokensRequest, GenerateContentRequest, ListModelsRequest,
};
use genai_bridge::{Bridge, Error, gemini};
use tonic::{Code, Status};

/// With what is asked.
pub(super) struct Setting {
    pub(super) grpc: Bridge,
    pub(super) rest: Bridge,
    /// `models/ID`
    pub(super) model: String,
}

pub(super) type Asking<'a> = Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

pub(super) struct Question {
    pub(super) name: &'static str,
    pub(super) asks: &'static str,
    /// What the bridge relies on.
    pub(super) assumed: &'static str,
    pub(super) costs: bool,
    pub(super) ask: Ask,
}

type Ask = for<'a> fn(&'a Setting) -> Asking<'a>;

impl Question {
    pub(super) const fn free(
        name: &'static str,
        asks: &'static str,
        assumed: &'static str,
        ask: Ask,
    ) -> Self {
        Self { name, asks, assumed, costs: false, ask }
    }

    /// One that costs tokens.
    pub(super) const fn paid(
        name: &'static str,
        asks: &'static str,
        assumed: &'static str,
        ask: Ask,
    ) -> Self {
        Self { name, asks, assumed, costs: true, ask }
    }
}

/// The questions that show whether the service is reached at all.
pub(super) const REACH: [&str; 2] = ["grpc", "rest"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    AsAssumed,
    Otherwise,
    Unanswered,
    Skipped,
}

impl Verdict {
    pub(super) const ALL: [Self; 4] =
        [Self::AsAssumed, Self::Otherwise, Self::Unanswered, Self::Skipped];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AsAssumed => "as assumed",
            Self::Otherwise => "otherwise",
            Self::Unanswered => "unanswered",
            Self::Skipped => "skipped",
        }
    }
}

/// What the service answered.
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    pub(super) text: String,
    pub(super) refuses_key: bool,
}

impl Seen {
    pub(super) fn new(verdict: Verdict, text: impl Into<String>) -> Self {
        Self { verdict, text: text.into(), refuses_key: false }
    }

    pub(super) fn of(is_as_assumed: bool, text: impl Into<String>) -> Self {
        let verdict = if is_as_assumed { Verdict::AsAssumed } else { Verdict::Otherwise };
        Self::new(verdict, text)
    }

    /// An error that answers no question: of the network, or of the service.
    pub(super) fn failed(status: &Status) -> Self {
        let verdict = if is_of_service(status) { Verdict::Otherwise } else { Verdict::Unanswered };
        let details = gemini::Details::of(status);
        let is_key = details.error_info().is_some_and(|info| info.reason.starts_with("API_KEY"));
        let is_refused = matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied);
        let refuses_key = is_of_service(status) && (is_key || is_refused);
        Self { refuses_key, ..Self::new(verdict, words(status)) }
    }
}

/// Whether the service said it, or what speaks as it does.
pub(super) fn is_of_service(status: &Status) -> bool {
    Error::of(status).is_none()
}

/// A status for a person, without keys.
pub(super) fn words(status: &Status) -> String {
    gemini::advice(status).map_or_else(|| "OK".to_owned(), |advice| advice.happened().to_owned())
}

pub(super) fn models(bridge: &Bridge) -> ModelServiceClient<Bridge> {
    ModelServiceClient::new(bridge.clone())
}

pub(super) fn generative(bridge: &Bridge) -> GenerativeServiceClient<Bridge> {
    GenerativeServiceClient::new(bridge.clone())
}

pub(super) fn page(size: i32, token: &str) -> ListModelsRequest {
    ListModelsRequest { page_size: size, page_token: token.to_owned(), ..Default::default() }
}

pub(super) fn count(model: &str) -> CountTokensRequest {
    let contents = vec![Content::user("How many tokens are these?")];
    CountTokensRequest { model: model.to_owned(), contents, ..Default::default() }
}

pub(super) fn prompt(model: &str) -> GenerateContentRequest {
    gemini::prompt(model, "Write the numbers from one to ten as words, nothing else.")
}
