//! The boundary to the terminal: all that goes to stdout and stderr.
//!
//! Headers, file names and settings are written by others. A control sequence in one of them must
//! not reach a terminal, where it could change the title, move the cursor or hide text.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};

use anyhow::Context;

/// Prints text to stdout, with lines, and without anything else that a terminal would obey. A
/// reader that has seen enough, as `head` has, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_as_it_is(&escaped(text, |c| c != '\n' && is_obeyed(c), as_text))
}

/// Prints JSON to stdout; characters that a terminal would obey are escaped as JSON escapes them.
pub(crate) fn print_json(text: &str) -> anyhow::Result<()> {
    print_as_it_is(&visible_json(text))
}

/// Prints text that the program made itself, as scripts for shells.
pub(crate) fn print_as_it_is(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Writes a line to stderr. There is nothing to be done where nobody reads it.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(line));
}

/// Text of one line as a terminal may show it: control characters, line ends, and characters that
/// reverse or hide text are written out, as `\u{1b}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_obeyed, as_text)
}

/// JSON in which the same characters are written out, as `\u001b`. Only strings can hold them, but
/// for line ends, which stay.
pub(crate) fn visible_json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| c != '\n' && is_obeyed(c),
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

/// Whether a terminal does something at a character instead of showing it: control characters (C0,
/// DEL, C1), marks of direction, line separators, and characters without width.
fn is_obeyed(c: char) -> bool {
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
        assert!(shown.chars().all(|c| c == '\n' || !is_obeyed(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), given);
    }
}
