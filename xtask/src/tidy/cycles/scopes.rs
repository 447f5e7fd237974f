//! The modules of a crate with the names that each defines or imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use quote::ToTokens;
use syn::{Attribute, Expr, ExprLit, Item, ItemUse, Lit, Meta, UseTree, Visibility};

/// A resolution that needs more re-exports than this goes in a circle.
const MAX_RE_EXPORTS: usize = 12;

/// A file of the crate, which is one module.
pub(super) struct File {
    /// Full name of the module, from the crate: `dcr_image::wcs`.
    pub(super) module: String,
    pub(super) path: PathBuf,
    pub(super) syntax: syn::File,
    /// Its scope.
    pub(super) scope: usize,
}

/// A module: that of a file, or one written inside a file.
pub(super) struct Scope {
    /// The file that holds it.
    pub(super) file: usize,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    /// Names of the items that it defines.
    defined: BTreeSet<String>,
    /// Imported names with their paths.
    imports: Vec<Import>,
}

/// One name of a `use` item.
pub(super) struct Import {
    /// The name in this module; `*` for a glob.
    name: String,
    pub(super) path: Vec<String>,
    /// Line of the `use` item.
    pub(super) line: usize,
    /// Whether other modules see the name.
    pub(super) is_public: bool,
}

/// All modules of a crate but those of its tests.
pub(super) struct Crate {
    pub(super) files: Vec<File>,
    pub(super) scopes: Vec<Scope>,
}

impl Crate {
    /// Reads the file of the root module, and those of all modules that it declares.
    ///
    /// # Errors
    ///
    /// A file that is missing or is not Rust.
    pub(super) fn read(start: &Path) -> Result<Self> {
        let mut out = Self { files: vec![], scopes: vec![] };
        let folder = start.parent().unwrap_or(Path::new(""));
        let package = folder.parent().and_then(Path::file_name).unwrap_or_default();
        out.add_file(package.to_string_lossy().into_owned(), start, folder, None)?;
        Ok(out)
    }

    /// Adds the module of a file and its children, whose files are below `folder`.
    fn add_file(
        &mut self,
        module: String,
        path: &Path,
        folder: &Path,
        parent: Option<usize>,
    ) -> Result<usize> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let syntax = syn::parse_file(&text).with_context(|| path.display().to_string())?;
        let (file, scope) = (self.files.len(), self.scopes.len());
        let items = syntax.items.clone();
        self.files.push(File { module, path: path.to_owned(), syntax, scope });
        self.add_scope(file, parent, &items, folder)
    }

    fn add_scope(
        &mut self,
        file: usize,
        parent: Option<usize>,
        items: &[Item],
        folder: &Path,
    ) -> Result<usize> {
        let scope = self.scopes.len();
        self.scopes.push(Scope {
            file,
            parent,
            children: BTreeMap::new(),
            defined: items.iter().filter_map(name).collect(),
            imports: imports_of(items),
        });
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            let Item::Mod(module) = item else { continue };
            let name = module.ident.to_string();
            let below = folder.join(&name);
            let child = match &module.content {
                Some((_, items)) => self.add_scope(file, Some(scope), items, &below)?,
                None => {
                    let full = format!("{}::{name}", self.files[file].module);
                    match given_path(&module.attrs) {
                        Some(given) => {
                            let path = self.folder_of(file).join(given);
                            let beside = path.parent().unwrap_or(Path::new("")).to_owned();
                            self.add_file(full, &path, &beside, Some(scope))?
                        }
                        None => {
                            let path = self.file_of(file, folder, &name)?;
                            self.add_file(full, &path, &below, Some(scope))?
                        }
                    }
                }
            };
            self.scopes[scope].children.insert(name, child);
        }
        Ok(scope)
    }

    fn folder_of(&self, file: usize) -> &Path {
        self.files[file].path.parent().unwrap_or(Path::new(""))
    }

    fn file_of(&self, declared_in: usize, folder: &Path, name: &str) -> Result<PathBuf> {
        let places = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Ok(path.clone()),
            None => bail!("{}: no file for `mod {name};`", self.files[declared_in].path.display()),
        }
    }

    /// The module that a path of `scope` leads into; none where it leads out of the crate.
    /// Re-exports lead to the module that defines the item.
    pub(super) fn resolve(&self, scope: usize, path: &[String]) -> Option<usize> {
        self.resolve_within(scope, path, MAX_RE_EXPORTS)
    }

    fn resolve_within(&self, scope: usize, path: &[String], budget: usize) -> Option<usize> {
        let budget = budget.checked_sub(1)?;
        let here = &self.scopes[scope];
        let first = path.first()?;
        match first.as_str() {
            "crate" => self.walk(0, &path[1..], budget),
            "self" => self.walk(scope, &path[1..], budget),
            "super" => self.walk(here.parent?, &path[1..], budget),
            name if here.children.contains_key(name) || here.defined.contains(name) => {
                self.walk(scope, path, budget)
            }
            _ => self.imported(scope, path, budget),
        }
    }

    /// Follows a path from inside a module.
    fn walk(&self, scope: usize, path: &[String], budget: usize) -> Option<usize> {
        let here = &self.scopes[scope];
        let Some(first) = path.first() else { return Some(scope) };
        match first.as_str() {
            "super" => self.walk(here.parent?, &path[1..], budget),
            "self" => self.walk(scope, &path[1..], budget),
            name => match here.children.get(name) {
                Some(child) => self.walk(*child, &path[1..], budget),
                None if here.defined.contains(name) => Some(scope),
                // A name that neither is nor comes from elsewhere: a macro made it here.
                None => match self.import_of(scope, name) {
                    Some(_) => self.imported(scope, path, budget),
                    None => self.imported(scope, path, budget).or(Some(scope)),
                },
            },
        }
    }

    /// Follows a path whose first name is imported into the module, by name or by a glob.
    fn imported(&self, scope: usize, path: &[String], budget: usize) -> Option<usize> {
        let budget = budget.checked_sub(1)?;
        if let Some(import) = self.import_of(scope, &path[0]) {
            if import.path.first() == path.first() && import.path.len() == 1 {
                return None;
            }
            let full: Vec<String> = import.path.iter().chain(&path[1..]).cloned().collect();
            return self.resolve_within(scope, &full, budget);
        }
        let globs = self.scopes[scope].imports.iter().filter(|import| import.name == "*");
        for glob in globs {
            let Some(module) = self.resolve_within(scope, &glob.path[..glob.path.len() - 1], budget) else {
                continue;
            };
            let there = &self.scopes[module];
            let has = there.children.contains_key(&path[0]) || there.defined.contains(&path[0]);
            if module != scope && (has || self.import_of(module, &path[0]).is_some()) {
                return self.walk(module, path, budget);
            }
        }
        None
    }

    /// The import of a module that brings in a name.
    fn import_of(&self, scope: usize, name: &str) -> Option<&Import> {
        self.scopes[scope].imports.iter().find(|import| import.name == name)
    }

    /// Whether one module is below another.
    pub(super) fn is_below(&self, scope: usize, ancestor: usize) -> bool {
        let mut above = self.scopes[scope].parent;
        while let Some(parent) = above {
            if parent == ancestor {
                return true;
            }
            above = self.scopes[parent].parent;
        }
        false
    }
}

/// The names of all `use` items of a module, those inside its functions included.
fn imports_of(items: &[Item]) -> Vec<Import> {
    let mut out = vec![];
    for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
        match item {
            Item::Use(item) => out.extend(names_of(item)),
            Item::Mod(_) => {}
            item => {
                let mut inner = InnerUses(vec![]);
                syn::visit::visit_item(&mut inner, item);
                out.extend(inner.0);
            }
        }
    }
    out
}

/// `use` items inside functions.
struct InnerUses(Vec<Import>);

impl<'a> syn::visit::Visit<'a> for InnerUses {
    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.0.extend(names_of(item));
    }
}

/// The names that one `use` item imports.
pub(super) fn names_of(item: &ItemUse) -> Vec<Import> {
    let mut out = vec![];
    if item.leading_colon.is_none() {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        let line = item.use_token.span.start().line;
        flatten(&item.tree, vec![], &mut |name, path| out.push(Import { name, path, line, is_public }));
    }
    out
}

/// Calls `found` with each name of a `use` tree and its path.
fn flatten(tree: &UseTree, above: Vec<String>, found: &mut impl FnMut(String, Vec<String>)) {
    let with = |name: String| above.iter().cloned().chain([name]).collect::<Vec<_>>();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, with(path.ident.to_string()), found),
        UseTree::Name(name) if name.ident == "self" => {
            found(above.last().cloned().unwrap_or_default(), above);
        }
        UseTree::Name(name) => found(name.ident.to_string(), with(name.ident.to_string())),
        UseTree::Rename(rename) if rename.ident == "self" => found(rename.rename.to_string(), above),
        UseTree::Rename(rename) => found(rename.rename.to_string(), with(rename.ident.to_string())),
        UseTree::Glob(_) => found("*".into(), with("*".into())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, above.clone(), found)),
    }
}

/// Whether attributes leave an item out of all builds but those of tests.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string();
        let is_cfg = attribute.path().is_ident("cfg");
        attribute.path().is_ident("test") || is_cfg && text.contains("test") && !text.contains("not (test")
    })
}

/// The file that `#[path = "…"]` gives a module.
fn given_path(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    })
}

/// Attributes of an item.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
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

/// The name that an item defines.
fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
