//! Header of a visit, for any instrument.

use std::path::Path;

use dcr_physics::{Assumption, SkyPosition, VisitInfo};

use super::given::Given;
use super::reading::Reading;
use super::unit::{self, UnitKind};
use super::{Header, lsst_images, profiles};

/// A visit as described by its file, and the unit of its pixels.
///
/// ```
/// use dcr_image::header::{Header, VisitHeader};
///
/// let mut header = Header::new();
/// header.set("INSTRUME", "DECam");
/// header.set("EXPNUM", 1_234_567_i64);
/// header.set("EXPTIME", 90.0);
/// header.set("BUNIT", "electron");
/// let read = VisitHeader::read(&header, "night/c4d.fits".as_ref(), None);
/// assert_eq!((read.visit.visit, read.visit.exposure_s), (1_234_567, Some(90.0)));
/// assert_eq!(read.unit.as_deref(), Some("electron"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct VisitHeader {
    /// Metadata of the visit, with assumptions.
    pub visit: VisitInfo,
    /// The unit of the pixel values (BUNIT).
    pub unit: Option<String>,
}

/// Inputs for reading a header.
#[derive(Clone, Copy, Debug)]
pub struct VisitSource<'a> {
    /// File whose name gives the visit number if the header has none.
    pub path: &'a Path,
    /// The JSON tree of an lsst-images file.
    pub tree: Option<&'a serde_json::Value>,
    /// Centre of the image, for headers without a pointing.
    pub image_centre: Option<SkyPosition>,
    /// User values.
    pub given: &'a Given,
}

impl VisitHeader {
    /// Reads a header by the profile of its instrument. Missing quantities are `None`; assumptions,
    /// conversions and contradictions are in the assumptions of the visit. The file name gives the
    /// visit number if the header has none. `tree` is the JSON tree of an lsst-images file.
    #[must_use]
    pub fn read(header: &Header, path: &Path, tree: Option<&serde_json::Value>) -> Self {
        let given = Given::default();
        Self::read_with(header, &VisitSource { path, tree, image_centre: None, given: &given })
    }

    /// Reads a header with the position of its image and with user values.
    #[must_use]
    pub fn read_with(header: &Header, source: &VisitSource<'_>) -> Self {
        let profile = profiles::of(header);
        let (unit, unit_notes) = unit_of(header, source.given);
        let reading = Reading {
            given: source.given.clone(),
            image_centre: source.image_centre,
            ..Reading::new(header, profile)
        };
        let mut visit = match source.tree.and_then(lsst_images::observation) {
            Some(observation) => {
                let mut visit = lsst_images::visit_info(observation);
                source.given.replace_in(&mut visit);
                visit
            }
            None => reading.visit_info(unit.as_deref()),
        };
        if visit.visit == 0 {
            let (number, note) = visit_number(header, profile.visit, source.path);
            visit.visit = number;
            visit.assumptions.extend(note);
        }
        visit.assumptions.extend(unit_notes);
        Self { visit, unit }
    }
}

/// Unit of the pixels: from the user, else from the header. Units that are not a flux cause a
/// warning; a contradiction between user and header causes a note.
fn unit_of(header: &Header, given: &Given) -> (Option<String>, Vec<Assumption>) {
    let note = |text: String, warning| Assumption { quantity: "unit".to_owned(), text, warning };
    let own = header.text("BUNIT").or_else(|| header.text("ZUNIT"));
    if let Some(given) = &given.unit {
        let note = own
            .filter(|own| !unit::same(own, given))
            .map(|own| note(format!("The unit is {given}, from input.unit; the header has {own}."), false));
        return (Some(given.clone()), note.into_iter().collect());
    }
    let note = own.and_then(|own| match unit::kind(own) {
        UnitKind::NotFlux => Some(note(
            format!("The pixels are in {own}, which is not a flux; their sums are meaningless."),
            true,
        )),
        UnitKind::SurfaceBrightness => Some(note(
            format!(
                "The pixels are in {own}; they are used as fluxes, which is correct for pixels of equal size."
            ),
            false,
        )),
        _ => None,
    });
    (own.map(str::to_owned), note.into_iter().collect())
}

/// Visit number from the cards, else the file name, else a hash of the name.
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

/// Rubin's visit number consists of the day and the number of the exposure.
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
