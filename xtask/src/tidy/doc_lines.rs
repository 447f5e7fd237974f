//! Length of doc comments: at most 100 characters per line, including indentation.
//!
//! rustfmt does not wrap comments. Lines with a URL and rows of tables may be longer.

use super::source::Source;

/// Maximum characters of a doc line.
const MAX_CHARACTERS: usize = 100;

/// Doc lines that are too long.
pub(super) fn breaches(sources: &[Source]) -> Vec<String> {
    let mut out = vec![];
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            let length = line.chars().count();
            if length > MAX_CHARACTERS && can_be_wrapped(line) {
                let place = format!("{}:{}", source.name, number + 1);
                out.push(format!("{place}: a doc line of {length} characters; at most {MAX_CHARACTERS}"));
            }
        }
    }
    out
}

/// Whether a line is a doc comment without a URL, and no row of a table.
fn can_be_wrapped(line: &str) -> bool {
    let line = line.trim_start();
    let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { return false };
    !text.contains("://") && !text.trim_start().starts_with('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> usize {
        breaches(&[Source { name: "a.rs".into(), text: format!("{line}\n") }]).len()
    }

    #[test]
    fn doc_lines_over_the_limit_are_refused() {
        let words = "é ".repeat(50);
        assert_eq!(found(&format!("/// {words}")), 1);
        assert_eq!(found(&format!("    //! {words}")), 1);
    }

    #[test]
    fn doc_lines_within_the_limit_pass() {
        let words = "x".repeat(120);
        let hundred = format!("/// {}", "é".repeat(96));
        assert_eq!(found(&hundred), 0);
        for line in ["// {}", "let a = 1; // {}", "/// see <https://a.b/{}>", "//! | {} | b |"] {
            assert_eq!(found(&line.replace("{}", &words)), 0, "{line}");
        }
    }
}
