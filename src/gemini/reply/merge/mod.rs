//! Merge: the chunks of a stream become one message, on the wire, as a unary call gives it.
//!
//! Protobuf's own merging appends what is repeated and overwrites what is not, also for fields that
//! no schema here knows. What this API does otherwise is in `Place::rule`.

mod field;
mod part;

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use crate::error::{Error, ErrorKind};
use crate::json::{Fault, MAX_DEPTH, Wire, WireField, join_unknown};
use crate::schema::{Field, Kind, Message, MessageId, Schema, Shape, WireType};
use field::{known_field, push_delimited};
use part::Part;
pub(crate) use part::SignedText;

/// The chunks so far, as one reply. Made for `GenerateContentResponse` of any version: fields are
/// known by their names.
pub(crate) struct ReplyMerger {
    schema: Schema,
    id: MessageId,
    signed: SignedText,
    reply: Tree,
    /// By their index; absent means the first, as on the wire.
    candidates: BTreeMap<i32, Tree>,
}

impl ReplyMerger {
    pub(crate) fn new(schema: Schema, id: MessageId, signed: SignedText) -> Self {
        let (reply, candidates) = (Tree::default(), BTreeMap::new());
        Self { schema, id, signed, reply, candidates }
    }

    /// Whether messages of this type can say that a reply is whole.
    pub(crate) fn can_end(schema: &Schema, id: MessageId) -> bool {
        stop_of(schema, id).is_some()
    }

    /// Adds a chunk to what came before it.
    ///
    /// # Errors
    /// The bytes are no message.
    pub(crate) fn add(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.add_fields(chunk).map_err(|fault| {
            let why = fault.within(chunk);
            Error::new(ErrorKind::MalformedAnswer, format!("a message of the stream: {why}"))
        })
    }

    fn add_fields(&mut self, chunk: &[u8]) -> Result<(), Box<Fault>> {
        let message = self.schema.message(self.id);
        let mut rest = Vec::with_capacity(chunk.len());
        let mut wire = Wire::new(chunk);
        while !wire.is_empty() {
            let found = wire.next_field(MAX_DEPTH)?;
            match known_field(message, &found) {
                Some(Field { name, kind: Kind::Message(id), .. }) if &**name == CANDIDATES => {
                    let candidate = Wire::new(found.value).delimited()?;
                    let index = index_of(self.schema.message(*id), candidate)?;
                    let known = self.candidates.entry(index).or_default();
                    known.absorb(
                        &Scope::new(&self.schema, self.signed),
                        Place::Candidate,
                        *id,
                        candidate,
                    )?;
                }
                _ => rest.extend_from_slice(found.whole),
            }
        }
        let scope = Scope::new(&self.schema, self.signed);
        self.reply.absorb(&scope, Place::Reply, self.id, &rest)
    }

    /// Whether anything says why there is no more: a candidate stopped, or the prompt was blocked.
    pub(crate) fn is_finished(&self) -> bool {
        self.candidates.values().any(|candidate| self.has_stopped(candidate)) || self.is_blocked()
    }

    /// Whether each candidate that began has stopped, or the prompt was blocked. A stream of
    /// server-sent events has no other end mark.
    pub(crate) fn is_whole(&self) -> bool {
        let have_stopped = self.candidates.values().all(|candidate| self.has_stopped(candidate));
        self.is_blocked() || have_stopped && !self.candidates.is_empty()
    }

    fn has_stopped(&self, candidate: &Tree) -> bool {
        stop_of(&self.schema, self.id).is_some_and(|number| candidate.is_set(number))
    }

    fn is_blocked(&self) -> bool {
        let message = self.schema.message(self.id);
        let field = |name: &str| message.field_of_name(name.as_bytes());
        let inside = |field: &Field, name: &str| {
            let message = self.schema.message(field.kind.message()?);
            message.field_of_name(name.as_bytes()).map(|field| field.number)
        };
        field("prompt_feedback").is_some_and(|field| {
            let Some([Value::Tree(feedback)]) =
                self.reply.fields.get(&field.number).map(Vec::as_slice)
            else {
                return false;
            };
            self.candidates.is_empty()
                || inside(field, "block_reason").is_some_and(|number| feedback.is_set(number))
        })
    }

    /// The one message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let message = self.schema.message(self.id);
        if let Some(field) = message.field_of_name(CANDIDATES.as_bytes()) {
            self.candidates
                .values()
                .for_each(|candidate| candidate.append_to(field.number, &mut out));
        }
        self.reply.append_fields_to(&mut out);
        out
    }
}

/// What all places of a reply need.
struct Scope<'a> {
    schema: &'a Schema,
    signed: SignedText,
}

impl<'a> Scope<'a> {
    fn new(schema: &'a Schema, signed: SignedText) -> Self {
        Self { schema, signed }
    }
}

/// A message whose fields are merged one by one.
#[derive(Default)]
struct Tree {
    fields: BTreeMap<u32, Vec<Value>>,
    /// What earlier chunks have told, and need not again.
    told: FxHashSet<Vec<u8>>,
}

enum Value {
    /// Fields that came one after the other, with their tags.
    Wire(Vec<u8>),
    /// JSON objects, one of each chunk, joined when the reply is whole.
    Members(Vec<Vec<u8>>),
    Tree(Tree),
    Part(Part),
}

/// Which message of a reply it is.
#[derive(Clone, Copy)]
enum Place {
    Reply,
    PromptFeedback,
    Candidate,
    Content,
    /// What an answer rests on.
    Sources,
}

/// How a field of a chunk is added to those before it.
enum Rule {
    /// Behind them: what is repeated, and messages, which each reader merges.
    Append,
    /// In place of them.
    Last,
    /// In place of those of earlier chunks: each chunk tells it whole.
    Anew,
    /// Behind them, unless an earlier chunk has told it: some models repeat it in each.
    Once,
    Within(Place),
    Parts,
    /// The members of a JSON object.
    Members,
}

impl Place {
    fn rule(self, field: &Field) -> Rule {
        match (self, &*field.name) {
            (Self::Reply, "usage_metadata")
            | (Self::PromptFeedback | Self::Candidate, "safety_ratings") => Rule::Anew,
            (Self::Reply, "prompt_feedback") => Rule::Within(Self::PromptFeedback),
            (Self::Candidate, "content") => Rule::Within(Self::Content),
            (
                Self::Candidate,
                "citation_metadata" | "grounding_metadata" | "url_context_metadata",
            ) => Rule::Within(Self::Sources),
            (Self::Candidate, "grounding_attributions") => Rule::Once,
            (Self::Content, "parts") => Rule::Parts,
            _ => match field.shape {
                Shape::Unknown => Rule::Members,
                Shape::Repeated | Shape::Map if matches!(self, Self::Sources) => Rule::Once,
                Shape::Repeated | Shape::Map => Rule::Append,
                Shape::Implicit | Shape::Explicit if field.kind.message().is_some() => Rule::Append,
                Shape::Implicit | Shape::Explicit => Rule::Last,
            },
        }
    }
}

impl Tree {
    fn absorb(
        &mut self,
        scope: &Scope<'_>,
        place: Place,
        id: MessageId,
        chunk: &[u8],
    ) -> Result<(), Box<Fault>> {
        let message = scope.schema.message(id);
        let (mut begun, mut told) = (BTreeSet::new(), Vec::new());
        let mut wire = Wire::new(chunk);
        while !wire.is_empty() {
            let found = wire.next_field(MAX_DEPTH)?;
            let field = known_field(message, &found);
            match (
                field.map_or(Rule::Append, |field| place.rule(field)),
                field.map(|field| field.kind),
            ) {
                (Rule::Within(place), Some(Kind::Message(id))) => {
                    let inside = Wire::new(found.value).delimited()?;
                    self.tree(found.number).absorb(scope, place, id, inside)?;
                }
                (Rule::Parts, Some(Kind::Message(id))) => {
                    let part = Part::read(scope.schema, id, Wire::new(found.value).delimited()?)?;
                    self.push_part(found.number, part, scope.signed);
                }
                (Rule::Members, _) => self.push_members(&found)?,
                (Rule::Last, _) => {
                    if let Some(field) = field {
                        self.clear(message, field);
                    }
                    self.push(&found);
                }
                (Rule::Anew, _) => {
                    if begun.insert(found.number) {
                        self.fields.remove(&found.number);
                    }
                    self.push(&found);
                }
                (Rule::Once, _) => {
                    if !self.told.contains(found.whole) {
                        told.push(found.whole.to_vec());
                        self.push(&found);
                    }
                }
                (Rule::Append | Rule::Within(_) | Rule::Parts, _) => self.push(&found),
            }
        }
        self.told.extend(told);
        Ok(())
    }

    fn push(&mut self, found: &WireField<'_>) {
        let values = self.fields.entry(found.number).or_default();
        match values.last_mut() {
            Some(Value::Wire(before)) => before.extend_from_slice(found.whole),
            _ => values.push(Value::Wire(found.whole.to_vec())),
        }
    }

    /// The field, and those of its oneof.
    fn clear(&mut self, message: &Message, field: &Field) {
        self.fields.remove(&field.number);
        if field.in_oneof {
            let others = message.fields.iter();
            let others = others.filter(|other| other.in_oneof && other.slot == field.slot);
            others.for_each(|other| drop(self.fields.remove(&other.number)));
        }
    }

    fn tree(&mut self, number: u32) -> &mut Self {
        let values = self.fields.entry(number).or_default();
        if !matches!(values.last(), Some(Value::Tree(_))) {
            values.push(Value::Tree(Self::default()));
        }
        match values.last_mut() {
            Some(Value::Tree(tree)) => tree,
            _ => unreachable!("it was pushed if it was not there"),
        }
    }

    fn push_part(&mut self, number: u32, part: Part, signed: SignedText) {
        let parts = self.fields.entry(number).or_default();
        let part = match parts.last_mut() {
            Some(Value::Part(last)) => last.join(part, signed),
            _ => Some(part),
        };
        parts.extend(part.map(Value::Part));
    }

    fn push_members(&mut self, found: &WireField<'_>) -> Result<(), Box<Fault>> {
        let object = Wire::new(found.value).delimited()?.to_vec();
        let values = self.fields.entry(found.number).or_default();
        match values.last_mut() {
            Some(Value::Members(objects)) => objects.push(object),
            _ => *values = vec![Value::Members(vec![object])],
        }
        Ok(())
    }

    /// Whether a number other than 0 was set.
    fn is_set(&self, number: u32) -> bool {
        let Some(Value::Wire(whole)) = self.fields.get(&number).and_then(|values| values.last())
        else {
            return false;
        };
        let mut wire = Wire::new(whole);
        wire.tag().is_ok_and(|(_, wire_type)| wire_type == WireType::Varint)
            && wire.varint().is_ok_and(|value| value != 0)
    }

    fn append_to(&self, number: u32, out: &mut Vec<u8>) {
        let mut inside = Vec::new();
        self.append_fields_to(&mut inside);
        push_delimited(number, &inside, out);
    }

    fn append_fields_to(&self, out: &mut Vec<u8>) {
        for (number, values) in &self.fields {
            for value in values {
                match value {
                    Value::Wire(whole) => out.extend_from_slice(whole),
                    Value::Members(objects) => push_delimited(*number, &join_unknown(objects), out),
                    Value::Tree(tree) => tree.append_to(*number, out),
                    Value::Part(part) => part.append_to(*number, out),
                }
            }
        }
    }
}

/// The number of the field in which a candidate says why it stopped.
fn stop_of(schema: &Schema, id: MessageId) -> Option<u32> {
    let field = schema.message(id).field_of_name(CANDIDATES.as_bytes())?;
    let Kind::Message(candidate) = field.kind else { return None };
    let stop = schema.message(candidate).field_of_name(b"finish_reason")?;
    let is_one = matches!(stop.shape, Shape::Implicit | Shape::Explicit);
    (is_one && matches!(stop.kind, Kind::Enum(_))).then_some(stop.number)
}

fn index_of(message: &Message, candidate: &[u8]) -> Result<i32, Box<Fault>> {
    let mut index = 0;
    let mut wire = Wire::new(candidate);
    while !wire.is_empty() {
        let found = wire.next_field(MAX_DEPTH)?;
        if known_field(message, &found).is_some_and(|field| &*field.name == "index") {
            #[expect(clippy::cast_possible_truncation, reason = "an int32 keeps the low 32 bits")]
            let value = Wire::new(found.value).varint()? as i32;
            index = value;
        }
    }
    Ok(index)
}

const CANDIDATES: &str = "candidates";
