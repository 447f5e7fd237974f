//! Formatting of cards.

use super::card::{CARD_LENGTH, Card, Value, is_commentary};

/// Maximum length of a string that fits one card with its quotes.
const STRING_ROOM: usize = 68;

/// The 80-character lines of a card: one, or several with CONTINUE for a long string.
///
/// Non-ASCII characters become question marks, as FITS requires. A comment that does not fit is
/// truncated. A number that is not finite becomes an undefined value.
pub(crate) fn format_card(card: &Card) -> Vec<String> {
    let comment = printable(&card.comment);
    if is_commentary(&card.keyword) {
        let text = match &card.value {
            Value::Text(text) => printable(text),
            other => other.to_string(),
        };
        let pieces = split(&text, CARD_LENGTH - 8);
        return pieces.iter().map(|piece| padded(&format!("{:<8}{piece}", card.keyword))).collect();
    }
    let start = start_of(&card.keyword);
    let Value::Text(text) = &card.value else {
        let value = format_number(&card.value);
        // Fixed format for ordinary keywords, as old readers expect.
        let value = if start.len() == 10 { format!("{value:>20}") } else { value };
        return vec![padded(&with_comment(&format!("{start}{value}"), &comment))];
    };
    let quoted = printable(text).replace('\'', "''");
    if start.len() + quoted.len() + 2 <= CARD_LENGTH {
        return vec![padded(&with_comment(&format!("{start}'{quoted:<8}'"), &comment))];
    }
    // One character of each line is reserved for the ampersand.
    let first_room = (CARD_LENGTH - start.len()).saturating_sub(3).max(1);
    let mut lines = Vec::new();
    let mut left = quoted.as_str();
    while !left.is_empty() {
        let (prefix, room) =
            if lines.is_empty() { (start.as_str(), first_room) } else { ("CONTINUE  ", STRING_ROOM - 1) };
        let (piece, rest) = left.split_at(break_at(left, room));
        let ampersand = if rest.is_empty() { "" } else { "&" };
        lines.push(padded(&format!("{prefix}'{piece}{ampersand}'")));
        left = rest;
    }
    lines
}

/// `KEYWORD = `, or `HIERARCH LONG NAME = ` for a nonstandard keyword.
fn start_of(keyword: &str) -> String {
    let standard = keyword.len() <= 8
        && keyword.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if standard { format!("{keyword:<8}= ") } else { format!("HIERARCH {} = ", printable(keyword)) }
}

fn format_number(value: &Value) -> String {
    match value {
        Value::Bool(value) => if *value { "T" } else { "F" }.to_owned(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) if value.is_finite() => format_real(*value),
        Value::Float(_) | Value::Undefined | Value::Text(_) => String::new(),
    }
}

/// The shortest text that reads back as the same number and is recognisable as real.
fn format_real(value: f64) -> String {
    let plain = format!("{value:?}");
    let scientific = format!("{value:E}");
    let text = if plain.contains('e') || plain.len() > 20 { scientific } else { plain };
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

fn with_comment(line: &str, comment: &str) -> String {
    if comment.is_empty() || line.len() + 3 >= CARD_LENGTH {
        line.to_owned()
    } else {
        format!("{line} / {comment}")
    }
}

/// The longest piece of at most `room` characters that does not split a doubled quote.
fn break_at(text: &str, room: usize) -> usize {
    if text.len() <= room {
        return text.len();
    }
    let quotes = text[..room].bytes().rev().take_while(|&byte| byte == b'\'').count();
    if quotes % 2 == 1 && room > 1 { room - 1 } else { room }
}

fn split(text: &str, length: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut left = text;
    while left.len() > length {
        let (piece, rest) = left.split_at(length);
        pieces.push(piece);
        left = rest;
    }
    pieces.push(left);
    pieces
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

/// Exactly 80 characters; `line` is ASCII.
fn padded(line: &str) -> String {
    let mut line = format!("{line:<80}");
    line.truncate(CARD_LENGTH);
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::Header;

    fn round_trip(card: &Card) -> Card {
        let lines = format_card(card);
        assert!(lines.iter().all(|line| line.len() == 80));
        Header::parse(lines.concat().as_bytes()).iter().next().cloned().unwrap()
    }

    #[test]
    fn long_names_and_strings_read_back() {
        for keyword in ["A", "BORE-AIRMASS", "ESO TEL AMBI PRES", "MP_DETECTED_NEGATIVE"] {
            for value in ["", "x", "it's", &"'".repeat(200), &"long ".repeat(40), &"y".repeat(68)] {
                let value = value.trim_end();
                let got = round_trip(&Card::new(keyword, value));
                assert_eq!((got.keyword.as_str(), got.value), (keyword, Value::Text(value.to_owned())));
            }
        }
    }

    #[test]
    fn numbers_stand_in_fixed_columns() {
        assert_eq!(
            format_card(&Card::new("A", 1.5).with_comment("c"))[0].trim_end(),
            "A       =                  1.5 / c"
        );
        assert_eq!(format_card(&Card::new("A", true))[0].trim_end(), "A       =                    T");
        assert_eq!(format_card(&Card::new("A", f64::NAN))[0].trim_end(), "A       =");
        assert_eq!(round_trip(&Card::new("A", 1e-300)).value, Value::Float(1e-300));
        assert_eq!(round_trip(&Card::new("A", f64::NAN)).value, Value::Undefined);
        assert_eq!(round_trip(&Card::new("A", 1e22)).value, Value::Float(1e22));
    }

    #[test]
    fn text_outside_ascii_and_long_comments_fit() {
        assert_eq!(round_trip(&Card::new("A", "µm\n")).value, Value::Text("?m?".into()));
        let long = Card::new("A", 1_i64).with_comment(&"comment ".repeat(30));
        assert_eq!(format_card(&long).len(), 1);
        let history =
            Card { keyword: "HISTORY".into(), value: "word ".repeat(50).into(), comment: String::new() };
        assert!(format_card(&history).len() > 3);
    }

    proptest! {
        #[test]
        fn real_numbers_read_back_exactly(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(round_trip(&Card::new("A", value)).value, Value::Float(value));
            prop_assert_eq!(round_trip(&Card::new("A-LONG-KEYWORD", value)).value, Value::Float(value));
        }

        #[test]
        fn strings_read_back_exactly(text in "[ -~]{0,200}") {
            let text = text.trim_end();
            // An ampersand at the very end is the mark of a continued string.
            prop_assume!(!text.ends_with('&'));
            prop_assert_eq!(round_trip(&Card::new("KEY", text)).value, Value::Text(text.to_owned()));
        }
    }
}
