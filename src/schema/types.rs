//! Types: all messages and enums of a schema by name, and every reference between them checked.

use bytes::Bytes;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::descriptor::{EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor};
use super::features::Features;
use super::naming::{qualified, refused, text};
use crate::error::Error;

/// Index of a message in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId(pub(super) u32);

/// Index of an enum in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EnumId(pub(super) u32);

/// What a type name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeId {
    Message(MessageId),
    Enum(EnumId),
}

/// All types by name; every reference between them has been checked.
pub(super) struct Types {
    /// What all descriptors lie in.
    set: Bytes,
    by_name: FxHashMap<Box<[u8]>, TypeId>,
    messages: Vec<Declared>,
    enums: Vec<Declared>,
    /// By the name of the message that they extend.
    extensions: FxHashMap<Box<[u8]>, Vec<Extension>>,
}

/// A field of a message that is declared outside of it.
pub(super) struct Extension {
    /// `package.name`, or `package.Message.name` of the message that it is declared in.
    pub(super) name: Box<str>,
    /// Encoded, for [`FieldDescriptor::read`].
    pub(super) descriptor: Bytes,
    /// Those in force where it is declared.
    pub(super) features: Features,
}

/// A message or an enum as its encoded descriptor declares it.
pub(super) struct Declared {
    pub(super) name: Box<str>,
    pub(super) descriptor: Bytes,
    pub(super) features: Features,
    /// A message that the compiler made for the entries of a map.
    pub(super) is_map_entry: bool,
}

impl Types {
    /// With room for all types but those inside messages, which are few.
    pub(super) fn new(set: &Bytes, files: &[FileDescriptor<'_>]) -> Self {
        let messages = files.iter().map(|file| file.messages.len()).sum();
        let enums = files.iter().map(|file| file.enums.len()).sum();
        Self {
            set: set.clone(),
            by_name: FxHashMap::with_capacity_and_hasher(messages + enums, FxBuildHasher),
            messages: Vec::with_capacity(messages),
            enums: Vec::with_capacity(enums),
            extensions: FxHashMap::default(),
        }
    }

    pub(super) fn add_file(&mut self, file: &FileDescriptor<'_>) -> Result<(), Error> {
        let features = Features::of_file(file.syntax, file.edition, file.options.features);
        for encoded in &file.enums {
            self.add_enum(file.package, encoded, features)?;
        }
        for encoded in &file.messages {
            self.add_message(file.package, encoded, features, MAX_DEPTH)?;
        }
        for encoded in &file.extensions {
            self.add_extension(file.package, encoded, features)?;
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
        for extension in descriptor.extensions {
            self.add_extension(&name, extension, features)?;
        }
        let id = MessageId(u32::try_from(self.messages.len()).unwrap_or(u32::MAX));
        self.by_name.insert(name.as_bytes().into(), TypeId::Message(id));
        let is_map_entry = descriptor.options.map_entry;
        let descriptor = self.set.slice_ref(encoded);
        self.messages.push(Declared { name, descriptor, features, is_map_entry });
        Ok(())
    }

    fn add_enum(&mut self, scope: &str, encoded: &[u8], outer: Features) -> Result<(), Error> {
        let descriptor = EnumDescriptor::read(encoded)?;
        EnumDescriptor::values(encoded).try_for_each(|value| value.map(drop))?;
        let name = qualified(scope, &text(descriptor.name));
        let features = outer.with(descriptor.options.features);
        let id = EnumId(u32::try_from(self.enums.len()).unwrap_or(u32::MAX));
        self.by_name.insert(name.as_bytes().into(), TypeId::Enum(id));
        let descriptor = self.set.slice_ref(encoded);
        self.enums.push(Declared { name, descriptor, features, is_map_entry: false });
        Ok(())
    }

    fn add_extension(
        &mut self,
        scope: &str,
        encoded: &[u8],
        features: Features,
    ) -> Result<(), Error> {
        let FieldDescriptor { name, extendee, .. } = FieldDescriptor::read(encoded)?;
        let name = qualified(scope, &text(name));
        let descriptor = self.set.slice_ref(encoded);
        let of = self.extensions.entry(bare(extendee).into()).or_default();
        of.push(Extension { name, descriptor, features });
        Ok(())
    }

    pub(super) fn message_count(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn enum_count(&self) -> usize {
        self.enums.len()
    }

    /// So that no table can meet a missing type later.
    pub(super) fn check_references(&self) -> Result<(), Error> {
        for Declared { name, descriptor, .. } in &self.messages {
            for field in MessageDescriptor::fields(descriptor) {
                let field = field?;
                self.check_field(&field, || qualified(name, &text(field.name)))?;
            }
        }
        for (extendee, extensions) in &self.extensions {
            for Extension { name, descriptor, .. } in extensions {
                if !matches!(self.find(extendee), Some(TypeId::Message(_))) {
                    let why = format!("extension `{name}` extends no known message");
                    return Err(refused(format!("{why} (`{}`)", text(extendee))));
                }
                self.check_field(&FieldDescriptor::read(descriptor)?, || name.clone())?;
            }
        }
        Ok(())
    }

    fn check_field(
        &self,
        field: &FieldDescriptor<'_>,
        name: impl Fn() -> Box<str>,
    ) -> Result<(), Error> {
        let fits = match field.kind {
            TYPE_GROUP | TYPE_MESSAGE => {
                matches!(self.find(field.type_name), Some(TypeId::Message(_)))
            }
            TYPE_ENUM => matches!(self.find(field.type_name), Some(TypeId::Enum(_))),
            kind => (1..=18).contains(&kind),
        };
        if fits && field.number > 0 {
            return Ok(());
        }
        let why = format!("field `{}` has no known type (`{}`)", name(), text(field.type_name));
        Err(refused(why))
    }

    /// By name, with or without the leading dot of descriptors.
    pub(super) fn find(&self, name: impl AsRef<[u8]>) -> Option<TypeId> {
        self.by_name.get(bare(name.as_ref())).copied()
    }

    /// The fields that are declared outside of the message of this name.
    pub(super) fn extensions_of(&self, name: &str) -> &[Extension] {
        self.extensions.get(name.as_bytes()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn has_extension(&self, name: &[u8]) -> bool {
        self.extensions.values().flatten().any(|extension| extension.name.as_bytes() == name)
    }

    pub(super) fn field(&self, message: MessageId, name: &str) -> Option<FieldDescriptor<'_>> {
        MessageDescriptor::field(&self.message(message).descriptor, name)
    }

    pub(super) fn is_map_entry(&self, message: MessageId) -> bool {
        self.message(message).is_map_entry
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "an id is made where its message is pushed")]
    pub(super) fn message(&self, id: MessageId) -> &Declared {
        &self.messages[id.0 as usize]
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "an id is made where its enum is pushed")]
    pub(super) fn enumeration(&self, id: EnumId) -> &Declared {
        &self.enums[id.0 as usize]
    }
}

/// A name without the leading dot of descriptors.
fn bare(name: &[u8]) -> &[u8] {
    name.strip_prefix(b".").unwrap_or(name)
}

/// Of messages inside each other, as in every protobuf runtime.
const MAX_DEPTH: u32 = 100;
/// `FieldDescriptorProto.Type`
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
const TYPE_ENUM: i32 = 14;
