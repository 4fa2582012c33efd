//! Schema: a descriptor set compiled once to tables: messages, methods, HTTP rules.

mod descriptor;
mod enumeration;
mod message;
mod method;
mod names;
mod padded;
pub(crate) mod rule;
pub(crate) mod template;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::FxHashMap;

use crate::error::{Error, ErrorKind};
use descriptor::{
    EnumDescriptor, Features, FieldDescriptor, FieldReference, FileDescriptor, FileSet,
    MessageDescriptor, MethodDescriptor,
};
pub(crate) use enumeration::Enum;
pub(crate) use message::{Field, Kind, Message, Shape, Special, WireType};
pub(crate) use method::Method;
pub(crate) use padded::Tag;
use rule::{HttpOverride, Rule, read_override, read_rules};

/// The messages and methods of a descriptor set, ready for both transports. Cheap to clone.
///
/// The tables of a message are made when it is first used.
#[derive(Clone)]
pub struct Schema(Arc<Tables>);

struct Tables {
    index: Index,
    methods: FxHashMap<Box<str>, Arc<Method>>,
}

/// Index of a message in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId(u32);

/// Index of an enum in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EnumId(u32);

/// What a type name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TypeId {
    Message(MessageId),
    Enum(EnumId),
}

/// All types by name; every reference between them has been checked.
#[derive(Default)]
struct Index {
    types: FxHashMap<Box<[u8]>, TypeId>,
    messages: Vec<Lazy<MessageDescriptor, Message>>,
    enums: Vec<Lazy<EnumDescriptor, Enum>>,
}

/// A descriptor, and the table that it becomes when it is first used.
struct Lazy<D, T> {
    name: Box<str>,
    descriptor: D,
    features: Features,
    /// Boxed, as most of them are never made.
    table: OnceLock<Box<T>>,
}

impl Schema {
    /// Compiles the bytes of a `google.protobuf.FileDescriptorSet`, with all its imports, as
    /// `protoc --include_imports --descriptor_set_out` writes it.
    ///
    /// Give the bytes as the compiler made them: a set that went through prost-types has lost its HTTP rules.
    ///
    /// # Errors
    /// [`ErrorKind::Schema`]: the bytes are no descriptor set, a type is missing, or an HTTP rule is wrong; the
    /// text names the method and the rule.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, Error> {
        Self::with_http_overrides(bytes, &[])
    }

    /// The same, with the HTTP rules of a service configuration, which replace those of the methods.
    pub(crate) fn with_http_overrides(
        bytes: &[u8],
        overrides: &[HttpOverride],
    ) -> Result<Self, Error> {
        let files = FileSet::decode(Bytes::copy_from_slice(bytes))
            .map_err(|error| refused("the bytes are not a descriptor set").with_source(error))?
            .files;
        let mut index = Index::default();
        let mut services = Vec::new();
        for mut file in files {
            services.push((file.package.clone(), std::mem::take(&mut file.services)));
            index.add_file(file);
        }
        index.check_references().map_err(refused)?;
        let mut methods = FxHashMap::default();
        for (package, services) in &services {
            for service in services {
                let service_name = qualified(package, &service.name);
                for method in &service.methods {
                    let method = read_method(&service_name, method, overrides, &index)?;
                    methods.insert(method.path.clone(), Arc::new(method));
                }
            }
        }
        Ok(Self(Arc::new(Tables { index, methods })))
    }

    /// By `/package.Service/Method`.
    pub(crate) fn method(&self, path: &str) -> Option<&Arc<Method>> {
        self.0.methods.get(path)
    }

    /// By the path of a call, which the client's origin may have given a prefix.
    pub(crate) fn find_method(&self, path: &str) -> Option<&Arc<Method>> {
        self.method(path).or_else(|| {
            let (service, _) = path.rsplit_once('/')?;
            self.method(path.get(service.rfind('/')?..)?)
        })
    }

    pub(crate) fn message_id(&self, name: &str) -> Option<MessageId> {
        match self.0.index.find(name)? {
            TypeId::Message(id) => Some(id),
            TypeId::Enum(_) => None,
        }
    }

    #[inline]
    pub(crate) fn message(&self, id: MessageId) -> &Message {
        self.0.index.message(id)
    }

    #[inline]
    pub(crate) fn enumeration(&self, id: EnumId) -> &Enum {
        self.0.index.enumeration(id)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("messages", &self.0.index.messages.len())
            .field("methods", &self.0.methods.len())
            .finish()
    }
}

impl Index {
    fn add_file(&mut self, file: FileDescriptor) {
        let features = Features::of_file(&file);
        for descriptor in file.enums {
            self.add_enum(&file.package, descriptor, features);
        }
        for descriptor in file.messages {
            self.add_message(&file.package, descriptor, features);
        }
    }

    fn add_message(&mut self, scope: &str, mut descriptor: MessageDescriptor, features: Features) {
        let name = qualified(scope, &text(&descriptor.name));
        let own = descriptor.options.as_ref().and_then(|options| options.features);
        let features = features.with(own);
        for nested in std::mem::take(&mut descriptor.enums) {
            self.add_enum(&name, nested, features);
        }
        for nested in std::mem::take(&mut descriptor.messages) {
            self.add_message(&name, nested, features);
        }
        let id = MessageId(u32::try_from(self.messages.len()).unwrap_or(u32::MAX));
        self.types.insert(name.as_bytes().into(), TypeId::Message(id));
        self.messages.push(Lazy { name, descriptor, features, table: OnceLock::new() });
    }

    fn add_enum(&mut self, scope: &str, descriptor: EnumDescriptor, features: Features) {
        let name = qualified(scope, &text(&descriptor.name));
        let id = EnumId(u32::try_from(self.enums.len()).unwrap_or(u32::MAX));
        self.types.insert(name.as_bytes().into(), TypeId::Enum(id));
        self.enums.push(Lazy { name, descriptor, features, table: OnceLock::new() });
    }

    /// So that no table can meet a missing type later.
    fn check_references(&self) -> Result<(), String> {
        for message in &self.messages {
            for encoded in &message.descriptor.fields {
                let field = FieldReference::decode(encoded.clone())
                    .map_err(|error| format!("a field of `{}`: {error}", message.name))?;
                let fits = match (field.kind, self.find(&field.type_name)) {
                    (TYPE_GROUP | TYPE_MESSAGE, found) => matches!(found, Some(TypeId::Message(_))),
                    (TYPE_ENUM, found) => matches!(found, Some(TypeId::Enum(_))),
                    (kind, _) => (1..=18).contains(&kind),
                };
                if !fits || field.number <= 0 {
                    let (message, kind) = (&message.name, text(&field.type_name));
                    let field = FieldDescriptor::decode(encoded.clone()).unwrap_or_default();
                    let field = text(&field.name);
                    return Err(format!("field `{message}.{field}` has no known type (`{kind}`)"));
                }
            }
        }
        Ok(())
    }

    /// By name, with or without the leading dot of descriptors.
    fn find(&self, name: impl AsRef<[u8]>) -> Option<TypeId> {
        let name = name.as_ref();
        self.types.get(name.strip_prefix(b".").unwrap_or(name)).copied()
    }

    fn field(&self, message: MessageId, name: &str) -> Option<FieldDescriptor> {
        self.lazy_message(message).descriptor.fields().find(|field| field.name == name)
    }

    fn is_map_entry(&self, message: MessageId) -> bool {
        let options = self.lazy_message(message).descriptor.options.as_ref();
        options.is_some_and(|options| options.map_entry)
    }

    #[inline]
    fn message(&self, id: MessageId) -> &Message {
        let lazy = self.lazy_message(id);
        lazy.table.get_or_init(|| {
            Box::new(Message::new(&lazy.name, &lazy.descriptor, lazy.features, self))
        })
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "an id is made where its message is pushed")]
    fn lazy_message(&self, id: MessageId) -> &Lazy<MessageDescriptor, Message> {
        &self.messages[id.0 as usize]
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "an id is made where its enum is pushed")]
    fn enumeration(&self, id: EnumId) -> &Enum {
        let lazy = &self.enums[id.0 as usize];
        lazy.table.get_or_init(|| Box::new(Enum::new(&lazy.name, &lazy.descriptor, lazy.features)))
    }
}

fn read_method(
    service: &str,
    descriptor: &MethodDescriptor,
    overrides: &[HttpOverride],
    index: &Index,
) -> Result<Method, Error> {
    let name = format!("{service}.{}", descriptor.name);
    let message = |type_name: &str| match index.find(type_name) {
        Some(TypeId::Message(id)) => Ok(id),
        Some(TypeId::Enum(_)) | None => {
            Err(refused(format!("method `{name}` has no known type (`{type_name}`)")))
        }
    };
    let (input, output) = (message(&descriptor.input_type)?, message(&descriptor.output_type)?);
    let annotation = descriptor.options.as_ref().and_then(|options| options.http.as_ref());
    let rules: Result<Box<[Rule]>, String> =
        match (overrides.iter().find(|given| given.selector == name), annotation) {
            (Some(given), _) => read_override(given, input, output, index),
            (None, Some(rule)) => read_rules(rule, input, output, index),
            (None, None) => Ok(Box::default()),
        };
    Ok(Method {
        path: format!("/{service}/{}", descriptor.name).into(),
        input,
        output,
        client_streaming: descriptor.client_streaming,
        server_streaming: descriptor.server_streaming,
        rules: rules.map_err(|why| refused(format!("method `{name}`: {why}")))?,
    })
}

/// A name as text; what is not UTF-8 is no name, and is found by nobody.
fn text(name: &Bytes) -> Cow<'_, str> {
    String::from_utf8_lossy(name)
}

fn qualified(scope: &str, name: &str) -> Box<str> {
    if scope.is_empty() { name.into() } else { [scope, ".", name].concat().into() }
}

fn refused(why: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Schema, why)
}

/// `FieldDescriptorProto.Type`
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
const TYPE_ENUM: i32 = 14;
