//! End: whether the messages of a stream said that it is whole, where its framing cannot.

use crate::json::{MAX_DEPTH, Wire};
use crate::schema::{MessageId, Schema, WireType};

/// Paths of fields, such as `candidates.finish_reason`; none for a stream whose messages do not
/// tell its end.
pub(crate) type EndFields = &'static [&'static str];

/// What the messages of one stream have said of its end.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// At the top of a message.
    steps: Vec<Step>,
    was_said: bool,
}

/// A field that, if it is set, says that the stream is whole; or one on the way to such fields.
#[derive(Debug)]
struct Step {
    number: u32,
    below: Vec<Self>,
}

impl End {
    /// `fields` are paths of names below `message`; what the schema does not have cannot be said.
    pub(crate) fn of(schema: &Schema, message: MessageId, fields: &[&str]) -> Self {
        let mut steps = Vec::new();
        for path in fields.iter().filter_map(|path| schema.field_path(message, path)) {
            add_path(&mut steps, &path);
        }
        Self { steps, was_said: false }
    }

    /// Looks at one message more.
    pub(crate) fn see(&mut self, message: &[u8]) {
        self.was_said = self.was_said || is_said(message, &self.steps);
    }

    /// Whether the stream was due to say that it is whole, and did not.
    pub(crate) fn is_missing(&self) -> bool {
        !self.was_said && !self.steps.is_empty()
    }
}

fn add_path(steps: &mut Vec<Step>, path: &[u32]) {
    let Some((number, below)) = path.split_first() else { return };
    let at = steps.iter().position(|step| step.number == *number).unwrap_or(steps.len());
    if at == steps.len() {
        steps.push(Step { number: *number, below: Vec::new() });
    }
    if let Some(step) = steps.get_mut(at) {
        add_path(&mut step.below, below);
    }
}

/// Whether a scalar that one of the steps leads to is anything but zero, in any element of the
/// lists on the way.
fn is_said(message: &[u8], steps: &[Step]) -> bool {
    if steps.is_empty() {
        return false;
    }
    let mut wire = Wire::new(message);
    while !wire.is_empty() {
        let Ok((number, wire_type)) = wire.tag() else { return false };
        let step = steps.iter().find(|step| step.number == number);
        let read = match wire_type {
            WireType::Delimited => {
                wire.delimited().map(|inside| step.is_some_and(|step| is_said(inside, &step.below)))
            }
            WireType::Varint => wire.varint().map(|value| step.is_some() && value != 0),
            _ => wire.skip(number, wire_type, MAX_DEPTH).map(|()| false),
        };
        match read {
            Ok(false) => {}
            Ok(true) => return true,
            Err(_) => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemini;
    use crate::proto::google::ai::generativelanguage::v1beta::{
        Candidate, GenerateContentResponse, candidate::FinishReason,
        generate_content_response::PromptFeedback,
    };
    use prost::Message as _;

    /// The end of a stream of Gemini's after these messages.
    fn after(messages: &[GenerateContentResponse]) -> End {
        let schema = gemini::schema().expect("a schema");
        let path = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
        let method = schema.method(path).expect("a method");
        let mut end = End::of(&schema, method.output, gemini::end_fields(path));
        for message in messages {
            end.see(&message.encode_to_vec());
        }
        end
    }

    fn stopped(reasons: &[i32]) -> GenerateContentResponse {
        let candidate = |reason: &i32| Candidate { finish_reason: *reason, ..Default::default() };
        let candidates = reasons.iter().map(candidate).collect();
        GenerateContentResponse { candidates, ..Default::default() }
    }

    fn blocked(block_reason: i32) -> GenerateContentResponse {
        let feedback = PromptFeedback { block_reason, ..Default::default() };
        GenerateContentResponse { prompt_feedback: Some(feedback), ..Default::default() }
    }

    #[test]
    fn any_reason_in_any_candidate_of_any_message_is_an_end() {
        let stop = FinishReason::Stop.into();
        for messages in [
            vec![stopped(&[stop])],
            vec![stopped(&[0]), stopped(&[-1])],
            vec![stopped(&[0, 0, 3])],
            vec![stopped(&[stop]), stopped(&[0]), GenerateContentResponse::default()],
            vec![blocked(1)],
            vec![blocked(-1)],
        ] {
            assert!(!after(&messages).is_missing(), "{messages:?}");
        }
        for messages in [vec![], vec![stopped(&[])], vec![stopped(&[0, 0]), blocked(0)]] {
            assert!(after(&messages).is_missing(), "{messages:?}");
        }
    }

    #[test]
    fn other_streams_have_nothing_to_say() {
        let schema = gemini::schema().expect("a schema");
        let message = schema.message_id("google.rpc.Status").expect("a type");
        assert!(!End::of(&schema, message, &[]).is_missing());
        assert!(!End::of(&schema, message, &["candidates.finish_reason"]).is_missing());
    }
}
