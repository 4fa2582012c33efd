//! Entropy: random messages of any type.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::manual_is_multiple_of,
    reason = "values are made of random bits"
)]

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};

/// Bytes that choices are made from; without any left the smallest thing is chosen, so cases
/// shrink.
pub(super) struct Entropy<'a>(pub(super) &'a [u8]);

impl Entropy<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn word(&mut self) -> u64 {
        let bytes = [(); 8].map(|()| self.byte());
        // Small numbers, negative ones and all bits are likely alike.
        let word = u64::from_le_bytes(bytes);
        match word % 4 {
            0 => word >> 56,
            1 => (word >> 40).wrapping_neg(),
            _ => word,
        }
    }

    fn double(&mut self) -> f64 {
        let value = f64::from_bits(self.word());
        if value.is_nan() || value == 0.0 { 0.5 } else { value }
    }

    fn text(&mut self) -> String {
        let parts = [
            "",
            "a",
            "\"\\/",
            "\n\t\r\u{8}\u{c}",
            "\0\u{1f}\u{7f}",
            "é",
            "湖 <b>",
            "🐟",
            "0123456789abcdef",
            "x y z,",
        ];
        (0..self.byte() % 5).map(|_| parts[usize::from(self.byte()) % parts.len()]).collect()
    }

    pub(super) fn message(&mut self, descriptor: &MessageDescriptor, depth: u32) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        match descriptor.full_name() {
            "google.protobuf.Timestamp" => {
                message.set_field_by_number(1, Value::I64((self.word() % 250_000_000_000) as i64));
                message.set_field_by_number(2, Value::I32((self.word() % 1_000_000_000) as i32));
            }
            "google.protobuf.Duration" => {
                let sign = if self.byte() % 2 == 0 { 1 } else { -1 };
                let (seconds, nanos) = (self.word() % 315_576_000_000, self.word() % 1_000_000_000);
                message.set_field_by_number(1, Value::I64(sign * seconds as i64));
                message.set_field_by_number(2, Value::I32(sign as i32 * nanos as i32));
            }
            "google.protobuf.Value" => self.dynamic(&mut message, depth),
            _ => self.fields(&mut message, depth),
        }
        message
    }

    fn fields(&mut self, message: &mut DynamicMessage, depth: u32) {
        for field in message.descriptor().fields() {
            let is_message = matches!(field.kind(), Kind::Message(_));
            if self.byte() % 4 != 1 || (depth == 0 && is_message) {
                continue;
            }
            let value = self.field(&field, depth.saturating_sub(1));
            message.set_field(&field, value);
        }
    }

    /// A kind is always set: without one there is no JSON value.
    fn dynamic(&mut self, message: &mut DynamicMessage, depth: u32) {
        let number = u32::from(self.byte()) % if depth == 0 { 4 } else { 6 } + 1;
        let field = message.descriptor().get_field(number).expect("a kind");
        let mut value = self.field(&field, depth.saturating_sub(1));
        if let Value::F64(number) = &mut value
            && !number.is_finite()
        {
            *number = -1.5e300;
        }
        message.set_field(&field, value);
    }

    fn field(&mut self, field: &FieldDescriptor, depth: u32) -> Value {
        let count = 1 + self.byte() % 3;
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!("a map has entries") };
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            let entry = |this: &mut Self| (this.key(&key.kind()), this.value(&value.kind(), depth));
            return Value::Map((0..count).map(|_| entry(self)).collect());
        }
        if field.is_list() {
            return Value::List((0..count).map(|_| self.value(&field.kind(), depth)).collect());
        }
        self.value(&field.kind(), depth)
    }

    fn key(&mut self, kind: &Kind) -> MapKey {
        match self.value(kind, 0) {
            Value::Bool(key) => MapKey::Bool(key),
            Value::I32(key) => MapKey::I32(key),
            Value::I64(key) => MapKey::I64(key),
            Value::U32(key) => MapKey::U32(key),
            Value::U64(key) => MapKey::U64(key),
            Value::String(key) => MapKey::String(key),
            other => unreachable!("{other:?} is no key"),
        }
    }

    fn value(&mut self, kind: &Kind, depth: u32) -> Value {
        match kind {
            Kind::Double => Value::F64(self.double()),
            Kind::Float => Value::F32(f32::from_bits(self.word() as u32 & 0xff7f_ffff | 1)),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.word() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.word() as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.word() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.word()),
            Kind::Bool => Value::Bool(self.byte() % 2 == 1),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes((0..self.byte() % 8).map(|_| self.byte()).collect()),
            Kind::Enum(of) => {
                let known = of.values().nth(usize::from(self.byte()) % of.values().len());
                // A number without a name is a value too, but of `NullValue`.
                let unknown = self.byte() % 8 == 7 && of.full_name() != "google.protobuf.NullValue";
                Value::EnumNumber(if unknown { 12_345 } else { known.expect("a value").number() })
            }
            Kind::Message(of) => Value::Message(self.message(of, depth)),
        }
    }
}
