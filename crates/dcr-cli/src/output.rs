//! Terminal output: the only module that writes to stdout and stderr.
//!
//! Headers, file names and settings are untrusted text. Control sequences in them are escaped,
//! because they could change the title, move the cursor or hide text.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};

use anyhow::Context;

/// Prints text to stdout. Line breaks stay; other control characters are escaped. A closed pipe, as
/// after `head`, is not an error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_as_it_is(&escaped(text, |c| c != '\n' && is_interpreted(c), as_text))
}

/// Prints JSON to stdout, with control characters as JSON escapes.
pub(crate) fn print_json(text: &str) -> anyhow::Result<()> {
    print_as_it_is(&visible_json(text))
}

/// Prints generated text such as shell scripts without escaping.
pub(crate) fn print_as_it_is(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Writes a line to stderr; write errors are ignored.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(line));
}

/// One line of text with control characters, line breaks, bidirectional marks and zero-width
/// characters escaped, e.g. `\u{1b}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_interpreted, as_text)
}

/// JSON with the same characters escaped, e.g. `\u001b`. Only strings can contain them, apart from
/// line breaks, which stay.
pub(crate) fn visible_json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| c != '\n' && is_interpreted(c),
        |c, out| {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        },
    )
}

fn as_text(c: char, out: &mut String) {
    out.extend(c.escape_unicode());
}

fn escaped(text: &str, is_hidden: fn(char) -> bool, escape: fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Whether a terminal interprets a character rather than showing it: control characters (C0, DEL,
/// C1), bidirectional marks, line separators, zero-width characters.
fn is_interpreted(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_text_has_nothing_that_a_terminal_obeys() {
        for (given, shown) in [
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("a\rb\nc\td", r"a\u{d}b\u{a}c\u{9}d"),
            ("r\u{202e}stif.exe", r"r\u{202e}stif.exe"),
            ("\u{9b}31m\u{85}\u{7f}", r"\u{9b}31m\u{85}\u{7f}"),
            ("\u{2066}\u{200b}\u{feff}", r"\u{2066}\u{200b}\u{feff}"),
        ] {
            assert_eq!(visible(given), shown);
        }
        let plain = "Σ 3″ × ä – 日本 e\u{301}";
        assert!(matches!(visible(plain), Cow::Borrowed(text) if text == plain));
    }

    #[test]
    fn visible_json_is_the_same_json() {
        let given = serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{202e}\u{e0001}\n", "b": 1});
        let text = serde_json::to_string_pretty(&given).unwrap();
        let shown = visible_json(&text);
        assert!(shown.chars().all(|c| c == '\n' || !is_interpreted(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), given);
    }
}
