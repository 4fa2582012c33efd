//! Tree: the sources as files that use each other, read with `syn`; what only tests use is left
//! out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// The files below `src`, by their path with slashes.
pub(super) struct Tree {
    files: BTreeMap<String, File>,
}

/// Segments of a path, such as `crate`, `network`, `Network`.
type Segments = Vec<String>;

#[derive(Default)]
struct File {
    /// Every path in its code.
    paths: BTreeSet<Segments>,
    /// What a name stands for that `use` brings in.
    imports: BTreeMap<String, Segments>,
    declared: Vec<Declared>,
    is_reached: bool,
    is_test: bool,
}

/// A module that has a file of its own.
#[derive(Clone)]
struct Declared {
    name: String,
    /// `#[path = ".."]`, beside the file that says so.
    path: Option<String>,
    is_test: bool,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Self {
        let mut texts = BTreeMap::new();
        collect(root, root, &mut texts);
        assert!(texts.len() > 20, "src was not found");
        Self::of(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    pub(super) fn of<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let files = texts.into_iter().map(|(path, text)| (path.to_owned(), File::read(path, text)));
        let mut tree = Self { files: files.collect() };
        for root in ["lib.rs", "main.rs"] {
            tree.reach(root, false);
        }
        tree
    }

    /// The files that are no tests.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let code = self.files.iter().filter(|(_, file)| file.is_reached && !file.is_test);
        code.map(|(path, _)| path.as_str())
    }

    /// The files that no module declares.
    pub(super) fn strays(&self) -> Vec<&str> {
        let strays = self.files.iter().filter(|(_, file)| !file.is_reached);
        strays.map(|(path, _)| path.as_str()).collect()
    }

    /// Every path that a file names, such as `std::env::var`.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        self.files[path].paths.iter().map(|segments| segments.join("::")).collect()
    }

    /// The files that a file uses: where what it names is declared.
    pub(super) fn uses(&self, path: &str) -> BTreeSet<String> {
        let module = module_of(path);
        let named = self.files[path].paths.iter();
        let used = named.filter_map(|segments| self.find(&module, segments, MOST_REEXPORTS));
        used.filter(|used| used != path && used != "lib.rs").collect()
    }

    /// The file that declares what these segments name in this module; `None` if it is another
    /// crate's.
    fn find(&self, module: &[String], segments: &[String], hops: usize) -> Option<String> {
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => self.walk(&[], rest, hops),
            "self" => self.walk(module, rest, hops),
            "super" => {
                let (_, parent) = module.split_last()?;
                match rest.first() {
                    Some(next) if next == "super" => self.find(parent, rest, hops),
                    _ => self.walk(parent, rest, hops),
                }
            }
            _ if self.file_of(&[module, std::slice::from_ref(first)].concat()).is_some() => {
                self.walk(module, segments, hops)
            }
            _ => {
                let import = self.files[&self.file_of(module)?].imports.get(first)?;
                let whole = [import, rest].concat();
                (import.first() != Some(first))
                    .then(|| self.find(module, &whole, hops.checked_sub(1)?))?
            }
        }
    }

    /// Goes down the modules as far as the segments name some, and on where a name is re-exported.
    fn walk(&self, module: &[String], segments: &[String], hops: usize) -> Option<String> {
        let Some((first, rest)) = segments.split_first() else { return self.file_of(module) };
        let below = [module, std::slice::from_ref(first)].concat();
        if self.file_of(&below).is_some() {
            return self.walk(&below, rest, hops);
        }
        let file = self.file_of(module)?;
        match self.files[&file].imports.get(first) {
            Some(import) if hops > 0 => {
                let whole = [import, rest].concat();
                self.find(module, &whole, hops - 1).or(Some(file))
            }
            Some(_) | None => Some(file),
        }
    }

    fn file_of(&self, module: &[String]) -> Option<String> {
        let path = module.join("/");
        let names = if path.is_empty() {
            vec!["lib.rs".to_owned()]
        } else {
            vec![format!("{path}.rs"), format!("{path}/mod.rs")]
        };
        names.into_iter().find(|name| self.files.contains_key(name))
    }

    /// Follows the declarations of modules.
    fn reach(&mut self, path: &str, is_test: bool) {
        let Some(file) = self.files.get_mut(path) else { return };
        (file.is_reached, file.is_test) = (true, is_test);
        let (module, declared) = (module_of(path), file.declared.clone());
        for child in declared {
            let file = match child.path {
                Some(beside) => Some([&module[..], &[beside]].concat().join("/")),
                None => self.file_of(&[&module[..], &[child.name]].concat()),
            };
            if let Some(file) = file {
                self.reach(&file, is_test || child.is_test);
            }
        }
    }
}

/// As many names for one thing as there are at most.
const MOST_REEXPORTS: usize = 8;

fn module_of(path: &str) -> Segments {
    let path = path.trim_end_matches(".rs");
    if ["lib", "main"].contains(&path) {
        return Vec::new();
    }
    path.trim_end_matches("/mod").split('/').map(str::to_owned).collect()
}

fn collect(root: &Path, folder: &Path, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root).expect("below src").to_string_lossy();
            texts.insert(below.replace('\\', "/"), fs::read_to_string(&path).expect("text"));
        }
    }
}

impl File {
    fn read(path: &str, text: &str) -> Self {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        reader.file
    }
}

#[derive(Default)]
struct Reader {
    file: File,
    /// Within how many modules that stand in the file itself.
    inside: usize,
}

impl Reader {
    /// Seen from the file's own module.
    fn note(&mut self, segments: impl IntoIterator<Item = String>) -> Segments {
        let mut segments: Segments = segments.into_iter().collect();
        for _ in 0..self.inside {
            if segments.first().is_some_and(|first| first == "super") {
                segments.remove(0);
            }
        }
        if segments.len() > 1 {
            self.file.paths.insert(segments.clone());
        }
        segments
    }

    fn note_imports(&mut self, before: &[String], tree: &UseTree) {
        let joined = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.note_imports(&joined(&path.ident), &path.tree),
            UseTree::Name(name) if name.ident == "self" => self.note_import(before.to_vec(), None),
            UseTree::Name(name) => self.note_import(joined(&name.ident), None),
            UseTree::Rename(rename) => {
                self.note_import(joined(&rename.ident), Some(rename.rename.to_string()));
            }
            UseTree::Glob(_) => self.note_import(joined(&"*"), None),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.note_imports(before, tree));
            }
        }
    }

    fn note_import(&mut self, segments: Segments, renamed: Option<String>) {
        let segments = self.note(segments);
        let name = renamed.or_else(|| segments.last().cloned()).expect("a name");
        if self.inside == 0 {
            self.file.imports.insert(name, segments);
        }
    }

    /// The tokens of a macro are not parsed: `a::b::c` is a path there too.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut segments = Segments::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.note(std::mem::take(&mut segments));
                    }
                    segments.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.note(std::mem::take(&mut segments));
                    self.note_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note(std::mem::take(&mut segments));
                }
            }
        }
        self.note(segments);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let is_module = matches!(item, Item::Mod(_));
        if is_module || !is_for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let is_test = is_for_tests(&module.attrs);
        match &module.content {
            None => self.file.declared.push(Declared {
                name: module.ident.to_string(),
                path: path_of(&module.attrs),
                is_test,
            }),
            Some(_) if is_test => {}
            Some((_, items)) => {
                self.inside += 1;
                for item in items {
                    self.visit_item(item);
                }
                self.inside -= 1;
            }
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        self.note_imports(&[], &import.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note(path.segments.iter().map(|segment| segment.ident.to_string()));
        visit::visit_path(self, path);
    }

    /// `pub(in crate::network)` says who may use it, and uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.note_tokens(call.tokens.clone());
    }
}

/// What `#[path = ".."]` says.
fn path_of(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let value = &attribute.meta.require_name_value().ok()?.value;
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = value else { return None };
    Some(path.value())
}

/// `#[cfg(test)]`, or with `all(test, ..)`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let mut conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let mut words = list.tokens.to_string();
        words.retain(|c| !c.is_whitespace());
        words == "test" || words.starts_with("all(test")
    })
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
