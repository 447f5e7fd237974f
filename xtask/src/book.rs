//! Links of the book, README and docs/: the summary names every page once, and every link leads to
//! an existing file and heading.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The pages of the book.
const PAGES: &str = "docs/book/src";
/// The table of contents.
const SUMMARY: &str = "SUMMARY.md";
/// Folders of further Markdown pages whose links are verified.
const OTHER_FOLDERS: [&str; 3] = ["", "docs", "docs/decisions"];

/// All breaches.
pub(crate) fn breaches(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(PAGES);
    let mut pages = pages_in(&folder)?;
    let mut out = contents(&folder, &pages)?;
    for other in OTHER_FOLDERS.map(|other| root.join(other)).iter().filter(|other| other.is_dir()) {
        pages.extend(pages_in(other)?);
    }
    for page in &pages {
        let name = page.strip_prefix(root).unwrap_or(page).display().to_string();
        out.extend(
            dead_links(page)?.into_iter().map(|link| format!("{name}: the link {link} leads nowhere")),
        );
    }
    Ok(out)
}

/// Markdown pages in a folder, sorted by name.
fn pages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

/// Pages that the table of contents lacks or names twice. Missing pages are dead links.
fn contents(folder: &Path, pages: &[PathBuf]) -> Result<Vec<String>> {
    let summary = read(&folder.join(SUMMARY))?;
    let links = links(&summary);
    let count = |name: &str| links.iter().filter(|link| **link == name).count();
    let names = pages.iter().filter_map(|page| page.file_name()?.to_str()).filter(|name| *name != SUMMARY);
    Ok(names
        .filter(|name| count(name) != 1)
        .map(|name| format!("{PAGES}/{SUMMARY}: names {name} {} times; once is right", count(name)))
        .collect())
}

/// Links of a page to files or headings that do not exist.
fn dead_links(page: &Path) -> Result<Vec<String>> {
    let text = read(page)?;
    let mut dead = Vec::new();
    for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
        let (file, heading) =
            link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
        let target = match file {
            "" => page.to_owned(),
            file => page.parent().unwrap_or(Path::new("")).join(file),
        };
        let leads = match heading {
            None => target.exists(),
            Some(heading) => target.is_file() && anchors(&read(&target)?).contains(heading),
        };
        if !leads {
            dead.push(link.to_owned());
        }
    }
    Ok(dead)
}

/// Targets of the links in a text, outside code.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2).flat_map(|part| part.lines());
    let outside_code = prose.flat_map(|line| line.split('`').step_by(2).collect::<Vec<_>>());
    outside_code
        .flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split_once(')')))
        .map(|(link, _)| link)
        .collect()
}

/// The anchors that mdBook gives the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.split("\n```").step_by(2).flat_map(|part| part.lines());
    prose
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

/// Letters, digits, `_` and `-`, in lower case; blanks become dashes, other characters are dropped.
fn anchor(heading: &str) -> String {
    heading
        .chars()
        .filter_map(|c| match c {
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
            c if c.is_whitespace() => Some('-'),
            _ => None,
        })
        .collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn book_has_no_breaches() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let breaches = breaches(root).unwrap();
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }

    #[test]
    fn book_sees_missing_pages_and_dead_links() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(PAGES);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(SUMMARY), "- [A](a.md)\n- [Gone](gone.md)\n").unwrap();
        fs::write(
            folder.join("a.md"),
            "# A page\n[self](#a-page) [no](#another) [b](b.md#b) [web](https://x.y)\n",
        )
        .unwrap();
        fs::write(folder.join("b.md"), "## B\n```\n[code](nowhere)\n```\n`[too](no)` [file](../none.txt)\n")
            .unwrap();
        let found = breaches(root.path()).unwrap();
        let about = |text: &str| found.iter().filter(|breach| breach.contains(text)).count();
        assert_eq!(about("gone.md leads nowhere"), 1, "{found:?}");
        assert_eq!(about("names b.md 0 times"), 1, "{found:?}");
        assert_eq!(about("#another leads nowhere"), 1, "{found:?}");
        assert_eq!(about("../none.txt leads nowhere"), 1, "{found:?}");
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn anchors_are_mdbooks() {
        assert_eq!(anchor("Exit codes"), "exit-codes");
        assert_eq!(anchor("its grid is not that of …"), "its-grid-is-not-that-of-");
        assert_eq!(anchor("`[band]`"), "band");
    }
}
