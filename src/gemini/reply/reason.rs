//! Reason: why a model stopped, why a prompt was blocked; numbers newer than this crate are kept.

use std::fmt;

use crate::proto::google::ai::generativelanguage::v1beta;
use v1beta::candidate::FinishReason as Finish;
use v1beta::generate_content_response::prompt_feedback::BlockReason as Block;

/// Why a candidate ended: a number of the API's enum, which may be newer than this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FinishReason(i32);

impl FinishReason {
    /// From the number in a response of v1 or v1beta.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number in the API's enum.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The reason; `None` if it is newer than this crate.
    pub fn known(self) -> Option<Finish> {
        Finish::try_from(self.0).ok()
    }

    /// Whether the model stopped early: true for every reason except `STOP` and unspecified, also
    /// for reasons that are newer than this crate.
    pub fn is_early(self) -> bool {
        !matches!(self.known(), Some(Finish::Unspecified | Finish::Stop))
    }

    /// What a person can do about it, in plain words.
    pub fn advice(self) -> &'static str {
        let Some(reason) = self.known() else {
            return "this reason is newer than genai-bridge: see FinishReason in the API's reference, and update the crate";
        };
        match reason {
            Finish::Unspecified | Finish::Stop => "nothing: the answer is complete",
            Finish::MaxTokens => {
                "raise max_output_tokens, up to the output_token_limit that GetModel tells, or ask for a shorter answer; thoughts count too"
            }
            Finish::Safety => {
                "look at the safety ratings, rephrase the prompt, or adjust the request's safety_settings"
            }
            Finish::Recitation => {
                "the answer came too close to existing text: make the prompt more unique, or raise the temperature"
            }
            Finish::Language => {
                "ask in a language that the model supports, and for an answer in one"
            }
            Finish::Other => {
                "the prompt may break the terms of service or ask for something unsupported: rephrase it, or try another model"
            }
            Finish::Blocklist => "the answer held terms of a blocklist: rephrase the prompt",
            Finish::ProhibitedContent | Finish::ImageProhibitedContent => {
                "the answer may hold prohibited content, which no setting allows: change the prompt"
            }
            Finish::Spii => "the answer may hold personal data: leave such data out of the prompt",
            Finish::MalformedFunctionCall => {
                "the model wrote a function call that cannot be read: try again, simplify the function's schema, or lower the temperature"
            }
            Finish::UnexpectedToolCall => {
                "the model called a tool that the request does not offer: offer it, or tell the model not to call tools"
            }
            Finish::TooManyToolCalls => {
                "the model called too many tools in a row: ask for smaller steps"
            }
            Finish::ImageSafety => "the image was held back for safety: rephrase the prompt",
            Finish::ImageRecitation => {
                "the image came too close to an existing one: make the prompt more unique"
            }
            Finish::ImageOther | Finish::NoImage => {
                "no image came about: say in the prompt that you want one, or try again"
            }
            Finish::MissingThoughtSignature => {
                "send the conversation back part by part as it came, each with its thought_signature"
            }
            Finish::MalformedResponse => {
                "the model's answer could not be read by the service: try again, or lower the temperature"
            }
            Finish::Escalation => {
                "a rule of the service stopped the request: rephrase the prompt, or ask Google's support"
            }
            Finish::PupLimitedDisabled => {
                "the account is limited for breaking the policy on prohibited use: ask Google's support"
            }
            Finish::Continuation => {
                "this is as much as one request gives: send the request again with the candidate's continuation_token"
            }
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.known().map(|reason| reason.as_str_name()), self.0)
    }
}

/// Why a prompt was blocked: a number of the API's enum, which may be newer than this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockReason(i32);

impl BlockReason {
    /// From the number in a response of v1 or v1beta.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number in the API's enum.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The reason; `None` if it is newer than this crate.
    pub fn known(self) -> Option<Block> {
        Block::try_from(self.0).ok()
    }

    /// What a person can do about it, in plain words.
    pub fn advice(self) -> &'static str {
        match self.known() {
            Some(Block::Safety | Block::ImageSafety) => {
                "look at the safety ratings, rephrase the prompt, or adjust the request's safety_settings"
            }
            Some(Block::Other) => {
                "the prompt may break the terms of service or ask for something unsupported: rephrase it"
            }
            Some(Block::Blocklist) => "the prompt holds terms of a blocklist: rephrase it",
            Some(Block::ProhibitedContent) => {
                "the prompt may hold prohibited content, which no setting allows: change it"
            }
            Some(Block::Unspecified) | None => {
                "rephrase the prompt; the safety ratings, where there are any, say which part is to blame"
            }
        }
    }
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.known().map(|reason| reason.as_str_name()), self.0)
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: Option<&str>, number: i32) -> fmt::Result {
    match name {
        Some(name) => f.write_str(name),
        None => write!(f, "reason {number}, unknown to this crate"),
    }
}
