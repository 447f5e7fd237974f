//! Citations in comments: the cited document, section or equation must exist.
//!
//! Verified are paths (`docs/…`, `decisions/…`, `CONTRIBUTING.md`), sections (`§6.2`) and equations
//! (`eq. (12)`) of docs/algorithm.md, and file links in doc comments.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::source::Source;

/// The page with numbered sections and equations.
const METHOD: &str = "docs/algorithm.md";
/// Documents outside the repository, which readers do not have.
const ABSENT: [&str; 5] = ["ALGORITHM", "JOINT", "REFERENCE", "DESIGN", "LOWRANK"];

/// Dead citations.
pub(super) fn breaches(root: &Path, sources: &[Source]) -> Result<Vec<String>> {
    let page = root.join(METHOD);
    let method = if page.is_file() { fs::read_to_string(page)? } else { String::new() };
    let mut out = vec![];
    for source in sources {
        let folder = root.join(&source.name).parent().unwrap_or(root).to_owned();
        for (number, line) in source.text.lines().enumerate() {
            let Some(comment) = comment(line) else { continue };
            let exists = |cited: &str| {
                let beside_docs =
                    cited.strip_prefix("decisions/").is_some() && root.join("docs").join(cited).exists();
                root.join(cited).exists() || beside_docs || folder.join(cited).exists()
            };
            let missing = in_comment(comment, &method, exists);
            out.extend(missing.into_iter().map(|breach| format!("{}:{}: {breach}", source.name, number + 1)));
        }
    }
    Ok(out)
}

/// Text of a comment line.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!']))
}

/// Breaches in one comment. `exists` tests a cited path.
fn in_comment(comment: &str, method: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut out = vec![];
    for name in ABSENT {
        if comment.contains(&format!("{name} §")) || comment.contains(&format!("{name}.md")) {
            out.push(format!("cites {name}, which is not in the repository; cite {METHOD}"));
        }
    }
    let mut cited: Vec<&str> =
        comment.split(|c: char| !is_of_path(c)).filter(|word| is_document(word)).collect();
    cited.extend(links(comment).filter(|target| is_file_link(target)));
    cited.sort_unstable();
    cited.dedup();
    for path in cited.iter().map(|path| path.trim_end_matches('.')) {
        let absent = ABSENT.iter().any(|name| path.ends_with(&format!("{name}.md")));
        if !absent && !exists(path) {
            out.push(format!("cites {path}, which is not in the repository"));
        }
    }
    if let Some((_, after)) = comment.split_once(METHOD) {
        for section in numbers_after(after, "§").filter(|section| !has_section(method, section)) {
            out.push(format!("cites {METHOD} §{section}, which that page does not have"));
        }
        for mark in ["eq. (", "eqs. (", "to (", "and ("] {
            for number in numbers_after(after, mark).filter(|number| !has_equation(method, number)) {
                out.push(format!("cites {METHOD} eq. ({number}), which that page does not have"));
            }
        }
    }
    out
}

fn is_of_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./".contains(c)
}

/// Whether a word is the path of a document.
fn is_document(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    // The rest of a URL.
    if word.starts_with('/') {
        return false;
    }
    word.strip_prefix("docs/")
        .or_else(|| word.strip_prefix("decisions/"))
        .is_some_and(|rest| !rest.is_empty())
        || word.strip_suffix(".md").is_some_and(|stem| !stem.is_empty() && !stem.contains("..."))
}

/// Targets of Markdown links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// Whether a link target is a file rather than a URL, a Rust item or a heading.
fn is_file_link(target: &str) -> bool {
    !target.contains("::")
        && !target.contains(':')
        && !target.contains('(')
        && target.chars().all(is_of_path)
        && (target.contains('/') || target.contains('.'))
}

/// Numbers such as `6.2` that follow `mark` in the text.
fn numbers_after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches('.')).filter(|number| !number.is_empty())
    })
}

/// Whether the page has a heading with this number.
fn has_section(page: &str, section: &str) -> bool {
    page.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| heading.trim_start_matches('#').trim())
        .any(|heading| heading.split_whitespace().next() == Some(section))
}

/// Whether an equation of the page has this number: `(12)` at the end of a line.
fn has_equation(page: &str, number: &str) -> bool {
    let tag = format!("({number})");
    page.lines().any(|line| line.trim_end().ends_with(&tag) && line.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Method\n## 6 Iteration\n### 6.2 Gain\n\n    g = 1 / (N − 1)      (12)\n";

    fn found(comment: &str) -> Vec<String> {
        in_comment(comment, PAGE, |path| ["docs/algorithm.md", "docs/decisions", "a.rs"].contains(&path))
    }

    #[test]
    fn citations_that_lead_nowhere_are_refused() {
        for comment in [
            format!("the gain ({} §7.3)", ABSENT[0]),
            format!("settings of {}.md", ABSENT[1]),
            "see docs/none.md for it".into(),
            "decided in decisions/2026-01-01-none.md".into(),
            "[the record](none/record.txt)".into(),
            "the gain (docs/algorithm.md §6.9)".into(),
            "the gain (docs/algorithm.md eq. (13))".into(),
        ] {
            assert_eq!(found(&comment).len(), 1, "{comment}: {:?}", found(&comment));
        }
    }

    #[test]
    fn citations_that_lead_somewhere_pass() {
        for comment in [
            "the gain (docs/algorithm.md §6.2, eq. (12)).",
            "docs/algorithm.md §6 to §6.2",
            "decisions lie in docs/decisions.",
            "[a](a.rs), [b](crate::b), [c](Self::c()), [d](https://x.y/z.md#e)",
            "after DMTN-037 §3; 0.5 and/or 1.5",
        ] {
            assert!(found(comment).is_empty(), "{comment}: {:?}", found(comment));
        }
    }

    #[test]
    fn citations_are_sought_in_comments_only() {
        let root = tempfile::tempdir().unwrap();
        let text = "let page = \"docs/none.md\";\n/// docs/none.md\n".to_owned();
        let found = breaches(root.path(), &[Source { name: "a.rs".into(), text }]).unwrap();
        assert_eq!(found, ["a.rs:2: cites docs/none.md, which is not in the repository"]);
    }
}
