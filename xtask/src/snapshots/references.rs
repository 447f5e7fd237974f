//! Names of the snapshots that a source file asserts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ExprForLoop, ExprLoop, ExprWhile, ItemFn, LitStr, Macro};

/// Names that assertions of one file may have.
#[derive(Default)]
pub(super) struct References {
    /// Strings, among them the names given.
    strings: BTreeSet<String>,
    /// Functions that assert, with the number of snapshots that they can make without a name.
    functions: BTreeMap<String, usize>,
    /// Function, number of its assertions and whether it has a loop, while it is visited.
    current: Option<(String, usize, bool)>,
}

impl References {
    /// Collects the names of a source.
    ///
    /// # Errors
    ///
    /// Text that is not Rust.
    pub(super) fn of(text: &str) -> Result<Self> {
        let mut out = Self::default();
        out.visit_file(&syn::parse_file(text)?);
        Ok(out)
    }

    /// Whether a snapshot file with this stem, `crate__module__name`, belongs to an assertion.
    pub(super) fn include(&self, stem: &str) -> bool {
        let stem = stem.split_once('@').map_or(stem, |(stem, _)| stem);
        let (base, count) = match stem.rsplit_once('-') {
            Some((base, count)) => count.parse().map_or((stem, 1), |count| (base, count)),
            None => (stem, 1),
        };
        let names = base.match_indices("__").map(|(at, _)| &base[at + 2..]).chain([base]);
        names.into_iter().any(|name| self.has(name, count))
    }

    fn has(&self, name: &str, count: usize) -> bool {
        let by_function = self.functions.get(name).is_some_and(|made| count <= *made);
        by_function || self.strings.iter().any(|string| count == 1 && fits(string, name))
    }

    fn note_strings(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Literal(literal) => {
                    if let Ok(string) = syn::parse_str::<LitStr>(&literal.to_string()) {
                        self.strings.insert(string.value());
                    }
                }
                TokenTree::Group(group) => self.note_strings(group.stream()),
                _ => {}
            }
        }
    }

    fn in_loop(&mut self) {
        if let Some((_, _, has_loop)) = &mut self.current {
            *has_loop = true;
        }
    }
}

/// Whether a name is a string, or fits it as a pattern of `format!` with one hole or more.
fn fits(pattern: &str, name: &str) -> bool {
    if !pattern.contains('{') {
        return pattern == name;
    }
    let fixed: Vec<&str> = pattern.split('{').enumerate().map(after_hole).collect();
    let (first, last) = (fixed[0], fixed[fixed.len() - 1]);
    let is_name = fixed.iter().any(|part| !part.is_empty())
        && fixed.iter().all(|part| part.chars().all(|c| c.is_alphanumeric() || "_-".contains(c)));
    is_name && name.len() >= first.len() + last.len() && name.starts_with(first) && name.ends_with(last)
}

/// The text after the hole that a part of a pattern begins with; the first part has none.
fn after_hole((index, part): (usize, &str)) -> &str {
    if index == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) }
}

impl<'ast> Visit<'ast> for References {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        let name = function.sig.ident.to_string();
        let outer = self.current.replace((name, 0, false));
        visit::visit_item_fn(self, function);
        if let Some((name, made, has_loop)) = std::mem::replace(&mut self.current, outer)
            && made > 0
        {
            let name = name.strip_prefix("test_").unwrap_or(&name).to_owned();
            self.functions.insert(name, if has_loop { usize::MAX } else { made });
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if name.starts_with("assert_")
            && name.ends_with("snapshot")
            && let Some((_, made, _)) = &mut self.current
        {
            *made += 1;
        }
        self.note_strings(call.tokens.clone());
    }

    fn visit_lit_str(&mut self, string: &'ast LitStr) {
        self.strings.insert(string.value());
    }

    fn visit_expr_for_loop(&mut self, expression: &'ast ExprForLoop) {
        self.in_loop();
        visit::visit_expr_for_loop(self, expression);
    }

    fn visit_expr_while(&mut self, expression: &'ast ExprWhile) {
        self.in_loop();
        visit::visit_expr_while(self, expression);
    }

    fn visit_expr_loop(&mut self, expression: &'ast ExprLoop) {
        self.in_loop();
        visit::visit_expr_loop(self, expression);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_strings_patterns_and_functions() {
        let found = References::of(
            r#"
            #[test]
            fn errors() {
                for (name, given) in [("no_file", 1), ("no_band", 2)] {
                    insta::assert_snapshot!(name, run(given));
                    insta::assert_snapshot!(format!("template_{name}"), run(given));
                }
            }
            fn defaults() { insta::assert_json_snapshot!(a()); insta::assert_json_snapshot!(b()); }
            fn helper() {}
            "#,
        )
        .unwrap();
        for stem in ["cli__errors__no_file", "cli__template_no_band", "cli__defaults", "cli__m__defaults-2"] {
            assert!(found.include(stem), "{stem}");
        }
        for stem in ["cli__errors__no_such", "cli__temp_no_band", "cli__defaults-3", "cli__helper"] {
            assert!(!found.include(stem), "{stem}");
        }
    }
}
