//! One card of a FITS header: its keyword, its typed value and its comment.
//!
//! The parser tolerates common deviations: lower-case keywords, `D` exponents, values outside their
//! columns. It follows the FITS 4.0 standard §4 with the HIERARCH and the long string (CONTINUE)
//! conventions.

use std::borrow::Cow;
use std::fmt;

/// Length of a card in bytes.
pub(crate) const CARD_LENGTH: usize = 80;

/// The value of a card.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `T` or `F`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A real number. NaN and infinity have no FITS form and are written as undefined values.
    Float(f64),
    /// A character string without its trailing blanks.
    Text(String),
    /// A keyword without a value.
    Undefined,
}

impl Value {
    /// The value as a number: integers and numeric strings are converted; everything else,
    /// including NaN and `'NaN'`, is `None`.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        let number = match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(text) => parse_real(text.trim()),
            Self::Bool(_) | Self::Undefined => None,
        };
        number.filter(|value| value.is_finite())
    }

    /// The value as an integer: real numbers and strings without a fraction are converted.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => Some(*value as i64),
            _ => None,
        }
    }

    /// The value as text, if it is a string that is not blank.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The value as a logical; strings and integers used by some writers are converted.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Int(0) => Some(false),
            Self::Int(1) => Some(true),
            Self::Text(text) => match text.trim() {
                "T" | "true" | "True" => Some(true),
                "F" | "false" | "False" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => f.write_str(if *value { "T" } else { "F" }),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Undefined => f.write_str("(undefined)"),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// A keyword with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The keyword in upper case; for a HIERARCH card, without that word.
    pub keyword: String,
    /// The value; the text of a COMMENT or HISTORY card.
    pub value: Value,
    /// The comment after the slash; can be empty.
    pub comment: String,
}

impl Card {
    /// A card without a comment.
    #[must_use]
    pub fn new(keyword: &str, value: impl Into<Value>) -> Self {
        Self { keyword: keyword.to_ascii_uppercase(), value: value.into(), comment: String::new() }
    }

    /// The same card with a comment.
    #[must_use]
    pub fn with_comment(mut self, comment: &str) -> Self {
        comment.clone_into(&mut self.comment);
        self
    }

    /// Whether the card is commentary (COMMENT, HISTORY, blank) rather than a keyword with a value.
    #[must_use]
    pub fn is_commentary(&self) -> bool {
        is_commentary(&self.keyword)
    }
}

pub(super) fn is_commentary(keyword: &str) -> bool {
    matches!(keyword, "COMMENT" | "HISTORY" | "")
}

/// Parses the cards of a header, up to END.
pub(crate) fn parse_cards(bytes: &[u8]) -> Vec<Card> {
    let mut cards: Vec<Card> = Vec::new();
    // Whether the last string ended in an ampersand, so that a CONTINUE card continues it.
    let mut continued = false;
    for raw in bytes.chunks(CARD_LENGTH) {
        let line = printable(raw);
        let line = line.as_ref();
        let name = line.get(..8).unwrap_or(line).trim_end();
        if name == "END" {
            break;
        }
        if name == "CONTINUE" {
            if continued && let Some(Card { value: Value::Text(text), comment, .. }) = cards.last_mut() {
                let (more, rest) = parse_value(line.get(8..).unwrap_or(""));
                if let Value::Text(more) = more {
                    text.push_str(&more);
                }
                comment.push_str(rest);
                continued = take_ampersand(text);
            }
            continue;
        }
        let mut card = parse_card(line, name);
        continued = match &mut card.value {
            Value::Text(text) if !is_commentary(&card.keyword) => take_ampersand(text),
            _ => false,
        };
        cards.push(card);
    }
    // A final ampersand without continuation is ambiguous; it is dropped.
    cards
}

/// Bytes outside printable ASCII, which the standard forbids, become question marks.
fn printable(raw: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(raw) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(raw.iter().map(|&b| if b.is_ascii() { char::from(b) } else { '?' }).collect()),
    }
}

fn take_ampersand(text: &mut String) -> bool {
    let continues = text.ends_with('&');
    if continues {
        text.pop();
    }
    continues
}

fn parse_card(line: &str, name: &str) -> Card {
    let after_name = line.get(8..).unwrap_or("");
    if name == "HIERARCH"
        && let Some((keyword, value)) = after_name.split_once('=')
    {
        let (value, comment) = parse_value(value);
        return Card { keyword: keyword.trim().to_ascii_uppercase(), value, comment: comment.to_owned() };
    }
    let keyword = name.to_ascii_uppercase();
    let Some(field) = after_name.strip_prefix('=').filter(|_| !is_commentary(&keyword)) else {
        return Card {
            keyword,
            value: Value::Text(after_name.trim_end().to_owned()),
            comment: String::new(),
        };
    };
    let (value, comment) = parse_value(field);
    Card { keyword, value, comment: comment.to_owned() }
}

/// Splits the field after the value indicator into value and comment.
fn parse_value(field: &str) -> (Value, &str) {
    let field = field.trim_start();
    if let Some(rest) = field.strip_prefix('\'') {
        let (text, after) = parse_quoted(rest);
        let comment = after.split_once('/').map_or("", |(_, comment)| comment.trim());
        return (Value::Text(text), comment);
    }
    let (token, comment) = field.split_once('/').unwrap_or((field, ""));
    (parse_token(token.trim()), comment.trim())
}

/// The string up to its closing quote, with doubled quotes resolved, and the rest.
fn parse_quoted(rest: &str) -> (String, &str) {
    let mut text = String::new();
    let mut left = rest;
    loop {
        match left.split_once('\'') {
            Some((part, after)) => {
                text.push_str(part);
                match after.strip_prefix('\'') {
                    Some(after_pair) => {
                        text.push('\'');
                        left = after_pair;
                    }
                    None => {
                        text.truncate(text.trim_end().len());
                        return (text, after);
                    }
                }
            }
            // Without a closing quote, the rest of the card is the string.
            None => {
                text.push_str(left.trim_end());
                return (text, "");
            }
        }
    }
}

fn parse_token(token: &str) -> Value {
    match token {
        "" => Value::Undefined,
        "T" => Value::Bool(true),
        "F" => Value::Bool(false),
        _ => {
            token.parse().map(Value::Int).ok().or_else(|| parse_real(token).map(Value::Float)).unwrap_or_else(
                // A complex or nonstandard value is kept as text.
                || Value::Text(token.to_owned()),
            )
        }
    }
}

/// A real number; `D` is allowed for the exponent. `NaN` and `inf` count as numbers here.
fn parse_real(token: &str) -> Option<f64> {
    if token.contains(['d', 'D']) {
        return token.replace(['d', 'D'], "e").parse().ok();
    }
    token.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(line: &str) -> Card {
        parse_cards(format!("{line:<80}").as_bytes()).remove(0)
    }

    #[test]
    fn continue_joins_long_strings() {
        let text = format!(
            "{:<80}{:<80}{:<80}",
            "LONG    = 'a long &'", "CONTINUE  'string&'", "CONTINUE  '' / with a comment"
        );
        let cards = parse_cards(text.as_bytes());
        assert_eq!(cards.len(), 1);
        assert_eq!(cards[0].value, Value::Text("a long string".into()));
        assert_eq!(cards[0].comment, "with a comment");
    }

    #[test]
    fn continue_without_a_string_is_dropped() {
        let text = format!("{:<80}{:<80}", "A       = 1", "CONTINUE  'lost'");
        assert_eq!(parse_cards(text.as_bytes()), [Card::new("A", 1_i64)]);
    }

    #[test]
    fn end_stops_and_rubbish_is_kept_as_text() {
        let text = format!("{:<80}{:<80}{:<80}", "\u{1}\u{2}rubbish", "END", "AFTER   = 1");
        assert_eq!(parse_cards(text.as_bytes()).len(), 1);
        assert_eq!(parse_cards(b"").len(), 0);
        assert_eq!(parse_cards(b"SHORT   = 3")[0].value, Value::Int(3));
        assert_eq!(parse_cards(b"G\xfcTE    = 3")[0].value, Value::Int(3));
    }

    #[test]
    fn hierarch_keeps_the_name_after_the_word() {
        assert_eq!(parse_one("HIERARCH BORE-AIRMASS = 1.344 / X").keyword, "BORE-AIRMASS");
        assert_eq!(parse_one("HIERARCH ESO TEL AMBI PRES = 743.2").keyword, "ESO TEL AMBI PRES");
        assert_eq!(parse_one("HIERARCH BORE-AIRMASS = 1.344 / X").value, Value::Float(1.344));
    }

    #[test]
    fn strings_keep_quotes_slashes_and_leading_blanks() {
        assert_eq!(parse_one("S       = 'it''s a / b  ' / c").value, Value::Text("it's a / b".into()));
        assert_eq!(parse_one("S       = '  x'").value, Value::Text("  x".into()));
        assert_eq!(parse_one("S       = 'open").value, Value::Text("open".into()));
        assert_eq!(parse_one("S       = ''").value.as_text(), None);
    }

    #[test]
    fn values_have_their_types() {
        assert_eq!(parse_one("A       =                    T").value, Value::Bool(true));
        assert_eq!(parse_one("A       =                  -12 / n").value, Value::Int(-12));
        assert_eq!(parse_one("A       = 1.5D-3").value, Value::Float(1.5e-3));
        assert_eq!(parse_one("A       =                     / none").value, Value::Undefined);
        assert_eq!(parse_one("A       = (1.0, 2.0)").value, Value::Text("(1.0, 2.0)".into()));
        assert_eq!(parse_one("COMMENT = not a value").value, Value::Text("= not a value".into()));
    }

    #[test]
    fn values_convert_only_when_nothing_is_lost() {
        assert_eq!(Value::Text("NaN".into()).as_f64(), None);
        assert_eq!(Value::Text(" 12.5 ".into()).as_f64(), Some(12.5));
        assert_eq!(Value::Float(f64::NAN).as_f64(), None);
        assert_eq!(Value::Float(3.0).as_i64(), Some(3));
        assert_eq!(Value::Float(3.5).as_i64(), None);
    }
}
