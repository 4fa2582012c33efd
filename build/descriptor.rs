//! Descriptor: `descriptor.proto` as far as the overlay changes it. All else is kept as the bytes
//! that it is, because prost's own types would drop the options that are extensions.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Set {
    #[prost(message, repeated, tag = "1")]
    pub(crate) files: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct File {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) package: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) dependencies: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) messages: Vec<MessageType>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) enums: Vec<EnumType>,
    #[prost(bytes, repeated, tag = "6")]
    pub(crate) services: Vec<Vec<u8>>,
    #[prost(bytes, repeated, tag = "7")]
    pub(crate) extensions: Vec<Vec<u8>>,
    #[prost(bytes, optional, tag = "8")]
    pub(crate) options: Option<Vec<u8>>,
    #[prost(message, optional, tag = "9")]
    pub(crate) source: Option<Source>,
    #[prost(string, tag = "12")]
    pub(crate) syntax: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MessageType {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) fields: Vec<Field>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) messages: Vec<Self>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) enums: Vec<EnumType>,
    #[prost(bytes, repeated, tag = "5")]
    pub(crate) extension_ranges: Vec<Vec<u8>>,
    #[prost(bytes, repeated, tag = "6")]
    pub(crate) extensions: Vec<Vec<u8>>,
    /// `map_entry` is the one that counts here.
    #[prost(bytes, optional, tag = "7")]
    pub(crate) options: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) oneofs: Vec<Oneof>,
    #[prost(bytes, repeated, tag = "9")]
    pub(crate) reserved_ranges: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "10")]
    pub(crate) reserved_names: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Field {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, optional, tag = "2")]
    pub(crate) extendee: Option<String>,
    #[prost(int32, tag = "3")]
    pub(crate) number: i32,
    #[prost(int32, tag = "4")]
    pub(crate) label: i32,
    #[prost(int32, tag = "5")]
    pub(crate) kind: i32,
    #[prost(string, optional, tag = "6")]
    pub(crate) type_name: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub(crate) default_value: Option<String>,
    #[prost(bytes, optional, tag = "8")]
    pub(crate) options: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "9")]
    pub(crate) oneof: Option<i32>,
    #[prost(string, optional, tag = "10")]
    pub(crate) json_name: Option<String>,
    #[prost(bool, optional, tag = "17")]
    pub proto3_optional: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Oneof {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(bytes, optional, tag = "2")]
    pub(crate) options: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EnumType {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) values: Vec<Value>,
    #[prost(bytes, optional, tag = "3")]
    pub(crate) options: Option<Vec<u8>>,
    #[prost(bytes, repeated, tag = "4")]
    pub(crate) reserved_ranges: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) reserved_names: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    // A zero is written too: an enum without one would be none of proto3.
    #[prost(int32, optional, tag = "2")]
    pub(crate) number: Option<i32>,
    #[prost(bytes, optional, tag = "3")]
    pub(crate) options: Option<Vec<u8>>,
}

/// `SourceCodeInfo`: where the comments stand.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Source {
    #[prost(message, repeated, tag = "1")]
    pub(crate) locations: Vec<Location>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Location {
    #[prost(int32, repeated, tag = "1")]
    pub(crate) path: Vec<i32>,
    #[prost(int32, repeated, tag = "2")]
    pub(crate) span: Vec<i32>,
    #[prost(string, optional, tag = "3")]
    pub(crate) leading: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(crate) trailing: Option<String>,
    #[prost(string, repeated, tag = "6")]
    pub(crate) detached: Vec<String>,
}

/// What stands in a path of [`Location`] before the index of a message of a file, and so on.
pub(crate) mod part {
    pub(crate) const FILE_MESSAGE: i32 = 4;
    pub(crate) const FILE_ENUM: i32 = 5;
    pub(crate) const FILE_SERVICE: i32 = 6;
    pub(crate) const FIELD: i32 = 2;
    pub(crate) const MESSAGE: i32 = 3;
    pub(crate) const ENUM: i32 = 4;
    pub(crate) const VALUE: i32 = 2;
}
