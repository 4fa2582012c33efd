//! Slot set: which fields, or oneofs, a walk over a message has met.

use crate::schema::{FAR, Field};

/// One bit a slot; what is rare is in memory of its own.
pub(super) struct SlotSet {
    /// The first bit is not a slot's, and always set: fields without bits of their own never look
    /// new.
    few: [u64; 2],
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Slots beyond those.
    many: Vec<u64>,
    repeats: Vec<Repeat>,
}

/// What replaces a field, or the members of a oneof, that came before it.
pub(super) struct Repeat {
    pub(super) replaced: Replaced,
    /// Where it begins in what was written.
    pub(super) from: usize,
}

#[derive(PartialEq, Eq, Hash)]
pub(super) enum Replaced {
    /// By its number.
    Field(u32),
    /// All members, by their slot.
    Oneof(u16),
}

impl Default for SlotSet {
    #[inline]
    fn default() -> Self {
        Self { few: [FAR, 0], rare: None }
    }
}

impl SlotSet {
    /// Marks the index and the slot of a field if it is plain that neither was marked before; says
    /// whether it is. Of any other field [`was`](Self::was) tells.
    #[inline]
    pub(super) fn add_new(&mut self, field: &Field) -> bool {
        let [few, _] = &mut self.few;
        let is_new = *few & field.mark == 0;
        if is_new {
            *few |= field.mark;
        }
        is_new
    }

    /// Marks the slot; says whether it was marked before.
    pub(super) fn was(&mut self, slot: u16) -> bool {
        let (at, bit) = place(slot);
        match self.few.get_mut(at) {
            Some(word) => mark(word, bit),
            None => self.was_far(at, bit),
        }
    }

    #[cold]
    fn was_far(&mut self, at: usize, bit: u64) -> bool {
        let many = &mut self.rare.get_or_insert_default().many;
        if many.len() <= at {
            many.resize(at + 1, 0);
        }
        many.get_mut(at).is_some_and(|word| mark(word, bit))
    }

    /// Whether the slot is marked.
    pub(super) fn has(&self, slot: u16) -> bool {
        let (at, bit) = place(slot);
        let many = || self.rare.as_ref()?.many.get(at);
        self.few.get(at).or_else(many).is_some_and(|word| word & bit != 0)
    }

    #[cold]
    pub(super) fn add_repeat(&mut self, replaced: Replaced, from: usize) {
        self.rare.get_or_insert_default().repeats.push(Repeat { replaced, from });
    }

    /// The repeats, in their order.
    #[inline]
    pub(super) fn into_repeats(self) -> Option<Vec<Repeat>> {
        self.rare.map(|rare| rare.repeats)
    }
}

fn mark(word: &mut u64, bit: u64) -> bool {
    let was = *word & bit != 0;
    *word |= bit;
    was
}

/// The word of a slot, and its bit: one behind what is not a slot's.
fn place(slot: u16) -> (usize, u64) {
    let at = usize::from(slot) + 1;
    (at / 64, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::SlotSet;
    use crate::json::{Mode, read_message, write_text};
    use crate::schema::Schema;

    const EDGES: [u16; 12] = [0, 62, 63, 64, 126, 127, 128, 255, 256, 257, 5000, u16::MAX];

    #[test]
    fn each_slot_is_new_once() {
        let mut seen = SlotSet::default();
        for slot in EDGES {
            assert!(!seen.has(slot) && !seen.was(slot), "{slot}");
            assert!(seen.has(slot) && seen.was(slot), "{slot}");
        }
    }

    /// Fields `f0` to `f199`; the last ones of each ten are of one oneof.
    fn many_fields() -> Schema {
        let field = |number: i32| prost_types::FieldDescriptorProto {
            name: Some(format!("f{number}")),
            number: Some(number + 1),
            label: Some(1),
            r#type: Some(5),
            oneof_index: (number % 10 == 9).then_some(0),
            ..Default::default()
        };
        let message = prost_types::DescriptorProto {
            name: Some("Many".into()),
            field: (0..200).map(field).collect(),
            oneof_decl: vec![prost_types::OneofDescriptorProto {
                name: Some("one".into()),
                ..Default::default()
            }],
            ..Default::default()
        };
        let file = prost_types::FileDescriptorProto {
            name: Some("many.proto".into()),
            syntax: Some("proto3".into()),
            message_type: vec![message],
            ..Default::default()
        };
        let set = prost_types::FileDescriptorSet { file: vec![file] };
        Schema::from_descriptor_set(&prost::Message::encode_to_vec(&set)).expect("a schema")
    }

    #[test]
    fn a_repeat_is_found_wherever_its_field_stands() {
        let schema = many_fields();
        let id = schema.message_id("Many").expect("a message");
        let read = |json: &str, mode| {
            let mut wire = Vec::new();
            let read = read_message(&schema, id, json.as_bytes(), mode, &mut wire);
            read.map(|()| wire).map_err(|fault| fault.to_string())
        };
        let text = |wire: &[u8]| {
            String::from_utf8(write_text(&schema, id, wire).expect("a message")).expect("UTF-8")
        };
        for at in 0..200 {
            let next = if at == 199 { 0 } else { at + 1 };
            for (first, between) in [("null", ""), ("1", ""), ("1", &*format!("\"f{next}\":3,"))] {
                let json = format!(r#"{{"f{at}":{first},{between}"f{at}":2}}"#);
                let refused = read(&json, Mode::Strict).expect_err(&json);
                assert!(refused.contains("the field comes twice"), "{refused}");
                let found = text(&read(&json, Mode::Answer).expect(&json));
                assert_eq!(found, format!(r#"{{{between}"f{at}":2}}"#));
            }
            // The same on the wire, where it puts the fields in order.
            let [one, other] = [1, 2]
                .map(|value| read(&format!(r#"{{"f{at}":{value}}}"#), Mode::Strict).expect("JSON"));
            let between = read(&format!(r#"{{"f{next}":3}}"#), Mode::Strict).expect("JSON");
            let both = [format!(r#""f{at}":2"#), format!(r#""f{next}":3"#)];
            let ordered = if next > at { both.join(",") } else { [&*both[1], &both[0]].join(",") };
            assert_eq!(text(&[one, between, other].concat()), format!("{{{ordered}}}"));
        }
        for pair in [[9, 19], [9, 199], [129, 139], [199, 69]] {
            let json = format!(r#"{{"f{}":1,"f{}":2}}"#, pair[0], pair[1]);
            let refused = read(&json, Mode::Strict).expect_err(&json);
            assert!(refused.contains("two members of one oneof"), "{refused}");
            let found = text(&read(&json, Mode::Answer).expect(&json));
            assert_eq!(found, format!(r#"{{"f{}":2}}"#, pair[1]));
            let wire =
                pair.map(|at| read(&format!(r#"{{"f{at}":{at}}}"#), Mode::Strict).expect("one"));
            assert_eq!(text(&wire.concat()), format!(r#"{{"f{0}":{0}}}"#, pair[1]));
        }
    }
}
