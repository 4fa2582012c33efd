//! Schema: a descriptor set compiled once to tables: messages, methods, HTTP rules.

mod descriptor;
mod enumeration;
mod features;
mod message;
mod method;
mod names;
mod padded;
mod parts;
pub(crate) mod rule;
pub(crate) mod template;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::error::{Error, ErrorKind};
use crate::proto::DESCRIPTORS;
use descriptor::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor,
    read_files,
};
pub(crate) use enumeration::Enum;
use features::Features;
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
struct Index {
    /// What all descriptors lie in.
    set: Bytes,
    types: FxHashMap<Box<[u8]>, TypeId>,
    messages: Vec<Lazy<Message>>,
    enums: Vec<Lazy<Enum>>,
}

/// An encoded descriptor, and the table that it becomes when it is first used.
struct Lazy<T> {
    name: Box<str>,
    descriptor: Bytes,
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
    /// [`ErrorKind::Schema`]: the bytes are no descriptor set, more than 100 messages stand inside each other, a type is
    /// missing, or an HTTP rule is wrong; the text names the method and the rule.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, Error> {
        Self::with_http_overrides(&Bytes::copy_from_slice(bytes), &[])
    }

    /// The same, with the HTTP rules of a service configuration, which replace those of the methods.
    pub(crate) fn with_http_overrides(
        set: &Bytes,
        overrides: &[HttpOverride],
    ) -> Result<Self, Error> {
        let files = read_files(set)?;
        let mut index = Index::new(set, &files);
        for file in &files {
            index.add_file(file)?;
        }
        index.check_references()?;
        let mut methods = FxHashMap::default();
        for file in &files {
            for service in &file.services {
                let service_name = qualified(file.package, service.name);
                for method in &service.methods {
                    let method = read_method(&service_name, method, overrides, &index)?;
                    methods.insert(method.path.clone(), Arc::new(method));
                }
            }
        }
        Ok(Self(Arc::new(Tables { index, methods })))
    }

    /// The descriptors that the crate embeds: the types of errors, and the well-known ones, which another schema need
    /// not have. Compiled once in a process.
    pub(crate) fn own() -> Option<&'static Self> {
        static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
        SCHEMA.get_or_init(|| Self::from_descriptor_set(DESCRIPTORS).ok()).as_ref()
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

    /// The numbers of the fields on a path of names, such as `candidates.finish_reason`; `None` if one is missing.
    pub(crate) fn field_path(&self, message: MessageId, path: &str) -> Option<Vec<u32>> {
        let mut inside = Some(message);
        let numbers = path.split('.').map(|name| {
            let field = self.message(inside?).field_of_name(name.as_bytes())?;
            inside = match field.kind {
                Kind::Message(id) => Some(id),
                _ => None,
            };
            Some(field.number)
        });
        numbers.collect()
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
    /// With room for all types but those inside messages, which are few.
    fn new(set: &Bytes, files: &[FileDescriptor<'_>]) -> Self {
        let messages = files.iter().map(|file| file.messages.len()).sum();
        let enums = files.iter().map(|file| file.enums.len()).sum();
        Self {
            set: set.clone(),
            types: FxHashMap::with_capacity_and_hasher(messages + enums, FxBuildHasher),
            messages: Vec::with_capacity(messages),
            enums: Vec::with_capacity(enums),
        }
    }

    fn add_file(&mut self, file: &FileDescriptor<'_>) -> Result<(), Error> {
        let features = Features::of_file(file);
        for encoded in &file.enums {
            self.add_enum(file.package, encoded, features)?;
        }
        for encoded in &file.messages {
            self.add_message(file.package, encoded, features, MAX_DEPTH)?;
        }
        Ok(())
    }

    /// `depth`: how many messages may still stand inside each other.
    fn add_message(
        &mut self,
        scope: &str,
        encoded: &[u8],
        outer: Features,
        depth: u32,
    ) -> Result<(), Error> {
        let descriptor = MessageDescriptor::read(encoded)?;
        let name = qualified(scope, &text(descriptor.name));
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| refused("more than 100 messages stand inside each other"))?;
        let features = outer.with(descriptor.options.features);
        for nested in descriptor.enums {
            self.add_enum(&name, nested, features)?;
        }
        for nested in descriptor.messages {
            self.add_message(&name, nested, features, depth)?;
        }
        let id = MessageId(u32::try_from(self.messages.len()).unwrap_or(u32::MAX));
        self.types.insert(name.as_bytes().into(), TypeId::Message(id));
        let descriptor = self.set.slice_ref(encoded);
        self.messages.push(Lazy { name, descriptor, features, table: OnceLock::new() });
        Ok(())
    }

    fn add_enum(&mut self, scope: &str, encoded: &[u8], outer: Features) -> Result<(), Error> {
        let descriptor = EnumDescriptor::read(encoded)?;
        EnumDescriptor::values(encoded).try_for_each(|value| value.map(drop))?;
        let name = qualified(scope, &text(descriptor.name));
        let features = outer.with(descriptor.options.features);
        let id = EnumId(u32::try_from(self.enums.len()).unwrap_or(u32::MAX));
        self.types.insert(name.as_bytes().into(), TypeId::Enum(id));
        let descriptor = self.set.slice_ref(encoded);
        self.enums.push(Lazy { name, descriptor, features, table: OnceLock::new() });
        Ok(())
    }

    /// So that no table can meet a missing type later.
    fn check_references(&self) -> Result<(), Error> {
        for Lazy { name, descriptor, .. } in &self.messages {
            for field in MessageDescriptor::fields(descriptor) {
                let field = field?;
                let fits = match field.kind {
                    TYPE_GROUP | TYPE_MESSAGE => {
                        matches!(self.find(field.type_name), Some(TypeId::Message(_)))
                    }
                    TYPE_ENUM => matches!(self.find(field.type_name), Some(TypeId::Enum(_))),
                    kind => (1..=18).contains(&kind),
                };
                if !fits || field.number <= 0 {
                    let (field, kind) = (text(field.name), text(field.type_name));
                    let why = format!("field `{name}.{field}` has no known type (`{kind}`)");
                    return Err(refused(why));
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

    fn field(&self, message: MessageId, name: &str) -> Option<FieldDescriptor<'_>> {
        MessageDescriptor::field(&self.lazy_message(message).descriptor, name)
    }

    fn is_map_entry(&self, message: MessageId) -> bool {
        let descriptor = MessageDescriptor::read(&self.lazy_message(message).descriptor);
        descriptor.is_ok_and(|descriptor| descriptor.options.map_entry)
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
    fn lazy_message(&self, id: MessageId) -> &Lazy<Message> {
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
    descriptor: &MethodDescriptor<'_>,
    overrides: &[HttpOverride],
    index: &Index,
) -> Result<Method, Error> {
    let name = descriptor.name;
    let refuse = |why: String| refused(format!("method `{service}.{name}`{why}"));
    let message = |type_name: &str| match index.find(type_name) {
        Some(TypeId::Message(id)) => Ok(id),
        Some(TypeId::Enum(_)) | None => Err(refuse(format!(" has no known type (`{type_name}`)"))),
    };
    let (input, output) = (message(descriptor.input_type)?, message(descriptor.output_type)?);
    let rules: Result<Box<[Rule]>, String> = match (
        overrides.iter().find(|given| given.is_for(service, name)),
        &descriptor.options.http,
    ) {
        (Some(given), _) => read_override(given, input, output, index),
        (None, Some(rule)) => read_rules(rule, input, output, index),
        (None, None) => Ok(Box::default()),
    };
    Ok(Method {
        path: ["/", service, "/", name].concat().into(),
        input,
        output,
        client_streaming: descriptor.client_streaming,
        server_streaming: descriptor.server_streaming,
        rules: rules.map_err(|why| refuse(format!(": {why}")))?,
    })
}

/// A name as text; what is not UTF-8 is no name, and is found by nobody.
fn text(name: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(name)
}

fn qualified(scope: &str, name: &str) -> Box<str> {
    if scope.is_empty() { name.into() } else { [scope, ".", name].concat().into() }
}

fn refused(why: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Schema, why)
}

/// Of messages inside each other, as in every protobuf runtime.
const MAX_DEPTH: u32 = 100;
/// `FieldDescriptorProto.Type`
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
const TYPE_ENUM: i32 = 14;
