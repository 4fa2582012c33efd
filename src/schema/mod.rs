//! Schema: a descriptor set compiled once to tables: messages, methods, HTTP rules.

mod config;
mod descriptor;
mod descriptor_fields;
mod enumeration;
mod features;
mod field;
mod inline_text;
mod message;
mod method;
mod names;
mod naming;
mod rest_only;
pub(crate) mod rule;
mod tables;
pub(crate) mod template;
mod types;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::proto::DESCRIPTORS;
use config::{ConfiguredRule, MethodConfigs, ServiceConfig};
use descriptor::read_files;
pub(crate) use enumeration::Enum;
pub(crate) use field::{FAR, Field, Kind, Shape, WireType};
pub(crate) use inline_text::Tag;
pub(crate) use message::{Message, Special};
pub(crate) use method::Method;
use naming::qualified;
pub(crate) use rest_only::RestOnly;
use rule::HttpOverride;
use tables::Tables;
pub(crate) use types::{EnumId, MessageId};
use types::{TypeId, Types};

/// The messages and methods of a descriptor set, ready for both transports. Cheap to clone.
///
/// The tables of a message are made when it is first used.
#[derive(Clone)]
pub struct Schema(Arc<Compiled>);

struct Compiled {
    tables: Tables,
    methods: FxHashMap<Box<str>, Arc<Method>>,
    /// Fields may be marked as REST's own.
    has_rest_only: bool,
}

impl Schema {
    /// Compiles the bytes of a `google.protobuf.FileDescriptorSet`, with all its imports, as
    /// `protoc --include_imports --descriptor_set_out` writes it.
    ///
    /// Give the bytes as the compiler made them: a set that went through prost-types has lost its
    /// HTTP rules.
    ///
    /// # Errors
    /// [`ErrorKind::Schema`](crate::ErrorKind::Schema): the bytes are no descriptor set, more than
    /// 100 messages stand inside each other, or a type is missing. An HTTP rule that cannot be used
    /// costs only its method the REST form; a call of it over REST says why.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, Error> {
        Self::with_http_overrides(&Bytes::copy_from_slice(bytes), &[])
    }

    /// The same, with the configuration files that stand beside a service's protos, each of one of
    /// two kinds:
    ///
    /// - a `google.api.Service`, such as `library_v1.yaml`: its `http` rules replace those of the
    ///   methods that they name, also of mixins such as `google.longrunning.Operations` and
    ///   `google.cloud.location.Locations`. A rule of a method that the descriptors lack is
    ///   ignored: compile the protos of the mixins that you call, too;
    /// - a gRPC service config, such as `library_grpc_service_config.json`: its `methodConfig`
    ///   gives the deadline of calls that have none, and which answers are retried. The
    ///   bridge's own [`default_deadline`](crate::BridgeBuilder::default_deadline) and
    ///   [`retry`](crate::BridgeBuilder::retry) come first.
    ///
    /// A file is JSON or, with the feature `yaml`, YAML. Of two rules of a method the last one
    /// counts, of two method configs the first.
    ///
    /// # Errors
    /// As [`from_descriptor_set`](Self::from_descriptor_set), or a file cannot be read; the text
    /// says which, and why.
    pub fn from_descriptor_set_and_config(bytes: &[u8], files: &[&str]) -> Result<Self, Error> {
        let config = ServiceConfig::read(files)?;
        let bindings: Vec<_> = config.rules.iter().map(ConfiguredRule::bindings).collect();
        let rules = config.rules.iter().zip(&bindings);
        let overrides: Vec<_> = rules
            .map(|(rule, bindings)| HttpOverride { selector: &rule.selector, bindings })
            .collect();
        Self::compile(&Bytes::copy_from_slice(bytes), &overrides, &config.methods)
    }

    /// The same, with the HTTP rules of a service configuration, which replace those of the
    /// methods.
    pub(crate) fn with_http_overrides(
        set: &Bytes,
        overrides: &[HttpOverride<'_>],
    ) -> Result<Self, Error> {
        Self::compile(set, overrides, &MethodConfigs::default())
    }

    fn compile(
        set: &Bytes,
        overrides: &[HttpOverride<'_>],
        configs: &MethodConfigs,
    ) -> Result<Self, Error> {
        let files = read_files(set)?;
        let mut types = Types::new(set, &files);
        for file in &files {
            types.add_file(file)?;
        }
        types.check_references()?;
        let mut methods = FxHashMap::default();
        for file in &files {
            for service in &file.services {
                let service_name = qualified(file.package, service.name);
                for method in &service.methods {
                    let config = configs.find(&service_name, method.name).cloned();
                    let mut method = Method::read(&service_name, method, overrides, &types)?;
                    method.config = config.unwrap_or_default();
                    methods.insert(method.path.clone(), Arc::new(method));
                }
            }
        }
        let has_rest_only = rest_only::is_declared(&types);
        Ok(Self(Arc::new(Compiled { tables: Tables::new(types), methods, has_rest_only })))
    }

    /// The descriptors that the crate embeds: the types of errors, and the well-known ones, which
    /// another schema need not have. Compiled once in a process.
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
        match self.0.tables.types.find(name)? {
            TypeId::Message(id) => Some(id),
            TypeId::Enum(_) => None,
        }
    }

    #[inline]
    pub(crate) fn message(&self, id: MessageId) -> &Message {
        self.0.tables.message(id)
    }

    /// Whether fields of it may be marked as REST's own.
    #[inline]
    pub(crate) fn has_rest_only(&self) -> bool {
        self.0.has_rest_only
    }

    /// The numbers of the fields on a path of names, such as `candidates.finish_reason`; `None` if
    /// one is missing.
    pub(crate) fn field_path(&self, message: MessageId, path: &str) -> Option<Vec<u32>> {
        let mut inside = Some(message);
        let numbers = path.split('.').map(|name| {
            let field = self.message(inside?).field_of_name(name.as_bytes())?;
            inside = field.kind.message();
            Some(field.number)
        });
        numbers.collect()
    }

    /// Whether a field of any message has this JSON name: `[package.name]`.
    pub(crate) fn has_extension(&self, json_name: &[u8]) -> bool {
        let name = json_name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]"));
        name.is_some_and(|name| self.0.tables.types.has_extension(name))
    }

    #[inline]
    pub(crate) fn enumeration(&self, id: EnumId) -> &Enum {
        self.0.tables.enumeration(id)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("messages", &self.0.tables.types.message_count())
            .field("methods", &self.0.methods.len())
            .finish()
    }
}
