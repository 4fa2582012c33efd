//! Fields: what a field is called, and how its value stands on the wire.

use prost::Message as _;

use super::descriptor::{FieldDescriptor, FieldOptions};
use super::features::Features;
use super::inline_text::{InlineText, Tag};
use super::naming::{quoted, text};
use super::rest_only::RestOnly;
use super::types::{EnumId, MessageId, TypeId, Types};

/// One field of a message. What reading and writing look at stands together, in one line of a
/// processor's cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Field {
    /// The bits of its index and its slot in one word, in which [`FAR`] is the lowest; `FAR` alone,
    /// if one of them is not in it.
    pub(crate) mark: u64,
    pub(crate) kind: Kind,
    /// The field's tag as it is written.
    pub(crate) tag: Tag,
    pub(crate) shape: Shape,
    /// Repeated scalars are written in one length-delimited run.
    pub(crate) packed: bool,
    /// `,"jsonName":`
    pub(crate) key: InlineText<39>,
    pub(crate) number: u32,
    /// Among the fields of its message.
    pub(crate) index: u16,
    /// Presence bit: its index, or that of its oneof.
    pub(crate) slot: u16,
    pub(crate) in_oneof: bool,
    /// Parsers refuse a string that is not UTF-8.
    pub(crate) checked_utf8: bool,
    /// `google.api.field_behavior` has REQUIRED.
    pub(crate) required: bool,
    pub(crate) rest_only: RestOnly,
    pub(crate) name: Box<str>,
    pub(crate) json_name: Box<str>,
}

const _: () = assert!(
    std::mem::offset_of!(Field, key) + InlineText::<39>::SHORT == 64,
    "the first line of the cache"
);

/// The type of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
    /// A message between a start and an end tag.
    Group(MessageId),
}

/// How often a field stands in its message, and how its absence shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Absent is the same as its default.
    Implicit,
    /// Absent and default differ.
    Explicit,
    /// The text of the members that the schema does not know.
    Unknown,
    Repeated,
    Map,
}

/// How a value stands on the wire
/// ([encoding](https://protobuf.dev/programming-guides/encoding/#structure)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
    GroupStart = 3,
    GroupEnd = 4,
    Fixed32 = 5,
}

/// A field as it is declared.
pub(super) struct Declaration<'a> {
    pub(super) descriptor: FieldDescriptor<'a>,
    /// The whole name of an extension.
    pub(super) extension: Option<&'a str>,
    /// Those in force around it.
    pub(super) features: Features,
    /// It is the key or the value of a map.
    pub(super) in_map_entry: bool,
}

impl Field {
    pub(super) fn new(declared: &Declaration<'_>, at: u16, fields: usize, types: &Types) -> Self {
        let field = &declared.descriptor;
        let options = FieldOptions::decode(field.options).unwrap_or_default();
        let mut features = declared.features.with(options.features);
        // A map's entries are made by the compiler, and are no groups inside.
        features.delimited &= !declared.in_map_entry;
        let kind = Kind::of(field, features, types);
        let in_oneof = field.oneof_index.is_some() && !field.proto3_optional;
        let has_presence = in_oneof
            || field.proto3_optional
            || declared.extension.is_some()
            || !features.implicit_presence;
        let rest_only = RestOnly::of(options.rest_only);
        let shape = match (field.label == LABEL_REPEATED, kind) {
            (false, Kind::Bytes) if rest_only == RestOnly::Unknown => Shape::Unknown,
            (true, Kind::Message(id)) if types.is_map_entry(id) => Shape::Map,
            (true, _) => Shape::Repeated,
            (false, Kind::Message(_) | Kind::Group(_)) => Shape::Explicit,
            (false, _) if has_presence => Shape::Explicit,
            (false, _) => Shape::Implicit,
        };
        let packable = shape == Shape::Repeated && kind.is_packable();
        let packed = packable && options.packed.unwrap_or(features.packed);
        let oneof =
            field.oneof_index.filter(|_| in_oneof).and_then(|oneof| u16::try_from(oneof).ok());
        let (name, json_name) = names_of(declared);
        // The field of the unknown members has no name of its own in JSON.
        let key = match shape {
            Shape::Unknown => String::new(),
            _ => [",", &quoted(&json_name), ":"].concat(),
        };
        let number = u32::try_from(field.number).unwrap_or_default();
        let wire_type = if packed { WireType::Delimited } else { kind.wire_type() };
        let slot = oneof
            .map_or(at, |oneof| u16::try_from(fields).unwrap_or(u16::MAX).saturating_add(oneof));
        Self {
            number,
            kind,
            shape,
            packed,
            index: at,
            slot,
            mark: bit(at).zip(bit(slot)).map_or(FAR, |(index, slot)| index | slot),
            in_oneof,
            checked_utf8: features.checked_utf8,
            required: options.behaviors.contains(&BEHAVIOR_REQUIRED),
            rest_only,
            name: name.into(),
            key: InlineText::new(key.as_bytes()),
            json_name: json_name.into(),
            tag: Tag::new(number << 3 | wire_type as u32),
        }
    }

    /// `"jsonName":` with other bytes behind it, and its length; one beyond those bytes, if it is
    /// longer than that.
    #[inline]
    pub(crate) fn short_key(&self) -> (&[u8; 32], usize) {
        self.key.second_part()
    }

    /// The wire types that a reader accepts for the field.
    pub(super) fn wire_types(&self) -> impl Iterator<Item = WireType> + use<> {
        let packed = self.shape == Shape::Repeated && self.kind.is_packable();
        [self.kind.wire_type()].into_iter().chain(packed.then_some(WireType::Delimited))
    }

    /// Whether a value of this wire type belongs to the field, single or in a packed run.
    #[inline]
    pub(crate) fn accepts(&self, wire_type: WireType) -> bool {
        self.kind.wire_type() == wire_type
            || (wire_type == WireType::Delimited
                && self.shape == Shape::Repeated
                && self.kind.is_packable())
    }
}

impl Kind {
    /// Types by their number in `FieldDescriptorProto.Type`; references were checked with the
    /// schema.
    fn of(field: &FieldDescriptor<'_>, features: Features, types: &Types) -> Self {
        let message = || match types.find(field.type_name) {
            Some(TypeId::Message(id)) => id,
            Some(TypeId::Enum(_)) | None => MessageId(0),
        };
        match field.kind {
            1 => Self::Double,
            2 => Self::Float,
            3 => Self::Int64,
            4 => Self::Uint64,
            5 => Self::Int32,
            6 => Self::Fixed64,
            7 => Self::Fixed32,
            8 => Self::Bool,
            9 => Self::String,
            10 => Self::Group(message()),
            11 if features.delimited && !types.is_map_entry(message()) => Self::Group(message()),
            11 => Self::Message(message()),
            12 => Self::Bytes,
            13 => Self::Uint32,
            14 => match types.find(field.type_name) {
                Some(TypeId::Enum(id)) => Self::Enum(id),
                Some(TypeId::Message(_)) | None => Self::Int32,
            },
            15 => Self::Sfixed32,
            16 => Self::Sfixed64,
            17 => Self::Sint32,
            _ => Self::Sint64,
        }
    }

    #[inline]
    pub(crate) const fn wire_type(self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::Fixed32,
            Self::String | Self::Bytes | Self::Message(_) => WireType::Delimited,
            Self::Group(_) => WireType::GroupStart,
            Self::Int32
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::Sint32
            | Self::Sint64
            | Self::Bool
            | Self::Enum(_) => WireType::Varint,
        }
    }

    /// The message that a value is, with its length or as a group.
    #[inline]
    pub(crate) const fn message(self) -> Option<MessageId> {
        match self {
            Self::Message(id) | Self::Group(id) => Some(id),
            _ => None,
        }
    }

    pub(crate) const fn is_unsigned(self) -> bool {
        matches!(self, Self::Uint32 | Self::Uint64 | Self::Fixed32 | Self::Fixed64)
    }

    /// A varint of which the low 32 bits count.
    pub(crate) const fn is_32_bits(self) -> bool {
        matches!(self, Self::Int32 | Self::Uint32 | Self::Sint32 | Self::Enum(_))
    }

    pub(crate) const fn is_packable(self) -> bool {
        matches!(self.wire_type(), WireType::Varint | WireType::Fixed32 | WireType::Fixed64)
    }
}

impl WireType {
    #[inline]
    pub(crate) const fn of_tag(tag: u32) -> Option<Self> {
        Some(match tag & 7 {
            0 => Self::Varint,
            1 => Self::Fixed64,
            2 => Self::Delimited,
            3 => Self::GroupStart,
            4 => Self::GroupEnd,
            5 => Self::Fixed32,
            _ => return None,
        })
    }
}

/// The name in the proto and the one in JSON; of an extension both are the whole name in brackets.
fn names_of(declared: &Declaration<'_>) -> (String, String) {
    if let Some(extension) = declared.extension {
        let name = format!("[{extension}]");
        return (name.clone(), name);
    }
    let name = text(declared.descriptor.name).into_owned();
    let json_name = match text(declared.descriptor.json_name) {
        none if none.is_empty() => lower_camel(&name),
        given => given.into_owned(),
    };
    (name, json_name)
}

/// protoc's rule for a JSON name: letters after underscores are raised.
fn lower_camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' => raise = true,
            _ if raise => {
                camel.push(letter.to_ascii_uppercase());
                raise = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

/// The bit of an index or a slot in a field's mark.
fn bit(slot: u16) -> Option<u64> {
    1_u64.checked_shl(u32::from(slot) + 1)
}

/// In the mark of a field that has no bits of its own.
pub(crate) const FAR: u64 = 1;
const LABEL_REPEATED: i32 = 3;
/// `google.api.FieldBehavior.REQUIRED`
const BEHAVIOR_REQUIRED: i32 = 2;
