//! Content: what a reply holds, or why it holds nothing.

use std::borrow::Cow;
use std::fmt;

use prost::Message;

use super::reason::{BlockReason, FinishReason};
use crate::proto::google::ai::generativelanguage::{v1, v1beta};
use sealed::AsV1beta;
use v1beta::generate_content_response::PromptFeedback;
use v1beta::part::Data;
use v1beta::safety_rating::HarmProbability;

/// Reads a `GenerateContentResponse` of v1 or v1beta: its first candidate, which is the only one
/// unless `candidate_count` asked for more.
///
/// ```
/// use genai_bridge::gemini::reply::{Reply, ReplyError};
/// use genai_bridge::v1beta::GenerateContentResponse;
///
/// let reply = GenerateContentResponse::default();
/// assert!(matches!(reply.text(), Err(ReplyError::Empty)));
/// ```
pub trait Reply: Message + Default + AsV1beta {
    /// The type of a part in this version of the API.
    type Part;

    /// The text of the answer, without the model's thoughts. It is empty if the answer consists of
    /// function calls.
    ///
    /// # Errors
    /// The prompt was blocked, the model stopped early, the reply has no finish reason, or it has
    /// no content. [`ReplyError::text`] returns the text that the model had written.
    fn text(&self) -> Result<String, ReplyError> {
        let reply = self.as_v1beta();
        candidate_of(&reply).map(text_of)
    }

    /// The text of this message, without the model's thoughts, even if the answer is incomplete.
    /// For the chunks of a stream.
    fn text_so_far(&self) -> String {
        let reply = self.as_v1beta();
        reply.candidates.first().map(text_of).unwrap_or_default()
    }

    /// The model's function calls, in its order. v1 has none.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    fn function_calls(&self) -> Result<Vec<v1beta::FunctionCall>, ReplyError> {
        let reply = self.as_v1beta();
        let calls = parts_of(candidate_of(&reply)?).iter().filter_map(|part| match &part.data {
            Some(Data::FunctionCall(call)) => Some(call.clone()),
            _ => None,
        });
        Ok(calls.collect())
    }

    /// The parts of the answer, thoughts included.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    fn parts(&self) -> Result<&[Self::Part], ReplyError>;

    /// The finish reason: `STOP`, or unspecified if only another candidate has one.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    fn finish(&self) -> Result<FinishReason, ReplyError> {
        let reply = self.as_v1beta();
        candidate_of(&reply).map(|candidate| FinishReason::new(candidate.finish_reason))
    }
}

/// Why a reply holds no complete answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ReplyError {
    /// The service blocked the prompt. Python's `BlockedPromptException`.
    #[non_exhaustive]
    PromptBlocked {
        /// The reason; unspecified if the service gave only ratings.
        reason: BlockReason,
        /// The prompt's safety ratings.
        ratings: Vec<v1beta::SafetyRating>,
    },
    /// The model stopped before the end of its answer. Python's `StopCandidateException`.
    #[non_exhaustive]
    CandidateStopped {
        /// The finish reason.
        finish_reason: FinishReason,
        /// The service's message about it, often empty.
        finish_message: String,
        /// The answer's safety ratings.
        ratings: Vec<v1beta::SafetyRating>,
        /// The text that the model had written, without thoughts.
        text: String,
    },
    /// No candidate has a finish reason: the answer was cut, or this is a chunk of a stream that is
    /// not the last one.
    #[non_exhaustive]
    Unfinished {
        /// The text that the model had written, without thoughts.
        text: String,
    },
    /// The reply has no candidate, or a candidate without parts, and gives no reason.
    Empty,
}

impl ReplyError {
    /// The text that the model had written before it stopped, or before the answer was cut.
    pub fn text(&self) -> &str {
        match self {
            Self::CandidateStopped { text, .. } | Self::Unfinished { text } => text,
            Self::PromptBlocked { .. } | Self::Empty => "",
        }
    }

    /// What a person can do about it, in plain words.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::PromptBlocked { reason, .. } => reason.advice(),
            Self::CandidateStopped { finish_reason, .. } => finish_reason.advice(),
            Self::Unfinished { .. } => UNFINISHED_ADVICE,
            Self::Empty => {
                "send the prompt again; if the answer stays empty, change the prompt or the model"
            }
        }
    }
}

/// Contains nothing that the model wrote.
impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PromptBlocked { reason, ratings } => {
                write!(f, "the prompt was blocked: {reason}{}", Blocking(ratings))
            }
            Self::CandidateStopped { finish_reason, finish_message, ratings, .. } => {
                write!(f, "the model stopped early: {finish_reason}{}", Blocking(ratings))?;
                match finish_message.as_str() {
                    "" => Ok(()),
                    message => write!(f, ": {message}"),
                }
            }
            Self::Unfinished { .. } => f.write_str("nothing says why the model stopped"),
            Self::Empty => f.write_str("the service answered without content"),
        }
    }
}

impl std::error::Error for ReplyError {}

/// The categories of harm that are to blame.
struct Blocking<'a>(&'a [v1beta::SafetyRating]);

impl fmt::Display for Blocking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to_blame = self.0.iter().filter(|rating| {
            rating.blocked
                || HarmProbability::try_from(rating.probability)
                    .map_or(true, |known| known >= HarmProbability::Medium)
        });
        let names: Vec<Cow<'_, str>> = to_blame
            .map(|rating| match v1beta::HarmCategory::try_from(rating.category) {
                Ok(category) => category.as_str_name().into(),
                Err(_) => format!("category {}", rating.category).into(),
            })
            .collect();
        if names.is_empty() { Ok(()) } else { write!(f, " ({})", names.join(", ")) }
    }
}

impl Reply for v1beta::GenerateContentResponse {
    type Part = v1beta::Part;

    fn parts(&self) -> Result<&[v1beta::Part], ReplyError> {
        candidate_of(self).map(parts_of)
    }
}

impl Reply for v1::GenerateContentResponse {
    type Part = v1::Part;

    fn parts(&self) -> Result<&[v1::Part], ReplyError> {
        candidate_of(&self.as_v1beta())?;
        let content = self.candidates.first().and_then(|candidate| candidate.content.as_ref());
        Ok(content.map_or(&[], |content| &content.parts))
    }
}

mod sealed {
    use super::{Cow, Message, v1, v1beta};
    use crate::gemini::schema;
    use crate::json::read_answer;

    /// Each response of v1 is one of v1beta. A number names the same field in both, but for what v1
    /// has over REST alone.
    #[expect(unnameable_types, reason = "sealed: it can gain what a response must do")]
    pub trait AsV1beta: Sized {
        /// The message, as descriptors name it.
        const NAME: &str;

        fn as_v1beta(&self) -> Cow<'_, v1beta::GenerateContentResponse>;
    }

    impl AsV1beta for v1beta::GenerateContentResponse {
        const NAME: &str = "google.ai.generativelanguage.v1beta.GenerateContentResponse";

        fn as_v1beta(&self) -> Cow<'_, Self> {
            Cow::Borrowed(self)
        }
    }

    impl AsV1beta for v1::GenerateContentResponse {
        const NAME: &str = "google.ai.generativelanguage.v1.GenerateContentResponse";

        fn as_v1beta(&self) -> Cow<'_, v1beta::GenerateContentResponse> {
            let encoded = self.encode_to_vec();
            let by_name = rewrite_by_name(&encoded);
            let decoded =
                v1beta::GenerateContentResponse::decode(by_name.as_deref().unwrap_or(&encoded));
            Cow::Owned(decoded.expect("the versions differ in known fields only"))
        }
    }

    /// Over JSON, where a name has the number of each version. `None`: a caller wrote into the
    /// reply what is no JSON.
    fn rewrite_by_name(reply: &[u8]) -> Option<Vec<u8>> {
        let schema = schema().ok()?;
        let json = schema.json_from_message(v1::GenerateContentResponse::NAME, reply).ok()?;
        let id = schema.message_id(v1beta::GenerateContentResponse::NAME)?;
        let mut encoded = Vec::new();
        read_answer(&schema, id, &json, &mut encoded).ok()?;
        Some(encoded)
    }
}

/// The candidate that holds the answer.
fn candidate_of(reply: &v1beta::GenerateContentResponse) -> Result<&v1beta::Candidate, ReplyError> {
    if let Some(feedback) = &reply.prompt_feedback {
        let reason = BlockReason::new(feedback.block_reason);
        if reason.number() != 0 || reply.candidates.is_empty() {
            return Err(ReplyError::PromptBlocked {
                reason,
                ratings: feedback.safety_ratings.clone(),
            });
        }
    }
    let candidate = reply.candidates.first().ok_or(ReplyError::Empty)?;
    let finish_reason = FinishReason::new(candidate.finish_reason);
    if finish_reason.is_early() {
        return Err(ReplyError::CandidateStopped {
            finish_reason,
            finish_message: candidate.finish_message.clone().unwrap_or_default(),
            ratings: candidate.safety_ratings.clone(),
            text: text_of(candidate),
        });
    }
    if parts_of(candidate).is_empty() {
        Err(ReplyError::Empty)
    } else if is_finished(reply) {
        Ok(candidate)
    } else {
        Err(ReplyError::Unfinished { text: text_of(candidate) })
    }
}

/// Whether anything says why there is no more: a candidate stopped, or the prompt was blocked.
fn is_finished(reply: &v1beta::GenerateContentResponse) -> bool {
    let has_reason = |candidate: &v1beta::Candidate| candidate.finish_reason != 0;
    let is_blocked =
        |feedback: &PromptFeedback| feedback.block_reason != 0 || reply.candidates.is_empty();
    reply.candidates.iter().any(has_reason)
        || reply.prompt_feedback.as_ref().is_some_and(is_blocked)
}

const UNFINISHED_ADVICE: &str =
    "the text may be cut: read the stream to its end, or send the prompt again";

fn parts_of(candidate: &v1beta::Candidate) -> &[v1beta::Part] {
    candidate.content.as_ref().map_or(&[], |content| &content.parts)
}

fn text_of(candidate: &v1beta::Candidate) -> String {
    let answer = parts_of(candidate).iter().filter(|part| !part.thought);
    let texts = answer.filter_map(|part| match &part.data {
        Some(Data::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
