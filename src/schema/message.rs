//! Messages as flat tables: what a field is called, how it stands on the wire.

use super::descriptor::{FieldDescriptor, MessageDescriptor};
use super::field::{Declaration, Field, Shape};
use super::names::Names;
use super::types::{Declared, Types};

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: Box<str>,
    pub(crate) special: Special,
    /// By number.
    pub(crate) fields: Box<[Field]>,
    names: Names,
    /// By the single byte of a small field's tag: index + 1, or 0.
    by_tag: [u8; 128],
    /// By number, where numbers are small: index + 1, or 0.
    by_number: Box<[u16]>,
    /// The field that keeps what the schema does not know: index + 1, or 0.
    unknown: u16,
}

/// A message whose JSON form is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    No,
    Any,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    /// `google.protobuf.StringValue` and its like: the JSON of their one field.
    Wrapper,
    /// `google.api.HttpBody`: its `data`, as it is.
    HttpBody,
}

impl Message {
    /// From what a [`MessageDescriptor`] reads; its faults were refused with the schema.
    pub(super) fn new(declared: &Declared, types: &Types) -> Self {
        let mut sorted = declarations(declared, types);
        sorted.sort_by_key(|field| field.descriptor.number);
        let fields: Box<[Field]> = sorted
            .iter()
            .zip(0..)
            .map(|(field, at)| Field::new(field, at, sorted.len(), types))
            .collect();
        let mut by_tag = [0; 128];
        let mut by_number = vec![
            0;
            fields
                .iter()
                .map(|field| field.number)
                .filter(|n| *n < DENSE)
                .max()
                .map_or(0, |n| n as usize + 1)
        ];
        for (field, at) in fields.iter().zip(1_u16..) {
            if let Some(place) = by_number.get_mut(field.number as usize) {
                *place = at;
            }
            for wire_type in field.wire_types() {
                let tag = (field.number << 3) as usize | wire_type as usize;
                if let (Some(place), Ok(at)) = (by_tag.get_mut(tag), u8::try_from(at)) {
                    *place = at;
                }
            }
        }
        let written = fields.iter().zip(0..).filter(|(field, _)| field.shape != Shape::Unknown);
        let names = Names::new(
            written.flat_map(|(field, at)| [(&*field.json_name, at), (&*field.name, at)]),
        );
        let unknown = fields.iter().zip(1..).find(|(field, _)| field.shape == Shape::Unknown);
        let unknown = unknown.map_or(0, |(_, at)| at);
        Self {
            name: declared.name.clone(),
            special: Special::of(&declared.name),
            names,
            by_tag,
            by_number: by_number.into(),
            unknown,
            fields,
        }
    }

    /// Whether there is nothing to say in it: `google.protobuf.Empty`.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The field that a one-byte tag names, if the wire type is one of the field's.
    #[inline]
    pub(crate) fn field_of_tag(&self, tag: u8) -> Option<&Field> {
        let at = *self.by_tag.get(usize::from(tag))?;
        self.fields.get(usize::from(at).checked_sub(1)?)
    }

    #[inline]
    pub(crate) fn field_of_number(&self, number: u32) -> Option<&Field> {
        if let Some(at) = self.by_number.get(number as usize) {
            return self.fields.get(usize::from(*at).checked_sub(1)?);
        }
        let at = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(at)
    }

    /// The field that keeps the members which the schema does not know.
    #[inline]
    pub(crate) fn unknown(&self) -> Option<&Field> {
        self.fields.get(usize::from(self.unknown).checked_sub(1)?)
    }

    /// By JSON name or by the name in the proto.
    #[inline]
    pub(crate) fn field_of_name(&self, name: &[u8]) -> Option<&Field> {
        self.fields.get(self.index_of_name(name)?)
    }

    #[inline]
    pub(crate) fn index_of_name(&self, name: &[u8]) -> Option<usize> {
        self.names.get(name).map(|at| at as usize)
    }
}

/// The fields of a message, and its extensions, wherever they are declared.
fn declarations<'a>(message: &'a Declared, types: &'a Types) -> Vec<Declaration<'a>> {
    let Declared { name, descriptor, features, is_map_entry, .. } = message;
    let own = MessageDescriptor::fields(descriptor).flatten().map(|descriptor| Declaration {
        descriptor,
        extension: None,
        features: *features,
        in_map_entry: *is_map_entry,
    });
    let extensions = types.extensions_of(name).iter().filter_map(|extension| {
        let descriptor = FieldDescriptor::read(&extension.descriptor).ok()?;
        let (name, features) = (Some(&*extension.name), extension.features);
        Some(Declaration { descriptor, extension: name, features, in_map_entry: false })
    });
    own.chain(extensions).collect()
}

impl Special {
    fn of(name: &str) -> Self {
        match name {
            "google.api.HttpBody" => Self::HttpBody,
            "google.protobuf.Any" => Self::Any,
            "google.protobuf.Timestamp" => Self::Timestamp,
            "google.protobuf.Duration" => Self::Duration,
            "google.protobuf.FieldMask" => Self::FieldMask,
            "google.protobuf.Struct" => Self::Struct,
            "google.protobuf.Value" => Self::Value,
            "google.protobuf.ListValue" => Self::ListValue,
            _ => match name
                .strip_prefix("google.protobuf.")
                .and_then(|name| name.strip_suffix("Value"))
            {
                Some(
                    "Double" | "Float" | "Int64" | "UInt64" | "Int32" | "UInt32" | "Bool"
                    | "String" | "Bytes",
                ) => Self::Wrapper,
                _ => Self::No,
            },
        }
    }
}

/// Numbers below this are looked up by index.
pub(super) const DENSE: u32 = 512;
