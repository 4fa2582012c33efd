//! Descriptors: the part of `descriptor.proto` that the tables are made of, with its extensions.
//!
//! prost-types drops extensions when it decodes, and the HTTP rules are extensions; so these are
//! our own few messages, with the numbers of `google/protobuf/descriptor.proto`.
//!
//! A program uses few of the messages that a schema has. So a descriptor borrows from the one
//! descriptor set, and fields and values are read when they are asked for.

use prost::Message;

use super::descriptor_fields::{DescriptorFields, FieldValue, malformed};
use super::features::FeatureSet;
use crate::error::Error;

#[derive(Debug, Default)]
pub(super) struct FileDescriptor<'a> {
    pub(super) package: &'a str,
    /// Each encoded, for [`MessageDescriptor::read`].
    pub(super) messages: Vec<&'a [u8]>,
    /// Each encoded, for [`EnumDescriptor::read`].
    pub(super) enums: Vec<&'a [u8]>,
    /// Each encoded, for [`FieldDescriptor::read`].
    pub(super) extensions: Vec<&'a [u8]>,
    pub(super) services: Vec<ServiceDescriptor<'a>>,
    pub(super) options: FileOptions,
    pub(super) syntax: &'a str,
    pub(super) edition: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileOptions {
    #[prost(message, optional, tag = "50")]
    pub(super) features: Option<FeatureSet>,
}

#[derive(Debug, Default)]
pub(super) struct MessageDescriptor<'a> {
    pub(super) name: &'a [u8],
    /// Each encoded.
    pub(super) messages: Vec<&'a [u8]>,
    /// Each encoded.
    pub(super) enums: Vec<&'a [u8]>,
    /// Each encoded: fields of other messages, declared in the scope of this one.
    pub(super) extensions: Vec<&'a [u8]>,
    pub(super) options: MessageOptions,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageOptions {
    #[prost(bool, tag = "7")]
    pub(super) map_entry: bool,
    #[prost(message, optional, tag = "12")]
    pub(super) features: Option<FeatureSet>,
}

#[derive(Debug, Default)]
pub(super) struct FieldDescriptor<'a> {
    pub(super) name: &'a [u8],
    /// The message that an extension belongs to.
    pub(super) extendee: &'a [u8],
    pub(super) number: i32,
    pub(super) label: i32,
    pub(super) kind: i32,
    pub(super) type_name: &'a [u8],
    /// An encoded [`FieldOptions`].
    pub(super) options: &'a [u8],
    pub(super) oneof_index: Option<i32>,
    pub(super) json_name: &'a [u8],
    pub(super) proto3_optional: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldOptions {
    #[prost(bool, optional, tag = "2")]
    pub(super) packed: Option<bool>,
    #[prost(message, optional, tag = "21")]
    pub(super) features: Option<FeatureSet>,
    /// `google.api.field_behavior`
    #[prost(int32, repeated, tag = "1052")]
    pub(super) behaviors: Vec<i32>,
    /// `genai_bridge.rest_only`
    #[prost(int32, tag = "266000000")]
    pub(super) rest_only: i32,
}

#[derive(Debug, Default)]
pub(super) struct EnumDescriptor<'a> {
    pub(super) name: &'a [u8],
    pub(super) options: EnumOptions,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumOptions {
    #[prost(message, optional, tag = "7")]
    pub(super) features: Option<FeatureSet>,
}

#[derive(Debug, Default)]
pub(super) struct EnumValueDescriptor<'a> {
    pub(super) name: &'a [u8],
    pub(super) number: i32,
    pub(super) options: EnumValueOptions,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumValueOptions {
    /// `genai_bridge.rest_only_value`
    #[prost(int32, tag = "266000000")]
    pub(super) rest_only: i32,
}

#[derive(Debug, Default)]
pub(super) struct ServiceDescriptor<'a> {
    pub(super) name: &'a str,
    pub(super) methods: Vec<MethodDescriptor<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct MethodDescriptor<'a> {
    pub(super) name: &'a str,
    pub(super) input_type: &'a str,
    pub(super) output_type: &'a str,
    pub(super) options: MethodOptions,
    pub(super) client_streaming: bool,
    pub(super) server_streaming: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MethodOptions {
    /// `google.api.http`
    #[prost(message, optional, tag = "72295728")]
    pub(super) http: Option<HttpRule>,
}

/// `google.api.HttpRule`
#[derive(Clone, PartialEq, Message)]
pub(super) struct HttpRule {
    #[prost(oneof = "HttpPattern", tags = "2, 3, 4, 5, 6, 8")]
    pub(super) pattern: Option<HttpPattern>,
    #[prost(string, tag = "7")]
    pub(super) body: String,
    #[prost(message, repeated, tag = "11")]
    pub(super) additional_bindings: Vec<Self>,
    #[prost(string, tag = "12")]
    pub(super) response_body: String,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum HttpPattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(CustomHttpPattern),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CustomHttpPattern {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    pub(super) path: String,
}

/// The files of an encoded `FileDescriptorSet`.
pub(super) fn read_files(set: &[u8]) -> Result<Vec<FileDescriptor<'_>>, Error> {
    let mut files = Vec::new();
    for part in DescriptorFields::of(set) {
        if let (1, FieldValue::Bytes(file)) = part? {
            files.push(FileDescriptor::read(file)?);
        }
    }
    Ok(files)
}

impl<'a> FileDescriptor<'a> {
    fn read(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut file = Self::default();
        for part in DescriptorFields::of(encoded) {
            match part? {
                (2, FieldValue::Bytes(package)) => file.package = utf8(package)?,
                (4, FieldValue::Bytes(message)) => file.messages.push(message),
                (5, FieldValue::Bytes(enumeration)) => file.enums.push(enumeration),
                (6, FieldValue::Bytes(service)) => {
                    file.services.push(ServiceDescriptor::read(service)?);
                }
                (7, FieldValue::Bytes(extension)) => file.extensions.push(extension),
                (8, FieldValue::Bytes(options)) => merge(&mut file.options, options)?,
                (12, FieldValue::Bytes(syntax)) => file.syntax = utf8(syntax)?,
                (14, FieldValue::Varint(edition)) => file.edition = int32(edition),
                _ => {}
            }
        }
        Ok(file)
    }
}

impl<'a> MessageDescriptor<'a> {
    pub(super) fn read(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut message = Self::default();
        for part in DescriptorFields::of(encoded) {
            match part? {
                (1, FieldValue::Bytes(name)) => message.name = name,
                (3, FieldValue::Bytes(nested)) => message.messages.push(nested),
                (4, FieldValue::Bytes(nested)) => message.enums.push(nested),
                (6, FieldValue::Bytes(extension)) => message.extensions.push(extension),
                (7, FieldValue::Bytes(options)) => merge(&mut message.options, options)?,
                _ => {}
            }
        }
        Ok(message)
    }

    /// The fields of an encoded message.
    pub(super) fn fields(
        encoded: &'a [u8],
    ) -> impl Iterator<Item = Result<FieldDescriptor<'a>, Error>> {
        all(encoded, 2).map(FieldDescriptor::read)
    }

    /// One field of an encoded message.
    pub(super) fn field(encoded: &'a [u8], name: &str) -> Option<FieldDescriptor<'a>> {
        let is_named = |field: &&[u8]| all(field, 1).last() == Some(name.as_bytes());
        all(encoded, 2).find(is_named).and_then(|field| FieldDescriptor::read(field).ok())
    }
}

impl<'a> FieldDescriptor<'a> {
    pub(super) fn read(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut field = Self::default();
        for part in DescriptorFields::of(encoded) {
            match part? {
                (1, FieldValue::Bytes(name)) => field.name = name,
                (2, FieldValue::Bytes(name)) => field.extendee = name,
                (3, FieldValue::Varint(number)) => field.number = int32(number),
                (4, FieldValue::Varint(label)) => field.label = int32(label),
                (5, FieldValue::Varint(kind)) => field.kind = int32(kind),
                (6, FieldValue::Bytes(name)) => field.type_name = name,
                (8, FieldValue::Bytes(options)) => field.options = options,
                (9, FieldValue::Varint(oneof)) => field.oneof_index = Some(int32(oneof)),
                (10, FieldValue::Bytes(name)) => field.json_name = name,
                (17, FieldValue::Varint(optional)) => field.proto3_optional = optional != 0,
                _ => {}
            }
        }
        Ok(field)
    }
}

impl<'a> EnumDescriptor<'a> {
    pub(super) fn read(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut enumeration = Self::default();
        for part in DescriptorFields::of(encoded) {
            match part? {
                (1, FieldValue::Bytes(name)) => enumeration.name = name,
                (3, FieldValue::Bytes(options)) => merge(&mut enumeration.options, options)?,
                _ => {}
            }
        }
        Ok(enumeration)
    }

    /// The values of an encoded enum.
    pub(super) fn values(
        encoded: &'a [u8],
    ) -> impl Iterator<Item = Result<EnumValueDescriptor<'a>, Error>> {
        all(encoded, 2).map(EnumValueDescriptor::read)
    }
}

impl<'a> EnumValueDescriptor<'a> {
    fn read(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut value = Self::default();
        for part in DescriptorFields::of(encoded) {
            match part? {
                (1, FieldValue::Bytes(name)) => value.name = name,
                (2, FieldValue::Varint(number)) => value.number = int32(number),
                (3, FieldValue::Bytes(options)) => merge(&mut value.options, options)?,
                _ => {}
            }
        }
        Ok(value)
    }
}

impl<'a> ServiceDescriptor<'a> {
    fn read(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut service = Self::default();
        for part in DescriptorFields::of(encoded) {
            match part? {
                (1, FieldValue::Bytes(name)) => service.name = utf8(name)?,
                (2, FieldValue::Bytes(method)) => {
                    service.methods.push(MethodDescriptor::read(method)?);
                }
                _ => {}
            }
        }
        Ok(service)
    }
}

impl<'a> MethodDescriptor<'a> {
    fn read(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut method = Self::default();
        for part in DescriptorFields::of(encoded) {
            match part? {
                (1, FieldValue::Bytes(name)) => method.name = utf8(name)?,
                (2, FieldValue::Bytes(name)) => method.input_type = utf8(name)?,
                (3, FieldValue::Bytes(name)) => method.output_type = utf8(name)?,
                (4, FieldValue::Bytes(options)) => merge(&mut method.options, options)?,
                (5, FieldValue::Varint(streaming)) => method.client_streaming = streaming != 0,
                (6, FieldValue::Varint(streaming)) => method.server_streaming = streaming != 0,
                _ => {}
            }
        }
        Ok(method)
    }
}

/// The values of one repeated field of bytes, up to a fault.
fn all(encoded: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    DescriptorFields::of(encoded).flatten().filter_map(move |part| match part {
        (number, FieldValue::Bytes(bytes)) if number == wanted => Some(bytes),
        _ => None,
    })
}

fn merge(options: &mut impl Message, encoded: &[u8]) -> Result<(), Error> {
    options.merge(encoded).map_err(|error| malformed().with_source(error))
}

fn utf8(text: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(text).map_err(|error| malformed().with_source(error))
}

#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits count")]
const fn int32(varint: u64) -> i32 {
    varint as i32
}
