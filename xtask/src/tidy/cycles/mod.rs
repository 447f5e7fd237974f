//! Module cycles inside a crate: modules, one per file, must import in one direction.
//!
//! An edge leads from module `a` to module `b` where code of `a` outside its tests names an item of
//! `b` by a path. Re-exports are followed to the module that defines the item, and a re-export of a
//! module's own children is no edge by itself. Modules that reach each other form a cycle.

mod imports;
mod scopes;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use imports::{Edges, imports};
use scopes::Crate;

/// Maximum number of lines per edge in a message.
const LINES_PER_EDGE: usize = 4;

/// One breach per cycle, over all crates below `root`.
pub(super) fn breaches(root: &Path) -> Result<Vec<String>> {
    let mut folders = vec![root.join("xtask")];
    for entry in fs::read_dir(root.join("crates")).context("crates")? {
        folders.push(entry?.path());
    }
    folders.sort();
    let mut out = vec![];
    for folder in folders {
        for start in ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file)) {
            if start.is_file() {
                out.extend(in_crate(root, &start)?);
            }
        }
    }
    Ok(out)
}

/// The cycles of the crate whose root module is the file `start`.
fn in_crate(root: &Path, start: &Path) -> Result<Vec<String>> {
    let modules = Crate::read(start)?;
    let edges = imports(&modules);
    let mut graph = DiGraphMap::<usize, ()>::new();
    for (from, to) in edges.keys() {
        graph.add_edge(*from, *to, ());
    }
    let mut cycles: Vec<Vec<usize>> = tarjan_scc(&graph).into_iter().filter(|c| c.len() > 1).collect();
    cycles.iter_mut().for_each(|cycle| cycle.sort_unstable());
    cycles.sort_unstable();
    Ok(cycles.iter().map(|cycle| message(root, &modules, &edges, cycle)).collect())
}

/// The modules of a cycle, and the lines that make its edges.
fn message(root: &Path, modules: &Crate, edges: &Edges, cycle: &[usize]) -> String {
    let name = |file: usize| modules.files[file].module.as_str();
    let names: Vec<&str> = cycle.iter().map(|file| name(*file)).collect();
    let mut out = format!("{}: {} modules import each other: {}", name(0), names.len(), names.join(", "));
    for ((from, to), lines) in edges.iter().filter(|((a, b), _)| cycle.contains(a) && cycle.contains(b)) {
        let path = &modules.files[*from].path;
        let path = path.strip_prefix(root).unwrap_or(path).display();
        let shown: Vec<String> = lines.iter().take(LINES_PER_EDGE).map(usize::to_string).collect();
        let more = if lines.len() > LINES_PER_EDGE { ", …" } else { "" };
        out += &format!("\n    {} → {}  {path}:{}{more}", name(*from), name(*to), shown.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cycles of a crate `sample` with these files below `src`.
    fn cycles(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let src = root.path().join("crates/sample/src");
        for (name, text) in files {
            let path = src.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        in_crate(root.path(), &src.join("lib.rs")).unwrap()
    }

    #[test]
    fn cycles_of_siblings_are_named_with_their_lines() {
        let found = cycles(&[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate::b::B;\npub struct A(B);\n"),
            ("b.rs", "pub struct B;\n\nfn f(_: super::a::A) {}\n"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        let message = &found[0];
        assert!(
            message.starts_with("sample: 2 modules import each other: sample::a, sample::b"),
            "{message}"
        );
        assert!(message.contains("sample::a → sample::b  crates/sample/src/a.rs:1"), "{message}");
        assert!(message.contains("sample::b → sample::a  crates/sample/src/b.rs:3"), "{message}");
    }

    #[test]
    fn cycles_of_a_parent_and_its_child_are_seen() {
        let child = "pub fn f() -> super::Shape { super::Shape }\n";
        let uses = "mod child;\npub struct Shape;\npub fn g() -> Shape { child::f() }\n";
        let found = cycles(&[("lib.rs", "mod a;"), ("a/mod.rs", uses), ("a/child.rs", child)]);
        assert_eq!(found.len(), 1, "{found:?}");
        // The same through a re-export that the parent itself uses.
        let uses = "mod child;\npub use child::f;\npub struct Shape;\npub fn g() -> Shape { f() }\n";
        let found = cycles(&[("lib.rs", "mod a;"), ("a.rs", uses), ("a/child.rs", child)]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn cycles_through_re_exports_globs_macros_and_inline_modules_are_seen() {
        let a = "use super::*;\npub struct A;\nfn f() -> usize { count() }\n";
        let b = "pub fn count() -> usize { vec![crate::a::A].len() }\n";
        let lib = "mod a;\nmod b;\npub use b::count;\n";
        assert_eq!(cycles(&[("lib.rs", lib), ("a.rs", a), ("b.rs", b)]).len(), 1);
        let a = "pub mod inner { pub fn f() { crate::b::g() } }\n";
        let b = "use crate::a as other;\npub fn g() { other::inner::f() }\n";
        assert_eq!(cycles(&[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", a), ("b.rs", b)]).len(), 1);
        let b = "pub fn g() {}\nfn h() { use super::a::inner; inner::f() }\n";
        assert_eq!(cycles(&[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", a), ("b.rs", b)]).len(), 1);
    }

    #[test]
    fn re_exports_of_children_and_tests_make_no_cycle() {
        let found = cycles(&[
            ("lib.rs", "mod a;\nmod b;\npub use a::{A, f};\npub use b::B;\n"),
            // The sibling's item by way of the root's re-export, and by its own way.
            ("a.rs", "mod c;\npub use c::A;\npub fn f(_: crate::B) {}\n#[cfg(test)]\nmod tests;\n"),
            ("a/c.rs", "use super::super::b::B;\npub struct A(pub B);\n"),
            ("a/tests.rs", "use crate::a::f;\n"),
            ("b.rs", "pub struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn names_that_are_not_modules_make_no_edge() {
        let a =
            "use std::fmt;\npub(in crate::b) struct A;\nfn f(b: usize) -> usize { let c = b; c.max(b) }\n";
        let b = "use crate::a::A;\npub struct B(A);\n";
        assert!(cycles(&[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", a), ("b.rs", b)]).is_empty());
    }
}
