//! What a header says of its visit, whatever the instrument.

use std::path::Path;

use dcr_physics::{Assumption, VisitInfo};

use super::Header;
use super::interpret::Reading;
use super::{lsst_images, profiles};

/// A visit as its file describes it, and the unit of its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct VisitHeader {
    /// The circumstances, with what was assumed.
    pub visit: VisitInfo,
    /// The unit of the pixel values (BUNIT).
    pub unit: Option<String>,
}

impl VisitHeader {
    /// Reads a header by the profile of its instrument. What is missing stays `None`; what was
    /// assumed, converted or doubted is in the visit's assumptions. The file's name gives the visit
    /// number if the header has none. `tree` is the JSON tree of an lsst-images file.
    #[must_use]
    pub fn read(header: &Header, path: &Path, tree: Option<&serde_json::Value>) -> Self {
        let profile = profiles::of(header);
        let mut visit = match tree.and_then(lsst_images::observation) {
            Some(observation) => lsst_images::visit_info(observation),
            None => Reading { header, profile, notes: Vec::new() }.visit_info(),
        };
        if visit.visit == 0 {
            let (number, note) = visit_number(header, profile.visit, path);
            visit.visit = number;
            visit.assumptions.extend(note);
        }
        let unit = header.text("BUNIT").or_else(|| header.text("ZUNIT")).map(str::to_owned);
        Self { visit, unit }
    }
}

/// The visit number from the cards, the file's name, or a hash of the name, in that order.
fn visit_number(header: &Header, cards: &[&str], path: &Path) -> (u64, Option<Assumption>) {
    let number = |card: &&str| {
        let value = header.get(card)?;
        let number = value.as_i64().and_then(|number| u64::try_from(number).ok());
        number.or_else(|| digits_of(value.as_text()?)).filter(|number| *number > 0)
    };
    if let Some(number) = rubin_visit(header).or_else(|| cards.iter().find_map(number)) {
        return (number, None);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (number, how) = match digits_of(&name) {
        Some(number) => (number, "the digits in the file's name are used"),
        None => (hash(&name), "a hash of the file's name is used"),
    };
    let text = format!("The header has no visit number; {how}: {number}.");
    (number, Some(Assumption { quantity: "visit".to_owned(), text, warning: false }))
}

/// Rubin's visit number is made of the day and the number of the exposure in it.
fn rubin_visit(header: &Header) -> Option<u64> {
    let day = header.get("DAYOBS")?.as_i64().filter(|day| (20_000_101..21_000_000).contains(day))?;
    let sequence = header.get("SEQNUM")?.as_i64().filter(|number| (0..100_000).contains(number))?;
    u64::try_from(day * 100_000 + sequence).ok()
}

/// The longest run of digits, the first of those equally long, as a number that JSON keeps exactly.
fn digits_of(text: &str) -> Option<u64> {
    let mut longest = "";
    for run in text.split(|c: char| !c.is_ascii_digit()) {
        if run.len() > longest.len() {
            longest = run;
        }
    }
    longest.parse().ok().filter(|number| *number > 0 && *number < 1 << 53)
}

/// FNV-1a, cut to 52 bits so that JSON keeps it exactly; the same on every machine.
fn hash(name: &str) -> u64 {
    let full = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (full >> 12).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Card;

    fn number(cards: &[Card], name: &str) -> (u64, bool) {
        let header: Header = cards.iter().cloned().collect();
        let (number, note) = visit_number(&header, &["VISIT", "EXP-ID"], Path::new(name));
        (number, note.is_some())
    }

    #[test]
    fn visit_number_from_cards_name_or_hash() {
        assert_eq!(number(&[Card::new("VISIT", 1003_i64)], "warp_5.fits"), (1003, false));
        assert_eq!(number(&[Card::new("EXP-ID", "HSCA90402400")], "x.fits"), (90_402_400, false));
        let rubin = [Card::new("DAYOBS", "20250415"), Card::new("SEQNUM", 228_i64)];
        assert_eq!(number(&rubin, "x.fits"), (2_025_041_500_228, false));
        assert_eq!(number(&[], "HATP-32171220050312.FITS"), (32_171_220_050_312, true));
        assert_eq!(number(&[Card::new("VISIT", -1_i64)], "sci.0012.resamp.fits"), (12, true));
        let (hashed, noted) = number(&[], "flat.fits");
        assert!(hashed > 0 && hashed < 1 << 53 && noted);
        assert_eq!(number(&[], "flat.fits").0, hashed);
    }
}
