//! Descriptors: the part of `descriptor.proto` that the tables are made of, with its extensions.
//!
//! prost-types drops extensions when it decodes, and the HTTP rules are extensions; so these are our
//! own few messages, with the numbers of `google/protobuf/descriptor.proto`.
//!
//! A program uses few of the messages that a schema has. So names stay shares of the one descriptor set, and what
//! only the table of a message needs is decoded with the table.

use bytes::Bytes;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileSet {
    #[prost(message, repeated, tag = "1")]
    pub(super) files: Vec<FileDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileDescriptor {
    #[prost(string, tag = "2")]
    pub(super) package: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) messages: Vec<MessageDescriptor>,
    #[prost(message, repeated, tag = "5")]
    pub(super) enums: Vec<EnumDescriptor>,
    #[prost(message, repeated, tag = "6")]
    pub(super) services: Vec<ServiceDescriptor>,
    #[prost(message, optional, tag = "8")]
    pub(super) options: Option<FileOptions>,
    #[prost(string, tag = "12")]
    pub(super) syntax: String,
    #[prost(int32, tag = "14")]
    pub(super) edition: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileOptions {
    #[prost(message, optional, tag = "50")]
    pub(super) features: Option<FeatureSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageDescriptor {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    /// Encoded [`FieldDescriptor`]s.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) fields: Vec<Bytes>,
    #[prost(message, repeated, tag = "3")]
    pub(super) messages: Vec<Self>,
    #[prost(message, repeated, tag = "4")]
    pub(super) enums: Vec<EnumDescriptor>,
    #[prost(message, optional, tag = "7")]
    pub(super) options: Option<MessageOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageOptions {
    #[prost(bool, tag = "7")]
    pub(super) map_entry: bool,
    #[prost(message, optional, tag = "12")]
    pub(super) features: Option<FeatureSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldDescriptor {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(int32, tag = "3")]
    pub(super) number: i32,
    #[prost(int32, tag = "4")]
    pub(super) label: i32,
    #[prost(int32, tag = "5")]
    pub(super) kind: i32,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) type_name: Bytes,
    /// An encoded [`FieldOptions`].
    #[prost(bytes = "bytes", tag = "8")]
    pub(super) options: Bytes,
    #[prost(int32, optional, tag = "9")]
    pub(super) oneof_index: Option<i32>,
    #[prost(bytes = "bytes", tag = "10")]
    pub(super) json_name: Bytes,
    #[prost(bool, tag = "17")]
    pub(super) proto3_optional: bool,
}

/// What has to be known of a field before its message is used.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldReference {
    #[prost(int32, tag = "3")]
    pub(super) number: i32,
    #[prost(int32, tag = "5")]
    pub(super) kind: i32,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) type_name: Bytes,
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
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumDescriptor {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    /// Encoded [`EnumValueDescriptor`]s.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) values: Vec<Bytes>,
    #[prost(message, optional, tag = "3")]
    pub(super) options: Option<EnumOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumOptions {
    #[prost(message, optional, tag = "7")]
    pub(super) features: Option<FeatureSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumValueDescriptor {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(int32, tag = "2")]
    pub(super) number: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceDescriptor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) methods: Vec<MethodDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MethodDescriptor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) input_type: String,
    #[prost(string, tag = "3")]
    pub(super) output_type: String,
    #[prost(message, optional, tag = "4")]
    pub(super) options: Option<MethodOptions>,
    #[prost(bool, tag = "5")]
    pub(super) client_streaming: bool,
    #[prost(bool, tag = "6")]
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

/// `google.protobuf.FeatureSet`: what an edition lets each element choose.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct FeatureSet {
    #[prost(int32, optional, tag = "1")]
    pub(super) field_presence: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(super) enum_type: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub(super) repeated_field_encoding: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub(super) message_encoding: Option<i32>,
}

impl MessageDescriptor {
    pub(super) fn fields(&self) -> impl Iterator<Item = FieldDescriptor> {
        // What cannot be decoded was refused with the schema.
        self.fields.iter().map(|field| FieldDescriptor::decode(field.clone()).unwrap_or_default())
    }
}

/// The features in force for an element, each one decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a feature of its own")]
pub(super) struct Features {
    pub(super) implicit_presence: bool,
    pub(super) closed_enum: bool,
    pub(super) packed: bool,
    pub(super) delimited: bool,
}

impl Features {
    /// What the syntax or edition of a file sets out from
    /// ([defaults](https://protobuf.dev/editions/features/)).
    pub(super) fn of_file(file: &FileDescriptor) -> Self {
        let start = match file.syntax.as_str() {
            "proto3" => {
                Self { implicit_presence: true, closed_enum: false, packed: true, delimited: false }
            }
            "editions" if file.edition >= EDITION_2023 => Self {
                implicit_presence: false,
                closed_enum: false,
                packed: true,
                delimited: false,
            },
            _ => Self {
                implicit_presence: false,
                closed_enum: true,
                packed: false,
                delimited: false,
            },
        };
        start.with(file.options.as_ref().and_then(|options| options.features))
    }

    /// The same, where an element inside says otherwise.
    pub(super) fn with(self, own: Option<FeatureSet>) -> Self {
        let Some(own) = own else { return self };
        let choose = |chosen: Option<i32>, yes: i32, inherited: bool| {
            chosen.filter(|value| *value != 0).map_or(inherited, |value| value == yes)
        };
        Self {
            implicit_presence: choose(own.field_presence, IMPLICIT, self.implicit_presence),
            closed_enum: choose(own.enum_type, CLOSED, self.closed_enum),
            packed: choose(own.repeated_field_encoding, PACKED, self.packed),
            delimited: choose(own.message_encoding, DELIMITED, self.delimited),
        }
    }
}

const EDITION_2023: i32 = 1000;
const IMPLICIT: i32 = 2;
const CLOSED: i32 = 2;
const PACKED: i32 = 1;
const DELIMITED: i32 = 2;
