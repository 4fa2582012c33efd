//! Overlay: what only REST has is added to the published messages, and each of them gets its
//! `unknown_json`.
//!
//! The files of a version become one file: a field that is added may be of a type that only the
//! overlay has.

use prost::Message;
use prost::encoding::encode_varint;

use crate::descriptor::{EnumType, Field, File, Location, MessageType, Set, Source, part};

/// The packages that are added to, each with what is added.
const VERSIONS: [(&str, &str); 2] = [
    ("google.ai.generativelanguage.v1beta", "overlay.v1beta"),
    ("google.ai.generativelanguage.v1", "overlay.v1"),
];

/// Fields from this number on, and enum values from eight times it on, are no published ones: their
/// five bytes end in three that no text holds (`src/overlay`).
const BLOCK: std::ops::Range<i32> = 266_000_000..266_000_384;
const VALUES: std::ops::Range<i32> = BLOCK.start * 8..BLOCK.start * 8 + 3072;

/// The same descriptor set with the overlay in it.
///
/// # Errors
/// It is no descriptor set; or a name of the overlay is published by now, and must be struck out.
pub(crate) fn apply(set: &[u8]) -> Result<Vec<u8>, String> {
    let set = Set::decode(set).map_err(|error| error.to_string())?;
    let (mut kept, mut versions) = (Vec::new(), VERSIONS.map(|(package, _)| Merged::new(package)));
    let (overlays, published): (Vec<File>, Vec<File>) =
        set.files.into_iter().partition(|file| file.package.starts_with("overlay."));
    for file in published {
        match versions.iter_mut().find(|merged| merged.file.package == file.package) {
            Some(merged) => merged.add(file, Added::Published)?,
            None => kept.push(file),
        }
    }
    for file in overlays {
        let merged = versions.iter_mut().zip(VERSIONS).find(|(_, (_, of))| *of == file.package);
        let (merged, _) = merged.ok_or_else(|| format!("{} is of no version", file.name))?;
        merged.add(file, Added::Overlay)?;
    }
    kept.extend(versions.map(Merged::finish));
    Ok(Set { files: kept }.encode_to_vec())
}

/// The fields of the overlay that hold one message, as paths: few messages have them, so they lie
/// elsewhere.
///
/// # Errors
/// It is no descriptor set.
pub(crate) fn rare_messages(set: &[u8]) -> Result<Vec<String>, String> {
    let set = Set::decode(set).map_err(|error| error.to_string())?;
    let mut paths = Vec::new();
    for file in &set.files {
        for message in &file.messages {
            add_rare(message, &file.package, &mut paths);
        }
    }
    Ok(paths)
}

fn add_rare(message: &MessageType, scope: &str, paths: &mut Vec<String>) {
    let name = format!("{scope}.{}", message.name);
    let rare = message.fields.iter().filter(|field| {
        BLOCK.contains(&field.number)
            && field.kind == TYPE_MESSAGE
            && field.label == LABEL_OPTIONAL
            && field.oneof.is_none()
    });
    paths.extend(rare.map(|field| format!(".{name}.{}", field.name)));
    for nested in &message.messages {
        add_rare(nested, &name, paths);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Added {
    Published,
    Overlay,
}

/// The files of one package as one.
struct Merged {
    file: File,
    locations: Vec<Location>,
}

impl Merged {
    fn new(package: &str) -> Self {
        let name = format!("{}.proto", package.replace('.', "/"));
        let (package, syntax) = (package.to_owned(), "proto3".to_owned());
        Self { file: File { name, package, syntax, ..File::default() }, locations: Vec::new() }
    }

    fn add(&mut self, file: File, added: Added) -> Result<(), String> {
        let mut moves = Vec::new();
        for (at, message) in (0..).zip(file.messages) {
            let from = vec![part::FILE_MESSAGE, at];
            let to = vec![part::FILE_MESSAGE];
            merge_message(&mut self.file.messages, message, added, (from, to), &mut moves)?;
        }
        for (at, of) in (0..).zip(file.enums) {
            let places = (vec![part::FILE_ENUM, at], vec![part::FILE_ENUM]);
            merge_enum(&mut self.file.enums, of, added, places, &mut moves)?;
        }
        for (at, service) in (0..).zip(file.services) {
            let to = count(&self.file.services);
            moves.push((vec![part::FILE_SERVICE, at], vec![part::FILE_SERVICE, to]));
            self.file.services.push(service);
        }
        self.file.dependencies.extend(file.dependencies);
        for location in file.source.into_iter().flat_map(|source| source.locations) {
            self.locations.extend(moved(location, &moves));
        }
        Ok(())
    }

    fn finish(mut self) -> File {
        let mut comments = Vec::new();
        for (at, message) in (0..).zip(&mut self.file.messages) {
            finish_message(message, &[part::FILE_MESSAGE, at], &mut comments);
        }
        let is_merged = |name: &String| {
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            name.starts_with("overlay/v1") || format!("{folder}.proto") == self.file.name
        };
        let mut dependencies = std::mem::take(&mut self.file.dependencies);
        dependencies.retain(|name| !is_merged(name));
        for name in &mut dependencies {
            for (package, _) in VERSIONS {
                let folder = package.replace('.', "/");
                if name.starts_with(&format!("{folder}/")) {
                    *name = format!("{folder}.proto");
                }
            }
        }
        dependencies.push("overlay/rest_only.proto".to_owned());
        dependencies.sort();
        dependencies.dedup();
        self.file.dependencies = dependencies;
        if !self.locations.is_empty() {
            self.locations.extend(comments);
            self.file.source = Some(Source { locations: self.locations });
        }
        self.file
    }
}

/// Where something stood in its file, and where it stands now.
type Move = (Vec<i32>, Vec<i32>);

fn merge_message(
    into: &mut Vec<MessageType>,
    message: MessageType,
    added: Added,
    (from, mut to): Move,
    moves: &mut Vec<Move>,
) -> Result<(), String> {
    let known = (0..).zip(into.iter_mut()).find(|(_, known)| known.name == message.name);
    let Some((at, target)) = known else {
        to.push(count(into));
        moves.push((from, to));
        into.push(message);
        return Ok(());
    };
    if added == Added::Published {
        return Err(format!("message {} is published twice", message.name));
    }
    to.push(at);
    let beside = |path: &[i32], more: &[i32]| [path, more].concat();
    for (at, mut field) in (0..).zip(message.fields) {
        let name = format!("{}.{}", message.name, field.name);
        if target.fields.iter().any(|known| known.name == field.name) {
            return Err(format!("{name} is published now: strike it out of the overlay"));
        }
        if !BLOCK.contains(&field.number) || field.options.is_none() {
            return Err(format!("{name} has no number of the block, or no mark"));
        }
        let oneof = field.oneof.and_then(|at| message.oneofs.get(usize::try_from(at).ok()?));
        if let Some(oneof) = oneof {
            let known = target.oneofs.iter().position(|known| known.name == oneof.name);
            let at = known.unwrap_or(target.oneofs.len());
            if known.is_none() {
                target.oneofs.push(oneof.clone());
            }
            field.oneof = i32::try_from(at).ok();
        }
        let now = beside(&to, &[part::FIELD, count(&target.fields)]);
        moves.push((beside(&from, &[part::FIELD, at]), now));
        target.fields.push(field);
    }
    for (at, nested) in (0..).zip(message.messages) {
        let places = (beside(&from, &[part::MESSAGE, at]), beside(&to, &[part::MESSAGE]));
        merge_message(&mut target.messages, nested, added, places, moves)?;
    }
    for (at, nested) in (0..).zip(message.enums) {
        let places = (beside(&from, &[part::ENUM, at]), beside(&to, &[part::ENUM]));
        merge_enum(&mut target.enums, nested, added, places, moves)?;
    }
    Ok(())
}

fn merge_enum(
    into: &mut Vec<EnumType>,
    of: EnumType,
    added: Added,
    (from, mut to): Move,
    moves: &mut Vec<Move>,
) -> Result<(), String> {
    let known = (0..).zip(into.iter_mut()).find(|(_, known)| known.name == of.name);
    let Some((at, target)) = known else {
        to.push(count(into));
        moves.push((from, to));
        into.push(of);
        return Ok(());
    };
    if added == Added::Published {
        return Err(format!("enum {} is published twice", of.name));
    }
    to.push(at);
    for (at, value) in (0..).zip(of.values) {
        let name = format!("{}.{}", of.name, value.name);
        match target.values.iter().find(|known| known.name == value.name) {
            // Each enum has a zero, and the compiler wants to see it.
            Some(known) if known.number.unwrap_or(0) == 0 && value.number.unwrap_or(0) == 0 => {}
            Some(_) => {
                return Err(format!("{name} is published now: strike it out of the overlay"));
            }
            None if !VALUES.contains(&value.number.unwrap_or(0)) || value.options.is_none() => {
                return Err(format!("{name} has no number of the block, or no mark"));
            }
            None => {
                let path = |path: &[i32], at| [path, &[part::VALUE, at]].concat();
                moves.push((path(&from, at), path(&to, count(&target.values))));
                target.values.push(value);
            }
        }
    }
    Ok(())
}

/// Names the types by the packages that they have come to, and makes room for what nobody knows.
fn finish_message(message: &mut MessageType, path: &[i32], comments: &mut Vec<Location>) {
    for Field { type_name, .. } in &mut message.fields {
        for (package, overlay) in VERSIONS {
            let inside = format!(".{overlay}.");
            if let Some(rest) = type_name.as_deref().and_then(|name| name.strip_prefix(&inside)) {
                *type_name = Some(format!(".{package}.{rest}"));
            }
        }
    }
    for (at, nested) in (0..).zip(&mut message.messages) {
        finish_message(nested, &[path, &[part::MESSAGE, at]].concat(), comments);
    }
    if message.options.as_deref() != Some(MAP_ENTRY) {
        comments.push(Location {
            path: [path, &[part::FIELD, count(&message.fields)]].concat(),
            span: vec![0, 0, 0],
            leading: Some(UNKNOWN_COMMENT.to_owned()),
            ..Location::default()
        });
        message.fields.push(unknown_json());
    }
}

/// The members that not even the overlay knows.
fn unknown_json() -> Field {
    // `[(genai_bridge.rest_only) = UNKNOWN]`
    let mut options = Vec::new();
    encode_varint(u64::from(BLOCK.start.unsigned_abs()) << 3, &mut options);
    options.push(3);
    Field {
        name: "unknown_json".to_owned(),
        number: BLOCK.start,
        label: LABEL_OPTIONAL,
        kind: TYPE_BYTES,
        options: Some(options),
        json_name: Some("unknownJson".to_owned()),
        ..Field::default()
    }
}

const UNKNOWN_COMMENT: &str = " What came over REST and is not in this crate's schema, as the text of a JSON object; \
    it goes back over REST as it came.\n Empty almost always.\n";
/// `option map_entry = true`
const MAP_ENTRY: &[u8] = &[0x38, 1];
const LABEL_OPTIONAL: i32 = 1;
const TYPE_MESSAGE: i32 = 11;
const TYPE_BYTES: i32 = 12;

/// The comment of what was moved, or of something in it.
fn moved(mut location: Location, moves: &[Move]) -> Option<Location> {
    let path_after = |(from, to): &Move| {
        let inside = location.path.strip_prefix(from.as_slice())?;
        Some([to, inside].concat())
    };
    location.path = moves.iter().find_map(path_after)?;
    Some(location)
}

fn count<T>(list: &[T]) -> i32 {
    i32::try_from(list.len()).expect("few of them")
}
