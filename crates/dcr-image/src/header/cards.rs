//! A header: the cards of one HDU, or of an image extension merged with the primary HDU.

use super::card::{Card, Value};
use super::wcs_keywords::is_wcs_keyword;

/// Keywords that describe an HDU's own data and are never inherited from the primary HDU.
const STRUCTURE: [&str; 16] = [
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "EXTNAME", "EXTVER", "EXTLEVEL",
    "BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "INHERIT",
];

/// The cards of a header in order. Lookups ignore case and return the first card of a name.
///
/// ```
/// use dcr_image::header::Header;
/// let header = Header::parse(b"AIRMASS =                 1.25 / at start");
/// assert_eq!(header.f64("airmass"), Some(1.25));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    cards: Vec<Card>,
}

impl Header {
    /// A header without cards.
    #[must_use]
    pub const fn new() -> Self {
        Self { cards: Vec::new() }
    }

    /// Parses the cards of a file, 80 bytes each, up to END.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self { cards: super::card::parse_cards(bytes) }
    }

    /// The header of an image by the INHERIT convention: the cards of its extension, then those of
    /// the primary HDU that the extension lacks.
    ///
    /// An extension without INHERIT inherits too, as most writers intend; `INHERIT = F` is
    /// respected. Cards about data or WCS are never inherited, because a mixture of two WCS is
    /// wrong.
    #[must_use]
    pub fn merged(primary: &Self, extension: &Self) -> Self {
        if extension.bool("INHERIT") == Some(false) {
            return extension.clone();
        }
        let inherited = primary.cards.iter().filter(|card| {
            !card.is_commentary()
                && !is_structural(&card.keyword)
                && !is_wcs_keyword(&card.keyword)
                && extension.get(&card.keyword).is_none()
        });
        Self { cards: extension.cards.iter().chain(inherited).cloned().collect() }
    }

    /// The cards in order.
    pub fn iter(&self) -> impl Iterator<Item = &Card> {
        self.cards.iter()
    }

    /// Whether there are no cards.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    /// Adds a card at the end.
    pub fn push(&mut self, card: Card) {
        self.cards.push(card);
    }

    /// Sets the value of a keyword, in place if it exists, else at the end.
    pub fn set(&mut self, keyword: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.cards.iter_mut().find(|card| card.keyword.eq_ignore_ascii_case(keyword)) {
            Some(card) => card.value = value,
            None => self.cards.push(Card::new(keyword, value)),
        }
    }

    /// The first card of a keyword.
    #[must_use]
    pub fn card(&self, keyword: &str) -> Option<&Card> {
        self.cards.iter().find(|card| card.keyword.eq_ignore_ascii_case(keyword))
    }

    /// The value of a keyword.
    #[must_use]
    pub fn get(&self, keyword: &str) -> Option<&Value> {
        self.card(keyword).map(|card| &card.value)
    }

    /// The value as a finite number; see [`Value::as_f64`].
    #[must_use]
    pub fn f64(&self, keyword: &str) -> Option<f64> {
        self.get(keyword)?.as_f64()
    }

    /// The value as an integer; see [`Value::as_i64`].
    #[must_use]
    pub fn i64(&self, keyword: &str) -> Option<i64> {
        self.get(keyword)?.as_i64()
    }

    /// The value as text, if it is a string and not blank.
    #[must_use]
    pub fn text(&self, keyword: &str) -> Option<&str> {
        self.get(keyword)?.as_text()
    }

    /// The value as a logical value.
    #[must_use]
    pub fn bool(&self, keyword: &str) -> Option<bool> {
        self.get(keyword)?.as_bool()
    }
}

impl FromIterator<Card> for Header {
    fn from_iter<I: IntoIterator<Item = Card>>(cards: I) -> Self {
        Self { cards: cards.into_iter().collect() }
    }
}

fn is_structural(keyword: &str) -> bool {
    STRUCTURE.contains(&keyword)
        || keyword.strip_prefix("NAXIS").is_some_and(|rest| rest.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cards: &[(&str, i64)]) -> Header {
        cards.iter().map(|&(keyword, value)| Card::new(keyword, value)).collect()
    }

    #[test]
    fn lookups_ignore_case_and_find_the_first() {
        let header = header(&[("A", 1), ("A", 2)]);
        assert_eq!(header.i64("a"), Some(1));
        assert_eq!(header.f64("B"), None);
    }

    #[test]
    fn merged_prefers_the_extension_and_leaves_structure_behind() {
        let primary = header(&[("NAXIS", 0), ("NAXIS1", 4), ("VISIT", 7), ("GAIN", 1), ("CRVAL1", 5)]);
        let extension = header(&[("NAXIS", 2), ("GAIN", 2)]);
        let merged = Header::merged(&primary, &extension);
        assert_eq!(
            (merged.i64("NAXIS"), merged.i64("GAIN"), merged.i64("VISIT")),
            (Some(2), Some(2), Some(7))
        );
        assert_eq!((merged.i64("NAXIS1"), merged.i64("CRVAL1")), (None, None));
    }

    #[test]
    fn merged_respects_inherit_false() {
        let mut extension = header(&[("NAXIS", 2)]);
        extension.set("INHERIT", false);
        assert_eq!(Header::merged(&header(&[("VISIT", 7)]), &extension).i64("VISIT"), None);
    }

    #[test]
    fn set_replaces_in_place() {
        let mut header = header(&[("A", 1), ("B", 2)]);
        header.set("a", 3_i64);
        header.set("C", "x");
        assert_eq!(header.iter().map(|c| c.keyword.as_str()).collect::<Vec<_>>(), ["A", "B", "C"]);
        assert_eq!(header.i64("A"), Some(3));
    }
}
