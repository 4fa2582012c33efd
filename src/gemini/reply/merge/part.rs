//! Part: the parts of an answer that a stream cuts, and how they are joined again.

use super::field::{known_field, push_delimited};
use crate::json::{Fault, MAX_DEPTH, Wire};
use crate::schema::{MessageId, Schema};

/// Whether a text that has a signature is joined with texts that have none.
///
/// A signature belongs to the part that it came with, and who sends parts back is [told to leave it
/// there](https://ai.google.dev/gemini-api/docs/thought-signatures). A unary answer has one text,
/// and the signature is on it; a stream brings it with any of its pieces, often with an empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignedText {
    Apart,
    Joined,
}

/// A part of an answer.
pub(super) enum Part {
    /// Nothing else is in it.
    Text {
        number: u32,
        text: Vec<u8>,
        /// Field by field, as they came.
        thought: Vec<u8>,
        signature: Vec<u8>,
    },
    /// Sound without a header: two pieces one after the other are one.
    Samples { blob: u32, mime_type: (u32, Vec<u8>), data: (u32, Vec<u8>) },
    /// As it came.
    Other(Vec<u8>),
}

impl Part {
    pub(super) fn read(schema: &Schema, id: MessageId, bytes: &[u8]) -> Result<Self, Box<Fault>> {
        let text = read_text(schema, id, bytes)?;
        let part = text.map_or_else(|| read_samples(schema, id, bytes), |text| Ok(Some(text)))?;
        Ok(part.unwrap_or_else(|| Self::Other(bytes.to_vec())))
    }

    /// Takes up the part behind this one, or gives it back.
    pub(super) fn join(&mut self, next: Self, signed: SignedText) -> Option<Self> {
        if next.says_nothing() {
            return None;
        }
        if self.says_nothing() {
            *self = next;
            return None;
        }
        match (self, next) {
            (
                Self::Text { text, thought, signature, .. },
                Self::Text { number, text: more, thought: next_thought, signature: next_signature },
            ) => {
                let signatures =
                    [&*signature, &next_signature].iter().filter(|one| !one.is_empty()).count();
                let most = usize::from(signed == SignedText::Joined);
                if *thought != next_thought || signatures > most {
                    let (text, thought, signature) = (more, next_thought, next_signature);
                    return Some(Self::Text { number, text, thought, signature });
                }
                text.extend_from_slice(&more);
                signature.extend_from_slice(&next_signature);
                None
            }
            (
                Self::Samples { mime_type, data, .. },
                Self::Samples { mime_type: next_type, data: more, .. },
            ) if *mime_type == next_type => {
                data.1.extend_from_slice(&more.1);
                None
            }
            (_, next) => Some(next),
        }
    }

    /// An empty text, with which streams like to end.
    fn says_nothing(&self) -> bool {
        matches!(self, Self::Text { text, signature, .. } if text.is_empty() && signature.is_empty())
    }

    pub(super) fn append_to(&self, field: u32, out: &mut Vec<u8>) {
        let mut inside = Vec::new();
        match self {
            Self::Text { number, text, thought, signature } => {
                push_delimited(*number, text, &mut inside);
                inside.extend_from_slice(thought);
                inside.extend_from_slice(signature);
            }
            Self::Samples { blob, mime_type, data } => {
                let mut samples = Vec::with_capacity(data.1.len() + 64);
                for (number, value) in [mime_type, data] {
                    push_delimited(*number, value, &mut samples);
                }
                push_delimited(*blob, &samples, &mut inside);
            }
            Self::Other(bytes) => inside.extend_from_slice(bytes),
        }
        push_delimited(field, &inside, out);
    }
}

/// A part that holds a text, and no more than whether it is a thought, and its signature.
fn read_text(schema: &Schema, id: MessageId, bytes: &[u8]) -> Result<Option<Part>, Box<Fault>> {
    let message = schema.message(id);
    let (mut found_text, mut thought, mut signature) = (None, Vec::new(), Vec::new());
    let mut wire = Wire::new(bytes);
    while !wire.is_empty() {
        let found = wire.next_field(MAX_DEPTH)?;
        match known_field(message, &found).map(|field| &*field.name) {
            Some("text") => {
                found_text = Some((found.number, Wire::new(found.value).delimited()?.to_vec()));
            }
            Some("thought") if found.value == [0] => thought.clear(),
            Some("thought") => thought = found.whole.to_vec(),
            Some("thought_signature") if found.value == [0] => signature.clear(),
            Some("thought_signature") => signature = found.whole.to_vec(),
            Some(_) | None => return Ok(None),
        }
    }
    Ok(found_text.map(|(number, text)| Part::Text { number, text, thought, signature }))
}

/// A part that holds samples, and nothing about them.
fn read_samples(schema: &Schema, id: MessageId, bytes: &[u8]) -> Result<Option<Part>, Box<Fault>> {
    let mut wire = Wire::new(bytes);
    if wire.is_empty() {
        return Ok(None);
    }
    let found = wire.next_field(MAX_DEPTH)?;
    let field =
        known_field(schema.message(id), &found).filter(|field| &*field.name == "inline_data");
    let Some(blob) = field.and_then(|field| field.kind.message()).filter(|_| wire.is_empty())
    else {
        return Ok(None);
    };
    let blob = schema.message(blob);
    let (mut mime_type, mut data) = (None, None);
    let mut wire = Wire::new(found.value).delimited_wire()?;
    while !wire.is_empty() {
        let inner = wire.next_field(MAX_DEPTH)?;
        let place = match known_field(blob, &inner).map(|field| &*field.name) {
            Some("mime_type") => &mut mime_type,
            Some("data") => &mut data,
            Some(_) | None => return Ok(None),
        };
        *place = Some((inner.number, Wire::new(inner.value).delimited()?.to_vec()));
    }
    let is_raw = |(_, name): &(u32, Vec<u8>)| {
        let name = name.to_ascii_lowercase();
        RAW_SOUND.iter().any(|raw| name.starts_with(raw.as_bytes()))
    };
    let mime_type = mime_type.filter(is_raw);
    Ok(mime_type.zip(data).map(|(mime_type, data)| Part::Samples {
        blob: found.number,
        mime_type,
        data,
    }))
}

/// What the speech models send ([RFC 2586](https://www.rfc-editor.org/rfc/rfc2586)): a file with a
/// header is a whole, and two of them are not one.
const RAW_SOUND: [&str; 2] = ["audio/l16", "audio/pcm"];
