//! Imports and paths that lead from one module to another.

use std::collections::BTreeMap;

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, ImplItem, Item, ItemMod, ItemUse, Macro, Path, VisRestricted};

use super::scopes::{Crate, attributes, is_for_tests, names_of};

/// Edges of a crate: from file to file, with the lines that cause them.
pub(super) type Edges = BTreeMap<(usize, usize), Vec<usize>>;

/// All edges of a crate, each with its lines in order.
pub(super) fn imports(modules: &Crate) -> Edges {
    let mut out = Edges::new();
    for file in &modules.files {
        let mut visitor = Visitor { modules, scope: file.scope, edges: &mut out };
        visitor.visit_file(&file.syntax);
    }
    for lines in out.values_mut() {
        lines.sort_unstable();
        lines.dedup();
    }
    out
}

/// Walks the code of one module.
struct Visitor<'a> {
    modules: &'a Crate,
    /// The module of the code.
    scope: usize,
    edges: &'a mut Edges,
}

impl Visitor<'_> {
    /// Records the target of a path, if it is another file.
    fn note(&mut self, path: &[String], line: usize) {
        let Some(target) = self.modules.resolve(self.scope, path) else { return };
        let file = |scope: usize| self.modules.scopes[scope].file;
        if file(self.scope) != file(target) {
            self.edges.entry((file(self.scope), file(target))).or_default().push(line);
        }
    }

    /// Records a path of one name, from an import or a glob.
    fn note_name(&mut self, name: &str, line: usize) {
        self.note(&[name.to_owned()], line);
    }

    /// Records the paths in the tokens of a macro call.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = vec![];
        let (mut line, mut colons) = (0, 0);
        let finish = |this: &mut Self, path: &mut Vec<String>, line: usize| {
            match &path[..] {
                [] => {}
                [name] if name.starts_with(char::is_uppercase) => this.note_name(name, line),
                [_] => {}
                path => this.note(path, line),
            }
            path.clear();
        };
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    finish(self, &mut path, line);
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    let continues = colons == 1 || punct.spacing() == Spacing::Joint;
                    colons = if continues { colons + 1 } else { 0 };
                    continue;
                }
                TokenTree::Group(group) => {
                    finish(self, &mut path, line);
                    self.note_tokens(group.stream());
                }
                _ => finish(self, &mut path, line),
            }
            colons = 0;
        }
        finish(self, &mut path, line);
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let for_tests = matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs));
        if !for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let Some((_, items)) = &item.content else { return };
        let child = self.modules.scopes[self.scope].children.get(&item.ident.to_string()).copied();
        let Some(child) = child else { return };
        let outer = std::mem::replace(&mut self.scope, child);
        items.iter().for_each(|item| self.visit_item(item));
        self.scope = outer;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for import in names_of(item) {
            // A glob refers to the module before its `*`.
            let path = import.path.strip_suffix(&["*".to_owned()]).unwrap_or(&import.path);
            let target = self.modules.resolve(self.scope, path);
            let own = target.is_some_and(|target| self.modules.is_below(target, self.scope));
            if !(import.is_public && own) {
                self.note(path, import.line);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let line = path.segments[0].ident.span().start().line;
            match &names[..] {
                [name] if name.starts_with(char::is_uppercase) => self.note_name(name, line),
                [_] => {}
                names => self.note(names, line),
            }
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
        {
            self.note_name(&name.to_string(), name.span().start().line);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.note_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}
